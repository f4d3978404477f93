"""Checks the schema check itself, the golden texts against the schemas, and the documented examples against both.

Usage: messages_test.py ROOT. Every JSON block of docs/formats/mqtt.md is a whole message; where a golden text of its
kind exists, the block is that message.
"""
import copy
import json
import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(sys.argv.pop(1)).resolve()
VALIDATOR = ROOT / "tests" / "support" / "validate_messages.py"
sys.dont_write_bytecode = True
sys.path.insert(0, str(VALIDATOR.parent))
import validate_messages  # noqa: E402

GOLDEN = {path.stem: json.loads(path.read_text(encoding="utf-8"))
          for path in (ROOT / "tests" / "unit" / "telemetry" / "golden").glob("*.json")}
DOCUMENT = (ROOT / "docs" / "formats" / "mqtt.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)]
KINDS = {path.stem for path in (ROOT / "docs" / "schema").glob("*.json")} - {"envelope"}


def validate(text, *options):
    return subprocess.run(["/usr/bin/python3", str(VALIDATOR), *options], input=text.encode("utf-8"),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def kind_of(message):
    return message["schema"].split(".")[1].split("/")[0]


class Messages(unittest.TestCase):
    validators = validate_messages.load_validators(ROOT / "docs" / "schema")

    def refused(self, line, *words):
        with self.assertRaises(validate_messages.Fault, msg=line) as caught:
            validate_messages.check(line, self.validators)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def refused_by_the_program(self, text, *words):
        result = validate(text)
        output = result.stdout.decode("utf-8")
        self.assertEqual(result.returncode, 1, output)
        for word in words:
            self.assertIn(word, output)

    def changed(self, kind, path, value):
        message = copy.deepcopy(GOLDEN[kind])
        *parents, last = path
        place = message
        for key in parents:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
        return json.dumps(message)

    def test_golden_texts_are_valid(self):
        result = validate("\n".join(map(json.dumps, GOLDEN.values())), "--at-least", str(len(GOLDEN)))
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_a_topic_before_the_message_is_skipped(self):
        result = validate("twinkeeper/line3-gw1/status " + json.dumps(GOLDEN["status"]))
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_every_kind_has_a_valid_example_in_the_documentation(self):
        result = validate("\n".join(map(json.dumps, EXAMPLES)))
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertEqual({kind_of(example) for example in EXAMPLES}, KINDS)

    def test_documented_examples_are_the_golden_texts(self):
        for example in EXAMPLES:
            kind = kind_of(example)
            if kind in GOLDEN:
                self.assertEqual(example, GOLDEN[kind], kind)

    def test_every_required_member_is_named_in_the_documentation(self):
        def required(node):
            if isinstance(node, dict):
                yield from node.get("required", []) if isinstance(node.get("required"), list) else []
                for value in node.values():
                    yield from required(value)
            elif isinstance(node, list):
                for value in node:
                    yield from required(value)

        for path in (ROOT / "docs" / "schema").glob("*.json"):
            for name in set(required(json.loads(path.read_text(encoding="utf-8")))):
                self.assertTrue(f"`{name}`" in DOCUMENT or f'"{name}"' in DOCUMENT, f"{path.stem}: {name}")

    def test_each_required_member_is_missed(self):
        for kind, message in GOLDEN.items():
            for name in message:
                if name == "previous":
                    continue
                expected = "schema" if name == "schema" else "is a required property"
                self.refused(self.changed(kind, [name], None), expected)

    def test_wrong_values_are_refused(self):
        self.refused(self.changed("state", ["mode"], "asleep"), "state", "mode")
        self.refused(self.changed("state", ["step"], 1.5), "step")
        self.refused(self.changed("state", ["outputs", "level_2", "reason"], "tired"), "tired")
        self.refused(self.changed("state", ["outputs", "level_2", "reason"], None), "reason")
        self.refused(self.changed("state", ["states", "level_1", "std"], -1.0), "std")
        self.refused(self.changed("samples", ["bad", "level_2"], "broken"), "broken")
        self.refused(self.changed("anomaly", ["severity"], 0), "severity")
        self.refused(self.changed("anomaly", ["trend"], [GOLDEN["anomaly"]["trend"][0]] * 61), "trend")
        self.refused(self.changed("anomaly", ["advice"], "x" * 6000), "5120")
        self.refused(self.changed("status", ["seq"], "1"), "seq")
        self.refused(self.changed("status", ["seq"], 2), "id")
        self.refused(self.changed("status", ["time_ms"], 0), "time_ms")
        self.refused(self.changed("status", ["time"], "2026-03-01 08:01:40"), "time")
        self.refused(self.changed("status", ["schema"], "twinkeeper.unheard_of/1"), "unheard_of")

    def test_wrong_text_is_refused(self):
        self.refused_by_the_program("", "fewer than 1")
        self.refused_by_the_program(self.changed("state", ["mode"], "asleep"), "stdin:1", "asleep")
        self.refused("not a message", "no JSON object")
        self.refused('{"schema": "twinkeeper.state/1"', "no JSON")
        self.refused('{"schema": 1, "schema": 2}', "twice")
        self.refused('{"schema": "twinkeeper.state/1", "nis": NaN}', "NaN")
        self.refused_by_the_program(json.dumps(GOLDEN["status"]) + "\n{}", "stdin:2", "1 status")

    def test_a_backlog_out_of_order_is_refused(self):
        backlog = next(example for example in EXAMPLES if kind_of(example) == "backlog")
        later = copy.deepcopy(backlog)
        later["messages"].reverse()
        self.refused(json.dumps(later), "ascend")
        live = copy.deepcopy(backlog)
        live["messages"][0]["replay"] = False
        self.refused(json.dumps(live), "replay")


if __name__ == "__main__":
    unittest.main(verbosity=1)
