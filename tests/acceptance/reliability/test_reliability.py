"""Faults while hundreds of messages a second are made: what was stored arrives, or is told as lost.

As tests each run takes a few seconds; campaign.py runs the same cases as long as the figures in docs/reliability.md ask
for. Run it by in_namespace: the network is cut and small disks are mounted.
"""
import json
import os
import random
import signal
import subprocess
import time

from rig.ledger import Ledger
from rig import RigTestCase, main, wait_until
from rig import configuration
from rig.ports import free_port
from rig.waiting import let_run
from rig.wall_clock import WallClock

SECONDS = float(os.environ.get("TWINKEEPER_RELIABILITY_SECONDS", "6"))
KILLS = int(os.environ.get("TWINKEEPER_RELIABILITY_KILLS", "3"))
RATE = int(os.environ.get("TWINKEEPER_RELIABILITY_RATE", "100"))  # messages a second
TABLE = os.environ.get("TWINKEEPER_RELIABILITY_TABLE")            # a file that gets one line of JSON for each case
PERIOD_MS = 20
DRAIN_S = 120

MODEL = f"""\
model:
  name: one_tank
  version: 1
  type: state_space
  time: discrete
  sample_time: {PERIOD_MS / 1000}
  states: [{{name: level, unit: m, initial: 0.5, initial_std: 0.01}}]
  inputs: [{{name: pump, unit: V, nominal: 5, min: 4, max: 6}}]
  outputs: [{{name: level, unit: m, nominal: 0.5}}]
  A: [[0.999]]
  B: [[0.0001]]
  C: [[1]]
  D: [[0]]
  noise: {{Q: [[1.0e-8]], R: [[4.0e-6]]}}
  operating_point: {{x: [0.5], u: [5], y: [0.5]}}
"""


def plants(modbus_port, mqtt_port, pki, spool):
    """As many twins as make RATE states a second, each with a unit of its own behind one controller."""
    count = RATE * PERIOD_MS // 1000
    lines = ["gateway: {id: rig-gw1, state_directory: state}", "devices:"]
    for i in range(count):
        lines += [f"  - name: plc{i}", f"    controller: tcp://127.0.0.1:{modbus_port}", f"    slave_id: {i + 1}",
                  "    poll_interval: 100ms", "    timeout: 300ms", "    registers:",
                  "      - {name: level, register: holding, address: 0, type: FLOAT32, unit: m}",
                  "      - {name: pump, register: input, address: 10, type: FLOAT32, unit: V}"]
    lines.append("twins:")
    for i in range(count):
        lines += [f"  - name: tank{i}", f"    period: {PERIOD_MS}ms", "    model: one_tank.yaml",
                  f"    inputs: {{pump: plc{i}.pump}}", f"    outputs: {{level: plc{i}.level}}",
                  f"    publish: {{state_interval: {PERIOD_MS}ms}}"]
    text = "\n".join(lines) + "\n" + configuration.UPLINK_SECTION.format(
        host="localhost", profile="mqtt", mqtt_port=mqtt_port, pki=pki, uplink_extra="")
    return text[:text.index("spool:")] + f"spool: {spool}\n"


class Reliability(RigTestCase):
    def start(self, spool="{max_bytes: 256MiB, max_age: 1d}", environment=None):
        self.dice = random.Random(20261126)
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.ledger = Ledger()
        configuration.write(self.folder, MODEL, "one_tank.yaml")
        port = free_port()
        path = configuration.write(self.folder, plants(port, self.broker.port, self.pki.folder, spool))
        self.simulator = self.start_simulator(path, port, "--seed", "7")
        self.daemon = self.make_daemon(path, environment)
        self.state = os.path.join(self.folder, "state")
        os.makedirs(self.state, exist_ok=True)

    def read(self):
        return self.ledger.read(self.subscriber.process.stdout_path)

    def live(self, deadline_s=DRAIN_S):
        """Until something made after this call has arrived as live."""
        since = time.time() * 1000
        wait_until(lambda: self.read().newest_live_ms > since, deadline_s, "live data")

    def run_for(self, seconds):
        let_run(seconds, self.simulator.process)

    def prove(self, case, gaps=False):
        """Ends the run, starts the daemon once more to learn how far it had come, and balances the ledger."""
        self.live()
        if self.daemon.process.running():
            self.daemon.stop()
        ended = time.monotonic()
        self.daemon.start()

        def balanced():
            self.read()
            told_ends = self.ledger.ends
            return told_ends and max(told_ends) == self.last_epoch() and not self.ledger.missing()
        try:
            wait_until(balanced, DRAIN_S, "every stored message to arrive or to be told")
        except AssertionError:
            missing = {key: (len(lost), min(lost), max(lost)) for key, lost in self.ledger.missing().items()}
            self.fail(f"stored, neither received nor told: {missing}; ends of {sorted(self.ledger.ends)}, "
                      f"epochs {sorted({e for e, _ in self.ledger.received})}")
        drained = time.monotonic() - ended
        self.daemon.stop()
        self.read()
        ledger = self.ledger
        self.assertEqual(ledger.faults, [])
        self.assertEqual(ledger.told_but_there(), 0, "told as lost and received")
        self.assertGreater(ledger.stored(), SECONDS * RATE / 2)
        if not gaps:
            self.assertEqual((ledger.told_count(), ledger.unnamed), (0, 0), f"nothing had to be lost: {ledger.reasons}")
        row = {"case": case, "stored": ledger.stored(), "received": ledger.received_count(),
               "duplicates": ledger.duplicates, "replayed": ledger.replayed, "told": ledger.told_count(),
               "retold": ledger.retold, "reasons": ledger.reasons, "untold": 0, "epochs": len({e for e, _ in ledger.received}),
               "sessions": len(ledger.sessions), "drained_s": round(drained, 1)}
        if TABLE:
            with open(TABLE, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        print(row)

    def last_epoch(self):
        """The epoch before the newest one that has said something."""
        epochs = sorted({e for e, _ in self.ledger.sessions})
        return epochs[-2] if len(epochs) > 1 else None

    def of_newest_epoch(self):
        """Messages that arrived of the newest epoch that has said something."""
        self.read()
        newest = max((epoch for epoch, _ in self.ledger.sessions), default=None)
        return sum(len(numbers) for (epoch, _), numbers in self.ledger.received.items() if epoch == newest)

    # Cases -----------------------------------------------------------------------------------------------------------

    def test_broker_killed(self):
        self.start()
        self.daemon.start()
        self.live()
        for _ in range(KILLS):
            self.run_for(self.dice.uniform(0.5, 1.5) * SECONDS / KILLS)
            self.broker.kill()
            self.broker.start()
        self.prove(f"broker killed {KILLS} times")

    def test_daemon_killed(self):
        """A third of the lives is without the broker: what they made is in the spool alone."""
        self.start()
        for life in range(KILLS):
            if life == KILLS // 3:
                self.broker.stop()
            if life == 2 * KILLS // 3:
                self.broker.start()
            self.daemon.start()
            self.run_for(self.dice.uniform(0.5, 1.5) * SECONDS / KILLS)
            self.daemon.kill()
        self.daemon.start()
        # Of the lives before it is known what was stored up to the last note, which a short one may not have come to.
        wait_until(lambda: self.of_newest_epoch() > SECONDS * RATE / 2, DRAIN_S, "a life that makes messages")
        self.prove(f"daemon killed {KILLS} times")

    def cut(self, verdict):
        self.nft(f"add table inet cut; add chain inet cut input {{ type filter hook input priority 0; }}; "
                 f"add rule inet cut input tcp dport {self.broker.port} {verdict}; "
                 f"add rule inet cut input tcp sport {self.broker.port} {verdict}")

    def nft(self, rules):
        done = subprocess.run(["nft", rules], capture_output=True, text=True,
                              env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        self.assertEqual(done.returncode, 0, done.stderr)

    def network_cut(self, verdict, case):
        self.start()
        self.daemon.start()
        self.live()
        for _ in range(2):
            self.run_for(SECONDS / 10)
            self.cut(verdict)
            self.run_for(SECONDS * 0.4)
            self.nft("delete table inet cut")
            self.live()
        self.prove(case)

    def test_network_dropped(self):
        self.network_cut("drop", "network cut twice, packets dropped")

    def test_network_rejected(self):
        self.network_cut("reject with tcp reset", "network cut twice, packets rejected")

    def test_half_open_link(self):
        self.start()
        self.daemon.start()
        self.live()
        self.run_for(SECONDS / 3)
        self.broker.process.send(signal.SIGSTOP)
        self.run_for(SECONDS)
        self.broker.process.send(signal.SIGCONT)
        self.prove("broker stopped with its sockets open")

    def test_disk_full(self):
        self.start()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={max(8, int(SECONDS * RATE / 1500))}M", "tmpfs",
                        self.state], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.state])
        self.daemon.start()
        self.live()
        self.broker.stop()
        self.run_for(SECONDS * 3)
        self.broker.start()
        self.live()
        self.run_for(SECONDS)
        self.prove("disk full while the broker is away", gaps=True)
        self.assertGreater(self.ledger.told_count(), 0, "the disk was too big to be full")

    def test_flushing_fails(self):
        shim = os.environ["TWINKEEPER_FAULT_INJECTION"]
        switch = os.path.join(self.folder, "fault")
        self.start(environment={"LD_PRELOAD": shim, "TWINKEEPER_FAULT_SWITCH": switch})
        self.daemon.start()
        self.live()
        self.broker.stop()
        for _ in range(2):
            self.run_for(SECONDS / 4)
            with open(switch, "w", encoding="ascii"):
                pass
            self.run_for(SECONDS / 4)
            os.unlink(switch)
        self.run_for(SECONDS / 4)
        self.broker.start()
        self.prove("fdatasync fails twice while the broker is away", gaps=True)

    def test_clock_stepped(self):
        clock = WallClock(self.folder)
        self.start(environment=clock.environment)
        self.daemon.start()
        self.live()
        for seconds in (3600, -3600, 0):
            self.run_for(SECONDS / 4)
            self.broker.kill()
            clock.step(seconds)
            self.run_for(SECONDS / 8)
            self.broker.start()
            self.run_for(SECONDS / 8)
        self.prove("wall clock stepped by an hour, both ways, while the broker dies")


if __name__ == "__main__":
    main()
