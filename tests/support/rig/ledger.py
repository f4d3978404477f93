"""The consumer's ledger: what arrived, what was told as lost, and what neither.

It reads what mosquitto_sub prints, once each line, and keeps numbers alone, so that minutes of hundreds of messages a
second fit. The proof it can give: the daemon's spool tells in the first status of an epoch how far each stream of the
epoch before it was stored (`previous.last`). Each number up to there must have arrived or stand in a gap message, and
none may do both. Of an epoch that never connected all that arrives was stored. A gap may be told more than once, as any
message may come twice: a daemon that dies between the telling and the note that it was told tells it again, with a new id.
"""
import json


class Messages:
    """What both ledgers read of a message; a class below it says what it counts."""

    def __init__(self):
        self.sessions = set()   # (epoch, session) of the statuses: one for each connection
        self.unnamed = 0        # gap messages that can't name what was lost
        self.ends = {}          # epoch: {stream: last number that was stored}
        self.replayed = self.packets = 0
        self.newest_live_ms = 0

    def take_document(self, document, retained):
        if document["schema"].startswith("twinkeeper.backlog/"):
            self.packets += 1
            for message in document["messages"]:
                self._count(message)
        elif document["schema"].startswith("twinkeeper.status/"):
            if not retained:
                self._status(document)
        else:
            self._count(document)

    def _status(self, document):  # never spooled, so not balanced
        self.sessions.add((document["epoch"], document["session"]))
        previous = document.get("previous")
        if previous:
            self.ends[previous["epoch"]] = {s: n for s, n in previous["last"].items() if s != "status"}

    def _count(self, document):
        _, stream, epoch, seq = document["id"].split("/")
        if not self._first_time(int(epoch), stream, int(seq)):
            return
        if document["replay"]:
            self.replayed += 1
        else:
            self.newest_live_ms = max(self.newest_live_ms, document["time_ms"])
        self._new(document)


def lost_numbers(gap):
    """What a gap message names."""
    return range(gap["first_seq"], gap["last_seq"] + 1, gap.get("stride") or 1)


class Ledger(Messages):
    def __init__(self):
        super().__init__()
        self.received = {}      # (epoch, stream): sequence numbers
        self.told = {}          # (epoch, stream): sequence numbers told as lost
        self.reasons = {}       # reason: messages told
        self.duplicates = 0
        self.retold = 0         # numbers told as lost more than once
        self.faults = []
        self._path = None
        self._offset = 0

    def read(self, path):
        """What `path` has grown by since the last call."""
        with open(path, "rb") as file:
            file.seek(self._offset)
            fresh = file.read()
        whole = fresh.rfind(b"\n") + 1
        self._offset += whole
        for line in fresh[:whole].splitlines():
            self._take(line)
        return self

    def _take(self, line):
        _, retained, _, payload = line.decode("utf-8").split(" ", 3)
        self.take_document(json.loads(payload), retained == "1")

    def _first_time(self, epoch, stream, seq):
        numbers = self.received.setdefault((epoch, stream), set())
        if seq in numbers:
            self.duplicates += 1
            return False
        numbers.add(seq)
        return True

    def _new(self, document):
        if document["schema"].startswith("twinkeeper.gap/"):
            self._gap(document)

    def _gap(self, gap):
        self.reasons[gap["reason"]] = self.reasons.get(gap["reason"], 0) + (gap["count"] or 0)
        if gap["stream"] is None:
            self.unnamed += 1
            return
        lost = lost_numbers(gap)
        if len(lost) != gap["count"]:
            self.faults.append(f"a gap of {gap['count']} names {len(lost)} numbers: {gap}")
        told = self.told.setdefault((gap["epoch"], gap["stream"]), set())
        self.retold += len(told.intersection(lost))
        told.update(lost)

    def ends_of(self):
        """`ends`, and of epochs that never connected how far they came: what arrived of them came out of the spool."""
        connected = {epoch for epoch, _ in self.sessions}
        found = dict(self.ends)
        for (epoch, stream), numbers in self.received.items():
            if epoch not in self.ends and epoch not in connected:
                found.setdefault(epoch, {})[stream] = max(numbers)
        return found

    def stored(self):
        """Messages that the spool is known to have stored, of all epochs that have ended."""
        return sum(last for streams in self.ends_of().values() for last in streams.values())

    def missing(self):
        """{(epoch, stream): numbers stored that neither arrived nor were told}."""
        found = {}
        for epoch, streams in self.ends_of().items():
            for stream, last in streams.items():
                key = (epoch, stream)
                lost = set(range(1, last + 1)) - self.received.get(key, set()) - self.told.get(key, set())
                if lost:
                    found[key] = lost
        return found

    def told_but_there(self):
        """Messages that were told as lost and arrived all the same."""
        return sum(len(told & self.received.get(key, set())) for key, told in self.told.items())

    def told_count(self):
        return sum(len(told) for told in self.told.values())

    def received_count(self):
        """Messages that arrived of the epochs that have ended."""
        ended = self.ends_of()
        return sum(len(numbers) for (epoch, _), numbers in self.received.items() if epoch in ended)
