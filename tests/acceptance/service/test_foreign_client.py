"""mbpoll, a Modbus client that was not written here, reads what `twinkeeper simulate` serves."""
import os
import re
import subprocess

from rig import RigTestCase, configuration, main
from rig.peers import tool
from rig.ports import free_port

DEVICE = """\
devices:
  - name: plc
    {link}
    slave_id: 7
    poll_interval: 1s
    registers:
      - {{name: level, register: holding, address: 0, type: FLOAT32}}
      - {{name: flow, register: input, address: 2, type: FLOAT32, byte_order: CDAB}}
      - {{name: counter, register: input, address: 4, type: INT32}}
      - {{name: voltage, register: holding, address: 2, type: INT16, scale: 0.01}}
      - {{name: pump_on, register: coil, address: 3, type: BIT}}
      - {{name: door_closed, register: discrete, address: 9, type: BIT}}
"""
# tag and value to serve; mbpoll's data type, reference and what it prints for them
READINGS = [("level", 1.5, ["-t", "4:float", "-B"], 0, "1.5"), ("flow", -17.25, ["-t", "3:float"], 2, "-17.25"),
            ("counter", -70000, ["-t", "3:int", "-B"], 4, "-70000"), ("voltage", 5.13, ["-t", "4:hex"], 2, "0x0201"),
            ("pump_on", 1, ["-t", "0"], 3, "1"), ("door_closed", 1, ["-t", "1"], 9, "1")]


class ForeignClient(RigTestCase):
    def read(self, link, endpoint, mbpoll):
        # Registers that no twin drives hold 0; a bias from the first instant on makes them what the test wants.
        faults = []
        for tag, value, *_ in READINGS:
            faults += ["--fault", f"bias:plc.{tag}@0+1000000={value}"]
        path = self.write_configuration(configuration.plain_gateway(DEVICE, link=link, mqtt_port=1, pki="nowhere"))
        simulator = self.start_simulator(path, endpoint, *faults)
        for restart in (False, True):
            if restart:
                simulator.kill()
                simulator.start()
            for tag, _, kind, reference, expected in READINGS:
                code, text = self.poll(mbpoll, "7", kind, reference)
                self.assertEqual((code, re.findall(r"^\[\d+\]:\s*(\S+)", text, re.M)), (0, [expected]), f"{tag}\n{text}")
        code, text = self.poll(mbpoll, "7", ["-t", "4"], 3)
        self.assertNotEqual(code, 0)
        self.assertIn("Illegal data address", text)

    def poll(self, mbpoll, slave, kind, reference):
        done = subprocess.run([tool("mbpoll"), *mbpoll[:-1], "-1", "-0", "-a", slave, *kind, "-r", str(reference), "-c",
                               "1", "-o", "1", mbpoll[-1]], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr

    def test_tcp(self):
        port = free_port()
        self.read(f"controller: tcp://127.0.0.1:{port}\n    transmission_mode: TCP", port,
                  ["-m", "tcp", "-p", str(port), "127.0.0.1"])

    def test_line(self):
        line = os.path.join(self.folder, "ttySIM")
        link = f"controller: file://{line}\n    transmission_mode: RTU\n    baud_rate: 19200\n    parity: even"
        self.read(link, line, ["-m", "rtu", "-b", "19200", "-P", "even", line])
        code, text = self.poll(["-m", "rtu", "-b", "19200", "-P", "even", line], "8", ["-t", "4"], 0)
        self.assertNotEqual(code, 0, "another slave's requests are left unanswered")
        self.assertIn("timed out", text)


if __name__ == "__main__":
    main()
