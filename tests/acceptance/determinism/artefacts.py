"""Writes, with one executable, everything whose bytes must not depend on compiler, optimisation or processor.

Usage: artefacts.py EXECUTABLE [FOLDER]. Prints a line "sha256  name" for each result; FOLDER keeps the files.
For each model: show-model as JSON and as text, and the replay of a seeded log (its steps, what it prints). The logs are
made of whole-number arithmetic, + − × ÷ alone, so that Python's own libm has no part in them.
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
TUNABLES = "GLIBC_TUNABLES"
PLAIN_PROCESSOR = "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2"  # glibc then takes the functions for processors without these

# Two coupled oscillators and a lag, in units far apart: complex poles, balancing and the doubling of the discretisation.
OSCILLATOR = """
model:
  name: oscillator
  time: continuous
  sample_time: 0.05
  states: [{name: position_1, unit: m}, {name: speed_1, unit: m/s}, {name: position_2, unit: mm}, {name: speed_2}, {name: lag}]
  inputs: [{name: force, unit: N, nominal: 1.5, min: -5, max: 5}]
  outputs:
    - {name: position_1, unit: m, noise_std: 0.003, resolution: 0.0005}
    - {name: position_2, unit: mm, noise_std: 2.0, resolution: 0.5}
    - {name: lag, noise_std: 0.01, resolution: 0.01}
  A:
    - [0, 1, 0, 0, 0]
    - [-40, -0.5, 0.013, 0, 0]
    - [0, 0, 0, 1000, 0]
    - [11, 0, -0.0071, -0.09, 0]
    - [0.3, 0, 0, 0, -0.37]
  B: [[0], [1.7], [0], [0], [0]]
  C: [[1, 0, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 0, 1]]
  noise:
    Q:
      - [0, 0, 0, 0, 0]
      - [0, 1.0e-3, 0, 1.0e-4, 0]
      - [0, 0, 0, 0, 0]
      - [0, 1.0e-4, 0, 3.0e-4, 0]
      - [0, 0, 0, 0, 1.0e-6]
    R:  # noise_std² + resolution²/12
      - [9.020833333333334e-6, 0, 0]
      - [0, 4.020833333333333, 0.002]
      - [0, 0.002, 1.0833333333333334e-4]
  operating_point: {x: [0.07, 0, 100, 0, 0.05], u: [1.5], y: [0.07, 100, 0.05]}
diagnosis:
  gate: 4
  gate_timeout: 5s
  cusum: {drift: 0.5, limit: 9}
  on_delay: 500ms
  off_delay: 2s
"""

# Innovations form, correlated innovations, no diagnosis.
INNOVATIONS = """
model:
  name: heater
  time: discrete
  sample_time: 1
  states: [{name: x1}, {name: x2}, {name: x3}]
  inputs: [{name: power, unit: W}, {name: fan}]
  outputs: [{name: inside, unit: degC, nominal: 21}, {name: outside, unit: degC, nominal: 7}]
  A: [[0.93, 0.11, 0], [-0.17, 0.88, 0.02], [0, 0.013, 0.71]]
  B: [[0.031, 0], [0, -0.27], [0.09, 0.01]]
  C: [[1, 0.2, 0], [0, 0.7, 1.3]]
  noise:
    K: [[0.31, 0.02], [-0.07, 0.19], [0.05, 0.11]]
    Ry: [[0.041, 0.007], [0.007, 0.093]]
  operating_point: {x: [0, 0, 0], u: [100, 2], y: [21, 7]}
"""

# Poles whose logarithm or angle glibc 2.36 rounds in one way with FMA and in another without: one in some thousand does.
TELLING_PAIRS = ((-0.2, 0.66), (-0.1, 0.33), (0.28, 0.03), (0.56, 0.06))
TELLING_POLE = 0.9107


def telling_model():
    n = 2 * len(TELLING_PAIRS) + 1
    a = [[0.0] * n for _ in range(n)]
    for i, (real, imaginary) in enumerate(TELLING_PAIRS):
        a[2 * i][2 * i] = a[2 * i + 1][2 * i + 1] = real
        a[2 * i][2 * i + 1], a[2 * i + 1][2 * i] = imaginary, -imaginary
    a[-1][-1] = TELLING_POLE
    q = [[1e-4 if i == j else 0.0 for j in range(n)] for i in range(n)]
    return "\n".join(("model:", "  name: telling", "  sample_time: 1",
                      f"  states: [{', '.join(f'{{name: x{i}}}' for i in range(n))}]",
                      "  inputs: [{name: u}]", "  outputs: [{name: y, noise_std: 0.1}]",
                      f"  A: {a}", f"  B: {[[0.1]] * n}", f"  C: {[[1] * n]}", f"  noise: {{Q: {q}}}", ""))


class Noise:
    """Bell-shaped, seeded: the sum of four uniform numbers of a linear congruential generator, variance 1."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 40) / 2**24

    def __call__(self):
        return (sum(self.uniform() for _ in range(4)) - 2.0) * 1.7320508


def log_lines(inputs, outputs, period_ms, rows, seed):
    """`inputs`, `outputs`: name, centre, size. Missing cells, gaps, jitter, a stuck stretch, a drift, a jump."""
    noise = Noise(seed)
    yield ",".join(["time", *(name for name, _, _ in inputs), *(name for name, _, _ in outputs)])
    level = [0.0] * len(inputs)
    wander = [0.0] * len(outputs)
    time_ms = 0
    stuck = None
    for row in range(rows):
        if row % 60 == 0:
            level = [noise.uniform() - 0.5 for _ in inputs]
        wander = [0.97 * value + 0.03 * noise() for value in wander]
        values = [centre + size * u for (_, centre, size), u in zip(inputs, level)]
        values += [centre + size * (w + 0.15 * noise()) for (_, centre, size), w in zip(outputs, wander)]
        if 1000 <= row < 1400:  # the first output drifts
            values[len(inputs)] += outputs[0][2] * (row - 1000) / 100
        if 1700 <= row < 1730:  # the last one jumps
            values[-1] += 20 * outputs[-1][2]
        stuck = (values[-1] if stuck is None else stuck) if 2000 <= row < 2200 else None
        if stuck is not None:
            values[-1] = stuck
        cells = [f"{value:.6g}" for value in values]
        for column in range(len(cells)):
            if noise.uniform() < 0.03:
                cells[column] = "" if row % 2 else "NaN"
        yield ",".join([f"{(time_ms + int(period_ms * 0.3 * (noise.uniform() - 0.5))) / 1000:.3f}", *cells])
        time_ms += period_ms * (1 if row % 500 else 40)
        if row % 97 == 50:
            time_ms += period_ms


CASES = (
    ("two_tank", None, [("pump", 3.0, 0.4)], [("level_1", 0.124, 0.004), ("level_2", 0.124, 0.004)], 100),
    ("oscillator", OSCILLATOR, [("force", 1.5, 0.4)],
     [("position_1", 0.07, 0.01), ("position_2", 100.0, 10.0), ("lag", 0.05, 0.02)], 50),
    ("heater", INNOVATIONS, [("power", 100, 30), ("fan", 2, 1)], [("inside", 21, 1.5), ("outside", 7, 1.0)], 1000),
    ("telling", telling_model(), [("u", 0, 1)], [("y", 0, 1)], 1000),
)


def prepare(folder):
    for seed, (name, model, inputs, outputs, period_ms) in enumerate(CASES, 17):
        text = model or (ROOT / "config/models/two_tank.yaml").read_text(encoding="utf-8")
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        lines = log_lines(inputs, outputs, period_ms, 3000, seed)
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def run(executable, folder, arguments, environment):
    done = subprocess.run([executable, *arguments], cwd=folder, env=environment, capture_output=True, timeout=300)
    if done.returncode != 0:
        raise RuntimeError(f"{executable} {' '.join(arguments)}: {done.returncode}\n{done.stderr.decode()}")
    return done.stdout


def write_all(executable, folder, environment=None):
    """The bytes of every result by name; the executable's own, not those of stderr."""
    environment = {**os.environ, **(environment or {})}
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder)
    results = {}
    for name, *_ in CASES:
        model = ["--model", f"{name}.yaml"]
        results[f"{name}.show.json"] = run(executable, folder, ["show-model", *model, "--json"], environment)
        results[f"{name}.show.txt"] = run(executable, folder, ["show-model", *model], environment)
        results[f"{name}.told.txt"] = run(executable, folder, ["replay", *model, "--input", f"{name}.csv", "--every-step",
                                                               "--output", f"{name}.steps.csv"], environment)
        results[f"{name}.steps.csv"] = (folder / f"{name}.steps.csv").read_bytes()
    for name, content in results.items():
        (folder / name).write_bytes(content)
    return results


def hashes(results):
    return {name: hashlib.sha256(content).hexdigest() for name, content in results.items()}


def main(executable, folder=None):
    with tempfile.TemporaryDirectory() as temporary:
        results = write_all(os.path.abspath(executable), pathlib.Path(folder or temporary).absolute())
    for name, digest in hashes(results).items():
        print(f"{digest}  {name}")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
