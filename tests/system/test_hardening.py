"""The steps of docs/hardening.md that a machine in namespaces can follow, with the commands as they stand there.

usage: test_hardening.py   with TWINKEEPER_PACKAGE, the .deb, and TWINKEEPER_ROOTS, where the root file systems are kept
"""
import json
import os
import re
import subprocess
import tempfile
import unittest

from machine import Machine, make_root
from rig.pki import Pki
from rig.waiting import wait_until
from test_installed import CONFIGURATION, PACKAGE, ROOT, ROOTS, SUITE, configuration

with open(os.path.join(ROOT, "docs", "hardening.md"), encoding="utf-8") as file:
    PAGE = file.read()
LISTENER = """listener 8884 127.0.0.1
cafile /root/pki/ca.crt
certfile /root/pki/server.crt
keyfile /root/pki/server.key
require_certificate true
use_identity_as_username true
acl_file /root/pki/acl
user root
"""


def block(beginning):
    """A block of code of the page, by its first words."""
    return next(text for text in re.findall(r"^```\n(.*?)^```", PAGE, re.M | re.S) if text.startswith(beginning))


class Hardening(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        pki = Pki(os.path.join(cls.folder.name, "pki"))
        for name in ("line3-gw1", "historian", "control-room"):
            pki.issue(name, name)
        cls.machine = Machine(make_root(ROOTS, SUITE))
        cls.addClassCleanup(cls.machine.end)
        cls.machine.boot()
        cls.machine.put(PACKAGE, "/root/twinkeeper.deb")
        cls.machine.run("dpkg -i /root/twinkeeper.deb; useradd anna; useradd bob; mkdir /root/pki")
        for name in os.listdir(pki.folder):
            cls.machine.put(pki.path(name), "/root/pki/" + name)
        cls.machine.put(os.path.join(ROOT, "config", "models", "two_tank.yaml"), "/etc/twinkeeper/models/two_tank.yaml")
        cls.machine.write(CONFIGURATION, configuration())

    def follow(self, command, check=True):
        """One that the page gives."""
        self.assertIn(command, PAGE.replace("\\|", "|"))
        return self.machine.run("cd /root/pki; " + command, check=check).stdout.strip()

    def by(self, user, command):
        done = self.machine.run(f"runuser -u {user} -- {command}", check=False)
        return done.returncode, done.stdout

    def check(self):
        return self.follow("runuser -u twinkeeper -- twinkeeper check --config /etc/twinkeeper/twinkeeper.yaml "
                           ">/dev/null; echo $?")

    def restart(self):
        """It needs neither broker nor device to be active."""
        self.machine.run("systemctl restart twinkeeper")
        self.assertEqual(self.machine.run("systemctl is-active twinkeeper").stdout.strip(), "active")

    # In the order of the page ----------------------------------------------------------------------------------------

    def test_03_users_and_keys(self):
        self.follow("install -o twinkeeper -g twinkeeper -m 0400 gateway.key /etc/twinkeeper/pki/")
        self.follow("install -o root -g twinkeeper -m 0440 gateway.crt ca.crt /etc/twinkeeper/pki/")
        self.machine.run("usermod -aG twinkeeper anna")
        self.assertEqual(self.follow("stat -c '%a %U:%G' /etc/twinkeeper/pki /etc/twinkeeper/pki/gateway.key"),
                         "750 root:twinkeeper\n400 twinkeeper:twinkeeper")
        self.assertEqual(self.check(), "0")
        self.restart()
        self.assertEqual(self.by("anna", "twinkeeper alarms")[0], 0)
        self.assertEqual(self.by("bob", "twinkeeper alarms")[0], 77)
        # What the page warns of, and that a key of the service's user alone helps.
        key = "/etc/twinkeeper/pki/gateway.key"
        self.assertNotEqual(self.by("anna", f"cat {key}")[0], 0)
        self.machine.run(f"chmod 440 {key}")
        self.assertIn("PRIVATE KEY", self.by("anna", f"cat {key}")[1])
        self.assertNotEqual(self.by("bob", f"cat {key}")[0], 0)
        self.machine.run(f"chmod 400 {key}")
        # What the service may not read is found as the service.
        self.machine.run(f"chown root {key}")
        self.assertEqual(self.check(), "77")
        self.machine.run(f"chown twinkeeper {key}")
        for line in self.follow("dpkg -V twinkeeper").splitlines():
            self.assertIn(CONFIGURATION, line)

    def test_05_sandbox(self):
        self.assertEqual(self.follow("ss -tulpnH | grep twinkeeper", check=False), "")
        self.assertEqual(self.follow("systemd-analyze security --threshold=14 twinkeeper >/dev/null; echo $?"), "0")
        self.assertEqual(self.follow("systemctl show -p MemoryMax -p TasksMax -p LimitCORE twinkeeper").split(),
                         ["MemoryMax=268435456", "TasksMax=128", "LimitCORE=0"])
        self.follow("mkdir -p /etc/systemd/system/twinkeeper.service.d")
        self.follow("cp /usr/share/doc/twinkeeper/examples/site-addresses.conf "
                    "/etc/systemd/system/twinkeeper.service.d/")
        self.follow("systemctl daemon-reload && systemctl restart twinkeeper")
        told = self.follow("systemctl show -p IPAddressAllow -p IPAddressDeny twinkeeper")
        self.assertIn("198.51.100.7/32", told)
        self.assertNotIn("0.0.0.0/1", told)

    def test_06_firewall(self):
        rules = block("flush ruleset").replace('"twinkeeper"', '"nobody"')  # a user that is here, too
        done = subprocess.run(["unshare", "--net", "nft", "-f", "-"], input=rules, capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_08_broker(self):
        self.machine.write("/root/pki/acl", block("pattern write"))
        self.machine.write("/root/pki/broker.conf", LISTENER)
        self.machine.run("systemd-run --unit=broker mosquitto -c /root/pki/broker.conf")

        def say(who, topic):
            certificate = f"--cert {who}.crt --key {who}.key" if who else ""
            done = self.machine.run("cd /root/pki; mosquitto_pub -V 5 -q 1 -h localhost -p 8884 --cafile ca.crt "
                                    f"{certificate} -t {topic} -m x", check=False)
            if done.returncode != 0:
                return "no connection"
            return "refused" if "Not authorized" in done.stderr else "taken"
        wait_until(lambda: say("line3-gw1", "twinkeeper/line3-gw1/status") == "taken", 10, "the broker")
        for stream in ("metrics", "anomaly", "backlog", "gap", "devices/plc/info", "twins/tanks/state", "response/c1"):
            self.assertEqual(say("line3-gw1", "twinkeeper/line3-gw1/" + stream), "taken")
        self.assertEqual(say("line3-gw1", "twinkeeper/line3-gw2/status"), "refused")
        self.assertEqual(say("line3-gw1", "twinkeeper/line3-gw1/command/write"), "refused")
        self.assertEqual(say("historian", "twinkeeper/line3-gw1/command/write"), "refused")
        self.assertEqual(say("control-room", "twinkeeper/line3-gw1/command/write"), "taken")
        self.assertEqual(say("control-room", "twinkeeper/line3-gw2/command/write"), "refused")
        self.assertEqual(say(None, "twinkeeper/line3-gw1/status"), "no connection")

    def test_09_updates(self):
        """A library that was replaced under the service is found, and gone with a restart."""
        replaced = r"grep -c '\.so.*(deleted)' /proc/$(systemctl show -P MainPID twinkeeper)/maps"
        self.assertEqual(self.follow(replaced, check=False), "0")
        self.machine.run("file=$(readlink -f /usr/lib/*/libyaml-cpp.so.0.7); cp $file $file.new; mv $file.new $file")
        self.assertGreater(int(self.follow(replaced, check=False)), 0)
        self.restart()
        self.assertEqual(self.follow(replaced, check=False), "0")

    def test_11_trail(self):
        self.assertEqual(self.by("anna", "twinkeeper reload --config " + CONFIGURATION)[0], 0)
        trail = self.machine.run("cat /var/lib/twinkeeper/commands.log").stdout
        trail = [json.loads(line) for line in trail.splitlines()]
        self.assertEqual([line["number"] for line in trail], list(range(1, len(trail) + 1)))
        self.assertEqual({line["by"] for line in trail}, {"anna"})

    def test_12_backup(self):
        kept = "/etc/twinkeeper/pki/gateway.key /etc/twinkeeper/twinkeeper.yaml /var/lib/twinkeeper/commands.log"
        seen = f"sha256sum {kept}; stat -c '%a %U:%G' /etc/twinkeeper /etc/twinkeeper/pki /var/lib/twinkeeper {kept}"
        trail = len(self.machine.run(f"cat {kept.split()[2]}").stdout.splitlines())
        self.machine.run("chown twinkeeper:twinkeeper /etc/twinkeeper/pki/gateway.key; chmod 400 /etc/twinkeeper/pki/gateway.key; "
                         f"chmod 640 {CONFIGURATION}")
        self.machine.run(re.search(r"^    (twinkeeper backup .*)$", PAGE, re.M)[1])
        before = self.machine.run(seen).stdout
        back = re.search(r"^    systemctl stop twinkeeper\n((?:    .*\n)+)", PAGE, re.M)[1]
        self.machine.run("systemctl stop twinkeeper; rm -r /etc/twinkeeper /var/lib/twinkeeper; systemd-tmpfiles --create twinkeeper.conf")
        for command in back.splitlines():
            self.machine.run(command.strip())
        self.assertEqual(len(self.machine.run(f"cat {kept.split()[2]}").stdout.splitlines()), trail + 1)
        self.machine.run(f"sed -i '$d' {kept.split()[2]}")  # the line about it
        self.assertEqual(self.machine.run(seen).stdout, before)
        self.assertEqual(self.check(), "0")
        self.restart()


if __name__ == "__main__":
    unittest.main(failfast=True)
