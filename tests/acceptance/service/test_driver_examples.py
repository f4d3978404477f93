"""Every example of docs/drivers is a configuration that check accepts, warnings apart that only an uplink could mend."""
import glob
import os

from rig import RigTestCase, main
from rig.pki import SOURCE
from rig.service import command

EXAMPLES = os.path.join(SOURCE, "docs", "drivers", "examples", "*.yaml")


class DriverExamples(RigTestCase):
    def test_check_accepts_every_example(self):
        files = sorted(glob.glob(EXAMPLES))
        self.assertTrue(files)
        for file in files:
            with self.subTest(os.path.basename(file)):
                done = command("check", "--config", file)
                self.assertEqual(done.returncode, 0, done.stderr)
                warnings = [line for line in done.stderr.splitlines() if "uplink" not in line]
                self.assertEqual(warnings, [])


if __name__ == "__main__":
    main()
