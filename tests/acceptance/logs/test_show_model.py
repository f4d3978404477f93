"""show-model: what a model comes to, as text and as JSON."""
import decimal
import json
import re
import unittest

import oracle
from cases import LogCase
from command_case import DATA
from oracle import add, mul, solve, transposed

KEYS = ("Ad", "Bd", "C", "D", "Qd", "R", "S", "P", "M", "K", "Sigma")


def series(A, B, step, weight):
    """Σ A^k step^(k+1) / weight(k) B, each term as written, with 700 digits: no halving, no doubling, no exponential."""
    with decimal.localcontext() as context:
        context.prec = 700
        exact = lambda rows: [[decimal.Decimal(v) for v in row] for row in rows]
        A, term = exact(A), exact(B)
        step = decimal.Decimal(step)
        term = [[v * step for v in row] for row in term]
        total = [[decimal.Decimal(0)] * len(B[0]) for _ in B]
        factorial = decimal.Decimal(1)
        for k in range(4000):
            total = [[t + v / (factorial * weight(k)) for t, v in zip(r, s)] for r, s in zip(total, term)]
            term = [[v * step for v in row] for row in mul(A, term)]
            factorial *= k + 1
            largest = max(abs(v) for row in term for v in row)
            if largest == 0 or (largest / factorial).adjusted() < -350:
                break
        return total


class ShowModel(LogCase):
    def show(self, model, *more):
        return self.run_command("show-model", "--model", model, *more)

    def test_matrices(self):
        source = oracle.seeded(21)
        for correlated in (False, True):
            document = oracle.random_model(source, 3, 2, 2, correlated)
            model = oracle.Model(document)
            shown = json.loads(self.show(self.write_model(document), "--json").stdout)
            for key, given in (("Ad", model.A), ("Bd", model.B), ("C", model.C), ("D", model.D)):
                self.assertEqual(shown[key], given, key)
            P, K, sigma = model.steady()
            M = transposed(solve(sigma, mul(model.C, P)))
            for key, expected in (("Qd", model.Q), ("R", model.R), ("S", model.S), ("P", P), ("K", K), ("M", M), ("Sigma", sigma)):
                worst = max(abs(v) for row in add(shown[key], expected, -1) for v in row)
                self.assertLessEqual(worst, 1e-10 * max(1.0, max(abs(v) for row in expected for v in row)), key)
            # The text has the same digits, in the same order.
            text = self.show(self.write_model(document)).stdout
            for key in KEYS:
                block = re.search(rf"^{key}  .*\n((?: +[-0-9.e+ ]+\n)+)", text, re.MULTILINE)
                rows = [[float(cell) for cell in line.split()] for line in block.group(1).splitlines()]
                self.assertEqual(rows, shown[key], key)
            self.assertIn("poles as time constants", text)

        # A continuous model needs a step; an undetectable one has no gains, and that is said.
        document = {"name": "two", "time": "continuous", "states": [{"name": "a"}, {"name": "b"}],
                    "outputs": [{"name": "a", "noise_std": 0.1}], "A": [[-1, 0], [0, 0]], "C": [[1, 0]],
                    "noise": {"Q": [[1e-3, 0], [0, 1e-3]]}}
        path = self.write_model(document)
        self.assertIn("sample_time", self.run_command("show-model", "--model", path, code=78).stderr)
        done = self.show(path, "--sample-time", "100ms", "--json")
        shown = json.loads(done.stdout)
        self.assertIsNone(shown["P"])
        self.assertIn("no steady state", done.stderr)
        self.assertEqual(shown["sample_time_s"], 0.1)
        self.assertAlmostEqual(shown["Ad"][0][0], 0.90483741803595957, delta=1e-15)
        self.run_command("show-model", "--model", path, "--sample-time", "0s", code=64)


    def test_ramps(self):
        """Inputs that run linearly: x(k+1) = Ad x(k) + Γ1 u(k) + Γ2 u(k+1), as z(k) = x(k) − Γ2 u(k)."""
        source = oracle.seeded(23)
        noise = lambda n, m: [[source.gauss(0, 1) for _ in range(m)] for _ in range(n)]
        plants = [([[-1.0]], [[2.0]], 0.5), ([[0.0, 1.0], [0.0, 0.0]], [[0.0], [1.0]], 0.1),
                  ([[-1000.0, 0.0, 0.0], [1.0, -0.1, 0.2], [0.0, 1.0, -0.001]], [[1000.0, 0.0], [0.0, 1.0], [0.5, 0.0]], 0.5)]
        plants += [(noise(n, n), noise(n, 2), 0.3) for n in (2, 3, 4)]
        if (DATA / "golden").is_dir():
            read = lambda case, key: [[float(v) for v in line.split(",")] for line in
                                      (DATA / "golden" / case / f"{key}.csv").read_text(encoding="utf-8").split()]
            plants += [(read(case, "A"), read(case, "B"), read(case, "Ts")[0][0]) for case in ("c2d1", "c2d2", "c2d3", "c2d4")]
        for case, (A, B, step) in enumerate(plants):
            n, m = len(A), len(B[0])
            C, D = [[1.0] * n, [float(i) for i in range(n)]], [[0.25] * m, [0.0] * m]
            document = {"name": "any", "time": "continuous", "discretization": "foh", "sample_time": step,
                        "states": [{"name": f"x{i}"} for i in range(n)], "inputs": [{"name": f"u{i}"} for i in range(m)],
                        "outputs": [{"name": f"y{i}", "noise_std": 0.1} for i in range(2)], "A": A, "B": B, "C": C, "D": D,
                        "noise": {"Q": oracle.identity(n)}}
            done = self.show(self.write_model(document), "--json")
            shown = json.loads(done.stdout)
            self.assertEqual(shown["hold"], "foh")
            first = series(A, B, step, lambda k: k + 2)
            second = series(A, B, step, lambda k: (k + 1) * (k + 2))
            whole = series(A, A, step, lambda k: k + 1)
            with decimal.localcontext() as context:
                context.prec = 700
                Ad = [[v + (i == j) for j, v in enumerate(row)] for i, row in enumerate(whole)]
                Bd = add(first, mul(Ad, second))
                to_y = add(mul([[decimal.Decimal(v) for v in row] for row in C], second),
                           [[decimal.Decimal(v) for v in row] for row in D])
            for key, expected in (("Ad", Ad), ("Bd", Bd), ("Gamma2", second), ("D", to_y)):
                for row, want in zip(shown[key], expected):
                    for a, b in zip(row, want):
                        self.assertLessEqual(abs(a - float(b)), max(1e-10 * abs(float(b)), 1e-300), (case, key, a, float(b)))
            self.assertEqual(shown["C"], C)
            document["discretization"] = "zoh"
            held = json.loads(self.show(self.write_model(document), "--json").stdout)
            self.assertEqual(held["hold"], "zoh")
            self.assertNotIn("Gamma2", held)
            for key in ("Ad", "Qd", "P", "M", "K", "Sigma"):
                self.assertEqual(held[key], shown[key], key)
        text = self.show(self.write_model(document | {"discretization": "foh"})).stdout
        self.assertIn("\nhold: foh, ", text)
        self.assertRegex(text, r"(?m)^Gamma2  .*u\(k\)$")

    def test_sensor_lag(self):
        document = {"name": "furnace", "time": "continuous", "sample_time": 1.0,
                    "states": [{"name": "core", "unit": "degC", "initial": 60, "initial_std": 2}],
                    "inputs": [{"name": "valve", "nominal": 50}],
                    "outputs": [{"name": "TT101", "unit": "degC", "noise_std": 0.1, "nominal": 52, "lag": "12s"},
                                {"name": "T", "unit": "degC", "noise_std": 0.1, "nominal": 50}],
                    "A": [[-0.01]], "B": [[0.008]], "C": [[1], [1]], "D": [[0.5], [0]], "noise": {"Q": [[1e-4]]},
                    "operating_point": {"x": [50]}}
        shown = json.loads(self.show(self.write_model(document), "--json").stdout)
        self.assertEqual(shown["states"], ["core", "TT101_sensor"])
        self.assertEqual(shown["C"], [[0, 1], [1, 0]])
        self.assertEqual(shown["D"], [[0], [0]])
        self.assertEqual(shown["operating_point"]["x"], [50, 52])
        by_hand = document | {"A": [[-0.01, 0], [1 / 12, -1 / 12]], "B": [[0.008], [0.5 / 12]], "C": [[0, 1], [1, 0]],
                              "noise": {"Q": [[1e-4, 0], [0, 0]]}, "operating_point": {"x": [50, 52]}}
        by_hand["states"] = document["states"] + [{"name": "TT101_sensor", "unit": "degC", "initial": 62, "initial_std": 2}]
        by_hand["outputs"] = [{k: v for k, v in output.items() if k != "lag"} for output in document["outputs"]]
        del by_hand["D"]
        same = json.loads(self.show(self.write_model(by_hand), "--json").stdout)
        for key in KEYS:
            self.assertEqual(shown[key], same[key], key)
        # Replayed, too: the lag begins in balance.
        rows = [([50.0 + k % 7], [62.0 + 0.1 * k, 60.0 + 0.1 * k]) for k in range(40)]
        log = self.write_log(document, rows, period=1.0)
        short = self.table(self.replay(self.write_model(document), log))
        long = self.table(self.replay(self.write_model(by_hand), log, output="other.csv"))
        self.assertEqual(short, long)
        self.assertAlmostEqual(float(short[0]["yhat.TT101"]), 62.0, delta=1e-12)


if __name__ == "__main__":
    unittest.main()
