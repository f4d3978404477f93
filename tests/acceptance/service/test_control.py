"""The control socket of a running service: alarms as an operator sees and handles them."""
import csv
import getpass
import json
import os
import signal
import socket
import stat
import subprocess

from rig import RigTestCase, configuration, main, wait_until
from rig.peers import PymodbusPeer
from rig.ports import free_port
from rig.service import command, executable

DEVICE = """\
devices:
  - name: plc
    controller: tcp://127.0.0.1:{port}
    poll_interval: 100ms
    timeout: 500ms
    publish: {{interval: 200ms}}
    registers:
      - {{name: level, register: holding, address: 0, type: FLOAT32, unit: m}}
"""
ANOMALY = "devices.plc.anomaly"
ALARM = "plc.connection"


class Control(RigTestCase):
    def begin(self):
        self.port = free_port()
        self.peer = self.start_peer(PymodbusPeer(self.folder, "tcp", self.port, [("holding", 0, "float32", "ABCD", 1.0)]))
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.socket = os.path.join(self.folder, "control")
        text = configuration.plain_gateway(DEVICE, port=self.port, mqtt_port=self.broker.port, pki=self.pki.folder)
        self.path = self.write_configuration(text.replace("gateway: {", f"gateway: {{control_socket: {self.socket}, "))
        self.daemon = self.make_daemon(self.path)
        self.daemon.start()
        self.arrives("devices.plc.samples", lambda m: m["tags"]["level"] == 1, 30, "the first values")

    def alarms(self, *arguments, expected=0):
        done = command("alarms", *arguments, "--config", self.path)
        self.assertEqual(done.returncode, expected, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def lose_device(self):
        self.peer.process.kill()
        return self.event("raised")

    def event(self, kind, since=0):
        return self.arrives(ANOMALY, lambda m: m["anomaly"] == ALARM and m["event"] == kind, 30, kind, since)

    def trail(self):
        with open(os.path.join(self.folder, "state", "commands.log"), encoding="utf-8") as file:
            return [json.loads(line) for line in file]

    def test_alarms(self):
        """Acknowledged, shelved, in maintenance: each is told, recorded, and outlives a restart."""
        self.begin()
        self.assertEqual(stat.S_IMODE(os.stat(self.socket).st_mode), 0o660)
        self.assertEqual(self.alarms(), "no alarms\n")
        self.lose_device()
        self.assertRegex(self.alarms("list"), rf"PRIORITY +STATE +SINCE +ALARM +MESSAGE\nhigh +active +\S+ \S+Z +{ALARM} +plc")
        user = getpass.getuser()

        self.alarms("acknowledge", ALARM, "--comment", "the pump house has no power")
        told = self.event("acknowledged")
        self.assertEqual((told["state"], told["by"], told["comment"]),
                         ("acknowledged", user, "the pump house has no power"))
        self.assertIn(f"{ALARM} is acknowledged already", self.alarms("acknowledge", ALARM, expected=65))
        self.assertIn("there is no alarm plc_2.connection", self.alarms("acknowledge", "plc_2.connection", expected=65))
        listed = json.loads(self.alarms("--json"))
        self.assertEqual([(a["anomaly"], a["state"], a["by"], a["priority"]) for a in listed["alarms"]],
                         [(ALARM, "acknowledged", user, "high")])

        self.alarms("shelve", ALARM, "1h", "--comment", "electricians at 14:00")
        told = self.event("shelved")
        self.assertEqual((told["state"], told["by"]), ("shelved", user))
        self.assertIsNotNone(told["shelved_until"])
        self.assertIn("shelved", self.alarms())

        mark = self.subscriber.count()
        self.daemon.stop()
        self.assertIn("no service listens", self.alarms(expected=69))
        self.daemon.start()
        told = self.event("raised", mark)
        self.assertEqual((told["state"], told["by"], told["comment"]), ("shelved", user, "electricians at 14:00"))
        self.alarms("unshelve", ALARM)
        self.assertEqual(self.event("unshelved", mark)["state"], "acknowledged", "the word from before the restart")

        mark = self.subscriber.count()
        self.alarms("shelve", ALARM, "1s")
        told = self.event("unshelved", mark)
        self.assertEqual((told["state"], told["by"], told["comment"]), ("acknowledged", None, "its time is over"))

        mark = self.subscriber.count()
        self.alarms("maintenance", "plc", "2h", "--comment", "new cable")
        self.assertEqual(self.event("suppressed", mark)["state"], "suppressed")
        self.assertRegex(self.alarms(), rf"plc is in maintenance by {user} until .*: new cable")
        self.daemon.process.kill()  # a sudden end forgets nothing of it
        mark = self.subscriber.count()
        self.daemon.start()
        self.assertEqual(self.event("raised", mark)["state"], "suppressed")
        self.alarms("maintenance", "plc", "0s")
        self.assertEqual(self.event("unsuppressed", mark)["state"], "acknowledged")
        self.peer.start()
        self.event("cleared", mark)
        self.assertEqual(self.alarms(), "no alarms\n")
        trail = self.trail()
        self.assertEqual([entry["number"] for entry in trail], list(range(1, len(trail) + 1)))
        self.assertEqual({entry["by"] for entry in trail}, {user})
        self.assertEqual([entry["verb"] for entry in trail if entry["result"] == "done"],
                         ["acknowledge", "shelve", "unshelve", "shelve", "maintenance", "maintenance"])
        self.check_envelopes()
        self.check_schemas()
        self.daemon.stop()
        self.assertFalse(os.path.exists(self.socket))

    def test_alarm_of_the_gateway(self):
        """The broker away: the gateway's own alarm is acknowledged on the spot, and the broker hears of it later."""
        self.begin()
        alarm = "gateway.uplink"
        self.broker.process.kill()
        wait_until(lambda: alarm in command("alarms", "--socket", self.socket).stdout, 60, "the alarm in the list")
        self.alarms("acknowledge", alarm, "--comment", "works on the network")
        self.assertRegex(self.alarms(), rf"high +acknowledged .*{alarm} .*works on the network")
        mark = self.subscriber.count()
        self.broker.start()
        told = self.arrives("anomaly", lambda m: m["event"] == "acknowledged", 60, "the word of it", mark)
        self.assertEqual((told["anomaly"], told["by"]), (alarm, getpass.getuser()))
        self.daemon.stop()

    def ask(self, verb, arguments):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(self.socket)
            request = {"schema": "twinkeeper.control/1", "verb": verb, "arguments": arguments}
            client.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(client.makefile().readline())

    def record(self, name, *arguments):
        log = os.path.join(self.folder, name)
        done = command("record", "--config", self.path, "--output", log, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(log, encoding="utf-8") as file:
            header, *rows = file.read().splitlines()
        return done, header, [row.split(",") for row in rows]

    def test_record_from_the_devices(self):
        """Without a service the devices are read by the same drivers; Ctrl-C leaves a whole file."""
        self.begin()
        self.daemon.stop()
        done, header, rows = self.record("alone.csv", "--for", "2s")
        self.assertIn("reads the devices itself", done.stderr)
        self.assertEqual(header, "time,plc.level[m]")
        self.assertEqual(len(rows), 20)
        self.assertEqual({row[1] for row in rows}, {"1"})
        for ending in (signal.SIGINT, signal.SIGTERM):
            log = os.path.join(self.folder, f"{ending}.csv")
            recording = self.keep_process(log)
            wait_until(lambda: os.path.exists(log) and os.path.getsize(log) > 300, 30, "rows in the log")
            recording.send_signal(ending)
            out, err = recording.communicate(timeout=30)
            self.assertEqual(recording.returncode, 0, err)
            with open(log, encoding="utf-8") as file:
                text = file.read()
            self.assertTrue(text.endswith("Z,1\n"), text[-200:])
            self.assertIn(f"{len(text.splitlines()) - 1} rows of 1 tags in {log}", out)
        self.peer.process.kill()
        silent = command("record", "--config", self.path, "--output", os.path.join(self.folder, "x.csv"), "--for", "1s")
        self.assertEqual(silent.returncode, 69)
        self.assertIn("nothing was heard of any device", silent.stderr)
        nowhere = command("record", "--config", self.path, "--output", "/nowhere/x.csv", "--for", "1s")
        self.assertEqual(nowhere.returncode, 74)

    def keep_process(self, log):
        recording = subprocess.Popen([executable(), "record", "--config", self.path, "--output", log], text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(lambda: recording.poll() is None and recording.kill())
        return recording

    def test_record_from_the_service(self):
        """What the running service sees of a plant goes to a log that gives the twin's states again."""
        self.start_line()
        self.socket = os.path.join(self.folder, "control")
        with open(self.configuration, encoding="utf-8") as file:
            text = file.read().replace("gateway: {", f"gateway: {{control_socket: {self.socket}, ")
        self.path = self.write_configuration(text)
        self.daemon = self.make_daemon(self.path)
        self.daemon.start()
        self.wait_for_mode("tracking")
        done, header, rows = self.record("plant.csv", "--for", "6s")
        self.assertIn("from the service at", done.stderr)
        self.assertEqual(header, "time,plc.level_1[m],plc.level_2[m],plc.pump[V]")
        self.assertEqual(len(rows), 60)
        self.assertGreaterEqual(sum(all(row) for row in rows), 58, "each poll has its row")
        self.assertTrue(self.daemon.process.running())
        answer = self.ask("what-if", {"twin": "tanks", "horizon": "1min", "inputs": {"pump": 5}, "points": 6})
        self.assertEqual((answer["result"], answer["forecast"]["seconds"]), ("done", [10, 20, 30, 40, 50, 60]))
        self.assertEqual(self.ask("write", {})["reason"], "malformed: unknown verb write")
        steps = os.path.join(self.folder, "steps.csv")
        done = command("replay", "--config", self.path, "--input", os.path.join(self.folder, "plant.csv"), "--output", steps)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(steps, encoding="utf-8") as file:
            replayed = list(csv.DictReader(file))
        self.assertEqual(len(replayed), 60)
        self.assertEqual([row["time"] for row in replayed], [row[0] for row in rows])
        self.assertEqual([row["step"] for row in replayed], [str(k) for k in range(60)], "a row is a tick")
        model = os.path.join(self.folder, "tanks_model.yaml")
        with open(os.path.join(self.folder, "plant.csv"), encoding="utf-8") as file:
            renamed = file.read().replace("plc.", "")
        with open(os.path.join(self.folder, "signals.csv"), "w", encoding="utf-8") as file:
            file.write(renamed)
        done = command("compare", "--model", model, "--input", os.path.join(self.folder, "signals.csv"), "--horizon", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        recording = self.keep_process(os.path.join(self.folder, "cut.csv"))
        wait_until(lambda: os.path.exists(os.path.join(self.folder, "cut.csv")), 30, "the log to begin")
        self.daemon.stop()
        out, err = recording.communicate(timeout=30)
        self.assertEqual(recording.returncode, 69, err)
        self.assertIn("the service has hung up; the log ends here", err)

    def test_reload(self):
        """The new configuration runs, or every fault is told; the answer comes also where the socket has moved."""
        self.begin()
        epoch = self.subscriber.last("devices.plc.samples")["epoch"]
        with open(self.path, encoding="utf-8") as file:
            good = file.read()
        self.write_configuration(good.replace("timeout: 500ms", "timeout: soon").replace("unit: m", "unitt: m"))
        wrong = command("reload", "--socket", self.socket)
        self.assertEqual(wrong.returncode, 78, wrong.stderr)
        self.assertRegex(wrong.stderr, r"(?m)^\S*twinkeeper\.yaml:\d+:\d+: devices\[0\]\.timeout: ")
        self.assertRegex(wrong.stderr, r"(?m)^\S*twinkeeper\.yaml:\d+:\d+: devices\[0\]\.registers\[0\]\.unitt: ")
        self.assertIn("reload: failed: the old configuration keeps running", wrong.stderr)
        answer = json.loads(command("reload", "--socket", self.socket, "--json").stdout)
        self.assertEqual((answer["result"], answer["exit_code"], len(answer["faults"])), ("failed", 78, 2))
        self.assertEqual(self.subscriber.last("devices.plc.samples")["epoch"], epoch)

        self.write_configuration(good.replace("{interval: 200ms}", "{interval: 300ms}"))
        done = command("reload", "--config", self.path)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, "reloaded: devices and twins; the connection to the broker stays\n", ""))
        info = self.arrives("devices.plc.info", lambda m: m["epoch"] > epoch, 30, "the description by the new gateway")
        self.assertEqual(info["publish_interval_ms"], 300)
        moved = os.path.join(self.folder, "moved")
        self.write_configuration(good.replace(self.socket, moved))
        done = command("reload", "--socket", self.socket)
        self.assertEqual((done.returncode, done.stdout), (0, "reloaded: everything\n"), done.stderr)
        self.assertFalse(os.path.exists(self.socket))
        self.assertEqual(self.alarms(), "no alarms\n")
        self.daemon.stop()
        nobody = command("reload", "--socket", moved)
        self.assertEqual(nobody.returncode, 69)
        self.assertIn("reload: no service listens at", nobody.stderr)
        self.assertEqual([(entry["verb"], entry["result"], entry["by"]) for entry in self.trail()],
                         [("reload", result, getpass.getuser())
                          for end in ("failed", "failed", "done", "done") for result in ("accepted", end)])

    def test_clients_that_misbehave(self):
        """Silence, floods and rubbish cost their own connection; a second service does not take the socket."""
        self.begin()
        held = []
        for _ in range(20):
            client = socket.socket(socket.AF_UNIX)
            client.connect(self.socket)
            client.setblocking(False)
            held.append(client)
        for client in held[:8]:
            try:
                client.send(b"x" * 1_000_000)
            except OSError:
                pass
        mark = self.subscriber.count()
        self.arrives("devices.plc.samples", lambda m: m["tags"]["level"] == 1, 30, "samples meanwhile", mark)
        wait_until(lambda: command("alarms", "--socket", self.socket).returncode == 0, 30, "room for another client")
        for client in held:
            client.close()

        with open(self.path, encoding="utf-8") as file:
            text = file.read().replace("state_directory: ", "state_directory: second-")
        second = self.make_daemon(self.write_configuration(text, "second.yaml"))
        second.start()
        self.assertIn("is in use by another process", second.stderr())
        second.stop()
        self.assertEqual(self.alarms(), "no alarms\n")
        self.daemon.process.kill()
        self.assertTrue(os.path.exists(self.socket), "a killed service leaves its socket")
        self.daemon.start()
        self.assertEqual(self.alarms(), "no alarms\n")
        self.daemon.stop()


if __name__ == "__main__":
    main()
