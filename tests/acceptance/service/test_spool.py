"""What waits in the spool: looked into and purged, while the service runs and while it does not, on a disk that is full."""
import json
import os
import re
import subprocess
import time

from rig import RigTestCase, main, wait_until
from rig.case import SAMPLES, STATE
from rig.service import command
from rig.waiting import let_run


class Spool(RigTestCase):
    def spool(self, *arguments, expected=0):
        done = command("spool", *arguments, "--config", self.configuration)
        self.assertEqual(done.returncode, expected, f"spool {arguments}: {done.stdout}{done.stderr}")
        return done

    def status(self):
        return json.loads(self.spool("status", "--json").stdout)

    def waiting(self, stream):
        return next((s["messages"] for s in self.status()["streams"] if s["stream"] == stream), 0)

    def export(self, *arguments):
        return [json.loads(line) for line in self.spool("export", *arguments).stdout.splitlines()]

    def test_status_and_export_while_the_service_stores(self):
        self.start_line()
        done = command("spool", "status", "--config", self.configuration)
        self.assertEqual(done.returncode, 66, done.stderr)
        self.assertIn("spool.db is not there", done.stderr)
        self.daemon.start()
        self.wait_for_mode("tracking", 60)
        self.broker.stop()
        wait_until(lambda: self.waiting(STATE) > 20, 30, "states in the spool")
        log = os.path.join(self.folder, "state", "spool.db-wal")
        looks, counts, largest = 0, [], 0
        began = time.monotonic()
        while time.monotonic() - began < 15:
            counts.append(self.waiting(STATE))
            exported = self.export("--stream", STATE)
            numbers = [m["seq"] for m in exported]
            self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "whole and in order")
            self.assertTrue(all(m["replay"] and m["stream"] == STATE for m in exported))
            looks += 1
            largest = max(largest, os.path.getsize(log))
        self.assertGreater(looks, 10)
        self.assertEqual(counts, sorted(counts))
        self.assertGreater(counts[-1] - counts[0], 100, "the service stored while it was looked at")
        self.assertLess(largest, 4 << 20, "the log is not pinned")
        everything = self.export()
        self.assertEqual({m["stream"] for m in everything} & {STATE, SAMPLES}, {STATE, SAMPLES})
        recent = self.export("--since", "3s")
        self.assertTrue(0 < len(recent) < len(everything))
        told = self.spool("status").stdout
        self.assertIn(f"  {STATE} (state): ", told)
        refused = self.spool("purge", "--all", "--yes", expected=69).stderr
        self.assertIn("in use by another process; accepted: the control socket of the service", refused)
        self.broker.start()
        wait_until(lambda: sum(s["messages"] for s in self.status()["streams"]) < 20, 90, "the backlog to be drained")
        self.daemon.stop()
        self.check_no_sequence_missing()
        self.check_envelopes()
        self.check_schemas()

    def test_purge_is_told(self):
        self.start_line()
        self.broker.stop()
        self.daemon.start()
        wait_until(lambda: self.waiting(STATE) > 30, 60, "states in the spool")
        self.daemon.stop()
        for arguments in ((), ("--all", "--stream", STATE)):
            self.spool("purge", "--yes", *arguments, expected=64)
        self.assertIn("--yes", self.spool("purge", "--all", expected=64).stderr)
        before = self.status()
        states = {m["seq"] for m in self.export("--stream", STATE)}
        output = os.path.join(self.folder, "kept.jsonl")
        self.spool("export", "--output", output)
        with open(output, encoding="utf-8") as kept:
            self.assertEqual(len(kept.readlines()), before["messages"])
        said = self.spool("purge", "--stream", STATE, "--yes").stdout
        self.assertIn(f"purged {len(states)} messages", said)
        after = self.status()
        self.assertEqual(after["messages"], before["messages"] - len(states))
        self.assertEqual(after["epoch"], before["epoch"], "a tool begins no epoch")
        self.assertEqual([(g["stream"], g["count"], g["reason"]) for g in after["gaps"]], [(STATE, len(states), "purged")])
        self.broker.start()
        wait_until(lambda: "Sending SUBACK" in self.broker.process.stderr(), 30, "the subscriber to be there again")
        self.daemon.start()
        wait_until(lambda: self.told_as("purged"), 60, "the purge to be told")
        self.assertEqual(self.told_as("purged"), {(before["epoch"], STATE): states})
        self.daemon.stop()
        self.check_schemas()

    def test_purge_while_the_service_runs(self):
        """The service does it itself, and tells what it has thrown away."""
        self.start_line()
        with open(self.configuration, encoding="utf-8") as file:
            text = file.read().replace("gateway: {", f"gateway: {{control_socket: {os.path.join(self.folder, 'control')}, ")
        self.daemon = self.make_daemon(self.write_configuration(text))
        self.daemon.start()
        self.wait_for_mode("tracking", 60)
        epoch = self.status()["epoch"]
        self.broker.stop()
        wait_until(lambda: self.waiting(STATE) > 50, 60, "states in the spool")
        said = self.spool("purge", "--stream", STATE, "--yes").stdout
        count = int(re.fullmatch(r"purged (\d+) messages and 0 that had been set aside\n", said)[1])
        self.assertGreater(count, 50)
        self.assertLess(self.waiting(STATE), 50)
        self.assertGreater(self.waiting(SAMPLES), 0)
        self.broker.start()
        wait_until(lambda: self.told_as("purged"), 60, "the purge to be told")
        lost = self.told_as("purged")
        self.assertEqual({key: len(numbers) for key, numbers in lost.items()}, {(epoch, STATE): count})
        wait_until(lambda: self.status()["messages"] < 20, 90, "the backlog to be drained")
        self.daemon.stop()
        arrived = self.sequences()[(epoch, STATE)]
        self.assertEqual(arrived & lost[(epoch, STATE)], set(), "nothing is both delivered and told as lost")
        self.assertEqual(sorted(arrived | lost[(epoch, STATE)]), list(range(1, max(arrived) + 1)))
        with open(os.path.join(self.folder, "state", "commands.log"), encoding="utf-8") as trail:
            entry = json.loads(trail.read())
        self.assertEqual((entry["verb"], entry["result"], entry["subject"]), ("purge", "done", STATE))
        self.check_schemas()

    def test_full_disk(self):
        if os.geteuid() != 0:
            self.skipTest("mounting a small disk needs root")
        state = os.path.join(self.folder, "state")
        os.mkdir(state)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=0700", "tmpfs", state], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", state], check=False)
        self.start_line()
        self.daemon.start()
        self.wait_for_mode("tracking", 60)
        with open(os.path.join(state, "other"), "wb", buffering=0) as other:
            try:
                while True:
                    other.write(b"x" * 65536)
            except OSError:
                pass
        self.broker.stop()
        let_run(40, self.daemon.process, self.simulator.process)
        self.broker.start()

        def disk(event):
            return lambda m: m["anomaly"] == "gateway.disk" and m["event"] == event
        raised = self.arrives("anomaly", disk("raised"), 120, "the full disk to be told")
        self.assertIn("the disk is full", raised["message"])
        os.remove(os.path.join(state, "other"))
        self.arrives("anomaly", disk("cleared"), 150, "the end of it to be told")
        self.daemon.stop()
        lost = self.told_as("size")
        for (epoch, stream), arrived in self.sequences().items():
            known = arrived | lost.get((epoch, stream), set())
            self.assertEqual(sorted(set(range(1, max(arrived) + 1)) - known), [], f"{stream}: neither here nor told")
        self.check_steps_contiguous(self.epoch())
        told = [line for line in self.daemon.stderr().splitlines() if "disk" in line]
        self.assertLess(len(told), 6, f"no flood of lines: {told}")
        self.check_schemas()


if __name__ == "__main__":
    main()
