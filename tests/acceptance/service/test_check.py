"""`check` on what only the whole plan shows: each fault with its place and what is accepted, the streams, the files."""
import datetime
import json
import os
import pwd
import re
import shutil

from rig import RigTestCase, configuration, main
from rig.service import command


class Check(RigTestCase):
    def setUp(self):
        super().setUp()
        self.pki = self.make_pki()
        self.text = configuration.plant_with_twin(modbus_port=1502, mqtt_port=8883, pki=self.pki.folder)

    def check(self, *edits, json_output=False):
        text = self.text
        for old, new in edits:
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        self.path = self.write_configuration(text)
        self.lines = text.splitlines()
        return command("check", "--config", self.path, *(["--json"] if json_output else []))

    def place(self, line_with, value):
        """FILE:LINE:COLUMN of the value in the only line that has `line_with`."""
        numbers = [n for n, line in enumerate(self.lines, 1) if line_with in line]
        self.assertEqual(len(numbers), 1, f"one line with {line_with}")
        return f"{self.path}:{numbers[0]}:{self.lines[numbers[0] - 1].index(value) + 1}"

    def test_faults_of_the_plan_have_place_path_and_what_is_accepted(self):
        done = self.check(("timeout: 300ms", "workarounds: {pause_between_requests: 200ms}"),
                          ("  profile: mqtt\n", "  profile: mqtt\n  max_messages_per_second: 2\n"))
        self.assertEqual(done.returncode, 78, done.stderr)
        errors = [line for line in done.stderr.splitlines() if not line.startswith("warning: ")]
        self.assertEqual(len(errors), 2, done.stderr)
        for line, (line_with, value, path) in zip(errors, (
                ("poll_interval", "100ms", "devices[0].poll_interval"),
                ("max_messages", "2", "uplink.max_messages_per_second"))):
            self.assertTrue(line.startswith(f"{self.place(line_with, value)}: {path}: "), line)
            self.assertRegex(line, r": .+; accepted: .+")

    def test_warnings_of_the_plan_have_place_and_path(self):
        done = self.check(("state_interval: 100ms", "state_interval: 250ms"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"warning: {self.place('state_interval', '250ms')}: twins[0].publish.state_interval: 250ms is no "
                      "multiple of the period of 100ms: a state is published every 300ms\n", done.stderr)
        for line in done.stderr.splitlines():
            self.assertRegex(line, r"^warning: \S+:\d+:\d+: [a-z]+\S*: .+")

    def test_json_lists_faults_and_warnings(self):
        done = self.check(("timeout: 300ms", "workarounds: {pause_between_requests: 200ms}"),
                          ("state_interval: 100ms", "state_interval: 10ms"), json_output=True)
        self.assertEqual(done.returncode, 78, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual([e["path"] for e in report["errors"]], ["devices[0].poll_interval"])
        error = report["errors"][0]
        self.assertEqual(f"{error['file']}:{error['line']}:{error['column']}", self.place("poll_interval", "100ms"))
        self.assertTrue(error["what"] and error["accepted"])
        paths = [w["path"] for w in report["warnings"]]
        self.assertIn("twins[0].publish.state_interval", paths)
        self.assertIn("twins[0]", paths, "the configuration's own warnings are there, too")
        state = [s for s in report["streams"] if s["stream"] == "twins.tanks.state"][0]
        self.assertEqual(state["messages_per_second"], 10.0, "one state a step at most")

    def test_unmeasured_outputs_say_nothing(self):
        done = self.check(("level_1: plc.level_1, level_2: plc.level_2}", "level_1: plc.level_1}"), json_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        twin = json.loads(done.stdout)["twins"][0]
        self.assertEqual((twin["observable"], twin["unobservable_states"]), (False, ["level_2"]))
        self.assertEqual(list(twin["innovation_std"]), ["level_1"])
        self.assertEqual(twin["ambiguity_groups"], [["pump.fault", "level_1.disturbance", "level_1.drift"]])
        self.assertEqual(twin["undetectable_faults"], ["level_2.disturbance"])
        self.assertRegex(done.stderr, r"warning: \S+:\d+:\d+: twins\[0\]\.outputs: state level_2 ")

    def test_every_stream_is_told(self):
        report = json.loads(self.check(json_output=True).stdout)
        self.assertEqual(sorted(s["stream"] for s in report["streams"]), sorted([
            "status", "metrics", "devices.plc.info", "devices.plc.samples", "devices.plc.anomaly", "twins.tanks.info",
            "twins.tanks.state", "twins.tanks.anomaly", "anomaly", "gap", "backlog"]))
        for stream in report["streams"]:
            self.assertEqual(stream["topic"], configuration.PREFIX + "/" + stream["stream"].replace(".", "/"))
            self.assertEqual(stream["topic_slashes"], stream["topic"].count("/"))
            self.assertEqual(stream["topic_bytes"], len(stream["topic"]))
            self.assertGreater(stream["message_bytes"], 200)
        self.assertIsNone(report["spool"]["drain_hours"])
        self.assertTrue(report["spool"]["drain_reason"])

    def test_files_are_told_with_owner_mode_and_date(self):
        report = json.loads(self.check(json_output=True).stdout)
        owner = pwd.getpwuid(os.getuid()).pw_name
        year_from_now = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=365)).date()
        for key, file in (("cert", "gateway.crt"), ("key", "gateway.key"), ("root_ca", "ca.crt")):
            told = report["files"][key]
            mode = os.stat(self.pki.path(file)).st_mode & 0o7777
            self.assertEqual((told["path"], told["owner"], told["mode"]), (self.pki.path(file), owner, f"{mode:04o}"))
            if key != "key":
                date = datetime.date.fromisoformat(told["certificate_expires"])
                self.assertLessEqual(abs((date - year_from_now).days), 1)
                self.assertIn(told["certificate_days_left"], (363, 364, 365))

    def test_broken_certificates_are_faults_with_a_place(self):
        for name, change, path in (
                ("gateway.crt", lambda file: open(file, "w", encoding="utf-8").write("no certificate\n"), "uplink.cert"),
                ("gateway.key", lambda file: shutil.copyfile(self.pki.path("stranger.key"), file), "uplink.key"),
                ("ca.crt", lambda file: open(file, "w", encoding="utf-8").write("\n"), "uplink.root_ca")):
            kept = self.pki.path(name) + ".kept"
            shutil.copy2(self.pki.path(name), kept)
            change(self.pki.path(name))
            done = self.check()
            shutil.move(kept, self.pki.path(name))
            self.assertEqual(done.returncode, 78, f"{name}: {done.stderr}")
            at = self.place(" " + path.split(".")[1] + ":", self.pki.path(name))
            self.assertRegex(done.stderr, rf"(?m)^{re.escape(f'{at}: {path}: ')}.+; accepted: .+$")

    def test_expired_certificate_is_a_warning_with_a_place(self):
        for name in ("crt", "key"):
            shutil.copy2(self.pki.path(f"expired.{name}"), self.pki.path(f"gateway.{name}"))
        done = self.check()
        self.assertEqual(done.returncode, 0, done.stderr)
        at = self.place(" cert:", self.pki.path("gateway.crt"))
        self.assertRegex(done.stderr, rf"(?m)^{re.escape(f'warning: {at}: uplink.cert: ')}.* expired on 20\d\d-\d\d-\d\d")

    def test_authorities_that_others_can_change_are_a_warning_with_a_place(self):
        with_list = ("  root_ca:", f"  crl: {self.pki.path('ca.crl')}\n  root_ca:")
        self.assertNotIn("change it", self.check(with_list).stderr)
        for key, file, mode in (("root_ca", "ca.crt", "0664"), ("crl", "ca.crl", "0646")):
            os.chmod(self.pki.path(file), int(mode, 8))
            done = self.check(with_list)
            self.assertEqual(done.returncode, 0, done.stderr)
            at = self.place(f" {key}:", self.pki.path(file))
            self.assertIn(f"warning: {at}: uplink.{key}: {self.pki.path(file)}: mode {mode} lets others than its owner "
                          f"change it; better: a mode such as 0644; chmod go-w {self.pki.path(file)}", done.stderr)


class CheckOfSizes(RigTestCase):
    def test_no_message_is_larger_than_told(self):
        self.start_line()
        report = json.loads(command("check", "--config", self.configuration, "--json").stdout)
        told = {stream["topic"]: max(stream["message_bytes"], stream["message_bytes_while_lost"] or 0)
                for stream in report["streams"]}
        self.daemon.start()
        self.arrives("twins.tanks.state", lambda m: m["step"] > 20, 60, "some states")
        self.simulator.kill()
        self.arrives("devices.plc.samples", lambda m: len(m["bad"]) == 3, 60, "a lost device")
        self.daemon.stop()
        self.arrives("metrics", lambda m: True, 30, "the last metrics")
        with open(self.subscriber.process.stdout_path, encoding="utf-8") as file:
            sizes = {}
            for line in file:
                _, _, topic, payload = line.rstrip("\n").split(" ", 3)
                sizes[topic] = max(sizes.get(topic, 0), len(payload.encode()))
        self.assertGreaterEqual(len(sizes), 6, sizes)
        for topic, size in sizes.items():
            self.assertLessEqual(size, told[topic], f"{topic}: {sizes} against {told}")
            if not topic.endswith(("/backlog", "/anomaly")):
                self.assertGreater(size, told[topic] / 2, f"{topic}: {sizes} against {told}")


if __name__ == "__main__":
    main()
