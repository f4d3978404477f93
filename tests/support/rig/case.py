"""The base class of every rig test, and the checks all of them share."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from . import configuration
from .broker import Broker
from .ledger import lost_numbers
from .notify import NotifySocket
from .peers import PymodbusPeer
from .pki import SOURCE, Pki
from .ports import free_port
from .process import Process
from .service import Daemon, Simulator
from .subscriber import Subscriber
from .waiting import wait_until

STATE = "twins.tanks.state"
SAMPLES = "devices.plc.samples"


class RigTestCase(unittest.TestCase):
    maxDiff = None
    within = None  # what the folder is made in, if not where temporary files are

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="twinkeeper-rig-", dir=self.within)
        self.addCleanup(shutil.rmtree, self.folder, True)
        self._parts = []
        self.addCleanup(self._end_all)
        self.notify = NotifySocket(self.folder)
        self.addCleanup(self.notify.close)

    def _end_all(self):
        result = self._outcome.result
        failed = any(test is self for test, _ in result.failures + result.errors)
        for part in reversed(self._parts):
            process = part.process
            if process is None:
                continue
            if failed:
                print(process.tail(60), file=sys.stderr)
            if hasattr(part, "end"):
                part.end()
            elif process.running():
                process.kill()
        if failed and os.environ.get("TWINKEEPER_KEEP_RIG"):
            kept = shutil.copytree(self.folder, self.folder + "-failed", ignore=shutil.ignore_patterns("notify", "disk"))
            print(f"kept the rig's folder as {kept}", file=sys.stderr)

    def keep(self, part):
        """Registers a part with a `process`, so that it is stopped at the end."""
        self._parts.append(part)
        return part

    # Parts -----------------------------------------------------------------------------------------------------------

    def make_pki(self, name="pki"):
        return Pki(os.path.join(self.folder, name))

    def start_broker(self, pki, **options):
        broker = self.keep(Broker(self.folder, pki, **options))
        broker.start()
        return broker

    def start_subscriber(self, pki, broker):
        subscriber = self.keep(Subscriber(self.folder, pki, broker, configuration.PREFIX))
        subscriber.start()
        return subscriber

    def write_configuration(self, text, name="twinkeeper.yaml"):
        configuration.write(self.folder, configuration.TWO_TANKS, "tanks_model.yaml")
        return configuration.write(self.folder, text, name)

    def make_daemon(self, configuration_path, environment=None, arguments=()):
        return self.keep(Daemon(self.folder, configuration_path, self.notify, environment, arguments))

    def start_simulator(self, configuration_path, port, *arguments):
        simulator = self.keep(Simulator(self.folder, configuration_path, port, arguments))
        simulator.start()
        return simulator

    def start_pymodbus_peer(self):
        return self.start_peer(PymodbusPeer(self.folder, "tcp", free_port()))

    def start_peer(self, peer):
        self.keep(peer)
        peer.start()
        return peer

    def start_line(self, simulator_arguments=("--seed", "7"), broker_options=None, **values):
        """PKI, broker, subscriber, plant and configuration of the whole job; the daemon is made but not started."""
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki, **(broker_options or {}))
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.modbus_port = free_port()
        self.values = {"modbus_port": self.modbus_port, "mqtt_port": self.broker.port, "pki": self.pki.folder, **values}
        self.configuration = self.write_configuration(configuration.plant_with_twin(**self.values))
        self.simulator = self.start_simulator(self.configuration, self.modbus_port, *simulator_arguments)
        self.daemon = self.make_daemon(self.configuration)

    # Checks ----------------------------------------------------------------------------------------------------------

    def arrives(self, stream, predicate, deadline_s, what, since=0):
        """Waits for the first message of `stream` for which predicate(document) holds, and returns it."""
        return self.subscriber.wait_for(stream, predicate, deadline_s, what, since)

    def wait_for_mode(self, mode, deadline_s=60, since=0):
        return self.arrives(STATE, lambda m: m["mode"] == mode, deadline_s, f"the twin to be {mode}", since)

    def told_as(self, reason):
        """{(epoch, stream): sequence numbers} that gap messages with this reason tell as lost."""
        lost = {}
        for message in self.subscriber.messages("gap"):
            gap = message.document
            if gap["reason"] == reason:
                lost.setdefault((gap["epoch"], gap["stream"]), set()).update(lost_numbers(gap))
        return lost

    def check_schemas(self, subscriber=None):
        """Every message that arrived, packages and what is in them, against the published JSON Schemas."""
        subscriber = subscriber or self.subscriber
        script = os.path.join(SOURCE, "tests", "support", "validate_messages.py")
        command = ["/usr/bin/python3", script, subscriber.process.stdout_path]
        done = subprocess.run(command, capture_output=True, text=True)
        found = done.stdout[-4000:] + done.stderr[-4000:]
        self.assertEqual(done.returncode, 0, f"messages that their schemas refuse:\n{found}")

    def check_envelopes(self, subscriber=None):
        """What holds for every message, whatever happened: ids say what they mean and never mean two things."""
        contents = {}
        for message in (subscriber or self.subscriber).messages():
            document = message.document
            identity = f"{configuration.GATEWAY}/{message.stream}/{message.epoch}/{document['seq']}"
            self.assertEqual(document["id"], identity)
            if message.stream != "gap":
                self.assertEqual((document["stream"], document["epoch"]), (message.stream, message.epoch))
            self.assertEqual(document["gateway"], configuration.GATEWAY)
            if not message.packed:
                topic = configuration.PREFIX + "/" + message.stream.replace(".", "/")
                self.assertEqual(message.arrival.topic, topic)
            # Set at sending or once the clock is known; everything else must be the same whenever an id comes again.
            content = {k: v for k, v in document.items() if k not in ("replay", "clock_synced", "time", "time_ms")}
            first = contents.setdefault(document["id"], content)
            self.assertEqual(first, content, f"{document['id']} came with two contents")

    def sequences(self, subscriber=None):
        """{(epoch, stream): the set of sequence numbers that arrived}; status is not spooled and left out."""
        found = {}
        for message in (subscriber or self.subscriber).messages():
            if message.stream != "status":
                found.setdefault((message.epoch, message.stream), set()).add(message["seq"])
        return found

    def check_no_sequence_missing(self, last=None, subscriber=None):
        """From 1 to the highest that arrived, nothing is missing; nor up to last {(epoch, stream): seq} where given."""
        found = self.sequences(subscriber)
        for key, seq in (last or {}).items():
            if key[1] != "status" and seq > 0:
                found.setdefault(key, set())
        for key, arrived in found.items():
            highest = max([*arrived, (last or {}).get(key, 0)])
            missing = sorted(set(range(1, highest + 1)) - arrived)
            self.assertEqual(missing, [], f"epoch {key[0]}, stream {key[1]}: {len(missing)} of {highest} never arrived")

    def check_steps_contiguous(self, epoch):
        """With a state message for each step, step and seq grow together: the twin has made every step once. What was
        still in the spool when the daemon stopped may be missing. Returns how many arrived."""
        steps = {m["seq"]: m["step"] for m in self.subscriber.messages(STATE) if m["epoch"] == epoch}
        self.assertTrue(steps, f"no state of epoch {epoch} arrived")
        ordered = sorted(steps.items())
        breaks = [(a, b) for a, b in zip(ordered, ordered[1:]) if b[1] - a[1] != b[0] - a[0]]
        self.assertEqual(breaks, [], "(seq, step): the twin left steps out")
        return len(ordered)

    def epoch(self):
        """The newest epoch that arrived."""
        return max(m.epoch for m in self.subscriber.messages())


def main():
    unittest.main(verbosity=2, failfast=True)
