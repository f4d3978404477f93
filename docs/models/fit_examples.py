#!/usr/bin/python3
"""Fits the examples that stand for public records, and writes docs/models/examples/{tclab,cascaded_tanks}.yaml.

usage: fit_examples.py [tclab|cascaded_tanks ...] [--executable FILE] [--data FOLDER] [--check] [--hindsight]

  --executable  twinkeeper; default $TWINKEEPER_EXECUTABLE, then twinkeeper on the path
  --data        folder of the public records; default $TWINKEEPER_DATA, then ../shared/data beside the repository
  --check       writes nothing; exit code 1 if a number of the committed file is more than 1 % from what is found
  --hindsight   writes nothing; shows what the same fit reaches when fitted to the rows that are judged, which no fit to the
                training rows can be expected to beat; for tclab also a linear predictor with free coefficients, and the fit to
                the training rows with noise of its own in each body

How: cascaded_tanks by `identify --method template`. tclab, whose parameters and noise are shared by bodies and sensors, by trials
of its own: the executable itself is the model. Each trial is a model file that `compare` (simulation) or `replay` and `show-model`
(innovations and their covariance) run over a log of the training rows; the rows that are judged come into no file before the
fit has ended. Sums of squares are minimised by Levenberg–Marquardt with derivatives by differences, in logarithms of what is
positive, within the bounds of the tables below. Nothing is random: the same executable gives the same file.

Its noise is found by the likelihood of the innovations. Over a common factor of all covariances it is greatest where the mean of
νᵀ Σ⁻¹ ν is p, the number of outputs; with that factor put in, it is greatest over the other parameters where the sum of squares
of |Σ|^(1/2p) L⁻¹ ν is least, Σ = L Lᵀ. So one method does for both.
"""
import argparse
import collections
import csv
import itertools
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from least_squares import Parameter, least_squares, solve

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "models" / "examples"
CHECK_TOLERANCE = 0.01

Innovation = collections.namedtuple("Innovation", "nu y nis")

# The board. Both bodies and both sensors are taken as equal but for their heaters, since in the training rows the second heater
# is only ever switched on: they do not tell more of the second body. C is a guess; with C, R, eta and R_12 scale.
TCLAB = [
    Parameter("R", 50.0, 5.0, 500.0, "log"),               # K/W
    Parameter("eta", 0.02, 1e-3, 0.2, "log"),              # W/%
    Parameter("eta_2", 0.01, 1e-3, 0.2, "log"),            # W/%
    Parameter("tau", 10.0, 1.0, 100.0, "log"),             # s, both sensors
    Parameter("R_12", 100.0, 5.0, 5000.0, "log"),          # K/W
    Parameter("q", 1e-2, 1e-5, 1.0, "log"),                # K²/s, both bodies
    Parameter("common", 0.5, 0.0, 0.99, "linear"),         # share of q that both bodies have in common: draughts
    Parameter("q_sensor", 1e-3, 1e-6, 1.0, "log"),         # K²/s, both sensors
    Parameter("r", 4e-3, 4e-3, 4e-3, "log"),               # K², first sensor; the common factor, which is set afterwards
    Parameter("r_2", 1e-2, 1e-4, 1.0, "log"),              # K², second sensor
]

# The tanks, for `identify --fit`; starts are in examples/cascaded_tanks_start.yaml. height_1 stays where it is: level_1 is never
# measured, and nothing shows its scale.
TANKS = ("A2=0.2:5,a1=0.001:0.1,a2=0.001:0.1,k_pump=0.005:0.5,pump_zero=0:2,height_2=5:15,overflow_share,overflow_time=4:60,"
         "ceiling_2=9:12,sensor_zero_2=-2:2")


TCLAB_MODEL = """\
{header}model:
  name: tclab
  type: first_order_thermal
  sample_time: 1
  parameters:
    C: 5 J/K
    R: {R} K/W
    eta: {eta} W/%
    tau_sensor: {tau} s
    C_2: 5 J/K
    R_2: {R} K/W
    eta_2: {eta_2} W/%
    tau_sensor_2: {tau} s
    R_12: {R_12} K/W
  inputs:
    - {{name: heater, unit: '%', min: 0, max: 100, nominal: 40}}
    - {{name: heater_2, unit: '%', min: 0, max: 100, nominal: 40}}
    - {{name: T_ambient, nominal: 20.4}}
  outputs:
    - {{name: T, noise_std: {noise_std}}}
    - {{name: T_2, noise_std: {noise_std_2}}}
  noise:
    Q:
      - [{q}, {q_12}, 0, 0]
      - [{q_12}, {q}, 0, 0]
      - [0, 0, {q_sensor}, 0]
      - [0, 0, 0, {q_sensor}]
"""
TCLAB_HEADER = """\
# The Temperature Control Lab: two transistors as heaters, a thermistor on each, heat going from one to the other.
# Written by docs/models/fit_examples.py: rows 0 to 299 of a public log, largest likelihood of the innovations. Both bodies and
# both sensors count as equal but for their heaters and the sensors' noise; draughts reach both bodies, hence the correlation
# in Q. Inputs in % of full power; C is a guess (a few grams of metal), R, eta and R_12 scale with it: heat is never measured.
# On the rows after that one step is predicted to {after_1:.3f} and {after_2:.3f} degC
# (the last value: {last_1:.3f} and {last_2:.3f}), with a mean NIS of {nis:.2f} per value.
"""
TANKS_HEADER = """\
# The cascaded tanks of the nonlinear benchmark (Schoukens and Noël, 2017): one pump, the lower tank measured, overflow of
# the upper tank into the lower one. Levels are in volts of the sensor, for nobody knows them in metres: what is called m
# here is 1 V; A1 = 1 sets the scale of the flows, height_1 = 8 that of level_1, which nothing shows. Written by
# docs/models/fit_examples.py: `identify --method template` on the first half of the record, from cascaded_tanks_start.yaml.
# On the second half the simulation, started from its first 50 rows, is off by {after:.3f} V (root mean square;
# {training:.3f} V on the first half; the best linear model: 0.60 V).
"""


def model_text(text, v, number=repr, header=""):
    """A model file; repr writes numbers with all digits."""
    more = {}
    if "r" in v:
        more["noise_std"] = math.sqrt(v["r"])
    if "common" in v:
        more |= {"noise_std_2": math.sqrt(v["r_2"]), "q_12": v["common"] * v["q"]}
    return text.format(header=header, **{name: number(value) for name, value in (v | more).items()})


def rounded(value):
    return f"{value:.5g}"


class Trials:
    """Runs the executable over logs and model files in a folder of its own."""

    def __init__(self, executable, folder):
        self.executable, self.folder = executable, pathlib.Path(folder)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def write_log(self, name, rows):
        return self.write(name, "".join(",".join(row) + "\n" for row in rows))

    def run(self, *arguments):
        done = subprocess.run([self.executable, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, arguments))}: {done.stderr}")
        return done.stdout

    def table(self, command, model, log, *more):
        output = self.folder / "output.csv"
        self.run(command, "--model", self.write("model.yaml", model), "--input", log, "--output", output, *more)
        with open(output, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def predicted(self, model, log, outputs, *more):
        """Rows of (y, ŷ) of `compare`."""
        return [[(float(row[f"y.{name}"]), float(row[f"yhat.{name}"])) for name in outputs]
                for row in self.table("compare", model, log, *more)]

    def innovations(self, model, log, outputs):
        """Of `replay`, from the first row that was predicted on."""
        return [Innovation([float(row[f"nu.{name}"]) for name in outputs], [float(row[f"y.{name}"]) for name in outputs],
                           float(row["nis"]))
                for row in self.table("replay", model, log) if row[f"nu.{outputs[0]}"]]

    def innovation_covariance(self, model):
        """The steady one."""
        return json.loads(self.run("show-model", "--model", self.write("model.yaml", model), "--json"))["Sigma"]


def root_mean_square(errors):
    return math.sqrt(sum(x * x for x in errors) / len(errors))


def concentrated(innovations, covariance):
    """Residuals whose sum of squares is least where the likelihood, with its best common factor, is greatest."""
    p = len(covariance)
    L = [[0.0] * p for _ in range(p)]
    for i in range(p):
        for j in range(i + 1):
            rest = covariance[i][j] - sum(L[i][k] * L[j][k] for k in range(j))
            L[i][j] = math.sqrt(rest) if i == j else rest / L[j][j]
    scale = math.prod(L[i][i] for i in range(p)) ** (1.0 / p)
    residuals = []
    for nu in innovations:
        e = []
        for i in range(p):
            e.append((nu[i] - sum(L[i][k] * e[k] for k in range(i))) / L[i][i])
        residuals += [scale * x for x in e]
    return residuals


def read_rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


class Tclab:
    """Two heaters and two sensors: likelihood of the innovations on rows 0 to 299."""
    model, outputs, training = TCLAB_MODEL, ["T", "T_2"], 300

    def __init__(self, trials, data):
        self.trials = trials
        self.header = ["time[s]", "heater[%]", "heater_2[%]", "T[degC]", "T_2[degC]", "T_ambient[degC]"]
        # The room was not measured: the mean of both sensors before the first heat, as in the model file.
        self.rows = [row + ["20.4"] for row in read_rows(data / "tclab" / "tclab_600s.csv")[1:]]

    def log(self, name, rows):
        return self.trials.write_log(name, [self.header, *rows])

    def fit(self, first=0, last=training, table=TCLAB):
        log = self.log("training.csv", self.rows[first:last])

        def residuals(v):
            model = model_text(TCLAB_MODEL, v)
            return concentrated([row.nu for row in self.trials.innovations(model, log, self.outputs)],
                                self.trials.innovation_covariance(model))

        v = least_squares(residuals, table, f"tclab, likelihood, rows {first} to {last - 1}")
        nis = [row.nis for row in self.trials.innovations(model_text(TCLAB_MODEL, v), log, self.outputs)]
        factor = sum(nis) / len(nis) / len(self.outputs)
        return v | {name: v[name] * factor for name in ("q", "q_sensor", "r", "r_2")}

    def report(self, v):
        """Prints figures of the rows after training and of all; returns what the header needs."""
        model, first = model_text(TCLAB_MODEL, v, rounded), self.training
        full = self.log("full.csv", self.rows)
        one = self.trials.predicted(model, full, self.outputs, "--horizon", 1)
        nis = [row.nis / len(self.outputs) for row in self.trials.innovations(model, full, self.outputs)]
        start = len(one) - len(nis)  # the rows before are spent on the initial state

        def errors(pairs, begin, end, ahead, output):
            return (root_mean_square([pairs[k][output][0] - pairs[k][output][1] for k in range(begin, end)]),
                    root_mean_square([pairs[k][output][0] - pairs[k - ahead][output][0] for k in range(begin, end)]))

        def show(what, *arguments):
            scores = [errors(*arguments, output) for output in range(len(self.outputs))]
            print(f"  {what:56}" + "   ".join(f"{name} {own:.4f}, persistence {last:.4f} degC, ratio {own / last:.3f}"
                                              for name, (own, last) in zip(self.outputs, scores)))
            return scores

        show(f"one step, rows {start} to {first - 1}", one, start, first, 1)
        after = show(f"one step, rows {first} on", one, first, len(one), 1)
        show(f"one step, rows {start} on", one, start, len(one), 1)
        for away in (4, 0, 1, 2, 3):
            kept = [k for k in range(len(self.rows)) if k % 5 != away]
            five = self.trials.predicted(model, self.log("thin.csv", [self.rows[k] for k in kept]), self.outputs, "--horizon", 5)
            show(f"five rows ahead without rows {away}, {away + 5}, …, rows {first} on", five,
                 next(i for i, k in enumerate(kept) if k >= first), len(five), 5)
        before, later = (sum(part) / len(part) for part in (nis[:first - start], nis[first - start:]))
        print(f"  mean NIS per value: rows {start} to {first - 1} {before:.3f}, rows {first} on {later:.3f}")
        return TCLAB_HEADER.format(after_1=after[0][0], after_2=after[1][0], last_1=after[0][1], last_2=after[1][1], nis=later)

    def hindsight(self):
        print("The fit to the training rows, with noise of its own in each body:")
        self.report(self.fit(table=[Parameter("common", 0.0, 0.0, 0.0, "linear") if p.name == "common" else p for p in TCLAB]))
        print("\nThe fit to the rows that are judged, and to all:")
        for first, last in ((self.training, len(self.rows)), (0, len(self.rows))):
            self.report(self.fit(first, last))
        print("\nWhite noise of the sensors, by third differences, of each hundred rows:")
        for output, name in enumerate(self.outputs):
            y = [float(row[3 + output]) for row in self.rows]
            third = [(c[3] - 3 * c[2] + 3 * c[1] - c[0]) / math.sqrt(20.0) for c in zip(y, y[1:], y[2:], y[3:])]
            print(f"  {name:3}", *(f"{root_mean_square(third[k:k + 100]):.3f}" for k in range(0, len(third), 100)), "degC")
        print("\nA linear predictor of each sensor from both heaters and both sensors of the rows before, free coefficients:")
        for order in (1, 2, 3, 5, 10):
            for output, name in enumerate(self.outputs):
                before, _ = self.linear(output, order, order, self.training)
                after, counted = self.linear(output, order, self.training, len(self.rows))
                print(f"  {name:3} from {order:2} rows back, on rows {self.training} on: fitted to the rows before {before:.4f} "
                      f"degC, to these rows {after:.4f} ({counted:.4f} with its coefficients counted)")

    def linear(self, output, order, first, last):
        """RMSE on the rows after training of least squares on rows [first, last); the same per degree of freedom."""
        table = [[float(cell) for cell in row[1:5]] for row in self.rows]

        def regressors(k):
            return [1.0] + [value for back in range(1, order + 1) for value in table[k - back]]

        width = 1 + 4 * order
        H, g = [[0.0] * width for _ in range(width)], [0.0] * width
        for k in range(first, last):
            x = regressors(k)
            for i in range(width):
                g[i] += x[i] * table[k][2 + output]
                for j in range(width):
                    H[i][j] += x[i] * x[j]
        # Heaters that stood still over all lags leave directions open: as good as nothing for them.
        coefficients = solve([[h + (1e-6 if i == j else 0.0) for j, h in enumerate(row)] for i, row in enumerate(H)], g)
        rows = range(self.training, len(table))
        error = root_mean_square([table[k][2 + output] - sum(c * x for c, x in zip(coefficients, regressors(k))) for k in rows])
        return error, error * math.sqrt(len(rows) / (len(rows) - width))


class Tanks:
    """The first half through `identify --method template`, judged on the second."""
    start = 50  # rows that `compare` finds the initial levels from, not scored

    def __init__(self, trials, data):
        self.trials, self.folder = trials, data / "cascaded_tanks"

    def log(self, half):
        rows = read_rows(self.folder / f"cascaded_tanks_{half}.csv")
        return self.trials.write_log(f"{half}.csv", [["time[s]", "pump[V]", "level_2[V]"], *rows[1:]])

    def fit(self, half="identify"):
        """The text of the model file, without where it comes from, numbers rounded."""
        output = self.trials.folder / "cascaded_tanks.yaml"
        print(self.trials.run("identify", "--method", "template", "--template", EXAMPLES / "cascaded_tanks_start.yaml", "--fit",
                              TANKS, "--input", self.log(half), "--inputs", "pump", "--outputs", "level_2", "--output", output))
        text = output.read_text(encoding="utf-8")
        text = text[:text.index("provenance:")] if "provenance:" in text else text
        text = re.sub(r"^    (g|sensor_zero_1): .*\n", "", text, flags=re.MULTILINE)  # as the template has them
        return re.sub(r"-?[0-9]+\.[0-9]+(e[+-]?[0-9]+)?", lambda number: rounded(float(number.group())), text)

    def report(self, text):
        scores = {}
        for half in ("identify", "validate"):
            pairs = self.trials.predicted(text, self.log(half), ["level_2"])[self.start:]
            scores[half] = root_mean_square([y - expected for ((y, expected),) in pairs])
            print(f"  {half}: simulation {scores[half]:.4f} V")
        return TANKS_HEADER.format(after=scores["validate"], training=scores["identify"])

    def hindsight(self):
        print("\nThe fit to the half that is judged:")
        self.report(self.fit("validate"))


def differences(found, committed):
    """Lines whose words differ or whose numbers are further apart than 1 % and one in the last place."""
    number = re.compile(r"(?<![A-Za-z_])[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?")

    def near(a, b):
        places = len(b.partition("e")[0].partition(".")[2])
        last = 10.0 ** (int(b.partition("e")[2] or 0) - places)
        return abs(float(a) - float(b)) <= max(CHECK_TOLERANCE * abs(float(b)), 1.001 * last)

    for a, b in itertools.zip_longest(found.splitlines(), committed.splitlines(), fillvalue=""):
        if number.sub("#", a) != number.sub("#", b) or not all(map(near, number.findall(a), number.findall(b))):
            yield f"found:     {a}\ncommitted: {b}"


def main():
    problems = {"tclab": Tclab, "cascaded_tanks": Tanks}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=" or ".join(problems) + "; default both")
    parser.add_argument("--executable", default=os.environ.get("TWINKEEPER_EXECUTABLE") or shutil.which("twinkeeper"))
    parser.add_argument("--data", type=pathlib.Path,
                        default=pathlib.Path(os.environ.get("TWINKEEPER_DATA", ROOT.parent / "shared" / "data")))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--hindsight", action="store_true")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in problems]
    if unknown or not options.executable or not options.data.is_dir():
        parser.error(f"no example {unknown[0]}; accepted: {', '.join(problems)}" if unknown else
                     "no executable; give --executable" if not options.executable else f"no public data at {options.data}")
    code = 0
    for name in options.names or problems:
        with tempfile.TemporaryDirectory(prefix="twinkeeper-fit-") as folder:
            problem = problems[name](Trials(options.executable, folder), options.data)
            if options.hindsight:
                problem.hindsight()
                continue
            values = problem.fit()
            text = model_text(problem.model, values, rounded, problem.report(values)) if name == "tclab" else \
                problem.report(values) + values
        path = EXAMPLES / f"{name}.yaml"
        if not options.check:
            path.write_text(text, encoding="utf-8")
            print(f"written: {path.relative_to(ROOT)}")
            continue
        for difference in differences(text, path.read_text(encoding="utf-8")):
            print(difference)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
