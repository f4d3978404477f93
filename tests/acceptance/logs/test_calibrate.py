"""calibrate: noise and limits from healthy rows, and what the calibrated model says afterwards."""
import hashlib
import json
import random
import unittest

from cases import TANK_DEVICE, LogCase

TANK = {"name": "tank", "time": "discrete", "sample_time": 1.0, "states": [{"name": "level", "unit": "m"}],
        "inputs": [{"name": "inflow", "unit": "m/s"}],
        "outputs": [{"name": "level", "unit": "m"}],
        "A": [[0.95]], "B": [[1.0]], "C": [[1.0]], "noise": {"Q": [[1e-4]], "R": [[0.0025]]}}


def rows_of(count, noise=1.0, seed=1, inflow=lambda k: 0.05, leak=lambda k: 0.0):
    """Of the model's own plant with `noise` times its standard deviations, and a leak that nobody measures."""
    source = random.Random(seed)
    x, rows = 1.0, []
    for k in range(count):
        u = inflow(k)
        rows.append(([u], [x + noise * source.gauss(0.0, 0.05)]))
        x = 0.95 * x + u - leak(k) + noise * source.gauss(0.0, 0.01)
    return rows


class Calibrate(LogCase):
    def calibrate(self, model, log, *more, output="calibrated.yaml", code=0):
        return self.run_command("calibrate", "--model", model, "--input", log, "--output", self.folder / output, *more,
                                code=code)

    def test_limits(self):
        model = self.write_model(TANK)
        log = self.write_log(TANK, rows_of(6000, noise=2.0), period=1.0)
        told = self.calibrate(model, log).stdout
        self.assertRegex(told, r"noise: all covariances of the model times (3\.[6-9]|4)")
        self.assertRegex(told, r"regime all: 1\.6\d h of evidence; false alarms nominal 0\.\d+ a day, observed 0 \(at most 4\d")
        self.assertIn("extrapolated", told)
        text = (self.folder / "calibrated.yaml").read_text()
        self.assertIn("version: 2", text)
        self.assertIn("noise_factor", text)
        # Healthy rows that it has not seen are quiet, and a leak is none of them.
        quiet = self.write_log(TANK, rows_of(6000, noise=2.0, seed=2), period=1.0, name="quiet.csv")
        done = self.run_command("replay", "--model", self.folder / "calibrated.yaml", "--input", quiet)
        self.assertIn(" 0 rows with an anomaly", done.stdout)
        self.assertNotIn("not_calibrated", done.stdout)
        leaking = rows_of(6000, noise=2.0, seed=2, leak=lambda k: 0.02 if k > 3000 else 0.0)
        leak = self.write_log(TANK, leaking, period=1.0, name="leak.csv")
        done = self.run_command("replay", "--model", self.folder / "calibrated.yaml", "--input", leak)
        self.assertRegex(done.stdout, r"anomaly raised tank\.level\.(cusum|slow_drift)")
        # Calibrated once more there is nothing to correct.
        again = self.calibrate(self.folder / "calibrated.yaml", log, output="again.yaml").stdout
        self.assertNotIn("noise:", again)

    def test_isolation(self):
        """Healthy rows are gone through without it; the twin that follows has it, unless it was off."""
        model = self.write_model(TANK)
        log = self.write_log(TANK, rows_of(2000), period=1.0)
        off = self.folder / "off.yaml"
        off.write_text("isolation: {enabled: false}\n")
        for given, kept in (((), "true"), (("--diagnosis", off), "false")):
            self.calibrate(model, log, *given)
            self.assertRegex((self.folder / "calibrated.yaml").read_text(), rf"isolation:\n +enabled: {kept}\n")

    def test_rows_that_made_the_model(self):
        rows = rows_of(3000)
        log = self.write_log(TANK, rows, period=1.0)
        lines = log.read_text().splitlines()[1:1501]

        def number(value):
            text = repr(float(value))
            return text[:-2] if text.endswith(".0") else text
        hashed = "time,inflow,level"
        for line in lines:
            time, inflow, level = line.split(",")
            hashed += f"\n{time},{number(inflow)},{number(level)}"
        data = {"rows": "0:1500", "inputs": ["inflow"], "outputs": ["level"],
                "hash": "sha256:" + hashlib.sha256(hashed.encode()).hexdigest()}
        model = self.write("model.yaml", json.dumps({"model": TANK, "provenance": {"method": "n4sid", "data": data}}))
        told = self.calibrate(model, log, "--rows", "500:2500").stdout
        self.assertIn("these rows made the model", told)
        self.assertIn("method: n4sid", (self.folder / "calibrated.yaml").read_text())
        self.assertNotIn("made the model", self.calibrate(model, log, "--rows", "1500:").stdout)
        cut = self.write_log(TANK, rows[:1500], period=1.0, name="cut.csv")
        self.assertIn("these rows made the model", self.calibrate(model, cut).stdout)
        # A column is named as the model names it, whatever stands in the log.
        spaced = self.write("spaced.csv", log.read_text().replace("level", "tank level", 1))
        data["outputs"] = ["tank_level"]
        data["hash"] = "sha256:" + hashlib.sha256(hashed.replace("level", "tank level", 1).encode()).hexdigest()
        tank = json.loads(json.dumps(TANK).replace('"level"', '"tank_level"'))
        model = self.write("model.yaml", json.dumps({"model": tank, "provenance": {"method": "n4sid", "data": data}}))
        self.assertIn("these rows made the model", self.calibrate(model, spaced, "--rows", "500:2500").stdout)

    def test_cross_refits(self):
        source = random.Random(3)
        values, coarse = [0.0], [20]
        for _ in range(800):
            values.append(0.7 * values[-1] + source.gauss(0.0, 1.0))
            coarse.append(20 + round(source.gauss(0.0, 0.6)))
        log = self.write("log.csv", "time[s],a,b\n" + "".join(f"{k},{v!r},{c}\n" for k, (v, c) in
                                                              enumerate(zip(values, coarse))))
        for method, order in (("var", 1), ("n4sid", 1)):
            self.run_command("identify", "--input", log, "--outputs", "a,b", "--method", method, "--order", order,
                             "--output", "identified.yaml")
            self.assertIn("resolution: 1", (self.folder / "identified.yaml").read_text())
            told = self.calibrate(self.folder / "identified.yaml", log).stdout
            self.assertIn("limits are from 4 cross-refits", told)
            self.assertIn("cross_refits: true", (self.folder / "calibrated.yaml").read_text())
            done = self.run_command("replay", "--model", self.folder / "calibrated.yaml", "--input", log)
            self.assertIn(" 0 rows with an anomaly", done.stdout)
        # A terminal is told how far it is, a pipe is not.
        self.assertEqual(self.calibrate(self.folder / "identified.yaml", log).stderr, "")
        shown = self.run_on_terminal("calibrate", "--model", "identified.yaml", "--input", log, "--output", "calibrated.yaml")
        for part in ("\rcalibrate: noise, row 0\x1b[K", "refit 4 of 4", "block 4 of 4, row 0", "limits"):
            self.assertIn(part, shown)
        self.assertTrue(shown.endswith("\r\x1b[K"), shown[-20:])

    def test_regimes(self):
        model = self.write_model(TANK)
        config = self.write("config.yaml", TANK_DEVICE + f"""\
  - name: tank
    model: {model}
    inputs: {{inflow: plc.inflow}}
    outputs: {{level: plc.level}}
    regimes: [{{name: slow, when: plc.inflow < 0.1}}, {{name: fast, when: plc.inflow >= 0.1}}]
""")
        def log(name, rows):
            text = "time,plc.inflow,plc.level\n"
            return self.write(name, text + "".join(f"{k},{u[0]!r},{y[0]!r}\n" for k, (u, y) in enumerate(rows)))
        slow = log("slow.csv", rows_of(2000))
        told = self.run_command("calibrate", "--config", config, "--input", slow, "--output", model).stdout
        self.assertIn("regime slow: 0.5", told)
        self.assertIn("not_calibrated: regime fast: too few rows", told)
        both = log("both.csv", rows_of(2000, seed=3, inflow=lambda k: 0.05 if k < 1000 else 0.15))
        done = self.run_command("replay", "--config", config, "--input", both)
        self.assertRegex(done.stdout, r"not_calibrated: regime fast, \d+ rows tested by the usual limits")
        self.assertIn("not_calibrated: fast", self.run_command("check", "--config", config).stderr)

    def test_faults(self):
        model = self.write_model(TANK)
        log = self.write_log(TANK, rows_of(2000), period=1.0)
        self.calibrate(model, log)
        window = self.write("window.yaml", "nis: {window: 30}\n")
        done = self.run_command("replay", "--model", self.folder / "calibrated.yaml", "--input", log, "--diagnosis", window,
                                code=78)
        self.assertIn("nis.window: 30, but the limits were calibrated for 60", done.stderr)
        self.assertIn("nothing can be calibrated", self.calibrate(model, log, "--rows", "0:100", code=64).stderr)
        self.assertIn("--rows: 5", self.calibrate(model, log, "--rows", "5", code=64).stderr)
        self.assertIn("accepted: a number above 0", self.calibrate(model, log, "--false-alarms-per-day", "0", code=64).stderr)
        self.assertIn("--config or --model is required",
                      self.run_command("calibrate", "--input", log, "--output", "x.yaml", code=64).stderr)


if __name__ == "__main__":
    unittest.main()
