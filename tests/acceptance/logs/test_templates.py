"""Templates through the commands: a nonlinear model is predicted by its equations, not by their linearisation."""
import random
import unittest

from cases import DATA, ROOT, DataCase, LogCase

EXAMPLES = ROOT / "docs" / "models" / "examples"


class Templates(LogCase):
    def test_simulated_log(self):
        """A log from the template's own equations is simulated back, far from the operating point."""
        model = EXAMPLES / "two_tank.yaml"
        columns = ["pump", "level_1", "level_2"]
        source = random.Random(2)
        inputs = [source.uniform(0.5, 6.0) for _ in range(30)]
        rows = "".join(f"{k / 2},{inputs[k // 20]:.6g},0.1,0.1\n" for k in range(600))
        first = self.write("inputs.csv", "t," + ",".join(columns) + "\n" + rows)
        self.run_command("compare", "--model", model, "--input", first, "--x0", "zero", "--output", "free.csv")
        free = self.table(self.folder / "free.csv")
        levels = [[float(row[f"yhat.{name}"]) for name in columns[1:]] for row in free]
        spread = max(l[0] for l in levels) - min(l[0] for l in levels)
        self.assertGreater(spread, 0.02, "the pump moves the levels")
        noisy = "".join(f"{k / 2},{inputs[k // 20]:.6g}," + ",".join(f"{v + source.gauss(0, 1e-4):.8g}" for v in levels[k]) + "\n"
                        for k in range(600))
        log = self.write("log.csv", "t," + ",".join(columns) + "\n" + noisy)
        for options, least in ((("--x0", "estimate"), 97.0), (("--horizon", "5"), 97.0)):
            done = self.run_command("compare", "--model", model, "--input", log, *options)
            for line in done.stdout.splitlines()[1:]:
                self.assertGreater(float(line.split("fit ")[1].split(" %")[0]), least, done.stdout)


class PublicRecords(DataCase):
    def test_cascaded_tanks(self):
        """The bar: simulated, x0 from the first 50 rows, RMSE at most 0.36 V on the half that nothing was fitted to."""
        text = (DATA / "cascaded_tanks" / "cascaded_tanks_validate.csv").read_text(encoding="utf-8")
        log = self.write("log.csv", text.replace("lower_tank_level", "level_2", 1))
        done = self.run_command("compare", "--model", EXAMPLES / "cascaded_tanks.yaml", "--input", log,
                                "--horizon", "inf", "--x0", "estimate")
        self.assertLessEqual(float(done.stdout.split("RMSE ")[1].split()[0]), 0.36, done.stdout)


if __name__ == "__main__":
    unittest.main()
