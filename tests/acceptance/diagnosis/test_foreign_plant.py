"""A small one of foreign_trial.py's trials: a plant that is not the model, beside one that is."""
import statistics
import tempfile
import unittest

from foreign_plant import NOISE
from foreign_trial import Machine, delays


class ForeignPlant(unittest.TestCase):
    def test_two_tanks(self):
        found = {}
        faults = [("bias_1", 5 * NOISE, ""), ("bias_2", 10 * NOISE, ""), ("leak_1", 0.0005, ""), ("leak_2", 0.0005, "")]
        for matched in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                machine = Machine(folder, 1, matched)
                self.assertLessEqual(len(machine.healthy(1)), 1)
                found[matched] = delays([machine], 4, faults)
        for fault, matched in found[True].items():
            foreign = found[False][fault]
            self.assertNotIn(None, matched + foreign, fault)
            self.assertLessEqual(statistics.median(foreign), 2 * statistics.median(matched), (fault, matched, foreign))


if __name__ == "__main__":
    unittest.main()
