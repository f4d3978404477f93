"""A small one of trial.py's trials: what the alarms of two tanks say of their cause."""
import unittest

from trial import Trial, cases


class Isolation(unittest.TestCase):
    def test_two_tanks(self):
        plan = [case for case in cases() if case.text != "bias 1 σ"]
        trial = Trial()
        trial.batch(plan + [None], 4)
        trial.print()
        self.assertGreaterEqual(trial.detection_rate(lambda case: case.kind != "sensor" or case.size > 0.006), 0.95)
        self.assertGreaterEqual(trial.isolation_rate(), 0.8)
        self.assertLessEqual(trial.false_alarms, 1)
        pairs = [group for group in trial.groups if "input:pump" in group]
        self.assertEqual([{"input:pump", "process:level_1"} <= group for group in pairs], [True])


if __name__ == "__main__":
    unittest.main()
