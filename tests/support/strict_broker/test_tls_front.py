"""The TLS front: what AWS IoT Core refuses is refused, what it does not is let through, and both are on record."""
import socket
import ssl
import time

from rig.strict_broker import StrictBroker
from strict_broker.case import StrictTestCase, main
from strict_broker.clients import mosquitto_pub
from strict_broker.scripted_broker import Behaviour, ScriptedBroker
from strict_broker.tls_front import TlsFront

TOPIC = "twinkeeper/gateway/state"
ALPN = "x-amzn-mqtt-ca"


class TlsFrontTest(StrictTestCase):
    def start_front(self, server="server", broker=None, **options):
        self.broker = broker or StrictBroker(self.folder, self.pki)
        self.start(self.broker)
        self.front = self.start(TlsFront(self.pki, self.broker.port, server, **options))

    def connect(self, **options):
        return self.client(self.front.port, self.pki, **options)

    def passes(self, **options):
        client = self.connect(**options).connected()
        client.publish(TOPIC)
        client.wait_for("puback")
        return client

    def raw(self, server_name, **settings):
        """A bare TLS connection; raises what the handshake raises."""
        context = ssl.create_default_context(cafile=self.pki.path("ca.crt"))
        context.load_cert_chain(self.pki.path("gateway.crt"), self.pki.path("gateway.key"))
        context.check_hostname = False
        for name, value in settings.items():
            setattr(context, name, value)
        plain = socket.create_connection(("127.0.0.1", self.front.port), timeout=10)
        self.addCleanup(plain.close)
        tls = context.wrap_socket(plain, server_hostname=server_name)
        self.addCleanup(tls.close)
        return tls

    def test_identity_reaches_the_broker(self):
        self.start_front(broker=StrictBroker(self.folder, self.pki))
        client = self.passes()
        client.publish("somebody/else")
        client.wait_for("closed")
        self.assertIn("denied by the policy", " ".join(self.broker.wait_for_refusal("somebody/else")))
        other = self.connect(who="subscriber", client_id="gateway-2")
        other.connected()  # may be anybody
        self.connect(client_id="gateway-2").wait_for("closed")
        self.assertEqual([h.common_name for h in self.front.handshakes], ["gateway", "subscriber", "gateway"])

    def test_server_name(self):
        self.start_front(names=("localhost", "gateway.example"))
        for wrong in (None, "elsewhere.example"):
            with self.assertRaises(ssl.SSLError):
                self.raw(wrong)
        self.raw("gateway.example")
        self.passes()
        found = [self.front.wait_for_handshake(number) for number in range(1, 5)]
        self.assertEqual([h.sni for h in found], [None, "elsewhere.example", "gateway.example", "localhost"])
        self.assertEqual([h.error for h in found],
                         ["no server name", "unknown server name elsewhere.example", None, None])

    def test_alpn(self):
        self.start_front(alpn=ALPN)
        for wrong in (None, ["mqtt"]):
            before = len(self.front.handshakes)
            client = self.connect(alpn=wrong)
            client.wait_for("closed")
            self.assertEqual(client.of("connack"), [])
            self.assertEqual(self.front.wait_for_handshake(before + 1).error, "no ALPN x-amzn-mqtt-ca")
        self.passes(alpn=["h2", ALPN])
        self.assertEqual(self.front.wait_for_handshake(3).alpn, ALPN)

    def test_mosquitto_pub_offers_alpn(self):
        self.start_front(alpn=ALPN)
        self.assertIn("PUBACK", mosquitto_pub(self.front.port, self.pki, TOPIC, "x", 5, "gateway", "--tls-alpn", ALPN))
        self.assertNotIn("CONNACK", mosquitto_pub(self.front.port, self.pki, TOPIC))

    def test_versions_and_ciphers(self):
        self.start_front()
        tls = self.raw("localhost", maximum_version=ssl.TLSVersion.TLSv1_2)
        self.raw("localhost")
        self.assertEqual([self.front.wait_for_handshake(n).version for n in (1, 2)], ["TLSv1.2", "TLSv1.3"])
        first = self.front.wait_for_handshake(1)
        self.assertEqual(first.cipher, tls.cipher()[0])
        self.assertIn(first.cipher, first.shared_ciphers)
        with self.assertRaises(OSError):
            self.raw("localhost", maximum_version=ssl.TLSVersion.TLSv1_1)

    def test_one_version_and_cipher_only(self):
        only = "ECDHE-ECDSA-AES256-GCM-SHA384"
        self.start_front(versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2), ciphers=only)
        self.passes()
        found = self.front.wait_for_handshake()
        self.assertEqual((found.version, found.cipher), ("TLSv1.2", only))

    def test_certificates_that_must_be_refused(self):
        self.pki.issue("unknown_server", "localhost", "server", authority="other_ca")
        for server in ("wrong_host", "expired_server", "unknown_server"):
            with self.subTest(server=server):
                self.front = self.start(TlsFront(self.pki, 1, server))
                with self.assertRaises(ssl.SSLCertVerificationError):
                    self.connect()
                self.assertIsNotNone(self.front.wait_for_handshake().error)

    def test_large_certificates(self):
        self.pki.issue_large_server()
        self.pki.issue_chained_server()
        self.broker = self.start(StrictBroker(self.folder, self.pki))
        for server in ("large_server", "chained_server"):
            self.front = self.start(TlsFront(self.pki, self.broker.port, server))
            self.passes().close()
        sizes = {}
        for server in ("server", "large_server"):
            self.front = self.start(TlsFront(self.pki, self.broker.port, server))
            sizes[server] = len(self.raw("localhost").getpeercert(binary_form=True))
        self.assertGreater(sizes["large_server"], 1.2 * sizes["server"])

    def test_client_that_must_be_refused(self):
        self.front = self.start(TlsFront(self.pki, 1, versions=(ssl.TLSVersion.TLSv1_2,) * 2))
        with self.assertRaises(OSError):
            self.connect(who="stranger")  # of another authority
        context = ssl.create_default_context(cafile=self.pki.path("ca.crt"))
        with socket.create_connection(("127.0.0.1", self.front.port), timeout=10) as plain:
            with self.assertRaises(OSError):  # without certificate
                context.wrap_socket(plain, server_hostname="localhost")
        self.assertIn("certificate", self.front.wait_for_handshake(1).error)
        self.assertIn("certificate", self.front.wait_for_handshake(2).error)

    # Records ---------------------------------------------------------------------------------------------------------

    def records(self, size):
        """Sizes of the TLS records in which a PUBLISH of 100 000 bytes comes, and those of the handshake."""
        broker = ScriptedBroker(self.pki, Behaviour(stored=[("t", "x" * 100000)], stored_rate=100))
        self.start_front(broker=broker, record_size=size, versions=(ssl.TLSVersion.TLSv1_2,) * 2)
        plain = socket.create_connection(("127.0.0.1", self.front.port), timeout=10)
        self.addCleanup(plain.close)
        context = ssl.create_default_context(cafile=self.pki.path("ca.crt"))
        context.load_cert_chain(self.pki.path("gateway.crt"), self.pki.path("gateway.key"))
        incoming, outgoing, seen = ssl.MemoryBIO(), ssl.MemoryBIO(), bytearray()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")

        def step(act):
            while True:
                try:
                    done = act()
                    plain.sendall(outgoing.read())
                    return done
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    data = plain.recv(1 << 16)
                    seen.extend(data)
                    incoming.write(data)
        step(tls.do_handshake)
        connect = b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x07gateway"
        step(lambda: tls.write(b"\x10" + bytes([len(connect)]) + connect))
        got = b""
        while len(got) < 100000:
            got += step(lambda: tls.read(1 << 16))
        found = {22: [], 23: []}  # handshake, application data
        while seen:
            length = int.from_bytes(seen[3:5], "big")
            found.setdefault(seen[0], []).append(length)
            del seen[:5 + length]
        return found[22], found[23]

    def test_small_records(self):
        handshake, data = self.records(100)
        self.assertLess(max(handshake), 600)
        self.assertGreater(len(data), 990)
        self.assertLess(max(data), 150)

    def test_largest_records(self):
        _, data = self.records(16384)
        self.assertGreaterEqual(max(data), 16384)
        self.assertGreater(sum(length >= 16384 for length in data), 4)

    # Faults of the link ----------------------------------------------------------------------------------------------

    def test_cut(self):
        self.start_front()
        client = self.passes()
        self.front.cut()
        client.wait_for("closed")
        self.passes()

    def test_half_open_link(self):
        self.start_front()
        client = self.passes()
        self.front.freeze(True)
        client.publish(TOPIC)
        time.sleep(0.3)
        self.assertEqual(len(client.of("puback")), 1)
        self.assertEqual(client.of("closed"), [])
        self.front.freeze(False)
        client.wait_for("puback", 2)


if __name__ == "__main__":
    main()
