"""What an operator does to a gateway: save it, put it back, empty it, make it say more; and what the log says of it all."""
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import stat
import tarfile

from rig import RigTestCase, configuration, main, wait_until
from rig.case import STATE
from rig.service import command
from rig.waiting import let_run

ALARM = "plc.connection"
ANOMALY = "devices.plc.anomaly"


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class OperateCase(RigTestCase):
    def begin(self):
        self.start_line()
        self.good = configuration.plant_with_twin(**self.values).replace(
            "gateway: {", f"gateway: {{control_socket: {os.path.join(self.folder, 'control')}, ")
        self.write_configuration(self.good)
        self.state = os.path.join(self.folder, "state")
        self.backup = os.path.join(self.folder, "out", "gateway.tar")
        os.mkdir(os.path.dirname(self.backup))
        self.daemon.start()
        self.wait_for_mode("tracking")

    def ask(self, *arguments, expected=0, says=()):
        done = command(*arguments, "--config", self.configuration)
        told = done.stdout + done.stderr
        self.assertEqual(done.returncode, expected, f"{arguments}: {told}")
        for text in (says,) if isinstance(says, str) else says:
            self.assertIn(text, told)
        return told

    def save(self, *more, **expected):
        return self.ask("backup", "--output", self.backup, *more, **expected)

    def restore(self, *more, archive=None, **expected):
        return self.ask("restore", "--input", archive or self.backup, *more, **expected)

    def lose_device(self, since=0):
        self.simulator.kill()
        return self.event("raised", since)

    def event(self, kind, since=0):
        return self.arrives(ANOMALY, lambda m: m["anomaly"] == ALARM and m["event"] == kind, 30, kind, since)

    def spooled(self, database):
        """{(epoch, stream): sequence numbers} that wait in a spool."""
        found = {}
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            for epoch, stream, seq in connection.execute(
                    "SELECT epoch, text, seq FROM message JOIN name ON stream = number"):
                found.setdefault((epoch, stream), set()).add(seq)
        return found

    def waits(self, count):
        def enough():
            status = json.loads(command("spool", "status", "--json", "--config", self.configuration).stdout)
            return sum(s["messages"] for s in status["streams"]) >= count
        wait_until(enough, 60, f"{count} messages to wait")

    def all_arrive(self, expected, told=None):
        """Each number of `expected` comes once; with `told`, or is told as lost."""
        def missing():
            arrived = self.sequences()
            lost = self.told_as("purged") if told else {}
            return {key: numbers - arrived.get(key, set()) - lost.get(key, set()) for key, numbers in expected.items()}
        wait_until(lambda: not any(missing().values()), 60, lambda: f"what waited to arrive, but {missing()}")

    def members(self, archive=None):
        with tarfile.open(archive or self.backup) as tar:
            return {member.name: tar.extractfile(member).read() for member in tar.getmembers()}

    def pack(self, members, name="changed.tar", sums=True, links=()):
        """An archive as the command writes them."""
        path = os.path.join(os.path.dirname(self.backup), name)
        members = {n: c for n, c in members.items() if n != "SHA256SUMS"}
        if sums:
            members["SHA256SUMS"] = "".join(
                f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in members.items()).encode()
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size, info.mode, info.mtime = len(content), 0o600, 1_772_000_000
                if name in links:
                    info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
                tar.addfile(info, io.BytesIO(content))
        return path

    def tree(self):
        """Every file of configuration and state with its content and mode, the lock aside."""
        found = {}
        for folder, _, files in os.walk(self.folder):
            for name in files:
                path = os.path.join(folder, name)
                if name.endswith((".yaml", ".lock")) or "state" in folder or "pki" in folder:
                    with open(path, "rb") as file:
                        found[path] = (hashlib.sha256(file.read()).hexdigest(), os.stat(path).st_mode)
        found.pop(os.path.join(self.state, "spool.lock"), None)
        return found


class Backup(OperateCase):
    def test_backup_while_it_runs_and_restore(self):
        """On a state directory that is empty: the same alarms, the twin goes on, what waited arrives once, a later epoch."""
        self.begin()
        self.daemon.stop()  # writes a checkpoint
        self.daemon.start()
        self.lose_device()
        self.ask("alarms", "acknowledge", ALARM, "--comment", "the pump house has no power")
        self.event("acknowledged")
        self.broker.stop()
        self.waits(50)
        told = self.save(says=("messages that wait, epoch", "gateway.key: it is private; --with-keys takes it in"))
        self.assertNotIn("it holds private keys", told)
        self.assertEqual(stat.S_IMODE(os.stat(self.backup).st_mode), 0o600)
        self.assertEqual(os.listdir(os.path.dirname(self.backup)), ["gateway.tar"])
        members = self.members()
        self.assertEqual(set(members), {
            "manifest.json", "config/twinkeeper.yaml", "config/tanks_model.yaml", "config/pki/gateway.crt",
            "config/pki/ca.crt", "state/alarms.json", "state/last_good", "state/commands.log",
            "state/checkpoints/tanks.checkpoint", "state/spool.db", "SHA256SUMS"})
        self.assertFalse([name for name, content in members.items() if b"PRIVATE KEY" in content])
        manifest = json.loads(members["manifest.json"])
        self.assertEqual((manifest["gateway"], manifest["schema"]), (configuration.GATEWAY, "twinkeeper.backup/1"))
        copy = os.path.join(self.folder, "out", "spool.db")
        with open(copy, "wb") as file:
            file.write(members["state/spool.db"])
        waiting = self.spooled(copy)
        epoch = manifest["epoch"]
        self.assertEqual(sum(map(len, waiting.values())), manifest["messages"])
        self.daemon.stop()

        os.rename(self.state, self.state + ".lost")
        self.restore(expected=74, says="accepted: a folder of the service's user: install -d")
        os.mkdir(self.state)
        self.restore(says=f"restored the backup of {configuration.GATEWAY}")
        self.broker.start()
        mark = self.subscriber.count()
        self.daemon.start()
        self.all_arrive(waiting)
        online = self.arrives("status", lambda m: m["epoch"] > epoch, 60, "the status of a later epoch", mark)
        self.assertEqual(online["gateway"], configuration.GATEWAY)
        self.assertIn("goes on from its checkpoint", self.daemon.stderr())
        again = self.event("raised", mark)
        self.assertEqual((again["state"], again["comment"]), ("acknowledged", "the pump house has no power"))
        arrived = [m.document["id"] for m in self.subscriber.messages(since=mark)
                   if m.epoch == epoch and not m.arrival.retained and m.stream != "status"]
        self.assertEqual(len(arrived), len(set(arrived)), "a message came twice")
        self.daemon.stop()
        self.check_envelopes()
        self.check_schemas()
        with open(os.path.join(self.state, "commands.log"), encoding="utf-8") as file:
            trail = [json.loads(line) for line in file]
        self.assertEqual([line["verb"] for line in trail][:2], ["acknowledge", "restore"])
        self.assertEqual([line["number"] for line in trail], list(range(1, len(trail) + 1)))

    def test_restore_over_what_is_there(self):
        """The configuration of then comes back; what waits now and did not then is told, nothing is lost in silence."""
        self.begin()
        self.broker.stop()
        self.waits(50)
        self.save("--with-keys", says="it holds private keys")
        self.assertIn("config/pki/gateway.key", self.members())
        self.waits(120)
        changed = self.good.replace("poll_interval: 100ms", "poll_interval: 50ms")
        self.write_configuration(changed)
        self.daemon.stop()
        waiting = self.spooled(os.path.join(self.state, "spool.db"))
        self.restore(says=("the one before is kept as", "messages waited here and are not in it; a gap `purged`"))
        with open(self.configuration, encoding="utf-8") as file:
            self.assertEqual(file.read(), self.good)
        with open(self.configuration + ".before", encoding="utf-8") as file:
            self.assertEqual(file.read(), changed)
        self.assertFalse([name for name in os.listdir(self.state) if name.endswith((".before", ".restored", ".new"))])
        self.broker.start()
        self.daemon.start()
        self.all_arrive(waiting, told=True)
        self.assertTrue(self.told_as("purged"))
        arrived, told = self.sequences(), self.told_as("purged")
        for key, numbers in told.items():
            self.assertEqual(numbers & arrived.get(key, set()), set(), f"{key}: told as lost, and arrived")
        self.daemon.stop()
        self.check_envelopes()

    def test_restore_that_fails_midway(self):
        """What it has put in its place by then goes back: configuration, state and what waits are as they were."""
        self.begin()
        self.broker.stop()
        self.save("--with-keys")
        wait_until(lambda: os.path.exists(os.path.join(self.state, "last_good")), 20, "a whole state")
        self.write_configuration(self.good.replace("poll_interval: 100ms", "poll_interval: 50ms"))
        self.waits(50)
        self.daemon.stop()
        # The last of the files to be put in place can't be.
        last = os.path.join(self.state, "last_good")
        os.rename(last, last + ".aside")
        os.mkdir(last)
        with open(os.path.join(last, "held"), "w", encoding="utf-8"):
            pass
        before = self.tree()
        members = {**self.members(), "state/last_good": b"{}", "state/alarms.json": b"[]"}
        self.restore(archive=self.pack(members), expected=74, says=("last_good", "nothing is changed"))
        after = self.tree()
        epoch = os.path.join(self.state, "spool.epoch")  # it may only grow: no number is given twice
        before.pop(epoch, None)
        after.pop(epoch, None)
        self.assertEqual(after, before)
        self.assertFalse(os.path.exists(self.configuration + ".before"))

        shutil.rmtree(last)
        os.rename(last + ".aside", last)
        waiting = self.spooled(os.path.join(self.state, "spool.db"))
        self.broker.start()
        self.daemon.start()
        self.all_arrive(waiting)
        self.daemon.stop()
        self.check_envelopes()

    def test_restore_is_refused(self):
        """While the service runs, and for what is damaged, foreign, newer, or would go elsewhere: nothing is changed."""
        self.begin()
        self.save()
        self.restore(expected=69, says="systemctl stop twinkeeper; nothing is changed")
        wait_until(lambda: os.path.exists(os.path.join(self.state, "last_good")), 20, "a whole state")
        self.daemon.stop()
        before = self.tree()
        members = self.members()

        def refused(archive, says, expected=65):
            self.restore(archive=archive, expected=expected, says=says)
            self.assertEqual(self.tree(), before, says)

        def with_manifest(**values):
            manifest = {**json.loads(members["manifest.json"]), **values}
            return self.pack({**members, "manifest.json": json.dumps(manifest).encode()})

        refused(os.path.join(self.folder, "nowhere.tar"), "nowhere.tar", 66)
        refused(self.configuration, "no backup")
        with open(self.backup, "rb") as file:
            whole = file.read()
        broken = os.path.join(self.folder, "out", "broken.tar")
        for place in (len(whole) // 3, len(whole) // 2):
            with open(broken, "wb") as file:
                file.write(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1:])
            refused(broken, "is damaged")
        with open(broken, "wb") as file:
            file.write(whole[:len(whole) // 2])
        refused(broken, "is cut short")
        refused(with_manifest(gateway="other-gw"), "is of the gateway other-gw, this is rig-gw1; accepted: --from-other")
        refused(with_manifest(schema="twinkeeper.backup/2", version="9.0.0"),
                "of the form twinkeeper.backup/2, which twinkeeper 9.0.0 has written; this one reads twinkeeper.backup/1")
        refused(self.pack({**members, "../evil.yaml": b"x"}), "has a file of the name ../evil.yaml")
        refused(self.pack({**members, "/tmp/evil.yaml": b"x"}), "has a file of the name /tmp/evil.yaml")
        refused(self.pack({**members, "config/evil.yaml": b"x"}), "config/evil.yaml in it is nothing that")
        refused(self.pack({**members, "state/evil": b"x"}), "state/evil in it is nothing that")
        refused(self.pack(members, links=("state/alarms.json", "state/last_good")), "no backup")
        refused(self.pack({**members, "config/twinkeeper.yaml": b"gateway: {}\n"}), "gateway.id", 78)
        newer = os.path.join(self.folder, "out", "newer.db")
        with open(newer, "wb") as file:
            file.write(members["state/spool.db"])
        with sqlite3.connect(newer) as database:
            database.execute("PRAGMA user_version=7")
        database.close()
        with open(newer, "rb") as file:
            content = file.read()
        refused(self.pack({**members, "state/spool.db": content}), "is of version 7, which a newer twinkeeper has written")
        # A link within the configuration's folder that leads out of it.
        shutil.move(os.path.join(self.folder, "pki"), os.path.join(self.folder, "out", "pki"))
        os.symlink("/tmp", os.path.join(self.folder, "pki"))
        self.restore(expected=65, says="in it is nothing that its configuration names here")
        self.assertFalse(os.path.exists("/tmp/gateway.crt"))
        os.remove(os.path.join(self.folder, "pki"))
        shutil.move(os.path.join(self.folder, "out", "pki"), os.path.join(self.folder, "pki"))
        self.assertEqual(self.tree(), before)
        self.restore(says="it runs with: systemctl start twinkeeper", archive=self.pack(members))
        self.daemon.start()
        self.daemon.stop()


class Reset(OperateCase):
    def state_files(self):
        return sorted(name for name in os.listdir(self.state) if os.path.isfile(os.path.join(self.state, name)))

    def test_reset(self):
        """Everything but the trail goes; what waited is told, the epoch grows, the twin begins anew."""
        self.begin()
        self.ask("reset", "--yes", expected=69, says="systemctl stop twinkeeper")
        self.ask("alarms", "maintenance", "plc", "1h")
        self.broker.stop()
        self.waits(50)
        epoch = max(m.epoch for m in self.subscriber.messages())
        self.daemon.stop()
        waiting = self.spooled(os.path.join(self.state, "spool.db"))
        before = self.tree()
        self.ask("reset", expected=64, says="nothing is changed; give --yes to do it")
        self.assertEqual(self.tree(), before)
        self.ask("reset", "--yes", says=("messages that waited; a gap `purged` will tell them",))
        self.assertEqual(set(self.state_files()) - {"spool.reserve"},
                         {"commands.log", "spool.db", "spool.epoch", "spool.lock"})
        self.assertEqual(os.listdir(os.path.join(self.state, "checkpoints")), [])
        self.broker.start()
        mark = self.subscriber.count()
        self.daemon.start()
        self.all_arrive(waiting, told=True)
        self.assertEqual({key: self.told_as("purged").get(key) for key in waiting}, waiting)
        first = self.arrives(STATE, lambda m: m["epoch"] > epoch, 60, "a state of a later epoch", mark)
        self.assertIn(first["mode"], ("initializing", "converging"))
        self.assertNotIn("goes on from its checkpoint", self.daemon.stderr())
        self.assertNotIn("maintenance", self.ask("alarms"))
        self.daemon.stop()
        self.check_envelopes()
        self.check_schemas()

    def test_reset_keeps_the_spool(self):
        self.begin()
        self.broker.stop()
        self.waits(50)
        self.daemon.stop()
        waiting = self.spooled(os.path.join(self.state, "spool.db"))
        self.ask("reset", "--keep-spool", "--yes", says=" and 0 messages that waited")
        self.broker.start()
        self.daemon.start()
        self.all_arrive(waiting)
        self.assertEqual(self.told_as("purged"), {})
        self.daemon.stop()
        self.ask("reset", "--everything", "--keep-spool", "--yes", expected=64)
        self.ask("reset", "--everything", "--yes")
        self.assertEqual(set(self.state_files()) - {"spool.reserve"}, {"commands.log", "spool.epoch", "spool.lock"})
        self.assertTrue(os.path.exists(self.pki.path("gateway.key")), "what an operator has put there is his")


class OtherVersion(OperateCase):
    def test_newer_spool(self):
        """`run` ends with 78, which systemd does not restart, and says what can be done; the file stays."""
        self.begin()
        self.daemon.stop()
        spool = os.path.join(self.state, "spool.db")
        with sqlite3.connect(spool) as database:
            database.execute("PRAGMA user_version=7")
        database.close()
        with open(spool, "rb") as file:
            before = file.read()
        self.ask("run", expected=78, says=("is of version 7, which a newer twinkeeper has written; this one reads up to 2",
                                           "accepted: that version, or an empty spool: twinkeeper reset --config"))
        with open(spool, "rb") as file:
            self.assertEqual(file.read(), before)
        self.ask("reset", "--yes")
        self.daemon.start()
        self.arrives("gap", lambda m: m["reason"] == "corrupt" and m["stream"] is None, 60, "a gap of what nobody could read")
        self.daemon.stop()

    def test_checkpoints_and_alarms_of_another_version(self):
        """They are kept aside; the states are carried over by name."""
        self.begin()
        self.ask("alarms", "maintenance", "plc", "1h")
        self.daemon.stop()
        checkpoint = os.path.join(self.state, "checkpoints", "tanks.checkpoint")
        with open(checkpoint, "rb") as file:
            content = file.read()[:-4]
        content = re.sub(rb"twinkeeper\.checkpoint/\d+", b"twinkeeper.checkpoint/99", content, count=1) + b"what is new"
        with open(checkpoint, "wb") as file:
            file.write(content + crc32c(content).to_bytes(4, "little"))
        alarms = os.path.join(self.state, "alarms.json")
        with open(alarms, encoding="utf-8") as file:
            words = file.read().replace("operator_words/1", "operator_words/2")
        with open(alarms, "w", encoding="utf-8") as file:
            file.write(words)
        self.daemon.start()
        log = self.daemon.stderr()
        self.assertIn("(twinkeeper.checkpoint/99, of another version of twinkeeper, the file is kept as ", log)
        self.assertIn("carried over: level_1, level_2", log)
        self.assertIn("alarms.json is of another version of twinkeeper", log)
        self.assertNotIn("maintenance", self.ask("alarms"))
        self.ask("alarms", "maintenance", "plc", "1h")
        with open(alarms + ".other_version", encoding="utf-8") as file:
            self.assertEqual(file.read(), words)
        self.daemon.stop()
        self.assertTrue(os.path.exists(checkpoint + ".other_version"))
        with open(checkpoint, "rb") as file:
            self.assertNotIn(b"checkpoint/99", file.readline())


class Log(OperateCase):
    def lines(self, pattern):
        return re.findall(pattern, self.daemon.stderr(), re.MULTILINE)

    def test_level(self):
        """Set for a while it goes back by itself; a reload changes it and restarts nothing."""
        self.begin()
        self.assertEqual(self.ask("log-level"), "info\n")
        self.assertRegex(self.ask("log-level", "debug", "--for", "2s"), r"^debug until \S+Z, then info\n$")
        wait_until(lambda: self.ask("log-level") == "info\n", 20, "the level to go back")
        self.ask("log-level", "loud", expected=65, says="none of trace, debug, info, warning, error")
        self.ask("log-level", "--for", "2s", expected=64)
        self.assertEqual(self.ask("log-level", "error"), "error until the service restarts, then info\n")
        self.ask("alarms", "maintenance", "plc", "1h")  # told at the level info
        self.assertEqual(self.ask("log-level", "info"), "info\n")
        self.ask("alarms", "maintenance", "plc", "0s")
        self.assertEqual(len(self.lines(r"commands: maintenance plc done")), 1)

        before = self.subscriber.last("status").document
        mark = self.subscriber.count()
        self.write_configuration(self.good.replace("gateway: {", "gateway: {log_level: warning, "))
        self.ask("reload", says="reloaded: nothing; the log has another level")
        self.assertEqual(self.ask("log-level"), "warning\n")
        after = self.arrives("status", lambda m: m["config_hash"] != before["config_hash"], 30, "the new hash", mark)
        self.assertEqual((after["epoch"], after["session"], after["reason"]), (before["epoch"], before["session"], "reload"))
        self.write_configuration(self.good.replace("gateway: {", "gateway: {log_level: loud, "))
        self.ask("reload", expected=78, says="trace | debug | info | warning | error")
        self.daemon.stop()
        self.assertNotIn("stopped: ", self.daemon.stderr(), "below the level")
        states = sorted((m["seq"], m["step"]) for m in self.subscriber.messages(STATE) if m["epoch"] == before["epoch"])
        self.assertEqual([step - states[0][1] for _, step in states], [seq - states[0][0] for seq, _ in states])

    def test_alarms_and_modes_are_told_as_by_the_messages(self):
        """Each event of an alarm and each change of a mode is one line, in the words of the messages."""
        self.begin()
        self.lose_device()
        self.ask("alarms", "acknowledge", ALARM, "--comment", 'said "so"')
        self.ask("alarms", "shelve", ALARM, "1h")
        self.ask("alarms", "unshelve", ALARM)
        self.wait_for_mode("predict_only")
        self.simulator.start()
        self.event("cleared")
        mark = self.subscriber.count()
        self.wait_for_mode("tracking", since=mark)
        let_run(2, self.daemon.process)
        self.daemon.stop()

        told = []
        for line in self.lines(r"(?<=: )alarm (event=.*)$"):
            told.append({key: value for key, _, value in (part.partition("=") for part in shlex.split(line))})
        messages = [m for m in self.subscriber.messages() if m.stream.endswith("anomaly") and m["event"] != "changed"]
        of = lambda event: (event["anomaly"], event["event"], int(event["occurrence"]), event["state"], event["priority"])
        self.assertEqual(sorted(map(of, told)), sorted(map(of, messages)))
        kinds = [event["event"] for event in told if event["anomaly"] == ALARM]
        self.assertEqual(kinds, ["raised", "acknowledged", "shelved", "unshelved", "cleared"])
        acknowledged = next(event for event in told if event["event"] == "acknowledged")
        self.assertEqual(acknowledged["comment"], 'said "so"')

        states = sorted((m["seq"], m["mode"]) for m in self.subscriber.messages(STATE))
        modes = [mode for (_, mode), before in zip(states, [(0, None), *states]) if mode != before[1]]
        self.assertEqual(self.lines(r"(?<=tanks: )mode=(\w+)"), modes)
        self.check_schemas()


if __name__ == "__main__":
    main()
