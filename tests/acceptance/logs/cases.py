"""What the cases share: the executable, files in a folder of their own, tables in and out."""
import csv
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DATA = pathlib.Path(os.environ.get("TWINKEEPER_DATA", ROOT.parent / "shared" / "data"))

# A configuration up to its twins.
TANK_DEVICE = """\
gateway: {id: gw}
devices:
  - name: plc
    controller: tcp://127.0.0.1:1502
    poll_interval: 1s
    registers:
      - {name: inflow, register: holding, address: 0, type: FLOAT64, unit: m/s, stuck_after: off}
      - {name: level, register: holding, address: 4, type: FLOAT64, unit: m, stuck_after: off}
twins:
"""


class LogCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="twinkeeper-logs-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def write_model(self, model, diagnosis=None, name="model.yaml"):
        document = {"model": model} | ({"diagnosis": diagnosis} if diagnosis is not None else {})
        return self.write(name, json.dumps(document))

    def write_log(self, model, rows, period=0.5, times=None, name="log.csv"):
        header = ["time[s]"] + [s["name"] for s in model.get("inputs", [])] + [s["name"] for s in model["outputs"]]
        lines = [",".join(header)]
        for k, (u, y) in enumerate(rows):
            time = times[k] if times else k * period
            lines.append(",".join([repr(time)] + ["" if v is None else repr(v) for v in [*u, *y]]))
        return self.write(name, "\n".join(lines) + "\n")

    def run_command(self, *arguments, code=0):
        done = subprocess.run([os.environ["TWINKEEPER_EXECUTABLE"], *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, cwd=self.folder, timeout=280)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def replay(self, model, log, *more, output="steps.csv"):
        path = self.folder / output
        self.run_command("replay", "--model", model, "--input", log, "--output", path, *more)
        return path

    @staticmethod
    def table(path):
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def assert_close(self, text, expected, tolerance, what):
        if expected is None:
            self.assertEqual(text, "", what)
            return
        self.assertNotEqual(text, "", what)
        self.assertLessEqual(abs(float(text) - expected), tolerance * max(1.0, abs(expected)), f"{what}: {text} {expected}")


class DataCase(LogCase):
    """Skips, saying so, where the public data are not there."""
    def setUp(self):
        super().setUp()
        if not DATA.is_dir():
            self.skipTest(f"no public data at {DATA}")
