"""AWS IoT Device Advisor's list, TLS and CONNECT: what the daemon does before a front that looks at what AWS looks at."""
import ssl
import unittest

from gateway_case import COMMAND, GatewayCase
from rig import configuration, wait_until
from strict_broker.clients import Client

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


class Transport(GatewayCase):
    def through(self, **front):
        """The daemon behind a front in front of the strict Mosquitto."""
        self.broker = self.start_broker(self.pki)
        self.front = self.start_front(self.pki, self.broker, **front)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.daemon = self.gateway(self.front.port)
        self.daemon.start()

    def works(self):
        """Until something of the daemon has arrived; the handshake that it went through."""
        self.arrives("status", lambda m: m["state"] in ("online", "degraded"), 30, "a status")
        self.assertEqual(self.broker.refusals(), [])
        return next(h for h in self.front.handshakes if h.error is None)

    def refused(self, words):
        """Until the daemon has said why it does not connect; nothing may have come through."""
        wait_until(lambda: words in self.daemon.stderr(), 30, lambda: f"{words!r} in\n{self.daemon.process.tail()}")
        self.daemon.must_run()
        self.assertEqual(self.subscriber.messages(), [])

    def test_connect(self):
        self.through()
        self.works()
        self.assertIn(configuration.GATEWAY, self.broker.process.stderr())

    def test_server_name(self):
        self.through()
        self.assertEqual(self.works().sni, "localhost")

    def test_alpn_on_443(self):
        self.through(alpn="x-amzn-mqtt-ca", port=443)
        self.assertEqual(self.works().alpn, "x-amzn-mqtt-ca")

    def test_cipher_suites(self):
        """Each suite that AWS recommends for an ECDSA certificate is enough, and one without AEAD is not."""
        self.broker = self.start_broker(self.pki)
        for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"):
            front = self.start_front(self.pki, self.broker, versions=(V12, V12), ciphers=f"ECDHE-ECDSA-{cipher}")
            daemon = self.gateway(front.port)
            daemon.start()
            handshake = front.wait_for_handshake()
            self.assertEqual((handshake.error, handshake.cipher), (None, f"ECDHE-ECDSA-{cipher}"))
            daemon.stop()
        front = self.start_front(self.pki, self.broker, versions=(V12, V12), ciphers="ECDHE-ECDSA-AES128-SHA256")
        self.gateway(front.port).start()
        self.assertIn("no shared cipher", front.wait_for_handshake().error.lower().replace("_", " "))

    def test_tls_13(self):
        self.through(versions=(V13, V13))
        self.assertEqual(self.works().version, "TLSv1.3")

    def test_unknown_authority(self):
        self.pki.issue("unsecured", "localhost", "server", authority="other_ca")
        self.through(server="unsecured")
        self.refused("authority")

    def test_wrong_subject_name(self):
        self.through(server="wrong_host")
        self.refused("elsewhere.example")

    def test_expired_certificate(self):
        self.through(server="expired_server")
        self.refused("expired")

    def test_large_certificate(self):
        self.pki.issue_large_server()
        self.through(server="large_server")
        self.works()

    def test_long_chain(self):
        self.pki.issue_chained_server()
        self.through(server="chained_server")
        self.works()

    def test_largest_records(self):
        """A payload of the largest size that the service knows, in records of the largest size."""
        self.through(record_size=16384)
        self.works()
        publisher = Client(self.broker.port, self.pki, "subscriber", "publisher").connected()
        self.addCleanup(publisher.close)
        acknowledged = f"Received PUBACK from {configuration.GATEWAY}"
        before = self.broker.process.stderr().count(acknowledged)
        publisher.publish(COMMAND, "x" * 131072)
        wait_until(lambda: self.broker.process.stderr().count(acknowledged) > before, 20, "the payload to be read")
        self.assertEqual(self.broker.process.stderr().count(f" as {configuration.GATEWAY} ("), 1, "connected again")

    def test_small_records(self):
        self.through(record_size=512)
        self.works()


if __name__ == "__main__":
    unittest.main(verbosity=2)
