"""AWS IoT Device Advisor's list, MQTT: acknowledgements, keep-alive, subscriptions and sessions, as the wire shows them."""
import json
import unittest
import uuid

from gateway_case import COMMAND, GatewayCase
from rig import configuration, wait_until
from strict_broker.scripted_broker import KEEP_SILENT, Behaviour

RESPONSE = f"{configuration.PREFIX}/response/"
LEAST_PAUSE_S = 10  # between two CONNECTs


def command():
    """A command that is refused, whatever the daemon's clock: the answer shows that it was read."""
    return json.dumps({"schema": "twinkeeper.command/1", "correlation_id": uuid.uuid4().hex, "by": "test",
                       "issued_at": "2020-01-01T00:00:00Z", "expires_at": "2020-01-01T00:01:00Z",
                       "arguments": {"tag": "plc.level", "value": 0.5}})


class Session(GatewayCase):
    def start(self, behaviour, uplink="", **options):
        self.broker = self.start_scripted_broker(self.pki, behaviour)
        self.daemon = self.gateway(self.broker.port, uplink, **options)
        self.daemon.start()

    def answers(self):
        return [r for r in self.broker.of("PUBLISH") if r.packet.topic.startswith(RESPONSE)]

    def test_publish(self):
        self.start(Behaviour())
        first = self.broker.wait_for("PUBLISH", 5)
        for published in first:
            self.assertEqual(published.packet.qos, 1)
            self.assertTrue(published.packet.topic.startswith((configuration.PREFIX + "/", "$aws/")), published.packet.topic)

    def test_retain(self):
        """What is retained is the gateway's state and descriptions, never a measurement nor anything of `$aws/`."""
        self.start(Behaviour())
        samples = f"{configuration.PREFIX}/devices/plc/samples"
        wait_until(lambda: any(r.packet.topic == samples for r in self.broker.of("PUBLISH")), 30, "samples")
        retained = {r.packet.topic for r in self.broker.of("PUBLISH") if r.packet.retain}
        self.assertEqual(retained, {f"{configuration.PREFIX}/status", f"{configuration.PREFIX}/devices/plc/info"})

    def test_acknowledge(self):
        """What arrives with QoS 1 is acknowledged under its own packet id, whatever its size and whether it is understood."""
        self.start(Behaviour())
        self.broker.wait_for("SUBSCRIBE")
        for payload in (command(), "", "no JSON", "x" * 131072):
            wanted = self.broker.say(COMMAND, payload)[0]
            wait_until(lambda: any(r.packet.packet_id == wanted for r in self.broker.of("PUBACK")), 20,
                       lambda: f"PUBACK {wanted}; there were {self.broker.of('PUBACK')}")
        self.assertEqual(len(self.broker.of("CONNECT")), 1)

    def test_retry_without_acknowledgement(self):
        """3.1.1: the same publication again in the same connection, with the same packet id."""
        self.start(Behaviour(no_puback_first=1), "  mqtt_version: 3.1.1\n")
        first = self.broker.wait_for("PUBLISH")[0]

        def again():
            return next((r for r in self.broker.of("PUBLISH", first.connection)[1:]
                         if r.packet.packet_id == first.packet.packet_id and r.packet.payload == first.packet.payload), None)
        self.assertTrue(wait_until(again, 30, "the publication to be repeated").packet.dup)

    def test_new_connection_without_acknowledgement(self):
        """MQTT 5 forbids repeating within a connection: what is not acknowledged comes again on the next one."""
        self.start([Behaviour(puback=lambda p: KEEP_SILENT if p.topic.endswith("/samples") else 0), Behaviour()])
        lost = wait_until(lambda: next((r for r in self.broker.of("PUBLISH", 0) if r.packet.topic.endswith("/samples")), None),
                          30, "samples")
        identity = json.dumps(json.loads(lost.packet.payload)["id"])

        def again():
            return next((r for r in self.broker.of("PUBLISH", 1) if identity.encode() in r.packet.payload), None)
        wait_until(again, 60, "the message to come again")
        self.assertEqual(len([r for r in self.broker.of("PUBLISH", 0) if identity.encode() in r.packet.payload]), 1)

    def test_throttled_acknowledgements(self):
        """What is throttled gets no answer at all: the daemon gives the connection up and loses nothing."""
        self.start([Behaviour(puback_rate=2), Behaviour()])
        self.broker.wait_for("CONNECT", 2, 90)
        acknowledged = {r.packet for r in self.broker.of("sent PUBACK", 0)}
        left = {json.dumps(json.loads(r.packet.payload)["id"]) for r in self.broker.of("PUBLISH", 0)
                if r.packet.packet_id not in acknowledged and b'"id"' in r.packet.payload
                and not r.packet.topic.endswith("/status")}  # which is said anew, not again
        self.assertTrue(left, "the broker has acknowledged all that it was sent")

        def missing():
            text = b"".join(r.packet.payload for r in self.broker.of("PUBLISH", 1))
            return f"what was not acknowledged: {[one for one in left if one.encode() not in text]}"
        wait_until(lambda: missing().endswith("[]"), 60, missing)

    def test_keep_alive(self):
        self.start(Behaviour(), "  keep_alive: 45s\n")
        self.assertEqual(self.broker.wait_for("CONNECT")[0].packet.keep_alive, 45)

    def test_server_keep_alive(self):
        """What the broker demands in CONNACK holds, not what was configured."""
        self.start(Behaviour(connack_properties={"server_keep_alive": 5}), quiet=True)
        pings = self.broker.wait_for("PINGREQ", 4, 60)
        self.assertLess(pings[3].at - pings[1].at, 20)

    def test_no_ping_response(self):
        """Without PINGRESP the connection is given up."""
        self.start(Behaviour(pingresp=False, connack_properties={"server_keep_alive": 5}), quiet=True)
        ping = self.broker.wait_for("PINGREQ", 1, 60)[0]
        again = next(r for r in self.broker.wait_for("CONNECT", len(self.broker.of("CONNECT")) + 1, 60) if r.at > ping.at)
        self.assertLess(again.at - ping.at, 40)

    def test_subscribe(self):
        self.start(Behaviour())
        self.assertIn(COMMAND, self.filters(0))
        self.broker.say(COMMAND, command())
        wait_until(self.answers, 20, "an answer")

    def test_no_subscription_acknowledged(self):
        """A broker that never grants a subscription still gets what is measured."""
        self.start(Behaviour(suback=KEEP_SILENT))
        self.broker.wait_for("SUBSCRIBE")
        self.broker.wait_for("PUBLISH", 30, 60)

    def test_retry_of_a_subscription(self):
        """What was not granted is asked for again on the same connection, and heard from then on."""
        class Deaf(Behaviour):
            async def on_subscribe(self, connection, subscribe):
                if len(connection.broker.of("SUBSCRIBE", connection.number)) > 1:
                    await super().on_subscribe(connection, subscribe)
        self.start(Deaf(), "  shadows: off\n  jobs: false\n")  # which leaves one SUBSCRIBE, that of commands
        first, second = self.broker.wait_for("SUBSCRIBE", 2, 120)
        self.assertEqual((second.connection, second.packet.filters), (first.connection, first.packet.filters))
        self.broker.wait_for("sent SUBACK")
        self.broker.say(COMMAND, command())
        wait_until(self.answers, 20, "an answer")

    def test_subscription_refused(self):
        self.start(Behaviour(suback=0x87))
        wait_until(lambda: "subscription" in self.daemon.stderr() or "nothing arrives" in self.daemon.stderr(), 30,
                   "the refusal to be told")
        self.broker.wait_for("PUBLISH", 20)

    def test_session_present(self):
        """The session is asked for; where the broker still has it nothing is subscribed again, and what it kept is read."""
        stored = command()
        self.start([Behaviour(), Behaviour(stored=[(COMMAND, stored)])])
        self.broker.wait_for("SUBSCRIBE")
        connect = self.broker.of("CONNECT")[0].packet
        self.assertGreater(connect.session_expiry, 0)
        self.broker.wait_for("PUBLISH", 3)
        self.broker.drop()
        second = self.broker.wait_for("CONNECT", 2, 60)[1]
        self.assertFalse(second.packet.clean)
        identity = json.loads(stored)["correlation_id"]
        wait_until(lambda: any(r.packet.topic.endswith(identity) for r in self.answers()), 30, "the answer to what was kept")
        self.assertEqual(self.broker.of("SUBSCRIBE", 1), [])

    def test_session_lost(self):
        self.start(Behaviour())
        filters = self.filters(0)
        self.broker.forget_sessions()
        self.broker.drop()
        self.broker.wait_for("CONNECT", 2, 60)
        self.assertEqual(self.filters(1), filters)

    def filters(self, connection):
        """What is subscribed to on a connection, once publishing has begun, which it does behind that."""
        wait_until(lambda: self.broker.of("PUBLISH", connection), 30, "publications")
        return [name for r in self.broker.of("SUBSCRIBE", connection) for name, _ in r.packet.filters]

    def test_taken_over(self):
        """Another client with the same id: the reason is told, and they do not throw each other out in a loop."""
        self.start(Behaviour())
        self.broker.wait_for("PUBLISH", 3)
        for number in (2, 3):
            dropped_at = self.broker.of("CONNECT")[-1].at
            self.broker.drop(0x8E)
            again = self.broker.wait_for("CONNECT", number, 60)[number - 1]
            self.assertGreaterEqual(again.at - dropped_at, LEAST_PAUSE_S - 0.5)
        self.assertIn("0x8E", self.daemon.stderr())

    def test_receive_maximum(self):
        self.start(Behaviour(connack_properties={"receive_maximum": 4}, puback_delay=0.3))
        self.broker.wait_for("PUBLISH", 30, 60)
        self.assertLessEqual(self.broker.connections[0].most_in_flight, 4)
        self.assertEqual(len(self.broker.of("CONNECT")), 1)

    def test_acknowledgements_twice_and_out_of_order(self):
        self.start(Behaviour(puback_copies=2, puback_reversed=3))
        self.broker.wait_for("PUBLISH", 40, 60)
        self.assertEqual(len(self.broker.of("CONNECT")), 1)

    def test_unasked(self):
        """Messages on topics nobody subscribed to, and the same one again with a new packet id."""
        self.start(Behaviour())
        self.broker.wait_for("SUBSCRIBE")
        self.broker.say("$aws/things/other/jobs/notify", "{}")
        once = command()
        self.broker.say(COMMAND, once, copies=3)
        wait_until(self.answers, 20, "an answer")
        self.broker.wait_for("PUBLISH", 20)
        self.daemon.must_run()
        self.assertEqual(len(self.broker.of("CONNECT")), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
