"""The balance of ledger.py for a run of hours: of each stream only what is out of order is kept.

An account is settled up to a number when every number up to there was received or told as lost.
"""
import json
import threading

from rig.ledger import Messages, lost_numbers


class Account:
    """One stream of one epoch."""

    def __init__(self):
        self.settled = 0
        self.received_ahead, self.told_ahead = set(), set()
        self.received = self.duplicates = self.told = self.contradicted = 0

    def receive(self, seq):
        """Whether it is the first time."""
        if seq <= self.settled or seq in self.received_ahead:
            self.duplicates += 1
            return False
        self.contradicted += seq in self.told_ahead
        self.received += 1
        self.received_ahead.add(seq)
        self._settle()
        return True

    def tell(self, lost):
        """What a gap message names. Of what is settled it can no longer be said how; only a daemon that is killed tells
        a gap twice, and this one is not."""
        for seq in lost:
            if seq <= self.settled or seq in self.received_ahead:
                self.contradicted += 1
            elif seq not in self.told_ahead:
                self.told += 1
                self.told_ahead.add(seq)
        self._settle()

    def _settle(self):
        while True:
            following = self.settled + 1
            if following in self.received_ahead:
                self.received_ahead.remove(following)
            elif following in self.told_ahead:
                self.told_ahead.remove(following)
            else:
                return
            self.settled = following

    def holes(self, last):
        """How many of the numbers up to `last` neither came nor were told."""
        ahead = sum(seq <= last for seq in self.received_ahead | self.told_ahead)
        return max(0, last - self.settled - ahead)


class RunningLedger(Messages):
    """take() and what is asked meanwhile may be called from different threads."""

    def __init__(self):
        super().__init__()
        self._lock = threading.Lock()
        self._accounts = {}       # (epoch, stream): Account
        self.metrics = {}         # the newest

    def take(self, payload, retained):
        document = json.loads(payload)
        with self._lock:
            self.take_document(document, retained)

    def _first_time(self, epoch, stream, seq):
        return self._account(epoch, stream).receive(seq)

    def _new(self, document):
        if document["schema"].startswith("twinkeeper.metrics/") and not document["replay"]:
            self.metrics = {name: value for name, value in document.items() if not isinstance(value, dict)}
        if document["schema"].startswith("twinkeeper.gap/"):
            if document["stream"] is None:
                self.unnamed += 1
            else:
                self._account(document["epoch"], document["stream"]).tell(lost_numbers(document))

    def _account(self, epoch, stream):
        return self._accounts.setdefault((epoch, stream), Account())

    def total(self, member):
        with self._lock:
            return sum(getattr(account, member) for account in self._accounts.values())

    def holes_so_far(self):
        """What a later number has overtaken: of a daemon that drains its backlog beside live data, the backlog."""
        with self._lock:
            return sum(a.holes(max(a.received_ahead | a.told_ahead, default=0)) for a in self._accounts.values())

    def ended(self):
        """The epochs of which it is known how far they were stored."""
        with self._lock:
            return sorted(self.ends)

    def stored(self):
        with self._lock:
            return sum(last for streams in self.ends.values() for last in streams.values())

    def holes(self):
        """{(epoch, stream): count} of what was stored in epochs that have ended and neither came nor was told."""
        with self._lock:
            found = {}
            for epoch, streams in self.ends.items():
                for stream, last in streams.items():
                    count = self._accounts.get((epoch, stream), Account()).holes(last)
                    if count:
                        found[epoch, stream] = count
            return found
