#!/usr/bin/env python3
"""What a consumer of the gateway's messages does: unpack the backlog, drop what came twice, find what is missing.

As a program it reads messages from standard input, one a line, as `mosquitto_sub -v` prints them (a topic before the
message is skipped), and prints each once: as JSON, with --influxdb as line protocol, with --sitewise as entries of
BatchPutAssetPropertyValue. At the end it says on standard error what is missing and not told by a gap, and exits 1 if
anything is.

As a module: Consumer, line_protocol(), sitewise_entries(); as a Lambda behind a rule of AWS IoT Core: to_sitewise().
"""
import argparse
import collections
import json
import sys

KEPT_RANGES = 10_000  # of a stream and epoch: more holes than that are the oldest ones' loss


class Ranges:
    """Whole numbers as a sorted list of (first, last)."""

    def __init__(self):
        self.ranges = []

    def add(self, first, last):
        """True if any of them is new."""
        fresh, kept, place = last - first + 1, [], None
        for low, high in self.ranges:
            if high < first - 1:
                kept.append((low, high))
                continue
            if low > last + 1:
                if place is None:
                    place = len(kept)
                kept.append((low, high))
                continue
            fresh -= max(0, min(high, last) - max(low, first) + 1)
            first, last = min(first, low), max(last, high)
        kept.insert(len(kept) if place is None else place, (first, last))
        self.ranges = kept[-KEPT_RANGES:]
        return fresh > 0

    def holes(self):
        """What is missing from 1 up to the greatest."""
        found, next_one = [], 1
        for low, high in self.ranges:
            if low > next_one:
                found.append((next_one, low - 1))
            next_one = high + 1
        return found


class Consumer:
    """Of one or many gateways; a stream and epoch of a gateway is counted for itself."""

    def __init__(self):
        self.seen = collections.defaultdict(Ranges)     # (gateway, stream, epoch) → sequence numbers that came
        self.told = collections.defaultdict(Ranges)     # the same, with what gaps tell
        self.expected = {}                              # how far an epoch went, as the next one tells

    def feed(self, payload):
        """The messages of a payload that are new, packets unpacked, in order."""
        document = json.loads(payload) if isinstance(payload, (str, bytes)) else payload
        packed = document["schema"] == "twinkeeper.backlog/1"
        return [message for message in (document["messages"] if packed else [document]) if self._take(message)]

    def _take(self, message):
        # A gap's members stream and epoch are those of what was lost; its own are in its id.
        gateway, stream, epoch, seq = message["id"].split("/")
        own = (gateway, stream, int(epoch))
        fresh = self.seen[own].add(int(seq), int(seq))
        self.told[own].add(int(seq), int(seq))
        if message["schema"] == "twinkeeper.gap/1" and message["stream"] is not None and message["first_seq"] is not None:
            self.told[(gateway, message["stream"], message["epoch"])].add(message["first_seq"], message["last_seq"])
        if message["schema"] == "twinkeeper.status/1" and message.get("previous"):
            previous = message["previous"]
            for name, last in previous["last"].items():
                self._expect((gateway, name, previous["epoch"]), last)
        return fresh

    def _expect(self, key, last):
        self.expected[key] = max(last, self.expected.get(key, 0))

    def missing(self):
        """[(gateway, stream, epoch, first, last)] that neither came nor was told. What is at the end of an epoch is known
        when the first status of the next one has told how far it went. Statuses are never spooled: a new one replaces
        what was not sent, so they have holes by nature."""
        found = []
        keys = set(self.told) | set(self.expected)
        for key in sorted(keys):
            if key[1] == "status" or key[1].startswith("response."):
                continue
            ranges = Ranges()
            ranges.ranges = list(self.told[key].ranges)
            holes = ranges.holes()
            greatest = ranges.ranges[-1][1] if ranges.ranges else 0
            last = self.expected.get(key, 0)
            if last > greatest:
                holes.append((greatest + 1, last))
            found += [(*key, *hole) for hole in holes]
        return found


def values(message):
    """{name: number} of a state of either layout or of samples: x_level_1, sd_level_1, y_level_1 … or the tags."""
    kind = message["schema"].split("/")[0]
    if kind == "twinkeeper.state_flat":
        return {name: value for name, value in message["v"].items() if value is not None}
    if kind == "twinkeeper.state":
        found = {}
        for name, state in message["states"].items():
            found[f"x_{name}"], found[f"sd_{name}"] = state["value"], state["std"]
        for name, entry in message["inputs"].items():
            found[f"u_{name}"] = entry["value"]
        for name, entry in message["outputs"].items():
            found[f"y_{name}"], found[f"yhat_{name}"] = entry["measured"], entry["expected"]
            found[f"nu_{name}"] = entry["innovation"]
        return {name: value for name, value in found.items() if value is not None}
    if kind == "twinkeeper.samples":
        return {name: value for name, value in message["tags"].items()
                if isinstance(value, (int, float)) and not isinstance(value, bool)}
    return {}


def line_protocol(message):
    """A line for InfluxDB, or nothing. Time and series are the message's own, so what comes twice is one point."""
    fields = values(message)
    if not fields:
        return None
    tags = {"gateway": message["gateway"], "source": message.get("twin") or message.get("device")}
    head = ",".join([message["schema"].split("/")[0].split(".")[1]] + [f"{k}={v}" for k, v in tags.items()])
    return f"{head} {','.join(f'{name}={float(value)!r}' for name, value in fields.items())} {message['time_ms']}000000"


def sitewise_entries(message):
    """Entries of BatchPutAssetPropertyValue, by the alias GATEWAY/SOURCE/NAME. Quality follows the message's `bad`."""
    source = message.get("twin") or message.get("device")
    bad = message.get("bad") or {}
    time = {"timeInSeconds": message["time_ms"] // 1000, "offsetInNanos": message["time_ms"] % 1000 * 1_000_000}
    entries = []
    for number, (name, value) in enumerate(values(message).items()):
        quality = "BAD" if name in bad or name.split("_", 1)[-1] in bad and name[:2] in ("y_", "u_") else "GOOD"
        entries.append({"entryId": str(number), "propertyAlias": f"/{message['gateway']}/{source}/{name}",
                        "propertyValues": [{"value": {"doubleValue": float(value)}, "timestamp": time,
                                            "quality": quality}]})
    return entries


def to_sitewise(event, context):
    """Lambda behind the rules for P/backlog (and, if wanted, for live states of either layout)."""
    import boto3  # part of the Lambda runtime
    client = boto3.client("iotsitewise")
    entries = [entry for message in Consumer().feed(event) for entry in sitewise_entries(message)]
    for number, entry in enumerate(entries):
        entry["entryId"] = str(number)
    failed = []
    for start in range(0, len(entries), 10):  # the most of one request
        answer = client.batch_put_asset_property_value(entries=entries[start:start + 10])
        failed += answer.get("errorEntries", [])
    if failed:
        print(json.dumps(failed, default=str))
    return {"entries": len(entries), "failed": len(failed)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--influxdb", action="store_true")
    parser.add_argument("--sitewise", action="store_true")
    arguments = parser.parse_args()
    consumer = Consumer()
    for line in sys.stdin:
        if "{" not in line:
            continue
        for message in consumer.feed(line[line.index("{"):]):
            if arguments.influxdb:
                print(line_protocol(message) or "", end="\n" if line_protocol(message) else "")
            elif arguments.sitewise:
                for entry in sitewise_entries(message):
                    print(json.dumps(entry))
            else:
                print(json.dumps(message))
    missing = consumer.missing()
    for gateway, stream, epoch, first, last in missing:
        print(f"missing: {gateway} {stream} epoch {epoch}: {first} to {last}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
