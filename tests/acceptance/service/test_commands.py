"""Commands over MQTT: a register of a foreign server is written within its limits, and every decision is recorded."""
import datetime
import json
import os

from rig import RigTestCase, configuration, main, wait_until
from rig.commands import CommandParts, rfc3339
from rig.peers import PymodbusPeer
from rig.ports import free_port
from rig.service import command

DEVICE = """\
devices:
  - name: plc
    controller: tcp://127.0.0.1:{port}
    poll_interval: 100ms
    timeout: 500ms
    publish: {{interval: 200ms}}
    registers:
      - {{name: setpoint, register: holding, address: 0, type: FLOAT32, unit: m}}
      - {{name: speed, register: holding, address: 4, type: INT16, scale: 0.1}}
      - {{name: pump, register: coil, address: 3}}
      - {{name: level, register: holding, address: 10, type: FLOAT32, unit: m}}
{writable}"""
WRITABLE = """\
    writable:
      - {name: setpoint, min_value: 0, max_value: 2, max_step: 0.5, per_minute: 100}
      - {name: speed, min_value: 0, max_value: 100, per_minute: 2}
      - {name: pump, function: multiple}
"""
# Machines that run tests may have no time source.
COMMANDS = "commands: {enabled: true, allow: [write], per_minute: 100, require_synchronised_clock: false}\n"
VALUES = [("holding", 0, "float32", "ABCD", 1.0), ("holding", 4, "int16", "ABCD", 200), ("coil", 3, "bit", "-", 0),
          ("holding", 10, "float32", "ABCD", 0.5)]
SAMPLES = "devices.plc.samples"


class Commands(CommandParts, RigTestCase):
    def begin(self, commands=COMMANDS, writable=WRITABLE):
        self.port = free_port()
        self.start_peer(PymodbusPeer(self.folder, "tcp", self.port, VALUES))
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.daemon = self.make_daemon(self.write_configuration(
            configuration.plain_gateway(DEVICE, port=self.port, writable=writable, mqtt_port=self.broker.port,
                                        pki=self.pki.folder) + commands))
        self.daemon.start()
        self.arrives(SAMPLES, lambda m: m["tags"]["setpoint"] == 1, 30, "the first values")

    def command(self, tag, value, **changes):
        return {**self.request({"tag": tag, "value": value}), **changes}

    def ask(self, tag, value, **changes):
        command = self.command(tag, value, **changes)
        self.publish(json.dumps(command))
        return self.answer(command)

    def test_writes(self):
        """A float, a word and a coil arrive in the device; limits, steps and rates are kept."""
        self.begin()
        done = self.ask("plc.setpoint", 1.25)
        self.assertEqual((done["result"], done["reason"], done["before"], done["after"]), ("done", None, 1, 1.25))
        self.arrives(SAMPLES, lambda m: m["tags"]["setpoint"] == 1.25, 10, "the new set point among the samples")
        self.assertEqual(self.ask("plc.speed", 33.3)["after"], 33.3)
        self.arrives(SAMPLES, lambda m: m["tags"]["speed"] == 33.3, 10, "the new speed among the samples")
        self.assertEqual(self.ask("plc.pump", True)["result"], "done")
        self.arrives(SAMPLES, lambda m: m["tags"]["pump"] == 1, 10, "the pump to be on")
        for tag, value, result, reason in (
                ("plc.setpoint", 2.5, "refused", "outside of min_value and max_value"),
                ("plc.setpoint", 0.1, "failed", "not written: too large a step from the present value"),
                ("plc.pump", 2, "refused", "a coil takes true or false"),
                ("plc.level", 1, "refused", "not writable: plc.level"),
                ("plc.nothing", 1, "refused", "not writable: plc.nothing")):
            answer = self.ask(tag, value)
            self.assertEqual((answer["result"], answer["reason"]), (result, reason))
        self.assertEqual(self.ask("plc.speed", 10)["result"], "done")
        self.assertEqual(self.ask("plc.speed", 20)["reason"], "more than 2 writes a minute")
        self.daemon.stop()
        refused = command("run", "--config", os.path.join(self.folder, "twinkeeper.yaml"), "--capture",
                          os.path.join(self.folder, "a.capture"))
        self.assertEqual(refused.returncode, 64)
        self.assertIn("--capture: this configuration lets commands write", refused.stderr)
        trail = self.trail()
        self.assertEqual(len(trail), self.asked)
        self.assertEqual([entry["result"] for entry in trail].count("done"), 4)
        self.assertTrue(all(entry["by"] == "the test" for entry in trail))
        self.check_envelopes()
        self.check_schemas()

    def test_refusals(self):
        """Replays, retained, stale and malformed commands change nothing."""
        self.begin()
        first = self.command("plc.setpoint", 1.25)
        self.publish(json.dumps(first))
        self.assertEqual(self.answer(first)["result"], "done")
        self.publish(json.dumps(first))
        self.assertEqual(self.answer(first, 2)["reason"], "repeated")
        now = datetime.datetime.now(datetime.timezone.utc)
        minute = datetime.timedelta(minutes=1)
        for changes, reason in (
                ({"issued_at": rfc3339(now - 2 * minute)}, "issued before this start of the service"),
                ({"issued_at": rfc3339(now + minute)}, "issued in the future"),
                ({"expires_at": rfc3339(now - minute)}, "expired"),
                ({"schema": "twinkeeper.command/2"}, "malformed: schema is not twinkeeper.command/1"),
                ({"extra": 1}, "malformed: unknown member extra"),
                ({"arguments": {"tag": "plc.setpoint", "value": 1, "force": True}},
                 "malformed: unknown member arguments.force"),
                ({"arguments": {"tag": "plc.setpoint", "value": "1"}},
                 "malformed: arguments.value is neither a number nor true or false")):
            answer = self.ask("plc.setpoint", 1.5, **changes)
            self.assertEqual((answer["result"], answer["reason"]), ("refused", reason))
        # Retained: refused when it is delivered as such, which is after a new connection.
        retained = self.command("plc.setpoint", 1.5)
        self.daemon.stop()
        retained["issued_at"] = rfc3339(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3))
        self.publish(json.dumps(retained), retain=True)
        self.daemon.start()
        self.assertEqual(self.answer(retained)["reason"], "retained")
        for rubbish in (" ", "{", "[1]", "{" * 20 + "}" * 20, json.dumps(self.command("plc.setpoint", 1))[:-1] + ', "by": 1}'):
            self.publish(rubbish)
        wait_until(lambda: sum("malformed" in (e["reason"] or "") for e in self.trail()) >= 9, 20, "all rubbish in the trail")
        self.assertEqual(self.subscriber.messages(SAMPLES)[-1]["tags"]["setpoint"], 1.25)
        self.daemon.stop()

    def test_off(self):
        """Without the section nothing is subscribed to, and a command does nothing."""
        self.begin(commands="")
        self.publish(json.dumps(self.command("plc.setpoint", 1.25)))
        mark = self.subscriber.count()
        self.arrives(SAMPLES, lambda m: m["tags"]["setpoint"] == 1, 10, "samples after the command", mark)
        self.daemon.stop()
        self.assertNotIn("SUBSCRIBE from rig-gw1", self.broker.process.stderr())
        self.assertEqual([m for m in self.subscriber.messages() if m.stream.startswith("response.")], [])
        self.assertFalse(os.path.exists(os.path.join(self.folder, "state", "commands.log")))
        self.assertIn("commands are not enabled", self.daemon.process.stderr())


ALL = ("commands: {enabled: true, allow: [describe, what-if, acknowledge, shelve, unshelve, snapshot, maintenance, reload], "
       "per_minute: 100, require_synchronised_clock: false}\n")
STATE = "twins.tanks.state"


class Verbs(CommandParts, RigTestCase):
    def begin(self):
        """A plant whose twin publishes next to nothing by itself."""
        self.start_line()
        self.text = configuration.plant_with_twin(**self.values) + ALL
        for interval in ("state_interval: 100ms", "state_interval: 1s"):
            self.text = self.text.replace(interval, "state_interval: 1h")
        self.assertIn("state_interval: 1h", self.text)
        self.daemon = self.make_daemon(self.write_configuration(self.text))
        self.daemon.start()
        self.arrives("twins.tanks.info", lambda m: True, 30, "the gateway to be connected")

    def ask(self, verb, arguments=None, **changes):
        command = self.request(arguments or {}, **changes)
        self.publish(json.dumps(command), verb)
        return self.answer(command)

    def state_now(self):
        mark = self.subscriber.count()
        answer = self.ask("snapshot", {"twins": ["tanks"]})
        self.assertEqual(answer["result"], "done", answer)
        return self.arrives(STATE, lambda m: True, 10, "the state that was asked for", mark)

    def test_describe_snapshot_and_what_if(self):
        """The newest state on demand, and what it comes to under inputs that may come."""
        self.begin()
        mark = self.subscriber.count()
        self.assertEqual(self.ask("describe")["result"], "done")
        for stream in ("twins.tanks.info", "devices.plc.info"):
            self.arrives(stream, lambda m: True, 10, f"{stream} once more", mark)
        wait_until(lambda: self.state_now()["mode"] == "tracking", 60, "the twin to be tracking")
        mark = self.subscriber.count()
        self.assertEqual(self.ask("snapshot")["result"], "done")
        self.arrives("devices.plc.samples", lambda m: m["tags"]["level_1"] is not None, 10, "samples of the device", mark)
        self.assertEqual(self.ask("snapshot", {"devices": ["nobody"]})["reason"], "there is no device nobody")

        now = self.state_now()["states"]
        answer = self.ask("what-if", {"twin": "tanks", "horizon": "10min", "inputs": {"pump": [[0, 4], [300, 6]]}, "points": 60})
        self.assertEqual(answer["result"], "done", answer)
        forecast = answer["forecast"]
        self.assertEqual((forecast["steps"], forecast["seconds"][-1], len(forecast["seconds"])), (6000, 600, 60))
        self.assertEqual((forecast["inputs"]["pump"]["value"][0], forecast["inputs"]["pump"]["value"][-1]), (4, 6))
        level = forecast["states"]["level_1"]
        middle = level["value"][29]
        self.assertGreater(level["value"][-1], middle, "with more of the pump it fills")
        self.assertLess(abs(level["value"][0] - now["level_1"]["value"]), 0.2, "it begins where the twin is")
        self.assertTrue(all(low < value < high for low, value, high in zip(level["low"], level["value"], level["high"])))
        for arguments, reason in (
                ({"twin": "nobody", "horizon": "1min"}, "there is no twin nobody"),
                ({"twin": "tanks", "horizon": "30d"}, "25920000 steps are too many; accepted: a horizon of at most 10000s"),
                ({"twin": "tanks", "horizon": "1min", "inputs": {"pumps": 1}}, "the twin has no input pumps; accepted: pump"),
                ({"twin": "tanks"}, "malformed: arguments.horizon is no text of at most 40 bytes")):
            answer = self.ask("what-if", arguments)
            self.assertEqual((answer["result"], answer["reason"]), ("refused", reason))
        self.daemon.stop()
        self.check_envelopes()
        self.check_schemas()

    def test_alarms(self):
        """Acknowledged, shelved, suppressed: by whom, until when, and what states say of it."""
        self.begin()
        self.simulator.process.kill()
        alarm = "plc.connection"
        event = lambda kind: self.arrives("devices.plc.anomaly", lambda m: m["event"] == kind, 30, kind)
        event("raised")
        self.assertEqual(self.ask("acknowledge", {"anomaly": alarm, "comment": "seen"})["result"], "done")
        told = event("acknowledged")
        self.assertEqual((told["state"], told["by"], told["comment"]), ("acknowledged", "the test", "seen"))
        self.assertEqual(self.ask("acknowledge", {"anomaly": alarm})["reason"], f"{alarm} is acknowledged already")
        self.assertEqual(self.ask("shelve", {"anomaly": alarm, "duration": "2h"})["duration"], "2h")
        self.assertEqual(event("shelved")["state"], "shelved")
        self.assertEqual(self.ask("unshelve", {"anomaly": alarm})["result"], "done")
        self.assertEqual(event("unshelved")["state"], "acknowledged")
        self.assertEqual(self.ask("maintenance", {"name": "plc", "duration": "1h"})["result"], "done")
        self.assertEqual(event("suppressed")["state"], "suppressed")
        self.assertEqual(self.ask("maintenance", {"name": "plc", "duration": "0s"})["result"], "done")
        self.assertEqual(event("unsuppressed")["state"], "acknowledged")
        self.daemon.stop()
        self.check_envelopes()
        self.check_schemas()

    def test_reload(self):
        """A reload is answered by the gateway that comes after it; one that fails says why; nothing is obeyed twice."""
        self.begin()
        epoch = self.epoch()
        session = self.subscriber.last("status")["session"]
        self.write_configuration(self.text.replace("interval: 200ms", "interval: 400ms"))
        first = self.request({})
        self.publish(json.dumps(first), "reload")
        stream = f"response.{first['correlation_id']}"
        self.arrives(stream, lambda m: m["result"] == "accepted", 20, "the reload to be accepted")
        done = self.arrives(stream, lambda m: m["result"] == "done", 30, "the reload to be done")
        self.assertGreater(done["epoch"], epoch, "by the new gateway")
        self.arrives("status", lambda m: m["epoch"] > epoch and m["session"] == session, 20, "the same connection to tell it")
        mark = self.subscriber.count()
        self.publish(json.dumps(first), "reload")
        self.arrives(stream, lambda m: m["reason"] == "repeated", 20, "the repetition to be refused", mark)
        self.write_configuration(self.text.replace("profile:", "profil:"))
        wrong = self.request({})
        self.publish(json.dumps(wrong), "reload")
        failed = self.arrives(f"response.{wrong['correlation_id']}", lambda m: m["result"] == "failed", 20, "the reason")
        self.assertRegex(failed["reason"], r"^the new configuration has 1 fault\(s\): .*uplink.profil: unknown key")
        self.write_configuration(self.text)
        self.daemon.process.kill()
        mark = self.subscriber.count()
        self.daemon.start()
        self.arrives("twins.tanks.info", lambda m: True, 30, "the gateway to be connected again", mark)
        mark = self.subscriber.count()
        self.publish(json.dumps(wrong), "reload")
        self.arrives(f"response.{wrong['correlation_id']}", lambda m: m["reason"] == "repeated", 20,
                     "the repetition to be refused after a sudden end", mark)
        self.assertEqual([(entry["number"], entry["result"]) for entry in self.trail()],
                         [(1, "accepted"), (2, "done"), (3, "refused"), (4, "accepted"), (5, "failed"), (6, "refused")])
        self.daemon.stop()
        self.check_schemas()


if __name__ == "__main__":
    main()
