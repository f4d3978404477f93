"""The daemon reads Modbus servers that were not written here over every transport, and finds them again."""
import os

from rig import RigTestCase, configuration, main
from rig.peers import REGISTERS, TAGS, VALUES, LibmodbusPeer, LinePair, ModbusSerialPeer, PymodbusPeer
from rig.ports import free_port

# `missing` exists on no peer; it is far enough from the others to be asked for alone.
DEVICE = """\
devices:
  - name: plc
    {link}
    slave_id: 1
    poll_interval: 100ms
    timeout: 500ms
    publish: {{interval: 200ms}}
""" + REGISTERS.replace("{", "{{").replace("}", "}}") + """\
      - {{name: missing, register: holding, address: 400, type: UINT16}}
"""
SAMPLES = "devices.plc.samples"


class Peers(RigTestCase):
    def read(self, peer, link):
        """Values, the refusal of one, and both again after a restart of the peer."""
        self.start_peer(peer)
        pki = self.make_pki()
        broker = self.start_broker(pki)
        self.subscriber = self.start_subscriber(pki, broker)
        daemon = self.make_daemon(self.write_configuration(
            configuration.plain_gateway(DEVICE, link=link, mqtt_port=broker.port, pki=pki.folder)))
        daemon.start()
        self.all_right("the first values")

        mark = self.subscriber.count()
        peer.kill()
        self.arrives(SAMPLES, lambda m: set(m["bad"]) == {*TAGS, "missing"} and m["bad"]["level"] == "timeout", 20,
                     "every value to go bad", mark)
        mark = self.subscriber.count()
        peer.start()
        self.all_right("the values after a restart", mark)
        daemon.stop()
        self.check_envelopes()
        self.check_no_sequence_missing()
        self.check_schemas()

    def all_right(self, what, since=0):
        # A peer may answer before it has been told its values.
        self.arrives(SAMPLES, lambda m: m["bad"] == {"missing": "exception"} and m["tags"] == {**TAGS, "missing": None}, 30, what, since)

    def line(self):
        pair = LinePair(self.folder, os.path.join(self.folder, "ttyNear"), os.path.join(self.folder, "ttyFar"))
        self.start_peer(pair)
        return pair

    def test_pymodbus_on_a_line(self):
        pair = self.line()
        self.read(PymodbusPeer(self.folder, "rtu", pair.far, VALUES),
                  f"controller: file://{pair.near}\n    transmission_mode: RTU\n    baud_rate: 115200")

    def test_pymodbus_rtu_over_tcp(self):
        port = free_port()
        self.read(PymodbusPeer(self.folder, "rtuovertcp", port, VALUES),
                  f"controller: tcp://127.0.0.1:{port}\n    transmission_mode: RTUoverTCP")

    def test_modbus_serial(self):
        port = free_port()
        self.read(ModbusSerialPeer(self.folder, port), f"controller: tcp://127.0.0.1:{port}\n    transmission_mode: TCP")

    def test_libmodbus_server(self):
        port = free_port()
        self.read(LibmodbusPeer(self.folder, "tcp", port),
                  f"controller: tcp://127.0.0.1:{port}\n    transmission_mode: TCP")

    def test_libmodbus_server_on_a_line(self):
        pair = self.line()
        self.read(LibmodbusPeer(self.folder, "rtu", pair.far),
                  f"controller: file://{pair.near}\n    transmission_mode: RTU\n    baud_rate: 115200")


if __name__ == "__main__":
    main()
