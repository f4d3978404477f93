"""What the cases share: models and logs written, tables read."""
import csv
import json

from command_case import CommandCase

# A configuration up to its twins.
TANK_DEVICE = """\
gateway: {id: gw}
devices:
  - name: plc
    controller: tcp://127.0.0.1:1502
    poll_interval: 1s
    registers:
      - {name: inflow, register: holding, address: 0, type: FLOAT64, unit: m/s, stuck_after: off}
      - {name: level, register: holding, address: 4, type: FLOAT64, unit: m, stuck_after: off}
twins:
"""


class LogCase(CommandCase):
    def write_model(self, model, diagnosis=None, name="model.yaml"):
        document = {"model": model} | ({"diagnosis": diagnosis} if diagnosis is not None else {})
        return self.write(name, json.dumps(document))

    def write_log(self, model, rows, period=0.5, times=None, name="log.csv"):
        names = [signal["name"] for signal in model.get("inputs", []) + model["outputs"]]
        return self.write_rows([[*u, *y] for u, y in rows], names, period, times, name)

    def replay(self, model, log, *more, output="steps.csv"):
        path = self.folder / output
        self.run_command("replay", "--model", model, "--input", log, "--output", path, *more)
        return path

    @staticmethod
    def table(path):
        with open(path, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def assert_close(self, text, expected, tolerance, what):
        if expected is None:
            self.assertEqual(text, "", what)
            return
        self.assertNotEqual(text, "", what)
        self.assertLessEqual(abs(float(text) - expected), tolerance * max(1.0, abs(expected)), f"{what}: {text} {expected}")


class DataCase(LogCase):
    def setUp(self):
        super().setUp()
        self.need_data()
