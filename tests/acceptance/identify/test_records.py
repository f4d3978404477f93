"""Records that were made to be refused, or to be accepted with a word of warning; and the file that comes out."""
import json
import re
import unittest

from cases import IdentifyCase, first_order, seeded, sine, staircase

ROWS = 600


class Refused(IdentifyCase):
    def refuse(self, rows, names, inputs, outputs, *reasons):
        done = self.identify(self.write_rows(rows, names), inputs, outputs, code=65)
        for reason in reasons:
            self.assertRegex(done.stderr, reason)
        self.assertFalse((self.folder / "model.yaml").exists(), "nothing is written")
        return done

    def test_constant_input(self):
        source = seeded(1)
        y = first_order([0.5] * ROWS, noise=0.1, source=source)
        self.refuse([[0.5, v] for v in y], ["u", "y"], ["u"], ["y"], r"input u never changes")

    def test_one_sine(self):
        u = sine(ROWS, 37.0)
        y = first_order(u, noise=0.01, source=seeded(2))
        self.refuse(list(zip(u, y)), ["u", "y"], ["u"], ["y"], r"input u is a single sine")

    def test_forty_rows(self):
        source = seeded(3)
        u = staircase(source, 40, hold=(2, 5))
        self.refuse(list(zip(u, first_order(u))), ["u", "y"], ["u"], ["y"], r"40 samples are too few")

    def test_a_third_of_the_samples_missing(self):
        source = seeded(4)
        u = staircase(source, ROWS)
        y = [v if source.random() > 0.3 else None for v in first_order(u, noise=0.01, source=source)]
        self.refuse(list(zip(u, y)), ["u", "y"], ["u"], ["y"], r"y lacks (2[5-9]|3[0-5]) % of its samples")

    def test_copies_of_inputs(self):
        source = seeded(5)
        u = staircase(source, ROWS)
        y = first_order(u, noise=0.01, source=source)
        self.refuse([[a, 3.0 - 2.0 * a, b] for a, b in zip(u, y)], ["u", "copy", "y"], ["u", "copy"], ["y"],
                    r"input copy follows from u")

    def test_unstable_plant(self):
        source = seeded(6)
        u = staircase(source, ROWS, low=-1.0)
        y = first_order(u, pole=1.02, gain=-1.0, noise=0.01, source=source)
        self.refuse(list(zip(u, y)), ["u", "y"], ["u"], ["y"], r"grows by itself.*unstable plant")

    def test_noise_alone(self):
        source = seeded(7)
        u = staircase(source, ROWS)
        self.refuse([[v, source.gauss(0.0, 1.0)] for v in u], ["u", "y"], ["u"], ["y"], r"no model is written")


class Warned(IdentifyCase):
    def test_some_samples_missing(self):
        source = seeded(11)
        u = staircase(source, ROWS)
        y = [v if source.random() > 0.04 else None for v in first_order(u, noise=0.02, source=source)]
        done = self.identify(self.write_rows(list(zip(u, y)), ["u", "y"]), ["u"], ["y"])
        self.assertIn("verdict: accept", done.stdout)
        self.assertRegex(done.stdout, r"up to [345]\.\d % of a signal filled")

    def test_gaps(self):
        source = seeded(12)
        u = staircase(source, 900)
        y = [v if not 200 <= k < 380 and not 600 <= k < 690 else None
             for k, v in enumerate(first_order(u, noise=0.02, source=source))]
        done = self.identify(self.write_rows(list(zip(u, y)), ["u", "y"]), ["u"], ["y"])
        self.assertIn("270 of 900 samples are lost at gaps; 3 experiments are left", done.stderr)
        self.assertIn("verdict: accept", done.stdout)
        self.assertLess(abs(self.slowest(done.stdout) - 9.49), 0.8)

    @staticmethod
    def slowest(report):
        return float(re.search(r"time constants: (\S+)", report).group(1))

    def test_integrator(self):
        source = seeded(13)
        u = staircase(source, ROWS, low=-1.0, hold=(5, 20))
        y, level = [], 0.0
        for v in u:
            y.append(level + source.gauss(0.0, 0.02))
            level += 0.1 * v
        done = self.identify(self.write_rows(list(zip(u, y)), ["u", "y"]), ["u"], ["y"])
        self.assertRegex(done.stderr, r"an integrator, or a drift")

    def test_drift(self):
        source = seeded(16)
        u = staircase(source, ROWS)
        y = [v + 0.4 * k / ROWS for k, v in enumerate(first_order(u, noise=0.02, source=source))]
        done = self.identify(self.write_rows(list(zip(u, y)), ["u", "y"]), ["u"], ["y"])
        told = re.search(r"y drifts up by (\S+) ± (\S+) of its standard deviation", done.stderr)
        mean = sum(y) / ROWS
        spread = (sum((v - mean) ** 2 for v in y) / ROWS) ** 0.5
        self.assertLess(abs(float(told.group(1)) - 0.4 / spread), 4.0 * float(told.group(2)) + 0.1, done.stderr)
        steady = self.identify(self.write_rows(list(zip(u, first_order(u, noise=0.02, source=source))), ["u", "y"]), ["u"], ["y"])
        self.assertNotIn("drifts", steady.stderr)

    def test_dead_time(self):
        source = seeded(14)
        u = staircase(source, ROWS)
        y = first_order(u, delay=30, noise=0.02, source=source)
        done = self.identify(self.write_rows(list(zip(u, y)), ["u", "y"], period=0.5), ["u"], ["y"])
        self.assertIn("verdict: accept", done.stdout)
        self.assertRegex(done.stdout, r"dead time: u 1[456](\.5)? s \((29|30|31) steps\)")
        compared = self.run_command("compare", "--model", "model.yaml", "--input", "log.csv").stdout
        self.assertGreater(float(re.search(r"fit (\S+) %", compared).group(1)), 93.0)

    def test_scales(self):
        source = seeded(15)
        u = staircase(source, ROWS)
        small = first_order(u, pole=0.9, gain=1e-9, noise=2e-11, source=source)
        large = first_order(u, pole=0.7, gain=3e7, noise=3e5, offset=1e9, source=source)
        log = self.write_rows(list(zip(u, small, large)), ["u", "small", "large"])
        done = self.identify(log, ["u"], ["small", "large"])
        self.assertIn("verdict: accept", done.stdout)
        for name in ("small", "large"):
            self.assertGreater(float(re.search(rf"{name}: simulation (\S+) %", done.stdout).group(1)), 85.0)
        self.run_command("compare", "--model", "model.yaml", "--input", "log.csv")

    def test_step_of_the_operating_point(self):
        source = seeded(16)
        u = staircase(source, ROWS)
        y = [v + (1.0 if k >= ROWS // 2 else 0.0) for k, v in enumerate(first_order(u, noise=0.02, source=source))]
        log = self.write_rows(list(zip(u, y)), ["u", "y"])
        done = self.identify(log, ["u"], ["y"])
        self.assertRegex(done.stderr, r"level of y shifts by .* near sample (29|30|31)\d")


class ModelFile(IdentifyCase):
    def log(self):
        source = seeded(21)
        u = staircase(source, ROWS)
        v = staircase(source, ROWS, hold=(3, 30))
        y = [a + b for a, b in zip(first_order(u, noise=0.02, source=source), first_order(v, pole=0.8, gain=-1.0))]
        z = first_order(v, pole=0.95, noise=0.02, source=source)
        return self.write_rows(list(zip(u, v, y, z)), ["u[V]", "v", "y[m]", "z"], period=0.5)

    def test_other_commands(self):
        log = self.log()
        self.identify(log, ["u", "v"], ["y", "z"], "--rows", "0:400")
        text = (self.folder / "model.yaml").read_text(encoding="utf-8")
        for part in ("name: x1", "sample_time: 0.5", "operating_point:", "unit: V", "provenance:", "sha256:", "0:400"):
            self.assertIn(part, text)
        shown = json.loads(self.run_command("show-model", "--model", "model.yaml", "--json").stdout)
        self.assertTrue(all(row[i] > 0.0 for i, row in enumerate(shown["P"])))
        self.run_command("compare", "--model", "model.yaml", "--input", log, "--rows", "400:600")
        steps = self.run_command("replay", "--model", "model.yaml", "--input", log, "--output", "steps.csv")
        self.assertEqual(len((self.folder / "steps.csv").read_text(encoding="utf-8").splitlines()), ROWS + 1, steps.stdout)
        again = self.folder / "again.yaml"
        self.run_command("identify", "--input", log, "--inputs", "u,v", "--outputs", "y,z", "--rows", "0:400", "--output",
                         again)
        undated = [re.sub(r"(date|name): \S+", "", t) for t in (text, again.read_text(encoding="utf-8"))]
        self.assertEqual(undated[0], undated[1], "the same log gives the same model, whatever the threads did")

    def test_methods(self):
        log = self.log()
        for method in ("n4sid", "arx"):
            done = self.identify(log, ["u", "v"], ["y", "z"], "--method", method, "--order", "2")
            self.assertIn("order 2", done.stdout)
            self.run_command("compare", "--model", "model.yaml", "--input", log)

    def test_time_series(self):
        source = seeded(22)
        rows, x = [], [0.0, 0.0]
        for _ in range(800):
            rows.append([x[0] + source.gauss(0.0, 0.2), x[1]])
            x = [0.9 * x[0] + 0.3 * x[1] + source.gauss(0.0, 0.3), -0.3 * x[0] + 0.9 * x[1] + source.gauss(0.0, 0.3)]
        log = self.write_rows(rows, ["a", "b"])
        for method in ("auto", "var"):
            done = self.identify(log, [], ["a", "b"], "--method", method)
            self.assertIn("verdict: accept", done.stdout)
            for name in "ab":
                fit, persistence = map(float, re.search(rf"{name}: 1 step (\S+) % \((\S+) %\)", done.stdout).groups())
                self.assertGreater(fit, persistence)
            self.assertRegex((self.folder / "model.yaml").read_text(), r"isolation:\n +enabled: false\n")
            self.run_command("replay", "--model", "model.yaml", "--input", log, "--output", "steps.csv")


class Faults(IdentifyCase):
    def test_arguments(self):
        log = self.write_rows([[0.0, 1.0]] * 100, ["u", "y"])
        for more, what in ((["--order", "0"], "--order"), (["--method", "best"], "--method"), (["--rows", "5"], "--rows"),
                           (["--method", "var"], "--method"), (["--sample-time", "fast"], "--sample-time")):
            self.assertIn(what, self.identify(log, ["u"], ["y"], *more, code=64).stderr)
        self.assertIn("has no column w; accepted: u, y", self.identify(log, ["w"], ["y"], code=64).stderr)
        self.assertIn("named twice", self.identify(log, ["y"], ["y"], code=64).stderr)

    def test_files(self):
        self.identify(self.folder / "nowhere.csv", ["u"], ["y"], code=66)
        bad = self.folder / "bad.csv"
        bad.write_text("time,u,y\n0,1,x\n", encoding="utf-8")
        self.assertIn("bad.csv:2:5", self.identify(bad, ["u"], ["y"], code=65).stderr)


if __name__ == "__main__":
    unittest.main()
