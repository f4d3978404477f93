"""Modbus RTU: on a serial line, which is a pseudo-terminal here, and through a TCP connection."""
import os

from rig import RigTestCase, configuration, main
from rig.case import STATE
from rig.ports import free_port


class SerialLine(RigTestCase):
    def track_and_survive(self, link, endpoint):
        """The twin tracks over the link; while the plant is away its values are bad, and then good again."""
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        text = configuration.plant_with_twin(modbus_port=1, mqtt_port=self.broker.port, pki=self.pki.folder)
        tcp = "controller: tcp://127.0.0.1:1\n    transmission_mode: TCP\n"
        self.assertIn(tcp, text)
        self.configuration = self.write_configuration(text.replace(tcp, link))
        self.simulator = self.start_simulator(self.configuration, endpoint, "--seed", "7")
        self.daemon = self.make_daemon(self.configuration)
        self.daemon.start()
        self.wait_for_mode("tracking")
        good = self.arrives("devices.plc.samples", lambda m: not m["bad"], 30, "good samples")
        self.assertAlmostEqual(good["tags"]["level_1"], 0.5, delta=0.1)

        self.simulator.kill()
        self.arrives("devices.plc.samples", lambda m: set(m["bad"].values()) == {"timeout"} and len(m["bad"]) == 3, 30,
                     "every value to go bad")
        self.simulator.start()
        mark = self.subscriber.count()
        self.arrives("devices.plc.samples", lambda m: not m["bad"], 30, "good samples again", mark)
        self.wait_for_mode("tracking", since=mark)
        self.daemon.stop()
        self.check_envelopes()
        self.check_schemas()
        self.assertEqual(self.subscriber.last("devices.plc.info")["transmission_mode"],
                         "RTU" if isinstance(endpoint, str) else "RTUoverTCP")

    def test_line(self):
        line = os.path.join(self.folder, "ttySIM")
        self.track_and_survive(f"controller: file://{line}\n    baud_rate: 115200\n    parity: even\n", line)

    def test_through_tcp(self):
        port = free_port()
        self.track_and_survive(f"controller: tcp://127.0.0.1:{port}\n    transmission_mode: RTUoverTCP\n", port)


if __name__ == "__main__":
    main()
