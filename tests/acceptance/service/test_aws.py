"""AWS IoT Core's documents, against a service that answers as the developer guide says: shadows, configuration."""
import json
import os
import time

from rig import RigTestCase, configuration, main, wait_until
from rig.aws_service import AwsService
from rig.service import command

AWS = "  shadow_interval: 10s\n"
THING = configuration.GATEWAY


def aws_configuration(extra=AWS, **values):
    return configuration.plant_with_twin(uplink_extra=extra, **values).replace("profile: mqtt",
                                                                              "profile: aws-iot-core\n  keep_alive: 30s")


class Aws(RigTestCase):
    def begin(self, extra=AWS, prepare=None):
        self.start_line()
        self.configuration = self.write_configuration(aws_configuration(extra, **self.values))
        self.service = AwsService(self.pki, self.broker, THING)
        self.addCleanup(self.service.stop)
        if prepare:
            prepare()
        self.daemon = self.make_daemon(self.configuration)
        self.daemon.start()

    def test_shadow_of_a_twin(self):
        self.begin()
        reported = self.service.wait_reported("twin-tanks", lambda d: d["mode"] == "tracking", 90, "a tracking shadow")
        self.assertEqual(set(reported["states"]), {"level_1", "level_2"})
        self.assertEqual(reported["anomalies"], [])
        updates = [t for t, _ in self.service.requests if t.endswith("shadow/name/twin-tanks/update")]
        self.assertLessEqual(len(updates), 6)
        # What another left there goes, and a restart of the broker costs nothing.
        self.service._update("twin-tanks", {"state": {"reported": {"foreign": {"a": 1}}}})
        self.broker.stop()
        self.broker.start()
        wait_until(lambda: "foreign" not in self.service.reported("twin-tanks"), 90, "the foreign key to go")
        self.daemon.stop()
        self.check_schemas()

    def test_configuration(self):
        self.begin(prepare=lambda: self.service.desire("config", {"twins": {"tanks": {"publish":
                                                                                      {"state_interval": "1s"}}}}))
        applied = self.service.wait_reported("config", lambda d: d.get("config_result") == "applied" and "twins" in d,
                                             60, "the overlay to be applied")
        self.assertEqual(self.service.delta("config"), {})
        first_hash = applied["config_hash"]
        overlay = os.path.join(self.folder, "state", "config_overlay.json")
        with open(overlay, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["overlay"], {"twins": {"tanks": {"publish": {"state_interval": "1s"}}}})
        checked = command("check", "--config", self.configuration)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertIn("config_overlay.json: is laid over the configuration file", checked.stderr)
        self.assertIn("state_interval: 1s", checked.stdout)
        # Wrong: refused with the place, nothing changes.
        self.service.desire("config", {"twins": {"tanks": {"publish": {"state_interval": "soon"}}}})
        refused = self.service.wait_reported("config", lambda d: d["config_result"] == "refused", 60, "the refusal")
        self.assertRegex(refused["config_error"][0], r"config_overlay\.json:\d+:\d+: twins\[0\]\.publish\.state_interval")
        self.assertEqual(refused["twins"], {"tanks": {"publish": {"state_interval": "1s"}}})
        self.assertEqual(refused["config_hash"], first_hash)
        self.assertEqual(self.service.delta("config"), {"twins": {"tanks": {"publish": {"state_interval": "soon"}}}})
        # Out of reach.
        self.service.desire("config", {"twins": None, "commands": {"enabled": True}})
        refused = self.service.wait_reported("config", lambda d: "commands" in str(d.get("config_error")), 60,
                                             "the second refusal")
        self.assertIn("can't be changed by an overlay", refused["config_error"][0])
        # After a restart the same is in force.
        self.daemon.stop()
        self.daemon.start()
        self.service.wait_reported("config", lambda d: d["config_result"] == "refused" and "twins" in d, 60,
                                   "the same after a restart")
        self.service.desire("config", {"commands": None})
        self.service.wait_reported("config", lambda d: d["config_result"] == "applied" and "twins" not in d, 60,
                                   "the overlay to be gone")
        self.assertFalse(os.path.exists(overlay))
        self.daemon.stop()

    def test_overlay_that_no_longer_fits(self):
        self.begin(prepare=lambda: self.service.desire("config", {"twins": {"tanks": {"diagnosis": {"gate": 4}}}}))
        self.service.wait_reported("config", lambda d: "twins" in d, 60, "the overlay to be applied")
        self.daemon.stop()
        with open(self.configuration, encoding="utf-8") as file:
            text = file.read()
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(text.replace("name: tanks", "name: basins"))
        self.daemon.start()
        self.assertIn("(the overlay is left out)", self.daemon.stderr())
        self.service.wait_reported("config", lambda d: "config_error" in d, 60, "the fault in the shadow")
        self.daemon.stop()

    def test_basic_ingest(self):
        self.begin(AWS + "  basic_ingest: {rule: plant_rule, streams: [state, metrics]}\n")
        self.rule = self.start_rule_subscriber()
        self.rule.wait_for("twins.tanks.state", lambda d: True, 60, "a state at the rule")
        self.arrives("devices.plc.samples", lambda d: True, 60, "samples below the prefix")
        self.daemon.stop()
        self.assertEqual(self.subscriber.messages("twins.tanks.state"), [])
        arrivals = self.rule.arrivals()
        self.assertTrue(all(not a.retained for a in arrivals))
        self.check_schemas(self.rule)

    def start_rule_subscriber(self):
        from rig.subscriber import Subscriber
        rule = self.keep(Subscriber(self.folder, self.pki, self.broker, "$aws/rules/plant_rule/" + configuration.PREFIX,
                                    "rule"))
        rule.start()
        return rule


if __name__ == "__main__":
    main()
