"""What docs/aws holds: files that are what they say, a consumer and a policy that fit the service as it is."""
import json
import os
import re
import subprocess
import sys

import yaml
from rig import RigTestCase, configuration, main, wait_until
from rig.pki import SOURCE
from rig.strict_broker import StrictParts

FOLDER = os.path.join(SOURCE, "docs", "aws")
THING = configuration.GATEWAY
sys.path.insert(0, FOLDER)
import consumer as example  # noqa: E402


class Loader(yaml.SafeLoader):
    """With CloudFormation's functions."""


Loader.add_multi_constructor("!", lambda loader, tag, node: loader.construct_scalar(node)
                             if isinstance(node, yaml.ScalarNode) else loader.construct_sequence(node, deep=True))


class Files(RigTestCase):
    def test_policies(self):
        for name in ("policy_fleet.json", "policy_claim.json"):
            with open(os.path.join(FOLDER, name), encoding="utf-8") as file:
                policy = json.load(file)
            self.assertLess(len(json.dumps(policy, separators=(",", ":"))), 2048, name)
            for statement in policy["Statement"]:
                self.assertRegex(statement["Action"], r"^iot:(Connect|Publish|RetainPublish|Subscribe|Receive)$")

    def test_template(self):
        with open(os.path.join(FOLDER, "cloudformation.yaml"), encoding="utf-8") as file:
            document = yaml.load(file, Loader)
        kinds = {resource["Type"] for resource in document["Resources"].values()}
        self.assertLessEqual({"AWS::IoT::ThingType", "AWS::IoT::Policy", "AWS::IoT::ProvisioningTemplate",
                              "AWS::IoT::TopicRule"}, kinds)
        body = json.loads(document["Resources"]["GatewayTemplate"]["Properties"]["TemplateBody"])
        self.assertEqual(set(body["Resources"]), {"certificate", "policy", "thing"})
        names = set(document["Resources"]) | set(document["Parameters"]) | {"AWS::Region", "AWS::AccountId"}
        with open(os.path.join(FOLDER, "cloudformation.yaml"), encoding="utf-8") as file:
            text = file.read()
        for used in re.findall(r"!(?:Ref|GetAtt) (\w+)", text) + re.findall(r'!Sub "[^"]*?\$\{(\w+)(?:\.Arn)?\}', text):
            self.assertIn(used, names)
        for resource in document["Resources"].values():
            if resource["Type"] == "AWS::IoT::TopicRule":
                payload = resource["Properties"]["TopicRulePayload"]
                self.assertRegex(payload["Sql"], r"^SELECT .+ FROM 'twinkeeper/")
                self.assertEqual(payload["AwsIotSqlVersion"], "2016-03-23")


class Examples(StrictParts, RigTestCase):
    def test_consumer(self):
        self.start_line(profile="aws-iot-core\n  keep_alive: 30s", uplink_extra="  backlog_after: 1s\n")
        self.daemon.start()
        self.wait_for_mode("tracking")
        self.broker.stop()
        first = self.subscriber.last("twins.tanks.state").epoch
        wait_until(lambda: "connection_lost" in self.daemon.stderr() or "is lost" in self.daemon.stderr(), 30,
                   "the outage to be seen")
        self.daemon.stop()
        self.daemon.start()
        waiting = re.compile(r"STATUS=.* (\d+) messages waiting")
        wait_until(lambda: any(int(found.group(1)) > 50 for found in map(waiting.match, self.notify.lines()) if found), 60,
                   "messages to wait")
        self.broker.start()
        # What is live goes past the backlog: only behind it a hole is one.
        wait_until(lambda: any(not m.packed and m.epoch != first for m in
                               self.subscriber.messages("twins.tanks.state")), 60, "a live state of the second start")
        wait_until(lambda: any(a.document["schema"] == "twinkeeper.backlog/1" for a in self.subscriber.arrivals()), 60,
                   "the backlog")
        wait_until(lambda: all(numbers == set(range(1, max(numbers) + 1)) for numbers in self.sequences().values()), 60,
                   "all of the backlog")
        self.daemon.stop()
        with open(self.subscriber.process.stdout_path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        text = "\n".join(lines + lines[::-1]) + "\n"  # everything twice, and in the wrong order

        def run(*options):
            return subprocess.run(["/usr/bin/python3", os.path.join(FOLDER, "consumer.py"), *options], input=text,
                                  capture_output=True, text=True, timeout=60)
        done = run()
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        ids = [json.loads(line)["id"] for line in done.stdout.splitlines()]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(set(ids), {m["id"] for m in self.subscriber.messages()})
        influx = run("--influxdb").stdout.splitlines()
        state = next(line for line in influx if line.startswith("state,"))
        self.assertRegex(state, r"^state,gateway=rig-gw1,source=tanks \S*x_level_1=\S+ \d{19}$")
        entries = [json.loads(line) for line in run("--sitewise").stdout.splitlines()]
        self.assertTrue(any(entry["propertyAlias"] == f"/{THING}/tanks/x_level_1" for entry in entries))
        # What never came is found, unless a gap tells it.
        parts = [message for line in lines for message in example.Consumer().feed(line[line.index("{"):])]
        states = [m for m in parts if m["stream"] == "twins.tanks.state"]
        lost = states[len(states) // 2]
        holed = example.Consumer()
        for message in parts:
            if message["id"] != lost["id"]:
                holed.feed(message)
        self.assertEqual(holed.missing(), [(THING, "twins.tanks.state", lost["epoch"], lost["seq"], lost["seq"])])
        holed.feed({"schema": "twinkeeper.gap/1", "id": f"{THING}/gap/{lost['epoch']}/1", "stream": lost["stream"],
                    "epoch": lost["epoch"], "first_seq": lost["seq"], "last_seq": lost["seq"]})
        self.assertEqual(holed.missing(), [])


if __name__ == "__main__":
    main()
