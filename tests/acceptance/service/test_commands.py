"""Commands over MQTT: a register of a foreign server is written within its limits, and every decision is recorded."""
import datetime
import json
import os
import subprocess

from rig import RigTestCase, configuration, main, wait_until
from rig.peers import PymodbusPeer, tool
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


def rfc3339(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Commands(RigTestCase):
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
        self.asked = 0

    def publish(self, payload, verb="write", retain=False):
        command = [tool("mosquitto_pub"), "-h", "localhost", "-p", str(self.broker.port), "--cafile",
                   self.pki.path("ca.crt"), "--cert", self.pki.path("subscriber.crt"), "--key",
                   self.pki.path("subscriber.key"), "-q", "1", "-t", f"{configuration.PREFIX}/command/{verb}", "-s"]
        subprocess.run(command + (["-r"] if retain else []), input=payload.encode(), check=True, timeout=20)

    def command(self, tag, value, **changes):
        self.asked += 1
        now = datetime.datetime.now(datetime.timezone.utc)
        return {"schema": "twinkeeper.command/1", "correlation_id": f"c{self.asked}", "issued_at": rfc3339(now),
                "expires_at": rfc3339(now + datetime.timedelta(seconds=30)), "by": "the test",
                "arguments": {"tag": tag, "value": value}, **changes}

    def answer(self, command, count=1):
        stream = f"response.{command['correlation_id']}"
        return self.arrives(stream, lambda m: m["seq"] >= count, 20, f"an answer to {command['correlation_id']}")

    def ask(self, tag, value, **changes):
        command = self.command(tag, value, **changes)
        self.publish(json.dumps(command))
        return self.answer(command)

    def trail(self):
        path = os.path.join(self.folder, "state", "commands.log")
        with open(path, encoding="utf-8") as file:
            return [json.loads(line) for line in file]

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


if __name__ == "__main__":
    main()
