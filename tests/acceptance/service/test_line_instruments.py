"""Instruments that talk lines of text: simulated behind a twin, and one of the test's own that is unplugged."""
import os
import pty
import select
import threading
import tty

from rig import RigTestCase, configuration, main
from rig.ports import free_port
from rig.service import command
from rig.waiting import wait_until

GAUGE = """\
  - name: gauge
    {link}
    transmission_mode: LINE
    poll_interval: 100ms
    timeout: 300ms
    publish: {{interval: 200ms}}
    line: {line}
    registers:
      - {{name: level, type: FLOAT64, unit: m, min_value: -1, max_value: 3}}
      - {{name: number, group: n, type: UINT16}}
"""

SCALE = """\
devices:
  - name: scale
    controller: file://{line}
    transmission_mode: LINE
    baud_rate: 115200
    poll_interval: 100ms
    timeout: 200ms
    publish: {{interval: 200ms}}
    line: {{request: "SI\\r\\n", pattern: '^S S\\s+(?P<weight>[-+0-9.]+) (?P<unit>kg|g)$', max_line: 40}}
    registers:
      - {{name: weight, type: FLOAT64, unit: kg}}
      - {{name: unit, type: STRING}}
"""


MODULE = """\
  - name: module_{n}
    {link}
    poll_interval: 100ms
    timeout: 200ms
    publish: {{interval: 200ms}}
    line: {{request: "#0{n}\\r", terminator: "\\r", checksum: sum8, max_line: 20, pattern: '^>{address}(?P<level>[+-]\\d+\\.\\d{{4}})$'}}
    registers: [{{name: level, type: FLOAT64, unit: m, offset: {offset}, min_value: -1, max_value: 3}}]
"""


def literal(text):
    """For a text that is formatted once more."""
    return text.replace("{", "{{").replace("}", "}}")


class Scale:
    """Answers SI with a weight that grows by a gram each time; can be taken off its line and put on another."""

    def __init__(self, link):
        self.link = link
        self.answers = 0
        self.thread = None
        self.plug()

    def plug(self):
        self.master, self.slave = pty.openpty()
        tty.setraw(self.slave)
        os.symlink(os.ttyname(self.slave), self.link)
        self.plugged = True
        self.thread = threading.Thread(target=self.answer, daemon=True)
        self.thread.start()

    def unplug(self):
        self.plugged = False
        self.thread.join()
        os.unlink(self.link)
        os.close(self.slave)
        os.close(self.master)

    def answer(self):
        received = b""
        while self.plugged:
            if not select.select([self.master], [], [], 0.05)[0]:
                continue
            received += os.read(self.master, 100)
            while b"SI\r\n" in received:
                received = received.split(b"SI\r\n", 1)[1]
                self.answers += 1
                os.write(self.master, b"SI\r\n")  # an echo, as many adapters have it
                os.write(self.master, b"S S  %10.3f kg\r\n" % (12.0 + 0.001 * self.answers))


class LineInstruments(RigTestCase):
    def start_service(self, text):
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.configuration = self.write_configuration(text(self.broker.port, self.pki.folder))
        self.daemon = self.make_daemon(self.configuration)

    def track_and_survive(self, link, line, endpoint):
        """The twin tracks with one of its outputs from the gauge; while that is away it is bad, and then good again."""
        modbus_port = free_port()

        def text(mqtt_port, pki):
            all_of_it = configuration.plant_with_twin(modbus_port=modbus_port, mqtt_port=mqtt_port, pki=pki,
                                                      more_devices=literal(GAUGE.format(link=link, line=line)))
            return all_of_it.replace("level_1: plc.level_1", "level_1: gauge.level")

        self.start_service(text)
        self.simulator = self.start_simulator(self.configuration, endpoint, "--seed", "7")
        self.daemon.start()
        self.wait_for_mode("tracking")
        good = self.arrives("devices.gauge.samples", lambda m: not m["bad"], 30, "good samples")
        self.assertAlmostEqual(good["tags"]["level"], 0.5, delta=0.1)
        self.assertEqual(good["tags"]["number"], 0)

        self.simulator.kill()
        self.arrives("devices.gauge.samples", lambda m: set(m["bad"].values()) == {"timeout"} and len(m["bad"]) == 2,
                     30, "every value to go bad")
        self.simulator.start()
        mark = self.subscriber.count()
        self.arrives("devices.gauge.samples", lambda m: not m["bad"], 30, "good samples again", mark)
        self.wait_for_mode("tracking", since=mark)
        self.daemon.stop()
        self.check_envelopes()
        self.check_schemas()
        info = self.subscriber.last("devices.gauge.info")
        self.assertEqual((info["transmission_mode"], info["slave_id"]), ("LINE", None))
        self.assertEqual([r["group"] for r in info["registers"]], ["level", "n"])
        source = self.subscriber.last("twins.tanks.info")["outputs"][0]["source"]
        self.assertEqual((source["group"], source["register"], source["address"]), ("level", None, None))

    def test_asked_on_a_line(self):
        link = os.path.join(self.folder, "ttyGAUGE")
        self.track_and_survive(f"controller: file://{link}\n    baud_rate: 115200\n    data_bits: 7\n    parity: even",
                               r'{request: "#01\r", terminator: "\r", checksum: sum8, max_line: 40, '
                               r"pattern: '^>(?P<level>[+-]\d+\.\d{4}),(?P<n>\d+)$'}", link)

    def test_asked_through_tcp(self):
        port = free_port()
        self.track_and_survive(f"controller: tcp://127.0.0.1:{port}",
                               r"""{request: "?", terminator: "\n", pattern: '^(?P<level>[-0-9.]+)( kg)? (?P<n>\d{4})$'}""",
                               port)

    def test_free_running_on_a_line(self):
        link = os.path.join(self.folder, "ttyGAUGE")
        self.track_and_survive(f"controller: file://{link}\n    baud_rate: 115200",
                               r"{checksum: xor, pattern: '^\$LEVEL,(?P<level>[-0-9.]+),m,(?P<n>\d+)$'}", link)

    def test_free_running_through_tcp(self):
        port = free_port()
        self.track_and_survive(f"controller: tcp://127.0.0.1:{port}",
                               r"""{checksum: crc16, terminator: "\n", pattern: '(?P<level>[-0-9.]+) (?P<n>\d+) '}""",
                               port)

    def share_and_survive(self, link, endpoint, address, edit=lambda text: text):
        """Three modules share a line, two of them feed the twin; the third falls silent for some seconds.

        By their offsets they write quite different numbers, so that one's line would be out of another's limits."""
        modbus_port = free_port()

        def text(mqtt_port, pki):
            modules = "".join(MODULE.format(n=n, link=link, offset=offset, address=f"0{n}" if address else "")
                              for n, offset in ((1, 0), (2, 10), (3, -10)))
            all_of_it = configuration.plant_with_twin(modbus_port=modbus_port, mqtt_port=mqtt_port, pki=pki,
                                                      more_devices=literal(modules))
            all_of_it = all_of_it.replace("level_1: plc.level_1", "level_1: module_1.level")
            return edit(all_of_it.replace("level_2: plc.level_2", "level_2: module_2.level"))

        self.start_service(text)
        capture = os.path.join(self.folder, "line.capture")
        self.daemon = self.make_daemon(self.configuration, arguments=("--capture", capture))
        self.simulator = self.start_simulator(self.configuration, endpoint, "--seed", "7", "--fault",
                                              "dropout:module_3@12+5")
        self.daemon.start()
        self.wait_for_mode("tracking")
        for n in (1, 2, 3):
            self.arrives(f"devices.module_{n}.samples", lambda m: not m["bad"], 30, "good samples")
        mark = self.subscriber.count()
        self.arrives("devices.module_3.samples", lambda m: m["bad"].get("level") == "timeout", 30, "silence", mark)
        self.arrives("status", lambda m: m["devices"]["module_3"]["state"] == "down", 30, "module 3 to be down", mark)
        self.arrives("devices.module_3.samples", lambda m: not m["bad"], 30, "good samples again",
                     self.subscriber.count())
        for n in (1, 2):
            self.arrives(f"devices.module_{n}.samples", lambda m: not m["bad"], 30, "good samples",
                         self.subscriber.count())
        self.daemon.stop()
        samples = {n: self.subscriber.messages(f"devices.module_{n}.samples") for n in (1, 2)}
        good = [m["tags"]["level"] for n in samples for m in samples[n] if not m["bad"]]
        self.assertGreater(len(good), 50)
        for value in good:
            self.assertAlmostEqual(value, 0.5, delta=0.1)
        self.check_envelopes()
        self.check_schemas()
        done = command("replay", "--config", self.configuration, "--capture", capture,
                       "--output", os.path.join(self.folder, "steps.csv"))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("is not whole", done.stderr)
        return [m["bad"]["level"] for n in samples for m in samples[n] if m["bad"]]

    def test_several_on_a_line(self):
        line = os.path.join(self.folder, "ttyBUS")
        bus = f"buses: [{{name: dcon, controller: 'file://{line}', transmission_mode: LINE, baud_rate: 115200}}]\n"
        bad = self.share_and_survive("bus: dcon", line, True,
                                     lambda text: text.replace("devices:\n", bus + "devices:\n", 1))
        self.assertEqual(bad, [])  # a time-out of module 3 costs the others nothing

    def test_several_through_tcp_without_address(self):
        port = free_port()
        bad = self.share_and_survive(f"controller: tcp://127.0.0.1:{port}\n    transmission_mode: LINE", port, False)
        self.assertIn("timeout", bad)  # not asked while module 3 may still answer
        self.assertLessEqual(set(bad), {"timeout", "no_match"})

    def test_unplugged(self):
        link = os.path.join(self.folder, "ttySCALE")
        scale = Scale(link)
        self.start_service(lambda mqtt_port, pki: configuration.plain_gateway(
            literal(SCALE.format(line=link)), mqtt_port=mqtt_port, pki=pki))
        self.daemon.start()
        first = self.arrives("devices.scale.samples", lambda m: not m["bad"], 30, "good samples")
        self.assertGreater(first["tags"]["weight"], 12.0)
        self.assertLess(first["tags"]["weight"], 13.0)
        self.assertEqual(first["tags"]["unit"], "kg")

        scale.unplug()
        mark = self.subscriber.count()
        self.arrives("devices.scale.samples", lambda m: set(m["bad"].values()) == {"timeout"} and len(m["bad"]) == 2,
                     30, "both values to go bad", mark)
        self.arrives("status", lambda m: m["devices"]["scale"]["state"] == "down", 30, "the scale to be down")
        before = scale.answers
        scale.plug()
        mark = self.subscriber.count()
        good = self.arrives("devices.scale.samples", lambda m: not m["bad"], 30, "good samples again", mark)
        self.assertGreater(good["tags"]["weight"], 12.0 + 0.001 * before)
        wait_until(lambda: scale.answers > before + 5, 10, "the scale to be asked on")
        self.daemon.stop()
        scale.unplug()
        self.check_envelopes()
        self.check_schemas()


if __name__ == "__main__":
    main()
