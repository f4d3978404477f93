"""Validates published messages against the JSON Schemas in docs/schema.

Usage: validate_messages.py [--schemas FOLDER] [--at-least N] [FILE ...]     (standard input without FILE)
Reads one message a line, as `mosquitto_sub` prints them; a topic before the message (`mosquitto_sub -v`) is skipped.
The kind comes from the message's own "schema". Beyond the schemas it checks what they cannot say: no key twice, no NaN,
`id` and `time_ms` agree with the other members, an anomaly has at most 5120 bytes, a backlog ascends and is at most
122880 bytes. Prints every fault as SOURCE:LINE: what, then a count per kind; exits 1 if there was a fault or there were
fewer than N messages (default 1). The schemas refer to each other; nothing is fetched.
"""
import argparse
import collections
import datetime
import json
import pathlib
import sys

import jsonschema

DEFAULT_SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "schema"


class Fault(Exception):
    pass


def refuse_constant(name):
    raise Fault(f"{name} is no JSON number")


def refuse_duplicates(pairs):
    keys = collections.Counter(key for key, _ in pairs)
    twice = [key for key, count in keys.items() if count > 1]
    if twice:
        raise Fault(f"key given twice: {', '.join(twice)}")
    return dict(pairs)


def load_validators(folder):
    documents = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    if not documents:
        raise SystemExit(f"no schemas in {folder}")
    store = {document["$id"]: document for document in documents.values()}
    validators = {}
    for kind, document in documents.items():
        jsonschema.Draft7Validator.check_schema(document)
        resolver = jsonschema.RefResolver(document["$id"], document, store=store)
        validators[kind] = jsonschema.Draft7Validator(document, resolver=resolver)
    return validators


def kind_of(message):
    schema = message.get("schema") if isinstance(message, dict) else None
    if not isinstance(schema, str) or not schema.startswith("twinkeeper.") or not schema.endswith("/1"):
        raise Fault(f"no known schema: {schema!r}")
    return schema[len("twinkeeper."):-len("/1")]


def check_envelope(message):
    expected = "/".join(str(message[key]) for key in ("gateway", "stream", "epoch", "seq"))
    # A gap's stream and epoch are those of what was lost; its own are in its id.
    if message["schema"] != "twinkeeper.gap/1" and message["id"] != expected:
        raise Fault(f"id {message['id']} is not {expected}")
    time = datetime.datetime.fromisoformat(message["time"].replace("Z", "+00:00"))
    since_1970 = time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    if since_1970 // datetime.timedelta(milliseconds=1) != message["time_ms"]:
        raise Fault(f"time {message['time']} is not time_ms {message['time_ms']}")


def check_backlog(message, size):
    if size > 122880:
        raise Fault(f"a backlog of {size} bytes; at most 122880")
    sequence = [inner["seq"] for inner in message["messages"]]
    if sequence != sorted(set(sequence)):
        raise Fault("the sequence numbers of a backlog do not ascend")
    if sequence[0] != message["first_seq"] or sequence[-1] != message["last_seq"]:
        raise Fault("first_seq and last_seq are not those of the messages")
    if any(inner["stream"] != message["stream"] for inner in message["messages"]):
        raise Fault("a backlog with messages of another stream")
    for inner in message["messages"]:
        check_envelope(inner)


def check(line, validators):
    """Returns the kind of the message in `line`; raises Fault with everything the schema finds."""
    start = line.find("{")
    if start < 0:
        raise Fault("no JSON object")
    text = line[start:]
    try:
        message = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_duplicates)
    except json.JSONDecodeError as error:
        raise Fault(f"no JSON: {error}") from error
    kind = kind_of(message)
    if kind not in validators or kind == "envelope":
        raise Fault(f"no schema for {kind}")
    errors = sorted(validators[kind].iter_errors(message), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        raise Fault(f"{kind}: " + "; ".join(f"{error.json_path}: {error.message[:300]}" for error in errors))
    size = len(text.encode("utf-8"))
    if kind == "backlog":
        check_backlog(message, size)
    elif kind != "command":  # it goes the other way, and has no envelope
        check_envelope(message)
    if kind == "anomaly" and size > 5120:
        raise Fault(f"an anomaly of {size} bytes; at most 5120")
    return kind


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemas", type=pathlib.Path, default=DEFAULT_SCHEMAS)
    parser.add_argument("--at-least", type=int, default=1)
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    validators = load_validators(arguments.schemas)

    counts = collections.Counter()
    faults = 0
    sources = [(str(path), path.read_bytes()) for path in arguments.files] or [("stdin", sys.stdin.buffer.read())]
    for source, content in sources:
        for number, raw in enumerate(content.split(b"\n"), 1):
            if not raw.strip():
                continue
            try:
                counts[check(raw.decode("utf-8").strip(), validators)] += 1
            except (Fault, UnicodeDecodeError) as fault:
                faults += 1
                print(f"{source}:{number}: {fault}")
    print(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "no valid message")
    if sum(counts.values()) + faults < arguments.at_least:
        print(f"fewer than {arguments.at_least} messages")
        return 1
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
