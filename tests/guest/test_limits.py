"""What the unit and drop-ins say of memory, tasks and scheduling, as the guest's kernel holds it."""
import os
import re

from case import GuestTestCase, main
from rig import configuration
from rig.pki import SOURCE

CGROUP = "/sys/fs/cgroup/system.slice/twinkeeper.service"


class Limits(GuestTestCase):
    def demo(self):
        with open(os.path.join(SOURCE, "config", "demo.yaml"), encoding="utf-8") as file:
            text = file.read()
        for here, there in (("${DEMO_DIRECTORY:-/var/lib/twinkeeper}/pki", "pki"), ("demo-gw1", configuration.GATEWAY),
                            ("localhost:${MQTT_PORT:-8883}", f"broker:{self.mqtt_port}"),
                            ("models/two_tank.yaml", "model.yaml")):
            self.assertIn(here, text)
            text = text.replace(here, there)
        return text

    def number(self, file):
        return self.inside(f"cat {CGROUP}/{file}")

    def check_contained(self, before, why):
        """The unit came to grief and was started again; nobody else was."""
        self.until_inside("[ $(systemctl show -P NRestarts twinkeeper) -ge 2 ]", f"restarts, {why}", 400)
        self.assertEqual(self.property("MainPID", "device"), before)
        self.with_drop_in()
        self.until_active()
        self.live()

    def test_limits(self):
        demo = self.demo()
        with open(os.path.join(SOURCE, "config", "models", "two_tank.yaml"), encoding="utf-8") as file:
            self.boot(demo, model=file.read())
        pid = self.until_active()
        self.live()
        device = self.property("MainPID", "device")

        # Those of the package's unit.
        self.assertEqual((self.number("memory.max"), self.number("pids.max")), (str(256 << 20), "128"))
        self.run_for(120)  # what is needed has come back by then
        status = dict(re.findall(r"(VmRSS|RssAnon|Threads):\s*(\d+)", self.inside(f"cat /proc/{pid}/status")))
        print(f"demo after 120 s: RSS {status['VmRSS']} kB, RssAnon {status['RssAnon']} kB, "
              f"{status['Threads']} threads; cgroup {int(self.number('memory.current')) >> 10} kB", flush=True)
        self.assertLessEqual(int(status["VmRSS"]), 18 << 10)
        self.assertLessEqual(int(status["RssAnon"]), 6 << 10)

        # Real time by the drop-in that comes with the package, though the unit itself may not take it (RestrictRealtime=).
        self.assertEqual(set(self.policies().values()), {"TS -"})
        with open(os.path.join(SOURCE, "packaging", "drop-ins", "real-time.conf"), encoding="utf-8") as file:
            self.with_drop_in(file.read())
        pid = self.until_active()
        self.live()
        policies = self.policies()
        print(f"real time: {policies}", flush=True)
        self.assertEqual(self.property("RestrictRealtime"), "yes")
        for name, expected in {"twins": "FF 20", "device-0": "FF 20", "spool": "TS -", "uplink": "TS -"}.items():
            self.assertEqual(policies[name], expected, name)
        self.assertGreater(int(self.inside(f"awk '/^VmLck/ {{print $2}}' /proc/{pid}/status")), 1000)
        self.with_drop_in()
        self.until_active()
        self.assertEqual(set(self.policies().values()), {"TS -"})

        # Too little of either ends the service and nothing else.
        self.with_drop_in("MemoryMax=3M", "MemorySwapMax=0")
        self.check_contained(device, "too little memory")
        journal = self.journal()
        self.assertIn("oom-kill", journal)
        killed = re.findall(r"Memory cgroup out of memory: Killed process \d+ \((\S+)\)", self.inside("dmesg"))
        self.assertTrue(killed and set(killed) == {"twinkeeper"}, killed)
        self.with_drop_in("TasksMax=4")
        self.until_inside(f"grep -qv '^max 0$' {CGROUP}/pids.events", "a refused task")
        self.check_contained(device, "too few tasks")
        self.assertIn("no further thread can be started (TasksMax=, ulimit -u)", self.journal())
        self.check_nothing_lost()

    def policies(self):
        """{thread: class and priority}"""
        told = self.inside("ps -L -o comm=,cls=,rtprio= -p $(systemctl show -P MainPID twinkeeper)")
        return {name: f"{policy} {priority}" for name, policy, priority in map(str.split, told.splitlines())}


if __name__ == "__main__":
    main()
