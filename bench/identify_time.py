"""Time of `identify` on 5000 samples of 8 signals, which it may take 15 s for on two cores.

usage: bench/identify_time.py --executable build/bench/src/app/twinkeeper [--runs 3]

The plant has four inputs that step at random, four outputs and six states with time constants of 5 to 200 samples, a dead
time of four samples at one input, and noise of a tenth of the signals.
"""
import argparse
import os
import pathlib
import random
import subprocess
import tempfile
import time

STEPS = 5000


def write_log(path, seed):
    chance = random.Random(seed)
    poles = [1.0 - 1.0 / tau for tau in (5, 10, 20, 50, 100, 200)]
    into = [[chance.gauss(0, 1) * (1 - pole) for _ in range(4)] for pole in poles]
    out = [[chance.gauss(0, 1) for _ in poles] for _ in range(4)]
    x, u, past = [0.0] * len(poles), [0.0] * 4, [0.0] * 5
    with open(path, "w", encoding="utf-8") as file:
        file.write("t," + ",".join([f"u{j}" for j in range(4)] + [f"y{i}" for i in range(4)]) + "\n")
        for k in range(STEPS):
            u = [chance.uniform(-1, 1) if chance.random() < 0.03 else value for value in u]
            past = [u[0]] + past[:4]
            y = [sum(c * v for c, v in zip(row, x)) + chance.gauss(0, 0.1) for row in out]
            file.write(f"{k}," + ",".join(f"{v:.6g}" for v in u + y) + "\n")
            acting = [past[4]] + u[1:]
            x = [pole * v + sum(b * w for b, w in zip(row, acting)) + chance.gauss(0, 0.01)
                 for pole, row, v in zip(poles, into, x)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--executable", required=True, type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for run in range(asked.runs):
            write_log(folder / "log.csv", 1 + run)
            begin = time.monotonic()
            done = subprocess.run([asked.executable, "identify", "--input", "log.csv", "--inputs", "u0,u1,u2,u3", "--outputs",
                                   "y0,y1,y2,y3", "--output", "model.yaml"], cwd=folder, capture_output=True, text=True)
            seconds = time.monotonic() - begin
            told = [line for line in done.stdout.splitlines() if line.startswith(("model:", "verdict:"))]
            print(f"{seconds:.1f} s, exit {done.returncode}: " + "; ".join(told), flush=True)


if __name__ == "__main__":
    main()
