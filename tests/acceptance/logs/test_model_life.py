"""What becomes of a calibrated model: sensors are replaced, and the machine ages."""
import json
import random
import re
import unittest

from cases import LogCase
from test_calibrate import TANK, rows_of


def with_sensor(rows, offset, noise, seed):
    """The same tank with a new sensor: its offset, and so many times the standard deviation of the old one beside it."""
    source = random.Random(seed)
    more = 0.05 * (noise ** 2 - 1) ** 0.5
    return [(u, [y[0] + offset + source.gauss(0.0, more)]) for u, y in rows]


class ModelLife(LogCase):
    def calibrate(self, model, log, *more):
        return self.run_command("calibrate", "--model", model, "--input", log, "--output", model, *more).stdout

    def model_of(self, path):
        shown = json.loads(self.run_command("show-model", "--model", path, "--json").stdout)
        return {key: shown[key] for key in ("Ad", "Bd", "C", "D", "Qd", "R")}

    def test_after_maintenance(self):
        model = self.write_model(TANK)
        self.calibrate(model, self.write_log(TANK, rows_of(6000), period=1.0))
        before = self.model_of(model)
        steps = lambda k: 0.05 if k // 500 % 2 else 0.06
        changed = with_sensor(rows_of(6000, seed=5, inflow=steps), 0.3, 2.0, 6)
        log = self.write_log(TANK, changed, period=1.0, name="changed.csv")
        self.assertRegex(self.run_command("replay", "--model", model, "--input", log).stdout, "anomaly raised")
        told = self.calibrate(model, log, "--after-maintenance")
        self.assertIn("the dynamics and the process noise stay", told)
        found = re.search(r"level: offset (\S+) m, noise times (\S+)", told)
        self.assertAlmostEqual(float(found.group(1)), 0.3, delta=0.02)
        self.assertAlmostEqual(float(found.group(2)), 2.0, delta=0.2)
        after = self.model_of(model)
        self.assertAlmostEqual(after["R"][0][0] / before["R"][0][0], 4.0, delta=0.8)
        for key in ("Ad", "Bd", "C", "D", "Qd"):
            self.assertEqual(after[key], before[key], key)
        # Versions grow, old files are kept.
        self.assertIn("version: 3", model.read_text())
        self.assertIn("version: 2", (self.folder / "model.v2.yaml").read_text())
        self.assertTrue((self.folder / "model.v1.yaml").exists())
        # Nothing to tell of the new sensor, all the same of a leak, and there is nothing more to correct.
        fresh = with_sensor(rows_of(6000, seed=7, inflow=steps), 0.3, 2.0, 8)
        quiet = self.write_log(TANK, fresh, period=1.0, name="fresh.csv")
        self.assertIn(" 0 rows with an anomaly", self.run_command("replay", "--model", model, "--input", quiet).stdout)
        leak = with_sensor(rows_of(6000, seed=7, leak=lambda k: 0.02 if k > 3000 else 0.0), 0.3, 2.0, 8)
        leaking = self.write_log(TANK, leak, period=1.0, name="leak.csv")
        self.assertRegex(self.run_command("replay", "--model", model, "--input", leaking).stdout,
                         r"anomaly raised tank\.level\.(cusum|slow_drift)")
        again = self.calibrate(model, quiet, "--after-maintenance")
        self.assertRegex(again, r"level: offset (unchanged|-?0\.0\d* m), noise times (0\.9|1)")

    def test_slow_machine(self):
        """Of a machine that is slower than the log an offset can't be told from its level: it is left, and said so."""
        slow = TANK | {"A": [[0.9999]], "noise": {"Q": [[1e-6]], "R": [[0.0025]]}}
        model = self.write_model(slow)
        source = random.Random(4)
        rows = [([0.0], [1.3 + source.gauss(0.0, 0.05)]) for _ in range(2000)]  # it has hardly moved
        log = self.write_log(slow, rows, period=1.0)
        self.assertIn("offsets are left: the model is too slow", self.calibrate(model, log, "--after-maintenance"))

    def test_ageing(self):
        """Noise a quarter larger is no alarm of a minute's window, but of the model if it stays so."""
        model = self.write_model(TANK)
        self.calibrate(model, self.write_log(TANK, rows_of(20_000), period=1.0))
        diagnosis = self.write("diagnosis.yaml", "model: {after: 2h}\n")
        rows = rows_of(4000, seed=2) + rows_of(12_000, noise=1.25, seed=3)
        log = self.write_log(TANK, rows, period=1.0, name="aged.csv")
        table = self.replay(model, log, "--diagnosis", diagnosis)
        flagged = [k for k, row in enumerate(self.table(table)) if row["anomaly"] == "1"]
        told = self.run_command("replay", "--model", model, "--input", log, "--diagnosis", diagnosis).stdout
        self.assertEqual(re.findall(r"anomaly raised (\S+):", told), ["tank.model"], told)
        self.assertRegex(told, r"The model of tank has not fitted the machine for 2\.\d h: what the measurements differ from "
                               r"it by is larger than it was")
        self.assertRegex(told, "kind model, test mean_nis")
        self.assertTrue(4000 + 7200 <= flagged[0] <= 4000 + 7200 + 2 * 2000, flagged[:1])
        self.assertEqual(re.findall(r"anomaly raised", self.run_command("replay", "--model", model, "--input", log).stdout), [])


if __name__ == "__main__":
    unittest.main()
