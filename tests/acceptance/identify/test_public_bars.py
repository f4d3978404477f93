"""Public data: models from the first half, judged on the second by the scorers of the data. Settings are the defaults."""
import unittest

from cases import IdentifyCase
from command_case import DATA


class Bars(IdentifyCase):
    def setUp(self):
        super().setUp()
        self.need_data()

    def figures(self, name, inputs, outputs):
        """By output: simulation (x0 estimated) and one-step prediction, each fit, RMSE, persistence."""
        report = self.identify(DATA / name / f"{name}_identify.csv", inputs, outputs).stdout
        self.assertIn("verdict: accept", report)
        log = DATA / name / f"{name}_validate.csv"
        figures = {}
        for horizon in ("inf", "1"):
            self.run_command("compare", "--model", "model.yaml", "--input", log, "--horizon", horizon, "--x0", "estimate",
                             "--output", "c.csv")
            for output in outputs:
                # The rows that x0 is made of are not scored in a simulation; the anchors of one step count all rows.
                figures[output, horizon] = self.score(log, output, self.folder / "c.csv", 50 if horizon == "inf" else 0)
        print(report, figures)
        return figures

    def test_dryer(self):
        figures = self.figures("dryer", ["heater"], ["air_temperature"])
        self.assertGreaterEqual(figures["air_temperature", "inf"][0], 84.0)
        self.assertGreaterEqual(figures["air_temperature", "1"][0], 95.0)

    def test_evaporator(self):
        outputs = ["dry_matter", "product_flow", "product_temperature"]
        figures = self.figures("evaporator", ["feed_flow", "vapour_flow", "cooling_water_flow"], outputs)
        self.assertGreaterEqual(sum(figures[o, "inf"][0] for o in outputs) / 3, 56.0)
        for output in outputs:
            fit, _, persistence = figures[output, "1"]
            self.assertGreater(fit, persistence, output)

    def test_cascaded_tanks(self):
        figures = self.figures("cascaded_tanks", ["pump"], ["lower_tank_level"])
        self.assertLessEqual(figures["lower_tank_level", "inf"][1], 0.62)


if __name__ == "__main__":
    unittest.main()
