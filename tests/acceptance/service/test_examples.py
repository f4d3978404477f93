"""The example configurations of the driver pages: `check` takes them all as they are."""
import glob
import os
import unittest

from rig.pki import SOURCE
from rig.service import command

PAGES = os.path.join(SOURCE, "docs", "drivers")


class Examples(unittest.TestCase):
    def test_check_takes_them(self):
        examples = sorted(glob.glob(os.path.join(PAGES, "examples", "*.yaml")))
        self.assertGreaterEqual(len(examples), 3)
        for path in examples:
            with self.subTest(os.path.basename(path)):
                done = command("check", "--config", path)
                self.assertEqual(done.returncode, 0, done.stderr)
                # They say nothing of a broker; there is nothing else to warn of.
                warnings = [line for line in done.stderr.splitlines() if "uplink: missing" not in line]
                self.assertEqual(warnings, [])

    def test_each_page_has_one(self):
        pages = sorted(glob.glob(os.path.join(PAGES, "*.md")))
        self.assertGreaterEqual(len(pages), 3)
        examples = {os.path.basename(path) for path in glob.glob(os.path.join(PAGES, "examples", "*.yaml"))}
        named = set()
        for path in pages:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            named |= {name for name in examples if f"(examples/{name})" in text}
        self.assertEqual(named, examples, "each example is named by a page")


if __name__ == "__main__":
    unittest.main(verbosity=2)
