"""The daemon between parts that were not written here: a python3-pymodbus server and mosquitto_sub."""
from rig import RigTestCase, main
from rig import configuration

DEVICE = """\
devices:
  - name: plc
    controller: tcp://127.0.0.1:{modbus_port}
    transmission_mode: TCP
    slave_id: 1
    poll_interval: 100ms
    timeout: 500ms
    publish: {{interval: 300ms}}
    registers:
      - {{name: level, register: holding, address: 0, type: FLOAT32, unit: m}}
      - {{name: flow, register: holding, address: 2, type: FLOAT32, byte_order: CDAB, unit: L/min}}
      - {{name: voltage, register: holding, address: 4, type: INT16, scale: 0.01, unit: V}}
      - {{name: pressure, register: input, address: 20, type: FLOAT64, unit: bar}}
      - {{name: counter, register: input, address: 30, type: UINT32, byte_order: CDAB}}
      - {{name: pump_on, register: coil, address: 3, type: BIT}}
      - {{name: valve_open, register: coil, address: 4, type: BIT}}
      - {{name: door_closed, register: discrete, address: 7, type: BIT}}
"""


class ForeignParts(RigTestCase):
    def test_pymodbus_is_read_and_mosquitto_sub_reads(self):
        plc = self.start_pymodbus_peer()
        plc.write("holding", 0, "float32", "ABCD", 0.1234)
        plc.write("holding", 2, "float32", "CDAB", -17.25)
        plc.write("holding", 4, "int16", "ABCD", -1234)
        plc.write("input", 20, "float64", "ABCD", 3.141592653589793)
        plc.write("input", 30, "int32", "CDAB", 70000)
        plc.write("coil", 3, "bit", "-", 1)
        plc.write("discrete", 7, "bit", "-", 1)

        pki = self.make_pki()
        broker = self.start_broker(pki)
        self.subscriber = self.start_subscriber(pki, broker)
        daemon = self.make_daemon(self.write_configuration(
            configuration.plain_gateway(DEVICE, modbus_port=plc.port, mqtt_port=broker.port, pki=pki.folder)))
        daemon.start()

        expected = {"level": 0.1234, "flow": -17.25, "voltage": -12.34, "pressure": 3.141592653589793, "counter": 70000,
                    "pump_on": 1, "valve_open": 0, "door_closed": 1}
        first = self.arrives("devices.plc.samples", lambda m: m["tags"].get("level") is not None, 30, "samples")
        self.assertEqual(first["tags"], expected, "each value is the shortest decimal of the register's own type")
        self.assertFalse(first.document.get("bad"))

        plc.write("holding", 0, "float32", "ABCD", 0.75)
        plc.write("coil", 4, "bit", "-", 1)
        self.arrives("devices.plc.samples", lambda m: m["tags"]["level"] == 0.75 and m["tags"]["valve_open"] == 1,
                     30, "changed values to arrive")

        daemon.stop()
        self.arrives("status", lambda m: m["state"] == "offline", 20, "offline to arrive")
        info = self.subscriber.last("devices.plc.info")
        self.assertIsNotNone(info, "the device's info arrived")
        self.assertFalse([m for m in self.subscriber.messages() if m["stream"].startswith("twins.")])
        self.check_envelopes()
        self.check_no_sequence_missing()
        self.check_schemas()


if __name__ == "__main__":
    main()
