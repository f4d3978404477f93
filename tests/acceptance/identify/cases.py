"""What the cases share: the executable, a folder of their own, plants that make logs."""
import math
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[3]
DATA = pathlib.Path(os.environ.get("TWINKEEPER_DATA", ROOT.parent / "shared" / "data"))
SCORE = DATA.parent / "score"


class IdentifyCase(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="twinkeeper-identify-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_command(self, *arguments, code=0):
        done = subprocess.run([os.environ["TWINKEEPER_EXECUTABLE"], *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, cwd=self.folder, timeout=280)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def identify(self, log, inputs, outputs, *more, code=0):
        arguments = ["--inputs", ",".join(inputs)] if inputs else []
        return self.run_command("identify", "--input", log, *arguments, "--outputs", ",".join(outputs), "--output",
                                "model.yaml", *more, code=code)

    def write_log(self, rows, names, period=1.0, times=None, name="log.csv"):
        lines = [",".join(["time[s]"] + names)]
        for k, row in enumerate(rows):
            time = times[k] if times else k * period
            lines.append(",".join([repr(time)] + ["" if v is None else repr(v) for v in row]))
        path = self.folder / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def score(self, log, column, estimate, skip):
        """Fit in %, RMSE and the persistence floor, by the scorer of the data."""
        done = subprocess.run([sys.executable, SCORE / "fit.py", log, column, estimate, f"yhat.{column}", str(skip)],
                              stdout=subprocess.PIPE, text=True, check=True)
        found = re.match(r"fit (\S+) %  RMSE (\S+)  persistence floor (\S+) %", done.stdout)
        return tuple(map(float, found.groups()))


def staircase(source, count, low=0.0, high=1.0, hold=(5, 40)):
    """Steps of random height and length."""
    values, value, left = [], 0.0, 0
    for _ in range(count):
        if left == 0:
            value, left = source.uniform(low, high), source.randint(*hold)
        values.append(value)
        left -= 1
    return values


def first_order(u, pole=0.9, gain=2.0, noise=0.0, offset=0.0, delay=0, source=None):
    """y(k) of a first-order plant, steady gain `gain`, with white noise on it."""
    x, y = 0.0, []
    for k in range(len(u)):
        y.append(offset + x + (source.gauss(0.0, noise) if noise else 0.0))
        x = pole * x + (1.0 - pole) * gain * (u[k - delay] if k >= delay else u[0])
    return y


def sine(count, period):
    return [math.sin(2.0 * math.pi * k / period) for k in range(count)]


def seeded(number):
    return random.Random(number)
