"""The scripted broker: each fault reaches a client that is not ours, and what the client sent is on record."""
import time

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from strict_broker.case import StrictTestCase, main
from strict_broker.clients import mosquitto_pub
from strict_broker.scripted_broker import KEEP_SILENT, Behaviour, ScriptedBroker

VERSIONS = (4, 5)
TOPIC = "a/b"
SILENCE_S = 0.3  # after which what has not come is taken not to come; every packet here takes a millisecond


class ScriptedBrokerTest(StrictTestCase):
    def start_broker(self, behaviour=None, pki=None, **options):
        self.broker = self.start(ScriptedBroker(pki, behaviour, **options))
        return self.broker

    def connect(self, **options):
        return self.client(self.broker.port, **options)

    def connected(self, **options):
        return self.connect(**options).connected()

    def silent_for(self, client, kind, wanted=0):
        """`kind` is not said more often than `wanted` times: the link is alive (PINGRESP) and it still has not come."""
        time.sleep(SILENCE_S)
        self.assertEqual(len(client.of(kind)), wanted)

    # Record ----------------------------------------------------------------------------------------------------------

    def test_record(self):
        self.start_broker(pki=self.pki)
        before = time.monotonic()
        client = self.connected(pki=self.pki, version=5, clean=False, keep_alive=45, session_expiry=3600,
                                will=("will/topic", "gone", 1, True))
        client.subscribe("x/#", "y/+")
        client.publish(TOPIC, "payload", retain=True)
        client.wait_for("puback")
        client.client.disconnect(properties=None)
        self.broker.wait_for("closed")
        connect = self.broker.of("CONNECT")[0].packet
        self.assertEqual((connect.version, connect.client_id, connect.clean), (5, "gateway", False))
        self.assertEqual((connect.keep_alive, connect.session_expiry), (45, 3600))
        will = connect.will
        self.assertEqual((will.topic, will.payload, will.qos, will.retain), ("will/topic", b"gone", 1, True))
        self.assertEqual(self.broker.of("SUBSCRIBE")[0].packet.filters, [("x/#", 1), ("y/+", 1)])
        publish = self.broker.of("PUBLISH")[0].packet
        self.assertEqual((publish.topic, publish.payload, publish.qos, publish.dup, publish.retain),
                         (TOPIC, b"payload", 1, False, True))
        self.assertEqual(self.broker.of("DISCONNECT")[0].packet.reason, 0)
        self.assertEqual(self.broker.connections[0].common_name, "gateway")
        times = [record.at for record in self.broker.records]
        self.assertEqual(times, sorted(times))
        self.assertTrue(before < times[0] < times[-1] < time.monotonic())

    def test_client_that_distrusts_the_certificate(self):
        self.start_broker(pki=self.pki, server="wrong_host")
        with self.assertRaises(OSError):
            self.connect(pki=self.pki)
        self.broker.wait_for("handshake")

    # CONNACK ---------------------------------------------------------------------------------------------------------

    def test_no_connack(self):
        self.start_broker(Behaviour(connack=KEEP_SILENT))
        for version in VERSIONS:
            client = self.connect(version=version)
            self.broker.wait_for("CONNECT", version - 3)
            self.silent_for(client, "connack")
            self.assertEqual(client.of("closed"), [])

    def test_refused_connect(self):
        for version, code in ((4, 5), (5, 0x87), (5, 0x97)):
            self.start_broker(Behaviour(connack=code))
            self.assertEqual(self.connect(version=version).wait_for("connack")[0], code)
            self.broker.wait_for("closed")

    def test_unstable_connection(self):
        self.start_broker([Behaviour(drop_after=0), Behaviour()])
        for version in VERSIONS:
            client = self.connected(version=version)
            if version == 4:
                client.wait_for("closed")
                self.assertEqual(self.broker.wait_for("closed")[0].packet, "broker")
        client.publish(TOPIC)
        client.wait_for("puback")

    def test_connack_properties(self):
        self.start_broker(Behaviour(session_expiry_limit=600, connack_properties={
            "receive_maximum": 5, "maximum_packet_size": 4096, "assigned_client_identifier": "other"}))
        told = self.connected(keep_alive=5, session_expiry=3600).wait_for("connack")[2]
        self.assertEqual((told.ReceiveMaximum, told.MaximumPacketSize, told.AssignedClientIdentifier, told.MaximumQoS,
                          told.SessionExpiryInterval, told.ServerKeepAlive), (5, 4096, "other", 1, 600, 30))

    def test_session(self):
        self.start_broker()
        for version in VERSIONS:
            present = []
            for clean in (False, False, True, False):
                client = self.connected(version=version, client_id=f"v{version}", clean=clean,
                                        session_expiry=0 if clean else 60)
                present.append(client.wait_for("connack")[1]["session present"])
                client.close()
            self.assertEqual(present, [0, 1, 0, 0])

    def test_session_as_scripted(self):
        self.start_broker([Behaviour(session_present=True), Behaviour(session_present=False)])
        for wanted in (1, 0):
            client = self.connected(clean=False, session_expiry=9)
            self.assertEqual(client.wait_for("connack")[1]["session present"], wanted)

    def test_connects_too_often(self):
        self.start_broker(connect_interval=60)
        self.connected().close()
        second = self.connect()
        second.wait_for("closed")
        self.assertEqual(second.of("connack"), [])

    def test_keep_alive_is_clamped(self):
        self.start_broker(Behaviour(keep_alive_range=(0.2, 0.4), pingresp=False))
        self.connected(version=4, keep_alive=60)  # is treated as one of 0.4 s
        self.broker.wait_for("keep-alive exceeded", deadline_s=5)
        opened, closed = self.broker.of("CONNECT")[0].at, self.broker.of("closed")[0].at
        self.assertGreater(closed - opened, 0.55)

    # Drops -----------------------------------------------------------------------------------------------------------

    def test_drop_after_publishes(self):
        self.start_broker(Behaviour(drop_after_publishes=3))
        for version in VERSIONS:
            client = self.connected(version=version)
            for _ in range(3):
                client.publish(TOPIC)
            client.wait_for("closed")
            self.assertEqual(len(client.of("puback")), 2)

    def test_disconnect_with_reason(self):
        self.start_broker(Behaviour(drop_after=0.05, drop_reason=0x8B))
        self.assertEqual(self.connected().wait_for("closed"), 0x8B)
        self.broker.behaviour = Behaviour()
        client = self.connected()
        self.broker.drop(0x97)
        self.assertEqual(client.wait_for("closed"), 0x97)

    def test_takeover(self):
        self.start_broker()
        first = self.connected()
        second = self.connected()
        self.assertEqual(first.wait_for("closed"), 0x8E)
        second.publish(TOPIC)
        second.wait_for("puback")

    # Acknowledgements ------------------------------------------------------------------------------------------------

    def test_no_puback(self):
        self.start_broker(Behaviour(puback=KEEP_SILENT))
        for version in VERSIONS:
            client = self.connected(version=version)
            client.publish(TOPIC)
            self.silent_for(client, "puback")
            self.assertEqual(client.of("closed"), [])

    def test_no_puback_for_some(self):
        self.start_broker(Behaviour(no_puback_first=2))
        client = self.connected()
        ids = [client.publish(TOPIC) for _ in range(4)]
        client.wait_for("puback", 2)
        self.assertEqual(client.of("puback"), ids[2:])

    def test_no_puback_for_one_topic(self):
        self.start_broker(Behaviour(puback=lambda publish: KEEP_SILENT if publish.topic == "bad" else 0))
        client = self.connected()
        ids = [client.publish(topic) for topic in ("bad", "good")]
        client.wait_for("puback")
        self.assertEqual(client.of("puback"), ids[1:])

    def test_throttled(self):
        self.start_broker(Behaviour(puback_rate=20))
        client = self.connected()
        client.client.max_inflight_messages_set(100)
        for _ in range(60):
            client.publish(TOPIC)
        self.broker.wait_for("PUBLISH", 60)
        time.sleep(SILENCE_S)
        burst = self.broker.of("PUBLISH")[-1].at - self.broker.of("PUBLISH")[0].at
        answered = len(self.broker.of("sent PUBACK"))
        self.assertLessEqual(answered, 20 + 20 * burst + 1)
        self.assertGreaterEqual(answered, 20)
        client.publish(TOPIC)  # later there is room again
        self.broker.wait_for("sent PUBACK", answered + 1)

    def test_bandwidth(self):
        self.start_broker(Behaviour(bytes_per_second=100000))
        client = self.connected()
        for _ in range(4):
            client.publish(TOPIC, "x" * 10000)
        client.wait_for("puback", 4)
        took = self.broker.of("PUBLISH")[-1].at - self.broker.of("CONNECT")[0].at
        self.assertGreater(took, 0.4)

    def test_puback_with_reason(self):
        self.start_broker(Behaviour(puback=0x97))
        self.assertIn("RC:151", mosquitto_pub(self.broker.port, None, TOPIC))
        client = self.connected(version=4)
        client.publish(TOPIC)
        self.silent_for(client, "puback")

    def test_pubacks_out_of_order(self):
        self.start_broker(Behaviour(puback_reversed=3))
        client = self.connected()
        ids = [client.publish(TOPIC) for _ in range(3)]
        client.wait_for("puback", 3)
        self.assertEqual(client.of("puback"), ids[::-1])

    def test_puback_twice(self):
        self.start_broker(Behaviour(puback_copies=2))
        client = self.connected()
        mid = client.publish(TOPIC)
        self.assertEqual([r.packet for r in self.broker.wait_for("sent PUBACK", 2)], [mid, mid])
        second = client.publish(TOPIC)
        client.wait_for("puback", 2)
        self.assertEqual(client.of("puback"), [mid, second])

    def test_no_pingresp(self):
        self.start_broker(Behaviour(pingresp=False, keep_alive_range=(0, 1200)))
        client = self.connected(version=4, keep_alive=1)
        self.broker.wait_for("PINGREQ", deadline_s=5)
        self.broker.wait_for("closed", deadline_s=5)
        self.assertNotIn("sent PINGRESP", [r.kind for r in self.broker.records])
        client.wait_for("closed")

    def test_subscribe(self):
        for version in VERSIONS:
            self.start_broker(Behaviour(suback=lambda name: 0x80 if name == "bad" else 1))
            client = self.connected(version=version)
            client.subscribe("good", "bad")
            self.assertEqual(client.wait_for("suback"), [1, 0x80])
        self.start_broker(Behaviour(suback=0x87))
        client = self.connected()
        client.subscribe("x")
        self.assertEqual(client.wait_for("suback"), [0x87])
        self.start_broker(Behaviour(suback=KEEP_SILENT))
        client = self.connected()
        client.subscribe("x")
        self.silent_for(client, "suback")
        self.assertEqual(client.of("closed"), [])

    # What the broker says by itself ----------------------------------------------------------------------------------

    def test_duplicate_with_a_new_packet_id(self):
        self.start_broker()
        client = self.connected()
        ids = self.broker.say("never/subscribed/to", "twice", copies=2)
        client.wait_for("message", 2)
        self.assertEqual([(m.payload, m.dup) for m in client.of("message")], [(b"twice", False)] * 2)
        self.assertEqual([r.packet.packet_id for r in self.broker.wait_for("PUBACK", 2)], ids)
        self.assertNotEqual(*ids)

    def test_stored_messages_come_slowly(self):
        self.start_broker(Behaviour(session_present=True, stored=[("s", str(n)) for n in range(4)], stored_rate=10))
        client = self.connected(clean=False, session_expiry=60)
        client.wait_for("message", 4)
        times = [record.at for record in self.broker.of("sent PUBLISH")]
        self.assertGreater(times[-1] - times[0], 0.28)

    # Limits of AWS IoT Core that a client can break ------------------------------------------------------------------

    def breaks(self, reason, act, behaviour=None, version=5):
        self.start_broker(behaviour)
        client = self.connected(version=version)
        act(client)
        self.assertEqual(client.wait_for("closed"), reason)

    def test_limits(self):
        self.breaks(0x90, lambda c: c.publish("1/2/3/4/5/6/7/8/9"))
        self.breaks(0x97, lambda c: c.publish("a", "x" * 131073))
        self.breaks(0x97, lambda c: c.subscribe(*[f"t/{n}" for n in range(9)]))
        self.breaks(0x97, lambda c: [c.subscribe(f"t/{n}") for n in range(51)])
        self.breaks(0x82, lambda c: c.publish("$aws/things/a/shadow/update", retain=True))
        self.breaks(0x9B, lambda c: c.publish("a", qos=2))

        identified = Properties(PacketTypes.SUBSCRIBE)
        identified.SubscriptionIdentifier = 7
        self.breaks(0xA1, lambda c: c.subscribe("a", properties=identified))

    def test_receive_maximum(self):
        self.start_broker(Behaviour(puback=KEEP_SILENT, connack_properties={"receive_maximum": 3}))
        client = self.connected()
        client.client.max_inflight_messages_set(100)  # paho-python does not look at the broker's
        for _ in range(4):
            client.publish(TOPIC)
        self.assertEqual(client.wait_for("closed"), 0x93)
        self.assertEqual(self.broker.connections[0].most_in_flight, 4)

    def test_qos_2_is_never_answered(self):
        self.start_broker()
        client = self.connected(version=4)
        client.subscribe("a", qos=2)
        client.publish("a", qos=2)
        self.silent_for(client, "suback")
        self.assertEqual(client.of("puback") + client.of("closed"), [])

    def test_restart_on_the_same_port(self):
        self.start_broker()
        client = self.connected()
        port = self.broker.port
        self.broker.stop()
        client.wait_for("closed")
        self.broker.start()
        self.assertEqual(self.broker.port, port)
        self.connected()


if __name__ == "__main__":
    main()
