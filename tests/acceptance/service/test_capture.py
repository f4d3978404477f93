"""What `run --capture` keeps, `replay --capture` gives again: the states that were published, number by number."""
import csv
import os
import stat
import struct

from rig import RigTestCase, configuration, main
from rig.case import SAMPLES, STATE
from rig.ports import free_port
from rig.service import command
from rig.waiting import let_run


GAUGE = """\
  - name: gauge
    controller: tcp://127.0.0.1:{port}
    transmission_mode: LINE
    poll_interval: 100ms
    timeout: 300ms
    line: {{terminator: "\\n", pattern: '(?P<level>[-0-9.]+) m'}}
    registers: [{{name: level, type: FLOAT64, unit: m, min_value: -1, max_value: 3}}]
"""


def rounded(cell, digits=7):
    """A cell as it is published."""
    return None if cell == "" else float(f"{float(cell):.{digits}g}")


class Capture(RigTestCase):
    def record(self, link=None, endpoint=None, faults=(), extra=(), seconds=12, change=lambda text: text):
        """The whole job with a capture, over `link` if it is not Modbus TCP, until it has tracked for some time."""
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        port = free_port()
        text = configuration.plant_with_twin(modbus_port=port, mqtt_port=self.broker.port, pki=self.pki.folder,
                                             more_devices=configuration.METERS)
        if link:
            text = configuration.plant_with_twin(modbus_port=port, mqtt_port=self.broker.port, pki=self.pki.folder)
            tcp = f"controller: tcp://127.0.0.1:{port}\n    transmission_mode: TCP\n"
            self.assertIn(tcp, text)
            text = text.replace(tcp, link)
        self.configuration = self.write_configuration(change(text))
        self.capture = os.path.join(self.folder, "line.capture")
        faults = [argument for fault in faults for argument in ("--fault", fault)]
        self.start_simulator(self.configuration, endpoint or port, "--seed", "3", *faults)
        self.daemon = self.make_daemon(self.configuration, arguments=("--capture", self.capture, *extra))
        self.daemon.start()
        self.wait_for_mode("tracking")
        let_run(seconds, self.daemon.process)
        self.daemon.stop()
        self.arrives("status", lambda m: m["state"] == "offline", 20, "offline to arrive")

    def replay(self, *arguments, code=0):
        self.steps = os.path.join(self.folder, "steps.csv")
        self.samples = os.path.join(self.folder, "samples.csv")
        done = command("replay", "--config", self.configuration, "--capture", self.capture, "--output", self.steps,
                       "--samples", self.samples, *arguments)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def compare_with_what_was_published(self):
        with open(self.steps, newline="", encoding="utf-8") as file:
            rows = {int(row["step"]): row for row in csv.DictReader(file)}
        compared = 0
        for message in self.subscriber.messages(STATE):
            row = rows.get(message["step"])
            if row is None:  # the service made it after its devices had been stopped
                self.assertGreater(message["step"], max(rows))
                continue
            compared += 1
            self.assertEqual(row["mode"], message["mode"])
            for name, state in message["states"].items():
                self.assertEqual(rounded(row[f"x.{name}"]), state["value"])
                self.assertEqual(rounded(row[f"sd.{name}"]), state["std"])
            for name, entry in message["inputs"].items():
                self.assertEqual(rounded(row[f"u.{name}"]), entry["value"])
            for name, output in message["outputs"].items():
                if row[f"y.{name}"]:
                    self.assertEqual(rounded(row[f"y.{name}"]), output["measured"])
                else:  # nothing in this step: the message tells the last value, with its age
                    self.assertTrue(output["measured"] is None or output["age_ms"] >= 50, output)
                self.assertEqual(rounded(row[f"yhat.{name}"]), output["expected"])
                self.assertEqual(rounded(row[f"nu.{name}"]), output["innovation"])
                self.assertEqual(row[f"fused.{name}"] == "1", output["fused"])
                self.assertEqual(row[f"q.{name}"], output["quality"])
            self.assertEqual(rounded(row["nis"]), message["nis"])
        self.assertGreater(compared, 100)
        return rows

    def test_published_states_come_out_again(self):
        self.record(faults=("dropout:plc@8+2", "stuck:plc.level_2@12+6"), seconds=18)
        done = self.replay()
        self.assertIn("ended: stopped", done.stdout)
        self.assertNotIn("is not whole", done.stderr)
        rows = self.compare_with_what_was_published()
        self.assertEqual({row["anomaly"] for row in rows.values()}, {"0", "1"})
        self.assertIn("plc connection_lost", done.stdout)
        self.assertIn("anomaly raised tanks.level_2.stuck", done.stdout)
        with open(self.samples, newline="", encoding="utf-8") as file:
            samples = list(csv.DictReader(file))
        self.assertEqual({s["tag"].split(".")[0] for s in samples}, {"plc", "meter", "drive"})
        self.assertIn("timeout", {s["reason"] for s in samples})
        published = {m["tags"]["level_1"] for m in self.subscriber.messages(SAMPLES)} - {None}
        values = {float(s["value"]) for s in samples if s["tag"] == "plc.level_1" and s["value"]}
        # Published as the shortest decimal that reads back to the same FLOAT32.
        self.assertLessEqual({struct.pack("f", v) for v in published}, {struct.pack("f", v) for v in values})
        # A file of its own that others cannot read.
        self.assertEqual(stat.S_IMODE(os.stat(self.capture).st_mode), 0o600)

    def test_serial_line(self):
        line = os.path.join(self.folder, "ttySIM")
        self.record(f"controller: file://{line}\n    baud_rate: 115200\n    parity: even\n", line,
                    ("dropout:plc@8+2",))
        self.assertNotIn("is not whole", self.replay().stderr)
        self.compare_with_what_was_published()

    def test_instrument_that_talks_by_itself(self):
        gauge = GAUGE.format(port=free_port())
        self.record(faults=("dropout:gauge@8+2",),
                    change=lambda text: text.replace("twins:\n", gauge + "twins:\n").replace("level_1: plc.level_1",
                                                                                         "level_1: gauge.level"))
        self.assertNotIn("is not whole", self.replay().stderr)
        self.compare_with_what_was_published()
        with open(self.samples, newline="", encoding="utf-8") as file:
            self.assertIn("gauge.level", {s["tag"] for s in csv.DictReader(file)})

    def test_killed_service(self):
        """Whatever was written is replayed; the replay says that the file breaks off."""
        self.start_line()
        self.capture = os.path.join(self.folder, "line.capture")
        self.daemon = self.make_daemon(self.configuration, arguments=("--capture", self.capture))
        self.daemon.start()
        self.wait_for_mode("tracking")
        let_run(12, self.daemon.process)
        self.daemon.kill()
        done = self.replay()
        self.assertIn("is not whole (the file breaks off)", done.stderr)
        self.compare_with_what_was_published()
        # Started again, the service keeps the capture of the crash.
        self.daemon.start()
        self.assertTrue(os.path.getsize(self.capture + ".old") > 1000)
        self.daemon.stop()

    def test_reload_ends_the_capture_alone(self):
        self.start_line()
        self.capture = os.path.join(self.folder, "line.capture")
        self.daemon = self.make_daemon(self.configuration, arguments=("--capture", self.capture))
        self.daemon.start()
        self.wait_for_mode("tracking")
        mark = self.subscriber.count()
        self.write_configuration(configuration.plant_with_twin(**{**self.values, "samples_interval": "400ms"}))
        self.daemon.hang_up()
        self.wait_for_mode("tracking", since=mark)
        self.daemon.stop()
        self.assertIn("ends with the reload", self.daemon.stderr())
        with open(self.capture, encoding="utf-8") as file:
            self.assertTrue(file.read().endswith("\nZ reload\n"))
        done = self.replay()
        self.assertIn("ended: reload", done.stdout)
        self.assertNotIn("is not whole", done.stderr)

    def test_limit_ends_the_capture_alone(self):
        self.record(extra=("--capture-limit", "20KiB"), seconds=12)
        self.assertLessEqual(os.path.getsize(self.capture), 20 * 1024 + 16)
        self.assertEqual(self.daemon.stderr().count("has reached its limit of 20KiB; the capture has ended"), 1)
        self.assertIn("is not whole (limit)", self.replay().stderr)

    def test_refusals(self):
        self.record(seconds=1)
        # Another scale than that of the recording: other samples.
        with open(self.configuration, encoding="utf-8") as file:
            text = file.read()
        changed = text.replace("name: level_1, register: holding,", "name: level_1, register: holding, scale: 2,")
        self.assertNotEqual(changed, text)
        self.write_configuration(changed)
        done = self.replay(code=65)
        self.assertIn("made with another configuration", done.stderr)
        self.assertRegex(done.stderr, r"replay and recording part: .*samples are not those of the recorded turn \(line")
        self.write_configuration(text)
        for capture, code, what in ((os.path.join(self.folder, "none"), 66, "No such file"),
                                    (self.configuration, 65, "line 1: no capture of this format")):
            self.capture = capture
            self.assertIn(what, self.replay(code=code).stderr)
        for target in (self.folder, os.path.join(self.folder, "absent", "a.capture")):
            done = command("run", "--config", self.configuration, "--capture", target)
            self.assertEqual(done.returncode, 74, done.stderr)
            self.assertIn(f"--capture: {target}", done.stderr)


if __name__ == "__main__":
    main()
