"""What `identify` makes of a model that is there: a template's parameters, a warm start, and records made under control."""
import re
import unittest

from cases import IdentifyCase, first_order, seeded, staircase
from command_case import DATA, ROOT

EXAMPLES = ROOT / "docs" / "models" / "examples"
# The command of docs/models/two_tank.md.
TANKS = ("A2=0.2:5,a1=0.001:0.1,a2=0.001:0.1,k_pump=0.005:0.5,pump_zero=0:2,height_2=5:15,overflow_share,"
         "overflow_time=4:60,ceiling_2=9:12,sensor_zero_2=-2:2")

OVEN = """\
model:
  name: oven
  version: 4
  type: first_order_thermal
  parameters: {{C: {C}, R: {R} K/W}}
  inputs:
    - {{name: heater, unit: W, nominal: 200, min: 0, max: 500}}
    - {{name: T_ambient, nominal: 20}}
  outputs:
    - {{name: T, noise_std: 0.5}}
  noise: {{Q: [[1.0e-3]]}}
"""


class Template(IdentifyCase):
    def test_cascaded_tanks(self):
        """The bar: from round starts, first half only, simulated on the second: RMSE at most 0.36 V."""
        self.need_data()
        done = self.identify(DATA / "cascaded_tanks" / "cascaded_tanks_identify.csv", ["pump"], ["lower_tank_level"], "--method",
                             "template", "--template", EXAMPLES / "cascaded_tanks_start.yaml", "--fit", TANKS)
        text = (DATA / "cascaded_tanks" / "cascaded_tanks_validate.csv").read_text(encoding="utf-8")
        log = self.folder / "validate.csv"
        log.write_text(text.replace("lower_tank_level", "level_2", 1), encoding="utf-8")
        compared = self.run_command("compare", "--model", "model.yaml", "--input", log, "--x0", "estimate").stdout
        print(done.stdout, done.stderr, compared)
        self.assertLessEqual(float(re.search(r"RMSE (\S+)", compared).group(1)), 0.36)

    def oven_log(self, R=0.4, C=850.0):
        source = seeded(41)
        u = staircase(source, 900, low=0.0, high=400.0, hold=(20, 150))
        rows, T = [], 20.0
        for k, power in enumerate(u):
            ambient = 20.0 + (2.0 if k > 400 else 0.0)
            rows.append([power, ambient, T + source.gauss(0.0, 0.2)])
            for _ in range(20):  # ten seconds, in small steps
                T += 0.5 * (power - (T - ambient) / R) / C
        return self.write_rows(rows, ["heater[W]", "room", "T[degC]"], period=10.0)

    def test_oven(self):
        start = self.folder / "start.yaml"
        start.write_text(OVEN.format(C="500 J/K", R="0.7"), encoding="utf-8")
        log = self.oven_log()
        fit = ("--method", "template", "--template", start)
        # Neither by name nor by position: what is at the heater's place is not the heater.
        for inputs in (["room", "heater"], ["heater"], ["heater", "heater_2"]):
            done = self.identify(log, inputs, ["T"], *fit, code=64)
        self.assertIn("has no column heater_2", done.stderr)
        done = self.identify(log, ["room", "heater"], ["T"], *fit, code=64)
        self.assertIn("start.yaml has heater, T_ambient; accepted: these names, or a column for each of them in this order",
                      done.stderr)
        # By position, where a name that agrees stands at its place.
        done = self.identify(log, ["heater", "room"], ["T"], *fit)
        self.assertTrue(done.stdout.startswith("by position: column room is T_ambient\n"), done.stdout)
        text = (self.folder / "model.yaml").read_text(encoding="utf-8")
        self.assertIn("name: T_ambient", text)
        self.assertIn("inputs: [heater, room]", text)
        (self.folder / "model.yaml").unlink()
        renamed = self.folder / "renamed.csv"
        renamed.write_text(log.read_text(encoding="utf-8").replace("room", "T_ambient"), encoding="utf-8")
        done = self.identify(renamed, ["T_ambient", "heater"], ["T"], *fit)
        self.assertNotIn("by position", done.stdout)
        for name, truth in (("C", 850.0), ("R", 0.4)):
            value, std = map(float, re.search(rf"\n  {name}: (\S+) ± (\S+) ", done.stdout).groups())
            self.assertLess(abs(value - truth), 4.0 * std + 1e-3 * truth)
            self.assertLess(std, 0.02 * truth)
        self.assertIn("verdict: accept", done.stdout)
        text = (self.folder / "model.yaml").read_text(encoding="utf-8")
        for part in ("type: first_order_thermal", "version: 5", "template first_order_thermal", "std:", "start: 500"):
            self.assertIn(part, text)
        for command in (("compare",), ("replay", "--output", "steps.csv")):
            self.run_command(*command, "--model", "model.yaml", "--input", renamed)
        # The rows that made it judge by the template fitted to the others, and it comes out with the limits.
        told = self.run_command("calibrate", "--model", "model.yaml", "--input", renamed, "--output", "calibrated.yaml").stdout
        self.assertIn("limits are from 4 cross-refits", told)
        self.assertIn("cross_refits: true", (self.folder / "calibrated.yaml").read_text(encoding="utf-8"))
        done = self.run_command("replay", "--model", "calibrated.yaml", "--input", renamed)
        self.assertIn(" 0 rows with an anomaly", done.stdout)
        # And the result is where the next fit begins.
        again = self.run_command("identify", "--from", "model.yaml", "--input", renamed, "--inputs", "heater,T_ambient",
                                 "--outputs", "T", "--output", "model.yaml")
        self.assertIn("version 5 is kept as model.v5.yaml", again.stdout)
        self.assertIn("version: 6", (self.folder / "model.yaml").read_text(encoding="utf-8"))

    def test_parameters_sought(self):
        """A model that is followed seeks what made it, where it was sought."""
        start = self.folder / "start.yaml"
        start.write_text(OVEN.format(C="500 J/K", R="0.4"), encoding="utf-8")
        log, signals = self.oven_log(), (["heater", "room"], ["T"])
        self.identify(log, *signals, "--method", "template", "--template", start, "--fit", "C=400:800")
        self.assertIn("min: 400", (self.folder / "model.yaml").read_text(encoding="utf-8"))
        again = self.identify(log, *signals, "--from", "model.yaml")
        self.assertRegex(again.stdout, r"\n  C: 800, at its upper bound J/K \(800\)\n")
        self.assertNotIn("\n  R: ", again.stdout)
        both = self.identify(log, *signals, "--from", "model.yaml", "--fit", "C,R")
        self.assertRegex(both.stdout, r"\n  C: 8[45]\S+ ± ")
        self.assertRegex(both.stdout, r"\n  R: (0\.4|0\.39)\S* ± ")


class From(IdentifyCase):
    def log(self, name, seed, gain=2.0, rows=600, delay=0):
        source = seeded(seed)
        u = staircase(source, rows)
        y = first_order(u, gain=gain, delay=delay, noise=0.02, source=source)
        return self.write_rows(list(zip(u, y)), ["u[V]", "y[m]"], name=name)

    def update(self, log, *more, code=0):
        return self.run_command("identify", "--from", "model.yaml", "--input", log, "--inputs", "u", "--outputs", "y",
                                "--output", "model.yaml", *more, code=code)

    def test_versions(self):
        self.identify(self.log("old.csv", 1, delay=10), ["u"], ["y"])
        before = (self.folder / "model.yaml").read_text(encoding="utf-8")
        self.assertIn("delays: [11]", before)
        done = self.update(self.log("new.csv", 2, gain=3.0, delay=10))
        self.assertRegex(done.stdout, r"beside version 1:\n  y on the last 30 % of the rows: simulation \S+ % → 9\S+ %")
        self.assertRegex(done.stdout, r"gain u → y: (2\.0|1\.9)\d* → (3\.0|2\.9)\d* ± 0\.0\d+, changed")
        self.assertRegex(done.stdout, r"time constant 9\.\d+ s → 9\.\d+ ± 0\.\d+ s\n")
        self.assertEqual((self.folder / "model.v1.yaml").read_text(encoding="utf-8"), before)
        after = (self.folder / "model.yaml").read_text(encoding="utf-8")
        self.assertIn("version: 2", after)
        self.assertIn("delays: [11]", after)
        compared = self.run_command("compare", "--model", "model.yaml", "--input", "new.csv").stdout
        self.assertGreater(float(re.search(r"fit (\S+) %", compared).group(1)), 93.0)

    def test_worse(self):
        self.identify(self.log("old.csv", 1), ["u"], ["y"])
        before = (self.folder / "model.yaml").read_text(encoding="utf-8")
        lines = self.log("good.csv", 3).read_text(encoding="utf-8").splitlines()
        other = self.log("other.csv", 3, gain=1.0).read_text(encoding="utf-8").splitlines()
        mixed = self.folder / "mixed.csv"  # only the last 30 % are of the machine
        mixed.write_text("\n".join(other[:421] + lines[421:]) + "\n", encoding="utf-8")
        done = self.update(mixed, code=65)
        self.assertRegex(done.stderr, r"the model that it would replace \S+ %")
        self.assertIn("no model is written: model.yaml stays", done.stderr)
        self.assertEqual((self.folder / "model.yaml").read_text(encoding="utf-8"), before)
        self.assertFalse((self.folder / "model.v1.yaml").exists())

    def test_other_signals(self):
        log = self.log("old.csv", 1)
        self.identify(log, ["u"], ["y"])
        done = self.run_command("identify", "--from", "model.yaml", "--input", log, "--inputs", "y", "--outputs", "u",
                                "--output", "model.yaml", code=64)
        self.assertIn("--inputs: model.yaml has u; accepted: these names", done.stderr)


class ClosedLoop(IdentifyCase):
    def test_gain(self):
        source = seeded(51)
        rows, x, v, integral, r = [], 0.0, 0.0, 0.0, 0.0
        for _ in range(2500):
            if source.random() > 0.97:
                r = source.uniform(-1.0, 1.0)
            y = x + v
            integral += 0.05 * (r - y)
            u = 1.5 * (r - y) + integral
            rows.append([u, y])
            x = 0.9 * x + 0.1 * 2.0 * u
            v = 0.7 * v + source.gauss(0.0, 0.3)
        log = self.write_rows(rows, ["u", "y"])
        done = self.identify(log, ["u"], ["y"], "--closed-loop")
        value, std = map(float, re.search(r"u → y: (\S+) ± (\S+)", done.stdout).groups())
        self.assertLess(abs(value - 2.0), 3.0 * std, done.stdout)
        self.assertLess(std, 0.3)
        self.assertIn("--closed-loop", self.identify(log, ["u"], ["y"]).stderr)


class Options(IdentifyCase):
    def test_faults(self):
        log = self.write_rows([[0.0, 1.0]] * 100, ["u", "y"])
        start = self.folder / "start.yaml"
        start.write_text(OVEN.format(C="500 J/K", R="0.7"), encoding="utf-8")
        for more, what in ((["--method", "template"], "accepted: --template MODEL.yaml"),
                           (["--template", start], "is of --method template"),
                           (["--from", start, "--method", "template", "--template", start], "beside --template"),
                           (["--fit", "C"], "is of --method template"),
                           (["--method", "template", "--template", start, "--fit", "C=2"], "NAME=MIN:MAX"),
                           (["--method", "template", "--template", start, "--order", "2"], "has its own"),
                           (["--method", "arx", "--closed-loop"], "is of --method auto and n4sid")):
            self.assertIn(what, self.identify(log, ["u"], ["y"], *more, code=64).stderr)
        self.identify(log, ["u"], ["y"], "--from", self.folder / "nowhere.yaml", code=66)
        bad = self.folder / "bad.yaml"
        bad.write_text("model: {name: x}\n", encoding="utf-8")
        self.assertIn("bad.yaml:1", self.identify(log, ["u"], ["y"], "--from", bad, code=78).stderr)
        rows = [[200.0 * (k // 50 % 2), 20.0, 20.0] for k in range(200)]
        thin = self.write_rows(rows, ["heater", "T_ambient", "T"], name="t.csv")
        done = self.identify(thin, ["heater", "T_ambient"], ["T"], "--method", "template", "--template", start, "--fit", "Z",
                             code=64)
        self.assertIn("--fit: Z is no parameter of the file; accepted: C, R", done.stderr)


if __name__ == "__main__":
    unittest.main()
