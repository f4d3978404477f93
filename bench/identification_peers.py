"""Puts models of `identify` beside those of SLICOT's n4sid (octave-control), of ARX(10,10) and persistence, on public logs.

usage: bench/identification_peers.py --executable PATH/twinkeeper --data FOLDER   (bench/install-peers --octave first)

Models come from the first half of each record, with the means of that half, and are judged on the second by
`compare --x0 estimate`: simulation by the rows from the 50th on, one step ahead by all. n4sid is called with every order
from 2 to 10 and horizons of 12, 20 and 30; its rows are that of its best model IN HINDSIGHT, by the mean of the simulated
fits on the second half, and that of the one in the middle; its time is that of the one call. `identify` and ARX choose
nothing by the second half, which they never see.
"""
import argparse
import csv
import json
import math
import pathlib
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
RECORDS = (("dryer", ["heater"], ["air_temperature"], 0.08),
           ("evaporator", ["feed_flow", "vapour_flow", "cooling_water_flow"],
            ["dry_matter", "product_flow", "product_temperature"], 1.0),
           ("cascaded_tanks", ["pump"], ["lower_tank_level"], 4.0))
START_ROWS = 50


def run(executable, *arguments):
    subprocess.run([executable, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def columns(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        names = [name.split("[")[0].strip() for name in next(rows)]
        values = [[float(cell) if cell.strip() else math.nan for cell in row] for row in rows]
    return {name: [row[i] for row in values] for i, name in enumerate(names) if i > 0}


def fit(measured, expected):
    """100 (1 - |y - ŷ| / |y - mean(y)|) in percent."""
    mean = sum(measured) / len(measured)
    return 100.0 * (1.0 - math.dist(measured, expected) / math.dist(measured, [mean] * len(measured)))


def judged(executable, folder, model, log, outputs):
    """By output: simulated fit, one-step fit."""
    figures = []
    for horizon, skipped in (("inf", START_ROWS), ("1", 0)):
        run(executable, "compare", "--model", model, "--input", log, "--horizon", horizon, "--x0", "estimate",
            "--output", folder / "compared.csv")
        with open(folder / "compared.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))[skipped:]
        figures.append([fit([float(row[f"y.{o}"]) for row in rows], [float(row[f"yhat.{o}"]) for row in rows])
                        for o in outputs])
    return list(zip(*figures))


def model_text(lines, inputs, outputs, means, period):
    matrices = []
    for line in lines[1:]:
        height, width, *numbers = line.split()
        height, width = int(height), int(width)
        matrices.append([[float(x) for x in numbers[r * width:(r + 1) * width]] for r in range(height)])
    A, B, C, D, K, Ry = matrices
    return json.dumps({"model": {  # JSON is YAML
        "name": "n4sid", "version": 1, "type": "state_space", "time": "discrete", "sample_time": period,
        "states": [{"name": f"x{i}"} for i in range(len(A))],
        "inputs": [{"name": name} for name in inputs], "outputs": [{"name": name} for name in outputs],
        "A": A, "B": B, "C": C, "D": D, "noise": {"K": K, "Ry": Ry},
        "operating_point": {"x": [0.0] * len(A), "u": [means[n] for n in inputs], "y": [means[n] for n in outputs]}}})


def persistence(log, outputs):
    values = columns(log)
    return [(math.nan, fit(values[o][1:], values[o][:-1])) for o in outputs]


def n4sid(executable, folder, name, inputs, outputs, period, data):
    """The best in hindsight and the one in the middle: figures, seconds, which it is."""
    made = folder / "n4sid"
    made.mkdir()
    first = data / name / f"{name}_identify.csv"
    subprocess.run(["octave-cli", HERE / "n4sid.m", first, str(len(inputs)), str(period), made], check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    values = columns(first)
    means = {n: sum(v) / len(v) for n, v in values.items()}
    judgements = []
    for path in sorted(made.iterdir()):
        lines = path.read_text(encoding="utf-8").splitlines()
        model = folder / "n4sid.yaml"
        model.write_text(model_text(lines, inputs, outputs, means, period), encoding="utf-8")
        try:
            figures = judged(executable, folder, model, data / name / f"{name}_validate.csv", outputs)
        except subprocess.CalledProcessError:  # refused, or it grew beyond all numbers
            continue
        mean = sum(simulated for simulated, _ in figures) / len(figures)
        order, horizon = path.stem.split("_")
        judgements.append((mean if math.isfinite(mean) else -math.inf, figures, float(lines[0]),
                           f"n = {order}, s = {horizon}"))
    assert judgements, f"n4sid gave no model of {name} that could be judged"
    judgements.sort(key=lambda judgement: judgement[0])
    return judgements[-1][1:], judgements[len(judgements) // 2][1:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executable", required=True)
    parser.add_argument("--data", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    print("| record | model | simulation, % | one step ahead, % | time |\n|---|---|---|---|---|")
    for name, inputs, outputs, period in RECORDS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            first, second = (arguments.data / name / f"{name}_{half}.csv" for half in ("identify", "validate"))

            def row(what, figures, seconds):
                simulated = ", ".join("–" if math.isnan(s) else f"{s:.1f}" for s, _ in figures)
                ahead = ", ".join(f"{a:.1f}" for _, a in figures)
                print(f"| {name} | {what} | {simulated} | {ahead} | {seconds} |", flush=True)
            for what, options in (("`identify`", []), ("ARX(10,10)", ["--method", "arx", "--order", "10"])):
                started = time.perf_counter()
                run(arguments.executable, "identify", "--input", first, "--inputs", ",".join(inputs), "--outputs",
                    ",".join(outputs), *options, "--output", folder / "model.yaml")
                seconds = time.perf_counter() - started
                row(what, judged(arguments.executable, folder, folder / "model.yaml", second, outputs),
                    f"{seconds:.2f} s" if not options else "–")
            for place, (figures, seconds, which) in zip(
                    ("best in hindsight", "the middle one"),
                    n4sid(arguments.executable, folder, name, inputs, outputs, period, arguments.data)):
                row(f"n4sid, {place}: {which}", figures, f"{seconds:.3f} s")
            row("persistence", persistence(second, outputs), "–")


if __name__ == "__main__":
    main()
