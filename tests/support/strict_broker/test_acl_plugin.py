"""Mosquitto with the plugin: every rule of AWS IoT Core that it stands for bites."""
from rig.strict_broker import StrictBroker
from strict_broker.case import StrictTestCase, main
from strict_broker.clients import mosquitto_pub

VERSIONS = (4, 5)
ALLOWED = "twinkeeper/gateway/state"
DENIED = "somebody/else"


class AclPlugin(StrictTestCase):
    def start_broker(self, **options):
        self.broker = self.start(StrictBroker(self.folder, self.pki, **options))

    def connect(self, who="gateway", **options):
        return self.client(self.broker.port, self.pki, who, **options)

    def gateway(self, **options):
        return self.connect(**options).connected()

    def pub(self, topic, version, *arguments):
        return mosquitto_pub(self.broker.port, self.pki, topic, "x", version, "gateway", *arguments)

    def closes(self, act, why):
        """What act(client) does ends the connection unanswered, under both versions."""
        for version in VERSIONS:
            with self.subTest(version=version):
                client = self.gateway(version=version)
                act(client)
                client.wait_for("closed")
                self.assertIn(why, " ".join(self.broker.refusals()[-1]))
                self.assertEqual(client.of("puback") + client.of("suback"), [])

    def passes(self, topic, payload="x", retain=False):
        for version in VERSIONS:
            client = self.gateway(version=version)
            client.publish(topic, payload, retain=retain)
            client.wait_for("puback")
            self.assertEqual(client.of("closed"), [])
            client.close()

    # Who may connect -------------------------------------------------------------------------------------------------

    def test_client_id(self):
        self.start_broker()
        for version in VERSIONS:
            client = self.connect(client_id="gateway-2", version=version)
            client.wait_for("closed")
            self.assertEqual(client.of("connack"), [])
        self.assertEqual([r[0] for r in self.broker.refusals()], ["refused"] * 2)
        self.gateway()

    def test_client_id_with_connack(self):
        self.start_broker(denied_connect="connack")
        for version, code in ((4, 5), (5, 0x87)):
            self.assertEqual(self.connect(client_id="gateway-2", version=version).wait_for("connack")[0], code)

    def test_certificate_of_another_thing(self):
        self.start_broker()
        self.broker.set_policy("thing gateway line3-gw1\nallow connect %c\nallow publish a/%c\n")
        client = self.gateway(client_id="line3-gw1")
        client.publish("a/line3-gw1")
        client.wait_for("puback")
        self.connect(client_id="gateway").wait_for("closed")

    def test_connect_interval(self):
        self.start_broker(connect_interval_ms=60000)
        self.gateway().close()
        second = self.connect()
        second.wait_for("closed")
        self.assertEqual(second.of("connack"), [])
        self.connect("subscriber").connected()

    # What it may -----------------------------------------------------------------------------------------------------

    def test_denied_publish(self):
        self.start_broker()
        self.closes(lambda c: c.publish(DENIED), "denied by the policy")
        client = self.gateway()
        client.publish(DENIED, qos=0)
        client.wait_for("closed")
        self.passes(ALLOWED)

    def test_denied_publish_of_mosquitto_pub(self):
        self.start_broker()
        for version in VERSIONS:
            self.assertIn("received PUBACK", self.pub(ALLOWED, version))
            refused = self.pub(DENIED, version)
            self.assertIn("connection was lost", refused)
            self.assertNotIn("received PUBACK", refused)

    def test_denied_publish_with_reason(self):
        self.start_broker(denied_publish="puback")
        self.assertIn("RC:135", self.pub(DENIED, 5))
        self.assertNotIn("received PUBACK", self.pub(DENIED, 4))
        self.assertEqual([r[0] for r in self.broker.refusals()], ["refused", "closed"])

    def test_denied_publish_kicks(self):
        self.start_broker(denied_publish="kick")
        told = self.pub(DENIED, 5, "--repeat", "100", "--repeat-delay", "0.1")
        self.assertIn("RC:135", told)
        self.assertIn("Received DISCONNECT (152)", told)

    def test_denied_subscribe(self):
        self.start_broker()
        self.closes(lambda c: c.subscribe(DENIED), "denied by the policy")
        self.closes(lambda c: c.subscribe("twinkeeper/#"), "denied by the policy")

    def test_denied_subscribe_with_reason(self):
        self.start_broker(denied_subscribe="suback")
        for version, code in ((4, 0x80), (5, 0x87)):
            client = self.gateway(version=version)
            client.subscribe(DENIED, "$aws/things/gateway/jobs/notify")
            self.assertEqual(client.wait_for("suback"), [code, 1])

    def test_receive(self):
        self.start_broker()
        self.broker.set_policy("allow connect *\nallow publish *\nallow subscribe *\nallow receive a/*\n")
        client = self.gateway()
        client.subscribe("#")
        client.wait_for("suback")
        client.publish("b/1")
        client.publish("a/1")
        self.assertEqual(client.wait_for("message").topic, "a/1")
        self.assertEqual(len(client.of("message")), 1)

    def test_retain_needs_its_own_permission(self):
        self.start_broker()
        self.passes(ALLOWED, retain=True)
        self.broker.set_policy("allow connect %c\nallow publish *\n")
        self.passes(ALLOWED)
        self.closes(lambda c: c.publish(ALLOWED, retain=True), "denied by the policy")

    def test_policy_changes_while_it_runs(self):
        self.start_broker()
        self.closes(lambda c: c.publish(DENIED), "denied by the policy")
        self.broker.set_policy("allow connect %c\nallow publish somebody/*\n")
        self.passes(DENIED)

    def test_deny_goes_before_allow(self):
        self.start_broker()
        self.broker.rule("deny publish */gateway/anomaly", "gate*")
        self.passes(ALLOWED)
        self.closes(lambda c: c.publish("twinkeeper/gateway/anomaly"), "denied by the policy")

    def test_policy_that_is_not_understood(self):
        broker = StrictBroker(self.folder, self.pki, policy="allow everything\n")
        with self.assertRaises(AssertionError):
            broker.start()
        self.assertIn("strict_policy:1: not understood", broker.process.stderr())

    # Limits ----------------------------------------------------------------------------------------------------------

    def test_slashes(self):
        self.start_broker()
        deep = "$aws/things/gateway/shadow/name/s/update"  # six
        self.passes(deep + "/7")
        self.closes(lambda c: c.publish(deep + "/7/8"), "more than 7 slashes")
        self.closes(lambda c: c.subscribe(deep + "/7/8"), "more than 7 slashes")
        self.passes("$aws/rules/any/twinkeeper/gateway/2/3/4/5/6/7")
        self.closes(lambda c: c.publish("$aws/rules/any/twinkeeper/gateway/2/3/4/5/6/7/8"), "more than 7 slashes")

    def test_topic_bytes(self):
        self.start_broker()
        base = "twinkeeper/gateway/"
        longest = base + "ä" * ((256 - len(base)) // 2) + "x" * ((256 - len(base)) % 2)
        self.passes(longest)
        self.passes("$aws/rules/any/" + longest)
        self.closes(lambda c: c.publish(longest + "x"), "more than 256 bytes")

    def test_retain_on_reserved_topic(self):
        self.start_broker()
        self.closes(lambda c: c.publish("$aws/things/gateway/shadow/update", retain=True), "retained on a reserved")
        self.assertIn("Received DISCONNECT (154)", self.pub("$aws/things/gateway/shadow/update", 5, "-r"))

    def test_payload(self):
        self.start_broker()
        self.passes(ALLOWED, "x" * 131072)
        self.closes(lambda c: c.publish(ALLOWED, "x" * 131073), "more than 131072")

    def test_filters_in_a_packet(self):
        self.start_broker()
        topics = [f"$aws/things/gateway/{number}" for number in range(20)]
        client = self.gateway()
        client.subscribe(*topics[:8])
        client.subscribe(*topics[8:16])  # without waiting: it is another packet
        client.wait_for("suback", 2)
        client.close()
        self.closes(lambda c: c.subscribe(*topics[:9]), "more than 8 filters")

    def test_subscriptions_of_a_connection(self):
        self.start_broker()
        client = self.gateway()
        for number in range(50):
            client.subscribe(f"$aws/things/gateway/{number}")
        client.wait_for("suback", 50)
        client.subscribe("$aws/things/gateway/50")
        client.wait_for("closed")
        self.assertIn("more than 50", " ".join(self.broker.refusals()[-1]))

    def test_what_connack_tells(self):
        self.start_broker()
        properties = self.gateway(keep_alive=3600).wait_for("connack")[2]
        told = {name: getattr(properties, name) for name in ("ReceiveMaximum", "TopicAliasMaximum", "MaximumQoS",
                                                             "MaximumPacketSize", "ServerKeepAlive")}
        self.assertEqual(told, {"ReceiveMaximum": 100, "TopicAliasMaximum": 8, "MaximumQoS": 1,
                                "MaximumPacketSize": 149504, "ServerKeepAlive": 1200})

    def test_qos_2(self):
        self.start_broker()
        client = self.gateway(version=4)
        client.publish(ALLOWED, qos=2)
        client.wait_for("closed")


if __name__ == "__main__":
    main()
