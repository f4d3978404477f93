"""Tennessee Eastman (Braatz): a model from the fault-free run, limits from the same rows, every other run replayed.

The 22 continuous measurements and the 11 manipulated variables are outputs of a model of time series: under control,
what a fault does to the measurements the controllers undo, and it shows in what they do for that. Every d<k>_te of the
data is scored. Run by hand with TWINKEEPER_EXECUTABLE (and TWINKEEPER_DATA, default ../shared/data) it prints the table of
docs/benchmarks.md.
"""
import concurrent.futures
import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DATA = pathlib.Path(os.environ.get("TWINKEEPER_DATA", ROOT.parent / "shared" / "data"))
RUNS = DATA / "tep"
DIAGNOSIS = ROOT / "tests" / "acceptance" / "tep.diagnosis.yaml"
OUTPUTS = [f"xmeas_{i}" for i in range(1, 23)] + [f"xmv_{i}" for i in range(1, 12)]
FAULTS = {"01", "02", "04", "05", "06", "07", "14"}  # those with a bar
RECOVERY = ("d01", "d04", "d14")
ROWS, SETTLED = 960, 20


class Bars(unittest.TestCase):
    def setUp(self):
        if not RUNS.is_dir():
            self.skipTest(f"no public data at {RUNS}")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="twinkeeper-tep-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_command(self, *arguments):
        done = subprocess.run([os.environ["TWINKEEPER_EXECUTABLE"], *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, cwd=self.folder, timeout=280)
        self.assertEqual(done.returncode, 0, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout

    def replay(self, log, output):
        self.run_command("replay", "--model", "calibrated.yaml", "--input", log, "--diagnosis", DIAGNOSIS, "--output",
                         output)

    def followed_by_health(self, name):
        """The rows of a run with a fault, then those of the one without, in one log."""
        lines = [gzip.open(RUNS / f"{part}_te.csv.gz", "rt").read().split() for part in (name, "d00")]
        begin = float(lines[0][-1].split(",")[0]) + 180.0
        for line in lines[1][1:]:
            time, rest = line.split(",", 1)
            lines[0].append(f"{float(time) + begin:g},{rest}")
        path = self.folder / f"{name}_d00.csv"
        path.write_text("\n".join(lines[0]) + "\n", encoding="utf-8")
        return path

    def test_bars(self):
        training = RUNS / "d00.csv.gz"
        self.run_command("identify", "--input", training, "--outputs", ",".join(OUTPUTS), "--method", "var", "--order",
                         "1", "--output", "model.yaml")
        told = self.run_command("calibrate", "--model", "model.yaml", "--input", training, "--diagnosis", DIAGNOSIS,
                                "--output", "calibrated.yaml")
        self.assertIn("cross-refits", told)
        flags = self.folder / "flags"
        flags.mkdir()
        with concurrent.futures.ThreadPoolExecutor(2) as workers:
            jobs = [workers.submit(self.replay, log, flags / log.name[:-len(".gz")])
                    for log in sorted(RUNS.glob("d*_te.csv.gz"))]
            recovered = {name: self.folder / f"{name}.csv" for name in RECOVERY}
            jobs += [workers.submit(self.replay, self.followed_by_health(name), path)
                     for name, path in recovered.items()]
            for job in jobs:
                job.result()
        score = subprocess.run([sys.executable, DATA.parent / "score" / "tep.py", flags], stdout=subprocess.PIPE, text=True,
                               check=True).stdout
        print(score, end="")
        for name, path in recovered.items():
            rows = path.read_text(encoding="utf-8").split()[1:]
            after = [row.endswith(",1") for row in rows[ROWS + SETTLED:]]
            rate = 100.0 * sum(after) / len(after)
            print(f"{name} followed by d00: {rate:.1f} % flagged from row {SETTLED + 1} of d00 on")
            self.assertLessEqual(rate, 5.0, name)
        self.assertLessEqual(float(re.search(r"FAR (\S+) %", score)[1]), 1.5)
        for fault, rate in re.findall(r"fault (\d+): FDR (\S+) %", score):
            if fault in FAULTS:
                self.assertGreaterEqual(float(rate), 97.0, f"fault {fault}")


if __name__ == "__main__":
    unittest.main()
