"""The control socket of a running service: alarms as an operator sees and handles them."""
import getpass
import json
import os
import socket
import stat
import time

from rig import RigTestCase, configuration, main, wait_until
from rig.peers import PymodbusPeer
from rig.ports import free_port
from rig.service import command

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
