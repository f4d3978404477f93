"""`probe` against a foreign server, and against the simulator over TCP, RTU through TCP and a serial line."""
import json
import os

from rig import RigTestCase, configuration, main, wait_until
from rig.ports import free_port
from rig.service import command


class Probe(RigTestCase):
    def probe(self, *arguments, code=0):
        done = command("probe", *[str(a) for a in arguments])
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def answer(self, *arguments):
        return json.loads(self.probe(*arguments, "--json").stdout)

    def test_foreign_server(self):
        peer = self.start_pymodbus_peer()
        controller = f"tcp://127.0.0.1:{peer.port}"
        for address, (order, value) in enumerate([("ABCD", 123.456), ("CDAB", -0.75), ("BADC", 9876.5),
                                                  ("DCBA", 1.5e-3)]):
            peer.write("holding", 10 * address, "float32", order, value)
            found = self.answer(controller, "--address", 10 * address, "--expect", value)
            first = found["decodings"][0]
            self.assertEqual((first["address"], first["type"], first["byte_order"]), (10 * address, "FLOAT32", order))
            self.assertAlmostEqual(first["value"], value, delta=abs(value) * 1e-6)
            self.assertEqual(len(found["words"]), 4)
        peer.write("input", 5, "int16", "ABCD", -215)
        done = self.probe(controller, "--register", "input", "--address", 5, "--count", 1, "--expect", "-21.5")
        self.assertRegex(done.stdout, r"nearest to -21.5:\n  -21.5 .*address 5 .*INT16 ABCD x 0.1 +0 % off\n")
        peer.write("holding", 60, "float64", "CDAB", 2.5)
        first = self.answer(controller, "--address", 60, "--expect", 2.5)["decodings"][0]
        self.assertEqual((first["type"], first["byte_order"], first["distance"]), ("FLOAT64", "CDAB", 0))
        peer.write("coil", 3, "bit", "-", 1)
        self.assertEqual(self.answer(controller, "--register", "coil", "--count", 5)["bits"], [0, 0, 0, 1, 0])
        table = self.probe(controller).stdout
        self.assertIn("address  type       ABCD", table)
        self.assertRegex(table, r"0  FLOAT32 +123.456")

        # 200 addresses, found by halving.
        scan = self.answer(controller, "--scan-addresses", "100:260", "--pause", "0s")
        self.assertEqual(scan["readable"], [[100, 199]])
        self.assertEqual(scan["refused"], [[200, 260]])
        self.assertIsNone(scan["unknown_from"])
        done = self.probe(controller, "--scan-addresses", "100:260", "--max-requests", 5, "--pause", "1ms")
        self.assertIn("the limit of requests is reached", done.stderr)
        latency = self.answer(controller, "--repeat", 50, "--pause", "0s")
        self.assertEqual((latency["requests"], latency["answered"]), (50, 50))
        values = [latency["latency_ms"][name] for name in ("min", "median", "p90", "p99", "max")]
        self.assertEqual(values, sorted(values))
        self.assertIn("exception 0x02 (illegal data address)", self.probe(controller, "--address", 300, code=69).stderr)

    def plant(self, link):
        text = configuration.plant_with_twin(modbus_port=1, mqtt_port=1, pki=self.folder)
        tcp = "controller: tcp://127.0.0.1:1\n    transmission_mode: TCP\n"
        self.assertIn(tcp, text)
        return self.write_configuration(text.replace(tcp, link))

    def check_plant(self, *link):
        # Before the plant's first step there are zeros.
        wait_until(lambda: any(self.answer(*link)["words"]), 10, "the plant to begin")
        first = self.answer(*link, "--count", 2, "--expect", 0.5)["decodings"][0]
        self.assertEqual((first["address"], first["type"], first["byte_order"]), (0, "FLOAT32", "ABCD"))
        scan = self.answer(*link, "--scan-slaves", "1:4", "--timeout", "300ms")
        self.assertEqual([slave["slave_id"] for slave in scan["slaves"]], [1])
        scan = self.answer(*link, "--register", "input", "--scan-addresses", "0:20", "--pause", "1ms")
        self.assertEqual(scan["readable"], [[10, 11]])
        self.assertEqual(self.answer(*link, "--repeat", 20, "--pause", "1ms")["answered"], 20)

    def test_simulator(self):
        port = free_port()
        self.start_simulator(self.plant(f"controller: tcp://127.0.0.1:{port}\n"), port)
        self.check_plant(f"tcp://127.0.0.1:{port}")

    def test_simulator_through_tcp(self):
        port = free_port()
        self.start_simulator(self.plant(f"controller: tcp://127.0.0.1:{port}\n    transmission_mode: RTUoverTCP\n"),
                             port)
        self.check_plant(f"tcp://127.0.0.1:{port}", "--transmission-mode", "RTUoverTCP")

    def test_simulator_on_a_line(self):
        line = os.path.join(self.folder, "ttySIM")
        self.start_simulator(self.plant(f"controller: file://{line}\n    baud_rate: 115200\n    parity: even\n"), line)
        self.check_plant(f"file://{line}", "--baud-rate", 115200, "--parity", "even")

    def test_what_is_wrong_is_said(self):
        done = self.probe("tpc://host", "--slave-id", "300", "--register", "hold", "--address", "65536", "--count",
                          "126", "--expect", "warm", "--parity", "even", "--timeout", "1m", code=64)
        for text in ("CONTROLLER: tpc://host; accepted: tcp://HOST[:PORT] or file:///dev/…",
                     "--slave-id: 300; accepted: 0 to 255", "--register: hold; accepted: coil, discrete, input, holding",
                     "--address: 65536; accepted: 0 to 65535", "--count: 126; accepted: 1 to 125",
                     "--expect: warm; accepted: a number", "--parity: belongs to a serial line", "--timeout: "):
            self.assertIn(text, done.stderr)
        for arguments in (("tcp://h", "--transmission-mode", "RTU"), ("file:///dev/x", "--baud-rate", "9601"),
                          ("file:///dev/x", "--slave-id", "0"), ("tcp://h", "--scan-slaves", "5:1"),
                          ("tcp://h", "--scan-slaves", "1:5", "--repeat", "3"), ()):
            self.assertTrue(self.probe(*arguments, code=64).stderr)
        self.assertIn("Connection refused", self.probe(f"tcp://127.0.0.1:{free_port()}", code=69).stderr)
        self.assertIn("can't be opened", self.probe(f"file://{self.folder}/none", code=69).stderr)
        found = json.loads(self.probe(f"tcp://127.0.0.1:{free_port()}", "--json", code=69).stdout)
        self.assertIn("refused", found["error"])


if __name__ == "__main__":
    main()
