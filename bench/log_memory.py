"""Peak memory and time of the commands that read logs, on a log of a given size, plain and as gzip.

usage: bench/log_memory.py --executable build/bench/src/app/twinkeeper [--megabytes 200] [--folder /tmp]

The log has ten columns at 10 Hz, of which one input and two outputs are used. `identify` makes samples of 20 s of it, the others
step a model of 0.1 s, row by row. A line per command: seconds, MB of text a second, and the largest resident set, beside that
of `version`, which reads nothing.
"""
import argparse
import gzip
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time


def write_log(path, megabytes):
    source = random.Random(1)
    noise = [f"{source.gauss(0.0, 0.02):.6f}" for _ in range(997)]
    level, speed, pump, left, size, k = 0.0, 0.0, 0.0, 0, 0, 0
    with open(path, "w", encoding="utf-8") as out:
        out.write("time[s],pump[V],level[m],speed[1/s]," + ",".join(f"other_{i}" for i in range(7)) + "\n")
        while size < megabytes * 1_000_000:
            lines = []
            for _ in range(10_000):
                if left == 0:
                    pump, left = source.uniform(0.0, 1.0), source.randint(100, 3000)
                left -= 1
                level += 0.1 / 120.0 * (2.0 * pump - level)
                speed += 0.1 / 30.0 * (pump - speed)
                more = noise[k % 997]
                lines.append(f"{k * 0.1:.1f},{pump:.4f},{level + float(more):.6f},{speed - float(more):.6f}"
                             + f",{more}" * 7 + "\n")
                k += 1
            text = "".join(lines)
            out.write(text)
            size += len(text)


def run(executable, folder, *arguments):
    begin = time.monotonic()
    with open(folder / "told.txt", "w", encoding="utf-8") as told:
        process = subprocess.Popen([executable, *map(str, arguments)], stdout=told, stderr=told, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{arguments}: exit {process.returncode}: {(folder / 'told.txt').read_text()}")
    return time.monotonic() - begin, usage.ru_maxrss / 1024.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--executable", required=True, type=os.path.abspath)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--folder", default=None)
    asked = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="log-memory-", dir=asked.folder))
    try:
        plain, packed = folder / "log.csv", folder / "log.csv.gz"
        write_log(plain, asked.megabytes)
        with open(plain, "rb") as text, gzip.open(packed, "wb", compresslevel=1) as out:
            shutil.copyfileobj(text, out, 1 << 20)
        megabytes = plain.stat().st_size / 1e6
        print(f"log of {megabytes:.0f} MB, {packed.stat().st_size / 1e6:.0f} MB packed")
        print(f"{'version':32} {'':7}   {'':9}  {run(asked.executable, folder, 'version')[1]:6.0f} MB")
        signals = ("--inputs", "pump", "--outputs", "level,speed")
        run(asked.executable, folder, "identify", "--input", plain, *signals, "--rows", "0:20000", "--order", "2", "--output",
            "model.yaml")
        signals += ("--sample-time", "20")
        for log in (plain, packed):
            for name, arguments in (
                    ("identify --check", ("identify", "--check", "--input", log, *signals)),
                    ("identify", ("identify", "--input", log, *signals, "--order", "2", "--output", "slow.yaml")),
                    ("compare, 10 steps", ("compare", "--model", "model.yaml", "--input", log, "--horizon", "10", "--output",
                                           "out.csv")),
                    ("calibrate", ("calibrate", "--model", "model.yaml", "--input", log, "--output", "calibrated.yaml")),
                    ("replay", ("replay", "--model", "model.yaml", "--input", log, "--output", "out.csv")),
                    ("replay --report", ("replay", "--model", "model.yaml", "--input", log, "--report", "page.html"))):
                seconds, peak = run(asked.executable, folder, *arguments)
                name += ", gz" if log == packed else ""
                print(f"{name:32} {seconds:7.1f} s {megabytes / seconds:7.0f} MB/s {peak:6.0f} MB", flush=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
