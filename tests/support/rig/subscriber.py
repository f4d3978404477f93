"""mosquitto_sub as the foreign consumer: every line it prints is one message that really went over the broker."""
import json
import shutil
import threading
from dataclasses import dataclass

from .process import Process
from .waiting import wait_until


@dataclass
class Arrival:
    at: float        # wall clock of the subscriber, s
    retained: bool   # the broker's flag: an old value handed out at subscribing
    topic: str
    document: dict   # the payload


@dataclass
class Message:
    """One message of the daemon, taken out of its backlog package if it came in one.

    `stream` and `epoch` are those of its id: the members of these names in a gap tell what was lost.
    """
    order: int       # of arrival
    arrival: Arrival
    packed: bool
    document: dict

    def __post_init__(self):
        _, self.stream, epoch, _ = self.document["id"].split("/")
        self.epoch = int(epoch)

    def __getitem__(self, key):
        return self.document[key]


class Subscriber:
    """A persistent session (-c): what is published while the broker or the subscriber is away is delivered later.

    mosquitto_sub 2.0 over TLS ends when its broker ends; it is started again at once, as a service manager would do.
    """

    def __init__(self, folder, pki, broker, prefix, name="subscriber"):
        self._broker = broker
        self._arguments = ["-h", "localhost", "-p", str(broker.port), "--cafile", pki.path("ca.crt"), "--cert",
                           pki.path("subscriber.crt"), "--key", pki.path("subscriber.key"), "-i", name, "-c", "-q", "1",
                           "-t", f"{prefix}/#", "-T", f"{prefix}/command/#", "-F", "%U %r %t %p"]
        self._folder = folder
        self._name = name
        self._read = 0
        self._partial = b""
        self._arrivals = []
        self._ending = threading.Event()
        self._supervisor = None
        self.process = None

    def start(self):
        executable = shutil.which("mosquitto_sub")
        assert executable, "mosquitto_sub is not installed"
        self._start_process = lambda: Process(self._name, [executable, *self._arguments], self._folder)
        self.process = self._start_process()
        self._supervisor = threading.Thread(target=self._restart_when_ended, daemon=True)
        self._supervisor.start()
        wait_until(lambda: f"Sending SUBACK to {self._name}" in self._broker.process.stderr(), 20,
                   "mosquitto_sub to be subscribed")

    def _restart_when_ended(self):
        while not self._ending.wait(0.05):
            if not self.process.running():
                self.process = self._start_process()

    def end(self):
        self._ending.set()
        if self._supervisor:
            self._supervisor.join(timeout=10)
        self.process.kill()

    def arrivals(self):
        """Everything printed so far, in order."""
        with open(self.process.stdout_path, "rb") as file:
            file.seek(self._read)
            fresh = file.read()
        self._read += len(fresh)
        lines = (self._partial + fresh).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            fields = line.decode("utf-8").split(" ", 3)
            self._arrivals.append(Arrival(float(fields[0]), fields[1] == "1", fields[2], json.loads(fields[3])))
        return self._arrivals

    def messages(self, stream=None, since=0):
        """The daemon's messages in order of arrival, duplicates included, packages unpacked."""
        found = []
        for order, arrival in enumerate(self.arrivals()):
            document = arrival.document
            packed = document["schema"].startswith("twinkeeper.backlog/")
            for inner in document["messages"] if packed else [document]:
                message = Message(order, arrival, packed, inner)
                if order >= since and stream in (None, message.stream):
                    found.append(message)
        return found

    def last(self, stream):
        found = self.messages(stream)
        return found[-1] if found else None

    def wait_for(self, stream, predicate, deadline_s, what, since=0):
        """The first message of `stream` for which predicate(document) holds."""
        def look():
            return next((m for m in self.messages(stream, since) if predicate(m.document)), None)
        return wait_until(look, deadline_s, what)

    def count(self):
        return len(self.arrivals())
