"""show-model: what a model comes to, as text and as JSON."""
import json
import re
import unittest

import oracle
from cases import LogCase
from oracle import add, mul, solve, transposed

KEYS = ("Ad", "Bd", "C", "D", "Qd", "R", "S", "P", "M", "K", "Sigma")


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


if __name__ == "__main__":
    unittest.main()
