"""Tennessee Eastman (Braatz): a model from the fault-free run, limits from the same rows, every other run replayed.

The 22 continuous measurements and the 11 manipulated variables are outputs of a model of time series: under control,
what a fault does to the measurements the controllers undo, and it shows in what they do for that. Every d<k>_te of the
data is scored. Run by hand (docs/benchmarks.md) it prints the table there.
"""
import concurrent.futures
import gzip
import re
import unittest

from command_case import DATA, ROOT, CommandCase, run_scorer

RUNS = DATA / "tep"
DIAGNOSIS = ROOT / "tests" / "acceptance" / "tep.diagnosis.yaml"
OUTPUTS = [f"xmeas_{i}" for i in range(1, 23)] + [f"xmv_{i}" for i in range(1, 12)]
FAULTS = {"01", "02", "04", "05", "06", "07", "14"}  # those with a bar
RECOVERY = ("d01", "d04", "d14")
ROWS, SETTLED = 960, 20


class Bars(CommandCase):
    def setUp(self):
        super().setUp()
        self.need_data(RUNS)

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
        return self.write(f"{name}_d00.csv", "\n".join(lines[0]) + "\n")

    def test_bars(self):
        training = RUNS / "d00.csv.gz"
        self.run_command("identify", "--input", training, "--outputs", ",".join(OUTPUTS), "--method", "var", "--order",
                         "1", "--output", "model.yaml")
        told = self.run_command("calibrate", "--model", "model.yaml", "--input", training, "--diagnosis", DIAGNOSIS,
                                "--output", "calibrated.yaml").stdout
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
        score = run_scorer("tep.py", flags)
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
