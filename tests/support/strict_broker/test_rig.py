"""The daemon itself on the test broker: what works on AWS IoT Core works here, and what does not is refused here."""
import json

from rig import RigTestCase, configuration, main, wait_until
from rig.case import STATE
from rig.configuration import GATEWAY
from rig.ports import free_port
from rig.strict_broker import StrictParts
from strict_broker.scripted_broker import Behaviour


class Rig(StrictParts, RigTestCase):
    def test_daemon(self):
        self.start_line(profile="aws-iot-core")
        self.daemon.start()
        self.wait_for_mode("tracking")
        self.assertEqual(self.broker.refusals(), [])
        # What it may no longer say costs it the connection, as it would there.
        self.broker.rule(f"deny publish twinkeeper/{GATEWAY}/twins/*")
        self.assertEqual(self.broker.wait_for_refusal("denied by the policy")[:2], ("closed", GATEWAY))
        self.assertTrue(self.subscriber.messages(STATE))

    def start_daemon(self, port, **values):
        """The whole job but for the subscriber, at another port."""
        self.modbus_port = free_port()
        values = {"modbus_port": self.modbus_port, "mqtt_port": port, "pki": self.pki.folder, **values}
        path = self.write_configuration(configuration.plant_with_twin(**values))
        self.start_simulator(path, self.modbus_port, "--seed", "7")
        self.make_daemon(path).start()

    def test_daemon_at_the_scripted_broker(self):
        self.pki = self.make_pki()
        broker = self.start_scripted_broker(self.pki, [Behaviour(drop_after_publishes=10), Behaviour()])
        self.start_daemon(broker.port)
        broker.wait_for("PUBLISH", 30, connection=1, deadline_s=40)
        lost = {json.loads(r.packet.payload)["id"] for r in broker.of("PUBLISH", 0)[-1:]}
        again = {json.loads(r.packet.payload)["id"] for r in broker.of("PUBLISH", 1)}
        self.assertLessEqual(lost, again, "what was not acknowledged comes again")
        connect = broker.of("CONNECT")[0].packet
        self.assertEqual((connect.version, connect.client_id, connect.will.topic),
                         (5, GATEWAY, f"twinkeeper/{GATEWAY}/status"))

    def test_daemon_behind_the_front(self):
        self.pki = self.make_pki()
        broker = self.start_broker(self.pki)
        front = self.start_front(self.pki, broker, record_size=100)
        self.start_daemon(front.port)
        handshake = front.wait_for_handshake()
        self.assertEqual((handshake.sni, handshake.error, handshake.common_name), ("localhost", None, "gateway"))
        wait_until(lambda: f"Sending PUBACK to {GATEWAY}" in broker.process.stderr(), 20, "the first PUBACK")
        self.assertEqual(broker.refusals(), [])


if __name__ == "__main__":
    main()
