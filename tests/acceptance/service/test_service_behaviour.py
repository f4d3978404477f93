"""What systemd and an operator expect of a service."""
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time

from rig import RigTestCase, configuration, main, wait_until
from rig.case import STATE
from rig.frozen_threads import frozen_threads
from rig.ports import free_port
from rig.process import clean_environment
from rig.service import executable
from rig.waiting import let_run


class ServiceBehaviour(RigTestCase):
    def retained_status(self):
        """What a client that subscribes only now is told."""
        command = [shutil.which("mosquitto_sub"), "-h", "localhost", "-p", str(self.broker.port), "--cafile",
                   self.pki.path("ca.crt"), "--cert", self.pki.path("subscriber.crt"), "--key",
                   self.pki.path("subscriber.key"), "-t", f"{configuration.PREFIX}/status", "-C", "1", "-W", "20", "-F",
                   "%r %p"]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        flag, payload = done.stdout.split(" ", 1)
        self.assertEqual(flag, "1", "the status is retained")
        return json.loads(payload)

    def stop_timed(self):
        mark = len(self.notify.lines())
        began = time.monotonic()
        self.daemon.stop(deadline_s=20)
        self.assertLess(time.monotonic() - began, 10, "the stop takes less than 10 s")
        self.assertIn("STOPPING=1", self.notify.lines(mark))

    def test_sigterm_stops_in_order(self):
        self.start_line()
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "the twin to run")
        online = self.retained_status()
        self.assertEqual(online["state"], "online")
        self.assertEqual(online["reason"], "start")
        self.stop_timed()
        offline = self.retained_status()
        self.assertEqual((offline["state"], offline["reason"]), ("offline", "stop"))
        self.assertEqual(offline["session"], online["session"])
        self.check_no_sequence_missing()
        self.check_envelopes()
        self.check_schemas()

    def test_sigterm_without_broker(self):
        self.start_line()
        self.broker.stop()
        self.daemon.start()
        let_run(3, self.daemon.process)
        self.stop_timed()

    def test_will_speaks_for_a_killed_daemon(self):
        self.start_line()
        self.daemon.start()
        online = self.arrives("status", lambda m: m["state"] == "online", 60, "online")
        self.daemon.kill()
        will = self.arrives("status", lambda m: m["state"] == "offline", 30, "the last will")
        self.assertEqual((will["reason"], will["session"]), ("connection_lost", online["session"]))
        self.assertEqual(self.retained_status()["id"], will["id"])
        self.daemon.start()
        again = self.arrives("status", lambda m: m["epoch"] > online["epoch"], 60, "the next status")
        self.assertGreater(again["session"], will["session"], "a late will can be told from the new status")
        self.daemon.stop()
        self.check_envelopes()
        self.check_schemas()

    def test_sighup_keeps_or_takes_the_new_configuration(self):
        self.start_line()
        self.daemon.start()
        first = self.arrives(STATE, lambda m: m["step"] > 10, 60, "the twin to run")
        good = configuration.plant_with_twin(**self.values)

        mark = len(self.notify.lines())
        broken = good.replace("state_interval: 100ms", "state_interval: soon").replace("poll_interval", "pol_interval")
        self.assertNotEqual(broken, good)
        self.write_configuration(broken)
        self.daemon.hang_up()
        wait_until(lambda: "soon" in self.daemon.stderr() and "pol_interval" in self.daemon.stderr(), 30,
                   "every fault of the new configuration on stderr")
        self.assertRegex(self.daemon.stderr(), r"twinkeeper\.yaml:\d+:\d+: ")
        kept = self.subscriber.last(STATE)
        self.arrives(STATE, lambda m: m["epoch"] == first["epoch"] and m["step"] > kept["step"] + 20, 60,
                     "the old configuration to go on in the same epoch")
        wait_until(lambda: self.notify.lines(mark).count("RELOADING=1") == self.notify.lines(mark).count("READY=1"), 20,
                   "each RELOADING=1 to be followed by READY=1")

        mark = len(self.notify.lines())
        self.write_configuration(good.replace("state_interval: 100ms", "state_interval: 500ms"))
        self.daemon.hang_up()
        self.arrives("status", lambda m: m["reason"] == "reload" and m["epoch"] > first["epoch"]
                     and m["state"] != "offline", 60, "the status after the reload")
        wait_until(lambda: "READY=1" in self.notify.lines(mark), 20, "READY=1 after the reload")
        told = self.notify.lines(mark)
        self.assertIn("RELOADING=1", told)
        self.assertLess(told.index("RELOADING=1"), told.index("READY=1"))
        after = self.arrives(STATE, lambda m: m["epoch"] > first["epoch"] and m["seq"] == 3, 60, "the new interval")
        self.assertEqual(after["step"] % 5, self.subscriber.messages(STATE)[-1]["step"] % 5)
        self.daemon.stop()
        steps = [m["step"] for m in self.subscriber.messages(STATE) if m["epoch"] == after["epoch"]]
        self.assertEqual({b - a for a, b in zip(steps, steps[1:])}, {5}, "one state in 500 ms")
        self.check_steps_contiguous(first["epoch"])
        self.check_no_sequence_missing()
        self.check_envelopes()
        self.check_schemas()

    def reload_and_wait(self):
        """SIGHUP; returns what systemd was told."""
        mark = len(self.notify.lines())
        self.daemon.hang_up()
        wait_until(lambda: "READY=1" in self.notify.lines(mark), 30,
                   lambda: f"READY=1 after RELOADING=1\n{self.daemon.process.tail()}")
        self.assertIn("RELOADING=1", self.notify.lines(mark))

    def test_sighup_with_a_configuration_that_cannot_start(self):
        self.start_line()
        self.daemon.start()
        first = self.arrives(STATE, lambda m: m["step"] > 10, 60, "the twin to run")
        good = configuration.plant_with_twin(**self.values)
        keeps = {"without a broker": (good[:good.index("uplink:")] + good[good.index("spool:"):], ": uplink: "),
                 "state directory is a file": (good.replace("state_directory: state", "state_directory: tanks_model.yaml"),
                                               ": gateway.state_directory: "),
                 "more messages than its own limit": (
                     good.replace("profile: mqtt\n", "profile: mqtt\n  max_messages_per_second: 2\n"),
                     ": uplink.max_messages_per_second: ")}
        for name, (text, told) in keeps.items():
            with self.subTest(name):
                self.assertNotEqual(text, good)
                self.write_configuration(text)
                self.reload_and_wait()
                self.assertIn(told, self.daemon.stderr())
                kept = self.subscriber.last(STATE)
                self.arrives(STATE, lambda m: m["epoch"] == first["epoch"] and m["step"] > kept["step"] + 5, 60,
                             "the old configuration to go on in the same epoch")

        # What only the start itself can find: another process has the spool. The old configuration is started again.
        taken = os.path.join(self.folder, "taken")
        os.mkdir(taken)
        with open(os.path.join(taken, "spool.lock"), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.write_configuration(good.replace("state_directory: state", "state_directory: taken"))
            self.reload_and_wait()
            again = self.arrives(STATE, lambda m: m["epoch"] > first["epoch"] and m["step"] > 5, 60,
                                 "the old configuration to run again")
        self.daemon.stop()
        self.check_steps_contiguous(first["epoch"])
        self.check_steps_contiguous(again["epoch"])
        self.check_no_sequence_missing()
        self.check_envelopes()

    def test_journal_priorities_for_the_journal_alone(self):
        pki = self.make_pki()
        path = self.write_configuration(configuration.plant_with_twin(modbus_port=free_port(), mqtt_port=free_port(),
                                                                      pki=pki.folder))
        for matches, first in ((True, r"<6>service: twinkeeper .* runs "), (False, r"\d{4}-\d\d-\d\dT.* info service: ")):
            ours, theirs = os.pipe()
            with open(ours, encoding="utf-8") as lines:
                status = os.fstat(theirs)
                stream = f"{status.st_dev}:{status.st_ino + (0 if matches else 1)}"
                daemon = subprocess.Popen([executable(), "run", "--config", path], stderr=theirs,
                                          env=clean_environment({"JOURNAL_STREAM": stream}))
                os.close(theirs)
                try:
                    line = next(line for line in lines if "service: " in line)
                finally:
                    daemon.kill()
                    daemon.wait()
            self.assertRegex(line, "^" + first)

    def test_watchdog_and_status_lines(self):
        self.start_line()
        self.daemon = self.make_daemon(self.configuration, {"WATCHDOG_USEC": "4000000"})
        self.daemon.start()
        wait_until(lambda: len(self.notify.times("WATCHDOG=1")) >= 4, 30, "WATCHDOG=1 again and again")
        times = self.notify.times("WATCHDOG=1")
        self.assertLess(max(b - a for a, b in zip(times, times[1:])), 4.0)
        wait_until(lambda: any(re.match("STATUS=.", line) for line in self.notify.lines()), 30, "a STATUS= line")
        # A hung process must not be patted by anybody.
        self.daemon.process.send(signal.SIGSTOP)
        count = len(self.notify.times("WATCHDOG=1"))
        let_run(3, self.broker.process)
        self.assertLessEqual(len(self.notify.times("WATCHDOG=1")), count + 1)
        self.daemon.process.send(signal.SIGCONT)
        wait_until(lambda: len(self.notify.times("WATCHDOG=1")) > count + 1, 30, "WATCHDOG=1 to go on")
        self.daemon.stop()

    def test_each_thread_that_hangs_is_named_and_ends_the_watchdog(self):
        self.start_line()
        text = configuration.plant_with_twin(**self.values)
        path = self.write_configuration(text.replace("gateway: {", f"gateway: {{control_socket: {self.folder}/control, "))
        self.daemon = self.make_daemon(path, {"WATCHDOG_USEC": "4000000"})
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "the twin to run")
        # Stopped as by a debugger, one by one: the others run on.
        with frozen_threads(self.daemon.process.pid, ("twins", "device-0", "spool", "control", "uplink", "checkpoints")) as names:
            for name in names:
                wait_until(lambda name=name: f"the thread {name} does not answer" in self.daemon.stderr(), 150, f"{name} to be missed")
            count = len(self.notify.times("WATCHDOG=1"))
            let_run(5, self.daemon.process)
            self.assertEqual(len(self.notify.times("WATCHDOG=1")), count)
        wait_until(lambda: len(self.notify.times("WATCHDOG=1")) > count, 30, "WATCHDOG=1 to go on")
        for name in names:
            self.assertEqual(self.daemon.stderr().count(f"the thread {name} does not answer"), 1, "told once")
            wait_until(lambda name=name: f"the thread {name} answers again" in self.daemon.stderr(), 30, f"{name} to be back")
        self.daemon.stop()

    def test_no_watchdog_unless_asked(self):
        self.start_line()
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 20, 60, "the twin to run")
        self.assertEqual(self.notify.times("WATCHDOG=1"), [])
        self.daemon.stop()


if __name__ == "__main__":
    main()
