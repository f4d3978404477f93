"""compare: horizons, starts and scores against the equations written out."""
import math
import unittest

import oracle
from cases import LogCase
from oracle import add, column, mul, pick, solve, transposed

STEP = 0.5


class Predictor:
    """Of one experiment without gaps, as deviations; u is given in every row."""
    def __init__(self, model, rows):
        self.model = model
        _, self.K, self.sigma = model.steady()
        self.u = [model.deviation(u) for u, _ in rows]
        self.y = [[None if v is None else v - o for v, o in zip(y, model.y_op)] for _, y in rows]

    def free(self, x, k):
        forced = mul(self.model.B, column(self.u[k])) if self.model.m else [[0.0]] * self.model.n
        return [a[0] + b[0] for a, b in zip(mul(self.model.A, column(x)), forced)]

    def output(self, x, k):
        fed = mul(self.model.D, column(self.u[k])) if self.model.m else [[0.0]] * self.model.p
        return [a[0] + b[0] for a, b in zip(mul(self.model.C, column(x)), fed)]

    def corrected(self, x, k):
        used = [i for i, v in enumerate(self.y[k]) if v is not None]
        moved = self.free(x, k)
        if not used:
            return moved
        nu = column([self.y[k][i] - self.output(x, k)[i] for i in used])
        across = mul(self.K, pick(self.sigma, range(self.model.p), used))
        L = transposed(solve(pick(self.sigma, used, used), transposed(across)))
        return [a + b[0] for a, b in zip(moved, mul(L, nu))]

    def predict(self, horizon, x0):
        predicted = []
        states = [x0]  # x(k|k−1)
        for k in range(len(self.y)):
            states.append(self.corrected(states[k], k))
        for k in range(len(self.y)):
            start = 0 if horizon is None or k < horizon else k - horizon + 1
            x = x0 if start == 0 else states[start]
            for j in range(start, k):
                x = self.free(x, j)
            predicted.append(self.output(x, k))
        return predicted

    def start(self, horizon):
        """The x0 of the smallest whitened squared errors over the first 50 rows; the errors are affine in it."""
        def errors(x0):
            return [[None if v is None else v - e for v, e in zip(y, expected)]
                    for y, expected in zip(self.y, self.predict(1 if horizon else None, x0)[:50])]
        n = self.model.n
        zero = errors([0.0] * n)
        units = [errors([float(i == j) for j in range(n)]) for i in range(n)]
        normal, right = oracle.zeros(n, n), oracle.zeros(n, 1)
        for k, row in enumerate(zero):
            used = [i for i, v in enumerate(row) if v is not None]
            if not used:
                continue
            slope = [[zero[k][i] - unit[k][i] for unit in units] for i in used]
            weighted = solve(pick(self.sigma, used, used), [s + [zero[k][i]] for s, i in zip(slope, used)])
            product = mul(transposed(slope), weighted)
            normal = add(normal, [r[:n] for r in product])
            right = add(right, [r[n:] for r in product])
        return [v[0] for v in solve(normal, right)]


class Compare(LogCase):
    def compare(self, model, log, *more, code=0):
        done = self.run_command("compare", "--model", model, "--input", log, "--output", "c.csv", *more, code=code)
        return done, self.table(self.folder / "c.csv") if code == 0 else None

    def predictions(self, table, model):
        return [[float(row[f"yhat.y{i + 1}"]) for i in range(model.p)] for row in table]

    def test_equations(self):
        source = oracle.seeded(11)
        for case in range(8):
            document = oracle.random_model(source, source.randint(1, 4), source.randint(0, 2), source.randint(1, 3), case % 2 == 1)
            model = oracle.Model(document)
            rows = [(u, [None if source.random() < 0.2 else v for v in y])
                    for u, y in oracle.random_rows(source, model, 90, 0.0)]
            path, log = self.write_model(document), self.write_log(document, rows)
            reference = Predictor(model, rows)
            for horizon in (None, 1, 4, 200):
                option = "inf" if horizon is None else str(horizon)
                _, table = self.compare(path, log, "--horizon", option, "--x0", "zero")
                expected = reference.predict(horizon, [0.0] * model.n)
                for k, (row, want) in enumerate(zip(self.predictions(table, model), expected)):
                    for a, b, offset in zip(row, want, model.y_op):
                        self.assertLessEqual(abs(a - b - offset), 1e-9 * max(1, abs(b)), (case, horizon, k))
                done, table = self.compare(path, log, "--horizon", option, "--x0", "estimate")
                expected = reference.predict(horizon, reference.start(horizon))
                for k, (row, want) in enumerate(zip(self.predictions(table, model), expected)):
                    for a, b, offset in zip(row, want, model.y_op):
                        self.assertLessEqual(abs(a - b - offset), 1e-7 * max(1, abs(b)), (case, horizon, k))
                self.check_scores(done.stdout, table, model, rows, horizon)

    def check_scores(self, text, table, model, rows, horizon):
        for i in range(model.p):
            scored = [k for k in range(50, len(rows)) if rows[k][1][i] is not None]
            y = [rows[k][1][i] for k in scored]
            mean = sum(y) / len(y)
            error = sum((rows[k][1][i] - float(table[k][f"yhat.y{i + 1}"])) ** 2 for k in scored)
            spread = sum((v - mean) ** 2 for v in y)
            fit = 100 * (1 - math.sqrt(error / spread))
            self.assertRegex(text, rf"y{i + 1}: fit {fit:.2f} %".replace("-", r"\-"))
            self.assertRegex(text, rf"y{i + 1}: .*rows {len(scored)}\b")
            if horizon is None or horizon > len(rows):
                self.assertRegex(text, rf"y{i + 1}: .*persistence -")
                continue
            pairs = [(rows[k][1][i], rows[k - horizon][1][i]) for k in scored if rows[k - horizon][1][i] is not None]
            lost = sum((a - b) ** 2 for a, b in pairs)
            fit = 100 * (1 - math.sqrt(lost / sum((a - mean) ** 2 for a, _ in pairs)))
            self.assertRegex(text, rf"y{i + 1}: .*persistence {fit:.2f} %")

    def test_experiments(self):
        source = oracle.seeded(12)
        document = oracle.random_model(source, 2, 1, 1, False)
        model = oracle.Model(document)
        parts = [oracle.random_rows(source, model, count, 0.0) for count in (70, 60)]
        times = [k * STEP for k in range(70)] + [(70 + 20 + k) * STEP for k in range(60)]
        path = self.write_model(document)
        log = self.write_log(document, parts[0] + parts[1], times=times)
        for options in (("--horizon", "3", "--x0", "zero"), ("--x0", "estimate")):
            done, table = self.compare(path, log, *options)
            self.assertIn("130 rows in 2 experiments", done.stdout)
            _, first = self.compare(path, log, *options, "--rows", "0:70")
            _, second = self.compare(path, log, *options, "--rows", "70:")
            self.assertEqual(table, first + second, "an experiment by itself is the same")
        # A shorter gap is run through, without measurements and with the input held.
        short = [k * STEP for k in range(70)] + [(70 + 5 + k) * STEP for k in range(60)]
        done, table = self.compare(path, self.write_log(document, parts[0] + parts[1], times=short), "--x0", "zero", "--horizon", "1")
        self.assertIn(", 130 rows\n", done.stdout)
        filled = parts[0] + [(parts[0][-1][0], [None])] * 5 + parts[1]
        _, whole = self.compare(path, self.write_log(document, filled), "--x0", "zero", "--horizon", "1")
        self.assertEqual([r["yhat.y1"] for r in table], [r["yhat.y1"] for r in whole[:70] + whole[75:]])

    def test_ramps(self):
        """A log of a machine whose input runs linearly is predicted without an error, from x at the operating point."""
        document = {"name": "follower", "time": "continuous", "discretization": "foh", "sample_time": STEP,
                    "states": [{"name": "x"}], "inputs": [{"name": "u"}], "outputs": [{"name": "x", "noise_std": 0.1}],
                    "A": [[-1]], "B": [[1]], "C": [[1]], "noise": {"Q": [[1e-3]]}, "operating_point": {"x": [5], "u": [5], "y": [5]}}
        decay = math.exp(-STEP)
        second = (decay - 1 + STEP) / STEP
        source = oracle.seeded(12)
        for begin in (5.0, 9.0):  # the operating point, and elsewhere
            x, u, rows = begin, 20.0, []
            for _ in range(120):
                rows.append(([u], [x]))
                following = 5 + 10 * source.gauss(0, 1)
                x, u = decay * x + (1 - decay - second) * u + second * following, following
            log = self.write_log(document, rows, period=STEP)
            model = self.write_model(document)
            for start in ("zero", "estimate"):
                for horizon in ("inf", "1", "7"):
                    _, table = self.compare(model, log, "--horizon", horizon, "--x0", start)
                    worst = max(abs(float(r["yhat.x"]) - float(r["y.x"])) for r in table)
                    if start == "zero" and begin != 5:
                        self.assertAlmostEqual(float(table[0]["yhat.x"]), 5, delta=1e-12)
                        self.assertGreater(worst, 1)
                    else:
                        self.assertLess(worst, 1e-9, (begin, start, horizon))
            # Held inputs do worse.
            _, table = self.compare(self.write_model(document | {"discretization": "zoh"}), log, "--horizon", "1")
            self.assertGreater(max(abs(float(r["yhat.x"]) - float(r["y.x"])) for r in table), 1)

    def test_faults(self):
        document = oracle.random_model(oracle.seeded(13), 1, 1, 1, False)
        path = self.write_model(document)
        log = self.write_log(document, [([0.0], [1.0]), ([0.0], [2.0])])
        for arguments, accepted in ((("--horizon", "0"), "a number of rows from 1, or inf"),
                                    (("--horizon", "x"), "a number of rows from 1, or inf"),
                                    (("--x0", "best"), "zero | estimate"), (("--rows", "5"), "A:B"),
                                    (("--rows", "1:1"), "A:B"), (("--rows", "0:3"), "0 <= A < B <= 2")):
            done, _ = self.compare(path, log, *arguments, code=64)
            self.assertIn(accepted, done.stderr)
        before = log.read_bytes()
        for command in ("compare", "replay"):
            done = self.run_command(command, "--model", path, "--input", log, "--output", log, code=64)
            self.assertIn("the log that is read", done.stderr)
        self.assertEqual(log.read_bytes(), before)
        done, table = self.compare(path, log)
        self.assertIn("no row to score", done.stdout)
        self.assertEqual(len(table), 2)


if __name__ == "__main__":
    unittest.main()
