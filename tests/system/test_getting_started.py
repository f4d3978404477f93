"""docs/getting-started.md, word for word: each of its blocks of commands runs on a fresh Debian, in order, and what the page
promises of them comes true.

usage: test_getting_started.py   with TWINKEEPER_PACKAGE, the .deb, and TWINKEEPER_ROOTS, where the root file systems are kept
"""
import json
import os
import re
import time
import unittest

from machine import Machine, make_root
from rig.waiting import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGE = os.environ["TWINKEEPER_PACKAGE"]
PROBE = "twinkeeper probe tcp://127.0.0.1:1502 --address 0 --count 2 --expect 60"


def blocks():
    """By the heading above them: the commands and what they say is to be seen."""
    with open(os.path.join(ROOT, "docs", "getting-started.md"), encoding="utf-8") as file:
        page = file.read()
    found = {}
    for section in page.split("\n## ")[1:]:
        heading = section.split("\n", 1)[0]
        commands = re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)
        if commands:
            found[heading] = commands
    return found


class GettingStarted(unittest.TestCase):
    def test_word_for_word(self):
        machine = Machine(make_root(os.environ["TWINKEEPER_ROOTS"]))
        self.addCleanup(machine.end)
        machine.boot()
        machine.run("systemctl unmask mosquitto")  # where machine.py keeps it from starting by itself
        machine.put(PACKAGE, "/root/twinkeeper_0.1.0-1_amd64.deb")
        said = {}
        began = time.monotonic()
        for heading, commands in blocks().items():
            for block in commands:
                done = machine.run(f"cd /root; set -e\n{block}")
                said[heading] = said.get(heading, "") + done.stdout + done.stderr
                if "--unit=plant" in block:  # a person is slower than that
                    wait_until(lambda: "FLOAT32" in machine.run(PROBE, check=False).stdout.split("nearest to 60:\n")[-1].split("\n")[0], 60,
                               "the oven's controller")
            print(f"{time.monotonic() - began:6.1f} s  {heading}", flush=True)

        self.assertIn("FLOAT32 ABCD", re.search(r"nearest to 60:\n(.*)", said["Look at the device"]).group(1))
        made = said["Record, identify, calibrate"]
        self.assertIn("verdict: accept", made)
        self.assertAlmostEqual(float(re.search(r"time constants: ([\d.]+)", made).group(1)), 5.0, delta=0.5)
        self.assertAlmostEqual(float(re.search(r": ([\d.]+) ± [\d.]+ °C/%", made).group(1)), 0.8, delta=0.03)
        self.assertTrue(machine.exists("/root/oven.html"))
        states = [json.loads(line) for line in said["Run"].splitlines() if line.startswith("{")]
        self.assertEqual([state["stream"] for state in states], ["twins.oven.state"] * 3)
        anomaly = json.loads(next(line for line in said["See an alarm"].splitlines() if line.startswith("{")))
        self.assertEqual(anomaly["event"], "raised")
        self.assertIn("plc.temperature", anomaly["message"])
        self.assertLess(time.monotonic() - began, 600)


if __name__ == "__main__":
    unittest.main()
