"""AWS IoT Device Advisor's list, policies: what make_policy.py makes of the gateway's own report is all that it needs.

The strict broker holds the gateway to that policy, with everything switched on that publishes or subscribes.
"""
import json
import os
import re
import subprocess
import unittest

from rig import RigTestCase, configuration, wait_until
from rig.commands import CommandParts
from rig.pki import SOURCE
from rig.service import command
from rig.strict_broker import DEFAULT_POLICY, ServiceParts

THING = configuration.GATEWAY
UPLINK = """\
  shadow_interval: 10s
  defender_interval: 5min
  backlog_after: 1s
  basic_ingest: {rule: plant_rule, streams: [metrics]}
"""
COMMANDS = ("commands: {enabled: true, allow: [describe, snapshot, acknowledge], per_minute: 100, "
            "require_synchronised_clock: false}\n")
ACTIONS = {"iot:Connect": ("connect", "client"), "iot:Publish": ("publish", "topic"),
           "iot:RetainPublish": ("retain", "topic"), "iot:Subscribe": ("subscribe", "topicfilter"),
           "iot:Receive": ("receive", "topic")}
# What has an id in its topic that nobody knows before.
WILDCARDS = (f"$aws/things/{THING}/jobs/*/update", f"$aws/things/{THING}/jobs/*/update/accepted",
             f"$aws/things/{THING}/jobs/*/update/rejected", f"{configuration.PREFIX}/response/*")


class Policy(CommandParts, ServiceParts, RigTestCase):
    def make_policy(self):
        """[(action, name)] of the documents that belong to the configuration."""
        checked = command("check", "--config", self.configuration, "--json")
        script = os.path.join(SOURCE, "docs", "aws", "make_policy.py")
        made = subprocess.run(["/usr/bin/python3", script, "--region", "eu-central-1", "--account", "123456789012",
                               "--thing", THING], input=checked.stdout, capture_output=True, text=True, timeout=60)
        self.assertEqual(made.returncode, 0, made.stderr)
        found = []
        for document in json.loads(made.stdout):
            self.assertLessEqual(len(json.dumps(document, separators=(",", ":"))), 2048)
            for statement in document["Statement"]:
                action, kind = ACTIONS[statement["Action"]]
                for resource in statement["Resource"]:
                    start = f"arn:aws:iot:eu-central-1:123456789012:{kind}/"
                    self.assertTrue(resource.startswith(start), resource)
                    found.append((action, resource[len(start):]))
        return found

    def ask(self, verb, arguments):
        asked = self.request(arguments)
        self.publish(json.dumps(asked), verb)
        self.assertEqual(self.answer(asked)["result"], "done")

    def test_policy_is_enough(self):
        self.start_line(profile="aws-iot-core\n  keep_alive: 30s", uplink_extra=UPLINK, more_devices=configuration.METER)
        with open(self.configuration, "a", encoding="utf-8") as file:
            file.write(COMMANDS)
        self.service = self.start_aws_service(self.pki, self.broker)
        policy = self.make_policy()
        self.assertEqual({name for _, name in policy if re.search(r"[*?+#]", name)}, set(WILDCARDS))
        others = DEFAULT_POLICY[DEFAULT_POLICY.index("for subscriber*"):]
        self.broker.set_policy(f"thing gateway {THING}\n" + "".join(f"allow {action} {name}\n" for action, name in policy) +
                               others + "for aws-service\nallow connect aws-service\n")

        self.daemon.start()
        self.wait_for_mode("tracking")
        self.reported("twin-tanks", lambda d: d.get("mode") == "tracking")
        self.reported("config", lambda d: d.get("config_result") == "applied")
        self.run_job("logs-1", {"operation": "collect-logs"}, "SUCCEEDED")
        self.ask("describe", {})
        self.ask("snapshot", {})
        self.arrives("devices.meter.samples", lambda m: True, 20, "samples of the device that publishes none by itself")
        self.service.wait_for_request("defender/metrics/json", deadline_s=120)
        wait_until(lambda: self.service.ingested("plant_rule"), 120, "metrics at the rule")
        self.simulator.kill()
        raised = self.arrives("anomaly", lambda m: m["event"] == "raised", 60, "the lost controller")
        self.ask("acknowledge", {"anomaly": raised["anomaly"]})
        self.broker.stop()
        wait_until(lambda: "is lost" in self.daemon.stderr(), 30, "the outage to be seen")
        self.broker.start()
        wait_until(lambda: any(a.topic == f"{configuration.PREFIX}/backlog" for a in self.subscriber.arrivals()), 90,
                   "the backlog")
        self.end()


if __name__ == "__main__":
    unittest.main(verbosity=2)
