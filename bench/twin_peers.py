"""Measures the twin's step beside a textbook step in numpy, and the replay of a day, in one run.

usage: bench/twin_peers.py --bench PATH/bench_twin_step --executable PATH/twinkeeper

The numpy step is what a textbook has, in covariance form: prediction, innovation and its covariance, gain, NIS, with rows
missing by a mask, on OpenBLAS (bench/install-peers) with one thread; Twin::step does the same in square-root form, and the
gate, limits and modes besides. Both are the median of rounds that alternate. The day is 86 400 rows at 1 Hz of a model of
8 states, 3 inputs and 4 outputs, all tests on, CSV in, CSV out.
"""
import argparse
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy  # noqa: E402

SIZES = ((4, 2, 2), (8, 3, 4), (16, 4, 8), (64, 4, 16))
AIMS = {4: 30.0, 8: 10.0, 16: 3.0, 64: 1 / 1.5}  # times faster than numpy


def textbook_step(A, B, C, D, Q, R, x, P, u, y, mask):
    expected = C @ x + D @ u
    rows = numpy.flatnonzero(mask)
    Cv = C[rows]
    nu = (y - expected)[rows]
    sigma = Cv @ P @ Cv.T + R[numpy.ix_(rows, rows)]
    gain = numpy.linalg.solve(sigma, Cv @ P).T
    nis = nu @ numpy.linalg.solve(sigma, nu) if rows.size else math.nan
    x = x + gain @ nu
    P = P - gain @ sigma @ gain.T
    return A @ x + B @ u, A @ P @ A.T + Q, expected, nis


def numpy_seconds(n, m, p, masked, rounds):
    random = numpy.random.default_rng(42)
    A = random.standard_normal((n, n))
    A *= 0.97 / max(abs(numpy.linalg.eigvals(A)))
    B, C, D = random.standard_normal((n, m)), random.standard_normal((p, n)), numpy.zeros((p, m))
    root = random.standard_normal((n, n))
    Q, R = root @ root.T, 0.5 * numpy.eye(p)
    us, ys = random.standard_normal((512, m)), random.standard_normal((512, p))
    masks = random.integers(0, 2, (512, p)) if masked else numpy.ones((512, p), int)
    x, P = numpy.zeros(n), numpy.eye(n)
    count = 512 if n > 16 else 2048
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        for k in range(count):
            x, P, _, _ = textbook_step(A, B, C, D, Q, R, x, P, us[k % 512], ys[k % 512], masks[k % 512])
        times.append((time.perf_counter() - started) / count)
    return times


def twin_seconds(bench, n, m, p, masked):
    case = f"step/{'masked' if masked else 'full'}/n:{n}/m:{m}/p:{p}$"
    done = subprocess.run([bench, f"--benchmark_filter={case}", "--benchmark_format=json", "--benchmark_min_time=0.2"],
                          stdout=subprocess.PIPE, check=True)
    return [b["cpu_time"] * 1e-9 for b in json.loads(done.stdout)["benchmarks"]]


def write_day(folder):
    random = numpy.random.default_rng(4)
    n, m, p, rows = 8, 3, 4, 86400
    A = random.standard_normal((n, n))
    A *= 0.9 / max(abs(numpy.linalg.eigvals(A)))
    B, C = random.standard_normal((n, m)), random.standard_normal((p, n))
    model = {"name": "day", "time": "discrete", "sample_time": 1.0,
             "states": [{"name": f"x{i}", "initial": 0.0, "initial_std": 1.0} for i in range(n)],
             "inputs": [{"name": f"u{i}"} for i in range(m)], "outputs": [{"name": f"y{i}"} for i in range(p)],
             "A": A.tolist(), "B": B.tolist(), "C": C.tolist(),
             "noise": {"Q": (0.01 * numpy.eye(n)).tolist(), "R": (0.25 * numpy.eye(p)).tolist()}}
    (folder / "day.yaml").write_text(json.dumps({"model": model, "diagnosis": {}}), encoding="utf-8")
    x = numpy.zeros(n)
    with open(folder / "day.csv", "w", encoding="utf-8") as file:
        file.write("time[s]," + ",".join(f"u{i}" for i in range(m)) + "," + ",".join(f"y{i}" for i in range(p)) + "\n")
        u = numpy.zeros(m)
        for k in range(rows):
            if k % 60 == 0:
                u = random.standard_normal(m)
            y = C @ x + 0.5 * random.standard_normal(p)
            file.write(f"{k}," + ",".join(f"{v:.6g}" for v in (*u, *y)) + "\n")
            x = A @ x + B @ u + 0.1 * random.standard_normal(n)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--executable", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        processor = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "?")
    print(f"{processor}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, numpy {numpy.__version__}")
    for n, m, p in SIZES:
        for masked in (False, True):
            ours, theirs = [], []
            for _ in range(arguments.rounds):
                ours += twin_seconds(arguments.bench, n, m, p, masked)
                theirs += numpy_seconds(n, m, p, masked, 1)
            a, b = statistics.median(ours), statistics.median(theirs)
            print(f"n={n:<2} m={m} p={p:<2} {'rows missing' if masked else 'all rows    '}  twin {a * 1e6:8.2f} us  "
                  f"numpy {b * 1e6:8.2f} us  ratio {b / a:6.1f}  (aim {AIMS[n]:.2g})", flush=True)
    with tempfile.TemporaryDirectory(prefix="twinkeeper-bench.") as name:
        folder = pathlib.Path(name)
        rows = write_day(folder)
        times = []
        for _ in range(arguments.rounds):
            started = time.perf_counter()
            subprocess.run([arguments.executable, "replay", "--model", folder / "day.yaml", "--input", folder / "day.csv",
                            "--output", folder / "out.csv"], stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - started)
        best, median = min(times), statistics.median(times)
        print(f"replay of a day: {median:.2f} s (least {best:.2f} s; aim 0.45 s), {rows / median:,.0f} rows/s (aim 200,000)")


if __name__ == "__main__":
    main()
