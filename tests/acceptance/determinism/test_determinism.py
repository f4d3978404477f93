"""The same log gives the same bytes, whatever the processor lets the C library choose."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import artefacts

EXECUTABLE = os.environ["TWINKEEPER_EXECUTABLE"]
PROBE = """
import math
print([f(0.37 + 0.0137 * i).hex() for i in range(2000) for f in (math.exp, math.log, math.sin, math.atan, math.erfc)])
"""


def probe(environment):
    return subprocess.run([sys.executable, "-c", PROBE], check=True, capture_output=True,
                          env={**os.environ, **environment}).stdout


class Determinism(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = pathlib.Path(cls.folder.name)
        cls.results = artefacts.write_all(EXECUTABLE, cls.root / "as_it_is")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_without_fused_multiply_add_and_avx2(self):
        other = {artefacts.TUNABLES: artefacts.PLAIN_PROCESSOR}
        if probe({}) == probe(other):
            self.skipTest("this C library computes exp, log, sin the same with and without FMA and AVX2")
        results = artefacts.write_all(EXECUTABLE, self.root / "plain_processor", other)
        self.assertEqual(artefacts.hashes(results), artefacts.hashes(self.results))

    def test_again(self):
        results = artefacts.write_all(EXECUTABLE, self.root / "again")
        self.assertEqual(artefacts.hashes(results), artefacts.hashes(self.results))

    def test_the_logs_reach_what_could_differ(self):
        self.assertIn(b"anomaly raised", self.results["two_tank.told.txt"])
        self.assertIn(b"anomaly raised", self.results["oscillator.told.txt"])
        for name, *_ in artefacts.CASES:
            steps = self.results[f"{name}.steps.csv"]
            self.assertGreater(steps.count(b"\n"), 3000, name)
            self.assertIn(b",predict_only," if name == "telling" else b",degraded,", steps, name)
        self.assertIn(b"does not move any more", self.results["two_tank.told.txt"])
        self.assertRegex(self.results["oscillator.show.json"], rb'"period_s": \d')


if __name__ == "__main__":
    unittest.main(verbosity=2)
