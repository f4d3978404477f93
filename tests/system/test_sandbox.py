"""Each directive of the unit's sandbox, tried from inside: the unit runs a probe in place of the service, and so does a
control without a sandbox. What comes out the same there as here is no evidence, so it must differ.

usage: test_sandbox.py   with TWINKEEPER_PACKAGE, the .deb, and TWINKEEPER_ROOTS, where the root file systems are kept
"""
import os
import unittest

from machine import Machine, make_root

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGE = os.environ["TWINKEEPER_PACKAGE"]
ROOTS = os.environ["TWINKEEPER_ROOTS"]
# The probe runs as root in both, so that it is the sandbox that says no, not the mode of a file.
PROBE_UNIT = """[Service]
Type=oneshot
Restart=no
User={user}
Group={user}
ExecStart=
ExecStart=/usr/bin/perl /usr/local/lib/probe.pl /var/lib/twinkeeper {key}
StandardOutput=file:/srv/inside-{user}
"""
CONTROL_UNIT = """[Service]
Type=oneshot
Environment=https_proxy=http://proxy.example
ExecStart=/usr/bin/perl /usr/local/lib/probe.pl /srv/probe 4712
StandardOutput=file:/srv/outside
"""
EXPECTED = {  # what was tried, within the sandbox; a set: one of them
    "NoNewPrivs": "1",
    "CapBnd": "0000000000000000",
    "Seccomp": "2",
    "create /usr/probe": "EROFS",
    "create /etc/probe": "EROFS",
    "create /var/lib/probe": "EROFS",
    "read /root/secret": {"EACCES", "ENOENT"},
    "read /home/secret": {"EACCES", "ENOENT"},
    "read /tmp/secret": "ENOENT",
    "create a group": "EROFS",
    "read /usr/lib/modules/secret": {"EACCES", "ENOENT"},
    "open a disk": "EPERM",
    "AF_NETLINK": "EAFNOSUPPORT",
    "AF_PACKET": "EAFNOSUPPORT",
    "send to 239.1.1.1": "EPERM",
    "open /dev/kmsg": "EACCES",
    "adjtimex that only reads": "EPERM",
    "write /proc/sys/net/core/somaxconn": "EROFS",
    "sethostname": "EPERM",
    "unshare users": "EPERM",
    "sched_setscheduler FIFO": "EPERM",
    "chmod u+s": "EPERM",
    "personality": "EPERM",
    "mmap write+execute": "EPERM",
    "setpriority": "EPERM",
    "mount": "EPERM",
    "a 32-bit program": {"signal 31", "EPERM"},
    "mode of a new file": "600",
    "core file": "0",
    "descriptors": "1024",
    "https_proxy": "none",
    "RES_OPTIONS": "timeout:2 attempts:2",
}
ELSEWHERE = {
    # test_installed.py
    "Type", "NotifyAccess", "ExecStart", "ExecReload", "WatchdogSec", "WatchdogSignal", "Restart", "RestartSec",
    "RestartPreventExitStatus", "StateDirectoryMode", "RuntimeDirectory", "RuntimeDirectoryMode", "ConfigurationDirectory",
    "ConfigurationDirectoryMode", "TimeoutStartSec", "TimeoutStopSec", "TimeoutAbortSec",
    "Group",  # with User
    "SystemCallErrorNumber",  # each EPERM above
    # They need controllers and adapters, which only a kernel of its own has: tests/guest
    "TasksMax", "MemoryMax", "DeviceAllow",
}
# What must go on working in there.
ALLOWED = {"create there": "done", "open /dev/null": "done", "AF_INET": "done", "AF_INET6": "done", "AF_UNIX": "done", "send to 127.0.0.1": "done"}


class Sandbox(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.machine = Machine(make_root(ROOTS))
        cls.addClassCleanup(cls.machine.end)
        cls.machine.boot()
        run = cls.machine.run
        cls.machine.put(PACKAGE, "/var/tmp/twinkeeper.deb")
        run("dpkg -i /var/tmp/twinkeeper.deb")
        cls.machine.put(os.path.join(HERE, "probe.pl"), "/usr/local/lib/probe.pl")
        run("mkdir -p /srv/probe /usr/lib/modules; for folder in /root /home /tmp /usr/lib/modules; do echo x > $folder/secret; done; "
            "mknod -m 666 /dev/probe-disk b 8 0")
        run("ip link set lo multicast on; ip route add 239.0.0.0/8 dev lo; mkdir /etc/systemd/system/twinkeeper.service.d; "
            "systemctl set-environment https_proxy=http://proxy.example")
        cls.machine.write("/etc/systemd/system/control.service", CONTROL_UNIT)
        run("systemctl daemon-reload; systemctl start control")
        cls.outside = cls.results("outside")
        cls.inside = cls.probe_as("root", 4710)
        cls.as_service = cls.probe_as("twinkeeper", 4711)

    @classmethod
    def probe_as(cls, user, key):
        cls.machine.write("/etc/systemd/system/twinkeeper.service.d/probe.conf", PROBE_UNIT.format(user=user, key=key))
        cls.machine.run("systemctl daemon-reload; systemctl start twinkeeper || (journalctl -u twinkeeper; false)")
        return cls.results(f"inside-{user}")

    @classmethod
    def results(cls, name):
        with open(f"{cls.machine.root}/srv/{name}", encoding="utf-8") as file:
            lines = [line.rstrip("\n").split("\t") for line in file]
        cls.probed = {directive for directive, _, _ in lines}
        return {tried: result for _, tried, result in lines}

    def test_what_is_denied_is_allowed_outside(self):
        for tried, expected in EXPECTED.items():
            with self.subTest(tried):
                self.assertIn(self.inside[tried], expected if isinstance(expected, set) else {expected})
                self.assertNotEqual(self.outside[tried], self.inside[tried], "the control finds the same: no evidence")

    def test_what_the_service_needs_is_allowed(self):
        for tried, expected in ALLOWED.items():
            with self.subTest(tried):
                self.assertEqual(self.inside[tried], expected)

    def test_other_users_processes_are_out_of_sight(self):
        self.assertEqual((self.as_service["look at process 1"], self.outside["look at process 1"]), ("ENOENT", "done"))

    def test_shared_memory_goes_with_the_service(self):
        self.assertEqual((self.as_service["shared memory"], self.outside["shared memory"]), ("made", "made"))
        left = self.machine.run("awk '{print $1}' /proc/sysvipc/shm").stdout.split()
        self.assertIn("4712", left)
        self.assertNotIn("4711", left)

    def test_mounts_are_its_own(self):
        self.assertNotEqual(self.inside["mount namespace"], self.machine.run("readlink /proc/1/ns/mnt").stdout.strip())
        self.assertNotEqual(self.inside["session keyring"], self.outside["session keyring"])

    def test_no_port_is_opened_where_systemd_can_forbid_it(self):
        able = "+BPF_FRAMEWORK" in self.machine.run("systemctl --version").stdout
        self.assertEqual(self.inside["bind port 18080"], "EPERM" if able else "done")
        self.assertEqual(self.outside["bind port 18080"], "done")

    def test_every_directive_is_probed(self):
        with open(self.machine.root + "/lib/systemd/system/twinkeeper.service", encoding="utf-8") as unit:
            service = unit.read().split("[Service]")[1].split("[Install]")[0]
        directives = {line.split("=")[0] for line in service.splitlines() if "=" in line and not line.startswith("#")}
        self.assertEqual(directives - self.probed - ELSEWHERE, set())
        self.assertEqual(self.as_service["user"], "twinkeeper")


if __name__ == "__main__":
    unittest.main()
