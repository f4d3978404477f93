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
        self.run_for(30)
        status = dict(re.findall(r"(VmRSS|RssAnon|Threads):\s*(\d+)", self.inside(f"cat /proc/{pid}/status")))
        print(f"demo after 30 s: RSS {status['VmRSS']} kB, RssAnon {status['RssAnon']} kB, "
              f"{status['Threads']} threads; cgroup {int(self.number('memory.current')) >> 10} kB", flush=True)

        # Real time: systemd gives it, though the unit itself may not take it.
        policies = self.policies()
        self.assertEqual(set(policies.values()), {("SCHED_OTHER", "0")})
        self.with_drop_in("CPUSchedulingPolicy=fifo", "CPUSchedulingPriority=20")
        self.until_active()
        self.live()
        self.assertEqual(self.property("RestrictRealtime"), "yes")
        self.assertEqual(set(self.policies().values()), {("SCHED_FIFO", "20")})
        self.assertGreater(len(self.policies()), 4)
        self.with_drop_in()
        self.until_active()
        self.assertEqual(set(self.policies().values()), {("SCHED_OTHER", "0")})

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
        self.check_nothing_lost()

    def policies(self):
        """{thread: (policy, priority)}"""
        found = {}
        told = self.inside("cd /proc/$(systemctl show -P MainPID twinkeeper)/task; for t in *; do chrt -p $t; done")
        for thread, value in re.findall(r"pid (\d+)'s current scheduling \S+: (\S+)", told):
            found[thread] = (*found.get(thread, ()), value)
        return found


if __name__ == "__main__":
    main()
