"""The package on a fresh Debian: install, configure, run against a broker and a simulated device, watchdog, crash, wrong
configuration, reload, upgrade, remove, purge. One machine, one story: each step begins where the one before has ended.

usage: test_installed.py   with TWINKEEPER_PACKAGE, the .deb, and TWINKEEPER_ROOTS, where the root file systems are kept
"""
import json
import os
import re
import sqlite3
import subprocess
import tempfile
import unittest

from machine import Machine, make_root
from rig.waiting import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PACKAGE = os.environ["TWINKEEPER_PACKAGE"]
ROOTS = os.environ["TWINKEEPER_ROOTS"]
SUITE = os.environ.get("TWINKEEPER_SUITE", "bookworm")
BROKER = """listener 8883 127.0.0.1
cafile /etc/mosquitto/pki/ca.crt
certfile /etc/mosquitto/pki/server.crt
keyfile /etc/mosquitto/pki/server.key
require_certificate true
use_identity_as_username true
"""
SUBSCRIBE = ("mosquitto_sub -h localhost -p 8883 --cafile /etc/mosquitto/pki/ca.crt --cert /etc/mosquitto/pki/subscriber.crt "
             "--key /etc/mosquitto/pki/subscriber.key")
CONFIGURATION = "/etc/twinkeeper/twinkeeper.yaml"


def configuration():
    """That of the demo, with the files where an installed gateway has them."""
    with open(os.path.join(ROOT, "config", "demo.yaml"), encoding="utf-8") as file:
        return file.read().replace("${DEMO_DIRECTORY:-/var/lib/twinkeeper}/pki", "pki")


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.machine = Machine(make_root(ROOTS, SUITE))
        cls.addClassCleanup(cls.machine.end)
        cls.machine.boot()
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)

    def run_inside(self, command, **more):
        return self.machine.run(command, **more).stdout.strip()

    def property(self, name):
        return self.run_inside(f"systemctl show -P {name} twinkeeper")

    def until(self, condition, what, within_s=15):
        try:
            return wait_until(condition, within_s, what)
        except AssertionError as error:
            self.fail(f"{error}\n{self.run_inside('systemctl status twinkeeper; journalctl -u twinkeeper | tail -40', check=False)}")

    def until_active(self, other_than=None):
        def active():
            pid = self.property("MainPID")
            return pid if self.property("ActiveState") == "active" and pid != other_than else None
        return self.until(active, "an active service")

    def message(self, topic):
        """The next one of a topic that is not retained."""
        return json.loads(self.run_inside(f"{SUBSCRIBE} -R -C 1 -W 15 -t '{topic}'"))

    def epoch(self):
        return self.message("twinkeeper/demo-gw1/twins/tanks/state")["id"].split("/")[2]

    def waiting(self):
        """Messages in the spool."""
        status = json.loads(self.run_inside(f"twinkeeper spool status --json --config {CONFIGURATION}"))
        return sum(stream["messages"] for stream in status["streams"])

    def repacked(self, version):
        """The same package under another version, with another file of configuration in it."""
        folder = os.path.join(self.folder.name, "repacked")
        subprocess.run(["dpkg-deb", "-R", PACKAGE, folder], check=True)
        control = os.path.join(folder, "DEBIAN", "control")
        with open(control, encoding="utf-8") as file:
            lines = [f"Version: {version}\n" if line.startswith("Version:") else line for line in file]
        with open(control, "w", encoding="utf-8") as file:
            file.writelines(lines)
        with open(folder + CONFIGURATION, "a", encoding="utf-8") as file:
            file.write("# of the new version\n")
        package = os.path.join(self.folder.name, f"twinkeeper_{version}.deb")
        subprocess.run(["dpkg-deb", "-b", "--root-owner-group", folder, package], check=True, capture_output=True)
        return package

    # The story -------------------------------------------------------------------------------------------------------

    def test_1_install(self):
        self.machine.put(PACKAGE, "/var/tmp/twinkeeper.deb")
        told = self.run_inside("dpkg -i /var/tmp/twinkeeper.deb")
        self.assertIn("not started", told)
        self.assertIn("twinkeeper check", told)
        self.assertEqual(self.property("ActiveState"), "inactive")
        self.assertEqual(self.property("UnitFileState"), "disabled")
        self.assertEqual(self.run_inside("stat -c '%a %U %G' /etc/twinkeeper /etc/twinkeeper/pki /etc/twinkeeper/twinkeeper.yaml"),
                         "750 root twinkeeper\n750 root twinkeeper\n640 root twinkeeper")
        self.assertEqual(self.run_inside("systemd-analyze verify --man=no twinkeeper.service 2>&1 | grep twinkeeper", check=False), "")
        self.run_inside("test -s /usr/share/man/man1/twinkeeper.1.gz")
        self.run_inside("twinkeeper version")

    def test_2_exposure(self):
        self.run_inside("systemd-analyze security --no-pager --threshold=13 twinkeeper")
        # With each of the drop-ins it is still a unit.
        for name in self.run_inside("cd /usr/share/doc/twinkeeper/examples; ls *.conf").split():
            self.run_inside(f"mkdir -p /run/systemd/system/twinkeeper.service.d; cp /usr/share/doc/twinkeeper/examples/{name} "
                            "/run/systemd/system/twinkeeper.service.d; systemctl daemon-reload")
            self.assertEqual(self.run_inside("systemd-analyze verify --man=no twinkeeper.service 2>&1 | grep twinkeeper", check=False), "")
            self.run_inside("systemd-analyze security --no-pager --threshold=14 twinkeeper; rm -r /run/systemd/system/twinkeeper.service.d; "
                            "systemctl daemon-reload")

    def test_2_unconfigured(self):
        self.machine.run("systemctl start twinkeeper", check=False)
        self.assertEqual(self.property("ExecMainStatus"), "78")
        self.assertEqual(self.property("ActiveState"), "failed")
        self.assertEqual(self.property("NRestarts"), "0")
        self.assertIn(CONFIGURATION, self.run_inside("journalctl -u twinkeeper"))

    def test_3_runs(self):
        pki = os.path.join(self.folder.name, "pki")
        subprocess.run([os.path.join(ROOT, "scripts", "make-pki"), pki], check=True, capture_output=True)
        self.run_inside("mkdir -p /etc/mosquitto/pki")
        for name in ("ca.crt", "server.crt", "server.key", "subscriber.crt", "subscriber.key"):
            self.machine.put(os.path.join(pki, name), "/etc/mosquitto/pki/" + name)
        for name in ("ca.crt", "gateway.crt", "gateway.key"):
            self.machine.put(os.path.join(pki, name), "/etc/twinkeeper/pki/" + name)
        self.run_inside("chown -R mosquitto /etc/mosquitto/pki; chown root:twinkeeper /etc/twinkeeper/pki/*; "
                        "chmod 440 /etc/twinkeeper/pki/*")
        self.machine.write("/etc/mosquitto/conf.d/tls.conf", BROKER)
        self.run_inside("systemctl unmask mosquitto; systemctl start mosquitto")
        self.machine.put(os.path.join(ROOT, "config", "models", "two_tank.yaml"), "/etc/twinkeeper/models/two_tank.yaml")
        self.machine.write(CONFIGURATION, configuration())
        self.run_inside(f"systemd-run --unit=device twinkeeper simulate --config {CONFIGURATION}")
        self.run_inside(f"twinkeeper check --config {CONFIGURATION}")
        self.run_inside("systemctl enable --now twinkeeper")
        pid = self.until_active()
        self.assertEqual(self.message("twinkeeper/demo-gw1/twins/tanks/state")["schema"].split("/")[0], "twinkeeper.state")
        self.assertEqual(self.run_inside("stat -c '%U %a' /var/lib/twinkeeper"), "twinkeeper 750")
        # The sandbox keeps the service from asking the kernel itself.
        self.assertEqual(self.message("twinkeeper/demo-gw1/twins/tanks/state")["clock_synced"],
                         self.run_inside("timedatectl show -p NTPSynchronized --value") == "yes")
        self.assertNotIn("nobody says whether the clock is set", self.run_inside("journalctl -u twinkeeper"))
        rss_kb = dict(re.findall(r"(VmRSS|RssAnon):\s*(\d+)", self.run_inside(f"cat /proc/{pid}/status")))
        self.assertLessEqual(int(rss_kb["VmRSS"]), 18 << 10)
        self.assertLessEqual(int(rss_kb["RssAnon"]), 6 << 10)

    def doctor(self, code):
        """What is not well but for the clock, which is the host's, and what the demo's configuration is warned of."""
        done = self.machine.run(f"twinkeeper doctor --json --config {CONFIGURATION}", check=False)
        self.assertEqual(done.returncode, code, done.stdout)
        document = json.loads(done.stdout)
        self.assertEqual(document["account"], "twinkeeper")
        return [f for f in document["findings"] if f["state"] != "ok" and f["id"] != "clock"
                and (f["id"], f["state"]) != ("configuration", "warning")]

    def test_3_runs_then_doctor(self):
        self.assertEqual(self.doctor(code=0), [])
        # A key as root has it by default is of no use to the service.
        self.run_inside("chown root:root /etc/twinkeeper/pki/gateway.key; chmod 600 /etc/twinkeeper/pki/gateway.key")
        found = self.doctor(code=77)
        self.assertEqual([(f["id"], f["cause"]) for f in found], [("key", "not_readable")])
        self.run_inside(found[0]["mend"])
        self.assertEqual(self.doctor(code=0), [])
        # Of what an older run as root has left, too.
        self.run_inside("touch /var/lib/twinkeeper/left; chmod 600 /var/lib/twinkeeper/left")
        found = self.doctor(code=74)
        self.assertEqual([f["id"] for f in found], ["state_files"])
        self.run_inside(found[0]["mend"] + " && rm /var/lib/twinkeeper/left")
        self.assertEqual(self.doctor(code=0), [])

    def test_4_crash(self):
        before = self.until_active()
        self.run_inside(f"kill -SEGV {before}")
        self.until_active(other_than=before)
        self.assertEqual(self.property("NRestarts"), "1")

    def test_5_watchdog(self):
        self.run_inside("mkdir -p /etc/systemd/system/twinkeeper.service.d; printf '[Service]\\nWatchdogSec=2\\nTimeoutAbortSec=1\\n' > "
                        "/etc/systemd/system/twinkeeper.service.d/quick.conf; systemctl daemon-reload; systemctl restart twinkeeper")
        before = self.until_active()
        self.run_inside(f"kill -STOP {before}")
        self.until_active(other_than=before)
        self.assertIn("Watchdog timeout", self.run_inside("journalctl -u twinkeeper"))
        self.run_inside("rm -r /etc/systemd/system/twinkeeper.service.d; systemctl daemon-reload; systemctl restart twinkeeper")
        self.until_active()

    def test_6_reload(self):
        before = self.until_active()
        self.machine.write(CONFIGURATION, configuration().replace("state_interval: 200ms", "state_interval: 500ms"))
        self.run_inside("systemctl reload twinkeeper")
        self.assertEqual(self.until_active(), before)
        self.message("twinkeeper/demo-gw1/twins/tanks/state")
        # One with a fault is not taken, and the old one runs on.
        self.machine.write(CONFIGURATION, "gateway: {}\n")
        self.machine.run("systemctl reload twinkeeper", check=False)
        self.message("twinkeeper/demo-gw1/twins/tanks/state")
        self.assertEqual(self.until_active(), before)
        self.machine.run("systemctl restart twinkeeper", check=False)
        self.assertEqual((self.property("ExecMainStatus"), self.property("ActiveState")), ("78", "failed"))
        self.machine.write(CONFIGURATION, configuration())
        self.run_inside("systemctl restart twinkeeper")
        self.until_active()

    def test_6_real_time(self):
        before = self.until_active()
        self.run_inside("mkdir -p /etc/systemd/system/twinkeeper.service.d; cp /usr/share/doc/twinkeeper/examples/real-time.conf "
                        "/etc/systemd/system/twinkeeper.service.d; systemctl daemon-reload; systemctl restart twinkeeper")
        pid = self.until_active(other_than=before)
        self.message("twinkeeper/demo-gw1/twins/tanks/state")
        threads = dict(line.split(None, 1) for line in self.run_inside(f"ps -L -o comm=,cls=,rtprio= -p {pid}").splitlines())
        for name, expected in {"twins": "FF 20", "device-0": "FF 20", "spool": "TS -", "uplink": "TS -", "checkpoints": "TS -"}.items():
            self.assertEqual(threads[name].split(), expected.split(), name)
        # Where systemd itself may not raise the limit, the service says so and runs on; a kernel of its own: tests/guest.
        unlimited = self.run_inside(f"awk '/^Max locked memory/ {{print $4}}' /proc/{pid}/limits") == "unlimited"
        self.assertEqual(int(self.run_inside(f"awk '/^VmLck/ {{print $2}}' /proc/{pid}/status")) > 1000, unlimited)
        self.assertIn("memory is locked" if unlimited else "memory can't be locked", self.run_inside("journalctl -u twinkeeper"))
        # What is heavy is done outside of real time: a reload still works.
        self.run_inside("systemctl reload twinkeeper")
        self.assertEqual(self.until_active(), pid)
        self.run_inside("rm -r /etc/systemd/system/twinkeeper.service.d; systemctl daemon-reload; systemctl restart twinkeeper")
        self.until_active(other_than=pid)

    def test_7_upgrade(self):
        self.run_inside("systemctl reset-failed twinkeeper")  # nobody else restarts it so often
        before = self.until_active()
        epoch = self.epoch()
        self.run_inside("systemctl stop mosquitto")
        self.until(lambda: self.waiting() > 20, "messages to wait")
        self.machine.put(self.repacked("0.1.1-1"), "/var/tmp/newer.deb")
        self.run_inside("dpkg -i --force-confold /var/tmp/newer.deb")
        self.until_active(other_than=before)
        self.assertGreater(self.waiting(), 20, "what waited before the upgrade")
        self.run_inside("systemctl start mosquitto")
        self.until(lambda: self.waiting() < 10, "them to be acknowledged", 60)
        with open(self.machine.root + CONFIGURATION, encoding="utf-8") as file:
            self.assertEqual(file.read(), configuration())
        self.assertTrue(self.machine.exists(CONFIGURATION + ".dpkg-dist"))
        self.assertGreater(int(self.epoch()), int(epoch))
        self.assertEqual(self.property("UnitFileState"), "enabled")
        self.assertIn("goes on from its checkpoint", self.run_inside("journalctl -u twinkeeper"))

    def test_7_upgrade_and_back(self):
        before = self.until_active()
        self.run_inside("dpkg -i --force-downgrade --force-confold /var/tmp/twinkeeper.deb")
        self.until_active(other_than=before)
        self.message("twinkeeper/demo-gw1/twins/tanks/state")
        # Had the newer version had another spool, the older one would leave it alone, and not try for ever.
        self.run_inside("systemctl stop twinkeeper")
        with sqlite3.connect(self.machine.root + "/var/lib/twinkeeper/spool.db") as spool:
            spool.execute("PRAGMA user_version=7")
        spool.close()
        self.machine.run("systemctl start twinkeeper", check=False)
        self.assertEqual((self.property("ExecMainStatus"), self.property("ActiveState")), ("78", "failed"))
        self.run_inside(f"twinkeeper reset --yes --config {CONFIGURATION}; systemctl start twinkeeper")
        self.until_active()
        self.message("twinkeeper/demo-gw1/twins/tanks/state")
        self.assertEqual(self.run_inside("find /var/lib/twinkeeper ! -user twinkeeper"), "")

    def test_7_upgrade_then_backup(self):
        """By root, while it runs; what comes back belongs to the service again."""
        self.run_inside(f"twinkeeper backup --config {CONFIGURATION} --with-keys --output /root/gateway.tar")
        self.run_inside("systemctl stop twinkeeper; rm -r /var/lib/twinkeeper/* /etc/twinkeeper/models/*; "
                        f"twinkeeper restore --config {CONFIGURATION} --input /root/gateway.tar; systemctl start twinkeeper")
        self.until_active()
        self.message("twinkeeper/demo-gw1/twins/tanks/state")
        self.assertEqual(self.run_inside("find /var/lib/twinkeeper ! -user twinkeeper"), "")
        self.assertEqual(self.run_inside("stat -c '%a %U %G' /etc/twinkeeper/models/two_tank.yaml"), "640 root twinkeeper")

    def test_8_remove(self):
        self.run_inside("dpkg -r twinkeeper")
        self.assertFalse(self.machine.exists("/usr/bin/twinkeeper"))
        self.assertEqual(self.run_inside("pgrep -x -u twinkeeper twinkeeper", check=False), "")
        self.run_inside("test -s /var/lib/twinkeeper/spool/spool.db -o -s /var/lib/twinkeeper/spool.db")
        self.assertTrue(self.machine.exists(CONFIGURATION))

    def test_9_purge(self):
        self.run_inside("dpkg -P twinkeeper")
        for path in ("/var/lib/twinkeeper", "/etc/twinkeeper", "/etc/systemd/system/multi-user.target.wants/twinkeeper.service"):
            self.assertFalse(self.machine.exists(path), path)


if __name__ == "__main__":
    unittest.main(failfast=True)
