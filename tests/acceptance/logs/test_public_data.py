"""Public data: reference predictions, discretisations, and the prefix rule on every log."""
import csv
import gzip
import json
import os
import random
import unittest

from cases import DataCase
from command_case import DATA

PREFIXES = int(os.environ.get("TWINKEEPER_TEST_PREFIXES", "50"))  # of each log
GOLDEN = {"dryer": (["heater"], ["air_temperature"], 0.08),
          "evaporator": (["feed_flow", "vapour_flow", "cooling_water_flow"],
                         ["dry_matter", "product_flow", "product_temperature"], 1.0)}


def matrix(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [[float(cell) for cell in row] for row in csv.reader(file) if row]


def identity(n, value=1.0):
    return [[value * (i == j) for j in range(n)] for i in range(n)]


class PublicData(DataCase):
    def golden_model(self, name):
        inputs, outputs, period = GOLDEN[name]
        folder = DATA / "golden" / name
        A, B, C, D, K, Ry = (matrix(folder / f"{key}.csv") for key in ("A", "B", "C", "D", "K", "Ry"))
        u, y = (sum(matrix(folder / f"{key}mean.csv"), []) for key in "uy")
        states = [{"name": f"x{i + 1}", "initial": 0.0, "initial_std": 0.0} for i in range(len(A))]
        return {"name": name, "time": "discrete", "sample_time": period, "states": states,
                "inputs": [{"name": i} for i in inputs], "outputs": [{"name": o} for o in outputs],
                "A": A, "B": B, "C": C, "D": D, "noise": {"K": K, "Ry": Ry},
                "operating_point": {"x": [0.0] * len(A), "u": u, "y": y}}

    def test_golden_logs(self):
        for name, (_, outputs, _) in GOLDEN.items():
            document = self.golden_model(name)
            model, log = self.write_model(document), DATA / name / f"{name}_validate.csv"
            means = document["operating_point"]["y"]

            def check(table, golden, column):
                self.assertEqual(len(table), len(golden))
                for k, (row, want) in enumerate(zip(table, golden)):
                    for output, mean, value in zip(outputs, means, want):
                        error = abs(float(row[f"{column}.{output}"]) - mean - value)
                        self.assertLessEqual(error, 1e-9 * max(abs(value), 1e-3), (name, k))
            steps = self.table(self.replay(model, log))
            golden = matrix(DATA / "golden" / name / "pred1_nis.csv")
            check(steps, golden, "yhat")
            for row, want in zip(steps, golden):
                self.assertLessEqual(abs(float(row["nis"]) - want[-1]), 1e-8 * want[-1])
            for horizon, reference in (("1", "pred1_nis"), ("inf", "sim_x0zero")):
                self.run_command("compare", "--model", model, "--input", log, "--horizon", horizon, "--x0", "zero",
                                 "--output", "c.csv")
                check(self.table(self.folder / "c.csv"), matrix(DATA / "golden" / name / f"{reference}.csv"), "yhat")

    def test_golden_models(self):
        def near(shown, reference, what):
            for row, want in zip(shown, reference):
                for a, b in zip(row, want):
                    self.assertLessEqual(abs(a - b), max(1e-10 * abs(b), 1e-300), what)
        for case in ("c2d1", "c2d2", "c2d3", "c2d4"):
            folder = DATA / "golden" / case
            A, B, C = (matrix(folder / f"{key}.csv") for key in "ABC")
            n, p = len(A), len(C)
            document = {"name": case, "time": "continuous", "sample_time": matrix(folder / "Ts.csv")[0][0],
                        "states": [{"name": f"x{i}"} for i in range(n)], "inputs": [{"name": f"u{i}"} for i in range(len(B[0]))],
                        "outputs": [{"name": f"y{i}"} for i in range(p)], "A": A, "B": B, "C": C,
                        "noise": {"Q": identity(n), "R": identity(p, 0.01)}}
            shown = json.loads(self.run_command("show-model", "--model", self.write_model(document), "--json").stdout)
            for key, reference in (("Ad", "Ad"), ("Bd", "Bd"), ("Qd", "QdI")):
                near(shown[key], matrix(folder / f"{reference}.csv"), (case, key))
            document |= {"time": "discrete", "A": shown["Ad"], "B": shown["Bd"]}
            document["noise"]["Q"] = [[v + 1e-9 * (i == j) for j, v in enumerate(row)] for i, row in enumerate(shown["Qd"])]
            shown = json.loads(self.run_command("show-model", "--model", self.write_model(document), "--json").stdout)
            near(shown["P"], matrix(folder / "kf_P.csv"), (case, "P"))
            near(shown["M"], matrix(folder / "kf_M.csv"), (case, "M"))

    def walk(self, columns, period):
        """A random walk of each of some columns: a model for any log."""
        n = len(columns)
        return {"name": "walk", "time": "discrete", "sample_time": period,
                "states": [{"name": c} for c in columns], "outputs": [{"name": c, "noise_std": 0.1} for c in columns],
                "A": identity(n, 0.99), "C": identity(n), "noise": {"Q": identity(n, 1e-3)}}

    def test_prefix(self):
        logs = [(f"{name}/{name}_{half}.csv", None, None) for name in GOLDEN for half in ("identify", "validate")]
        logs += [(f"cascaded_tanks/cascaded_tanks_{half}.csv", ["lower_tank_level"], 4.0) for half in ("identify", "validate")]
        logs += [("tclab/tclab_600s.csv", ["temperature_1", "temperature_2"], 1.0)]
        logs += [(str(path.relative_to(DATA)), ["Current", "Pressure", "Temperature"], 1.0)
                 for path in sorted((DATA / "skab" / "data").rglob("*.csv"))]
        logs += [(str(path.relative_to(DATA)), ["xmeas_1", "xmeas_9", "xmeas_21"], 180.0)
                 for path in sorted((DATA / "tep").glob("*.csv.gz"))]
        self.assertGreater(len(logs), 30)
        source = random.Random(9)
        for name, columns, period in logs:
            document = self.walk(columns, period) if columns else self.golden_model(name.split("/", maxsplit=1)[0])
            model = self.write_model(document, {"gate": 5})
            full = self.replay(model, DATA / name).read_bytes().splitlines(keepends=True)
            lines = self.lines_of(DATA / name)
            self.assertEqual(len(full), len(lines), "one row per row of the log")
            for count in source.sample(range(1, len(lines)), PREFIXES):
                part = self.folder / "part.csv"
                part.write_bytes(b"".join(lines[:count + 1]))
                got = self.replay(model, part, output="part-steps.csv").read_bytes()
                self.assertEqual(got, b"".join(full[:count + 1]), (name, count))

    @staticmethod
    def lines_of(path):
        data = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        return data.splitlines(keepends=True)


if __name__ == "__main__":
    unittest.main()
