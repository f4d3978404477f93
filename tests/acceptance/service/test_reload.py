"""A reload restarts what has changed and nothing else; the configuration that ran last can be put back."""
import os
import re

from rig import RigTestCase, configuration, main, wait_until
from rig.broker import Broker
from rig.case import SAMPLES, STATE
from rig.service import command
from rig.subscriber import Subscriber
from rig.waiting import let_run


class Reload(RigTestCase):
    def begin(self, **values):
        self.start_line(**values)
        self.daemon.start()
        self.good = configuration.plant_with_twin(**self.values)
        return self.arrives(STATE, lambda m: m["step"] > 10, 60, "the twin to run")

    def changed(self, *pairs):
        """The configuration with each (old, new) replaced, written."""
        text = self.good
        for old, new in pairs:
            self.assertIn(old, text)
            text = text.replace(old, new)
        self.write_configuration(text)

    def reload(self, restarted):
        """SIGHUP; returns how many messages had arrived by then, once the log says what was restarted."""
        lines = self.daemon.stderr().count("reloaded: ")
        mark, told = self.subscriber.count(), len(self.notify.lines())
        self.daemon.hang_up()
        wait_until(lambda: self.daemon.stderr().count("reloaded: ") > lines, 60,
                   lambda: f"the reload to be done\n{self.daemon.process.tail()}")
        newest = self.daemon.stderr().rsplit("reloaded: ", 1)[1].splitlines()[0]
        self.assertEqual(newest, restarted)
        wait_until(lambda: "READY=1" in self.notify.lines(told), 20, "READY=1")
        self.assertIn("RELOADING=1", self.notify.lines(told))
        return mark

    def all_steps(self, epoch, *subscribers):
        states = [m for subscriber in subscribers for m in subscriber.messages(STATE)]
        return {m["seq"]: m["step"] for m in states if m["epoch"] == epoch}

    def check_every_step(self, epoch, *subscribers):
        """One state for each step, none missing: seq and step grow together from the first to the last."""
        steps = self.all_steps(epoch, *subscribers)
        self.assertEqual(sorted(steps), list(range(1, max(steps) + 1)), "sequence numbers of the states")
        first = steps[1]
        self.assertEqual([steps[seq] - first for seq in sorted(steps)], [seq - 1 for seq in sorted(steps)])

    def wait_until_whole(self, *subscribers):
        """What is late on its way has arrived: no sequence has a hole."""
        def whole():
            arrived = {}
            for subscriber in subscribers or (self.subscriber,):
                for key, seqs in self.sequences(subscriber).items():
                    arrived.setdefault(key, set()).update(seqs)
            return all(len(seqs) == max(seqs) for seqs in arrived.values())
        wait_until(whole, 60, "all that is on its way to arrive")

    def check_no_gap(self, *subscribers):
        for subscriber in subscribers:
            self.assertEqual([m.document for m in subscriber.messages("gap")], [])

    def test_nothing(self):
        """An unchanged configuration, a comment and the order of keys aside, restarts nothing."""
        first = self.begin()
        status = self.subscriber.last("status").document
        self.write_configuration("# a remark\n" + self.good)
        mark = self.reload("nothing, as nothing has changed")
        last = self.subscriber.last(STATE)["step"]
        self.arrives(STATE, lambda m: m["step"] > last + 10, 60, "the twin to go on")
        self.assertEqual({(m["state"], m["session"], m["reason"]) for m in self.subscriber.messages("status", mark)}
                         - {(s, status["session"], "start") for s in ("online", "degraded")}, set())
        self.daemon.stop()
        self.assertEqual({m.epoch for m in self.subscriber.messages()}, {first["epoch"]})
        self.check_every_step(first["epoch"], self.subscriber)
        self.assertIn("# a remark", self.kept())

    def test_another_broker(self):
        """The connection goes to another broker; the twin makes every step, in one epoch, and all of them arrive."""
        first = self.begin()
        folder = os.path.join(self.folder, "second")
        os.mkdir(folder)
        other = self.keep(Broker(folder, self.pki))
        other.start()
        there = self.keep(Subscriber(folder, self.pki, other, configuration.PREFIX))
        there.start()
        self.changed((f"localhost:{self.broker.port}", f"localhost:{other.port}"))
        self.reload("the connection to the broker; devices and twins run on")
        online = there.wait_for("status", lambda m: m["state"] == "online", 60, "the status at the other broker")
        self.assertEqual((online["reason"], online["epoch"]), ("reload", first["epoch"]))
        offline = self.subscriber.last("status")
        self.assertEqual((offline["state"], offline["reason"]), ("offline", "reload"))
        self.assertGreater(online["session"], offline["session"])
        self.assertNotEqual(online["config_hash"], offline["config_hash"])
        there.wait_for("twins.tanks.info", lambda m: True, 30, "the descriptions at the other broker")
        begun = self.subscriber.last(STATE)["step"]
        there.wait_for(STATE, lambda m: m["step"] > begun + 50, 60, "the twin's states at the other broker")
        modes = {m["mode"] for m in there.messages(STATE)}
        self.assertLessEqual(modes, {"converging", "tracking"}, "the filter did not begin anew")
        self.wait_until_whole(self.subscriber, there)
        self.daemon.stop()
        self.check_every_step(first["epoch"], self.subscriber, there)
        self.check_no_gap(self.subscriber, there)
        arrived = self.sequences(self.subscriber)
        for key, seqs in self.sequences(there).items():
            arrived.setdefault(key, set()).update(seqs)
        for key, seqs in arrived.items():
            self.assertEqual(sorted(seqs), list(range(1, max(seqs) + 1)), key)
        for subscriber in (self.subscriber, there):
            self.check_envelopes(subscriber)
            self.check_schemas(subscriber)

    def test_limits_towards_the_broker(self):
        """Limits, digits and the spool's budget change while the twin runs on; back again, too."""
        first = self.begin()
        for pairs in ((("status_interval: 10s", "status_interval: 10s\n  max_messages_per_second: 100\n  digits: 4"),
                       ("64MiB", "32MiB")), ()):
            self.changed(*pairs)
            mark = self.reload("the connection to the broker; devices and twins run on")
            self.arrives("status", lambda m: m["state"] == "online" and m["reason"] == "reload", 60, "the status", mark)
            last = self.subscriber.last(STATE)["step"]
            self.arrives(STATE, lambda m, last=last: m["step"] > last + 30, 60, "the twin to go on")
        self.wait_until_whole()
        self.daemon.stop()
        self.assertEqual({m.epoch for m in self.subscriber.messages()}, {first["epoch"]})
        self.check_every_step(first["epoch"], self.subscriber)
        self.check_no_gap(self.subscriber)
        self.check_no_sequence_missing()
        self.check_envelopes()
        self.check_schemas()

    def test_devices_and_twins(self):
        """Another poll interval and one more twin: the subscriber sees no `offline`, the session stays."""
        first = self.begin()
        self.wait_for_mode("tracking")
        before = self.subscriber.last("status").document
        twin = self.good[self.good.index("  - name: tanks"):self.good.index("uplink:")]
        self.changed(("poll_interval: 100ms", "poll_interval: 50ms"),
                     (twin, twin + twin.replace("tanks\n", "basins\n")))
        mark = self.reload("devices and twins; the connection to the broker stays")
        status = self.arrives("status", lambda m: m["epoch"] > first["epoch"], 60, "the status of the new epoch")
        self.assertEqual((status["reason"], status["session"]), ("reload", before["session"]))
        self.assertEqual(set(status["twins"]), {"tanks", "basins"})
        self.assertNotEqual(status["config_hash"], before["config_hash"])
        self.assertEqual(status["previous"]["epoch"], first["epoch"])
        told = status["previous"]["last"]
        epoch = status["epoch"]
        self.arrives("twins.basins.state", lambda m: m["epoch"] == epoch and m["step"] > 20, 60, "the new twin")
        info = self.arrives("devices.plc.info", lambda m: m["epoch"] == epoch, 30, "the description anew")
        self.assertEqual(info["poll_interval_ms"], 50)
        self.arrives("twins.basins.info", lambda m: m["epoch"] == epoch, 30, "the description of the new twin")
        states = [m for m in self.subscriber.messages(STATE, mark) if m["epoch"] == epoch]
        self.assertEqual(states[0]["step"], 0)
        # With another interval comes another age at which samples are old: the states are carried over.
        self.assertNotIn("initializing", {m["mode"] for m in states})
        self.assertRegex(self.daemon.stderr(), "tanks: .*carried over: level_1, level_2")
        self.assertNotIn("offline", {m["state"] for m in self.subscriber.messages("status")})
        self.wait_until_whole()
        self.daemon.stop()
        self.assertEqual({m["session"] for m in self.subscriber.messages("status")}, {before["session"]})
        arrived = self.sequences()
        for stream, seq in told.items():
            self.assertLessEqual(seq, max(arrived[(first["epoch"], stream)]), stream)
        self.assertEqual(max(arrived[(first["epoch"], STATE)]), told[STATE], "all that was told before has arrived")
        for each in (first["epoch"], epoch):
            self.check_every_step(each, self.subscriber)
        self.check_no_gap(self.subscriber)
        self.check_no_sequence_missing()
        self.check_envelopes()
        self.check_schemas()

    def test_devices_and_twins_without_broker(self):
        """What waits in the spool is delivered behind a change of the devices, of both epochs."""
        first = self.begin()
        self.broker.stop()
        self.changed(("interval: 200ms", "interval: 400ms"))
        self.reload("devices and twins; the connection to the broker stays")
        let_run(3, self.daemon.process)  # or the epoch between has nothing to tell
        self.changed(("interval: 200ms", "interval: 300ms"))
        self.reload("devices and twins; the connection to the broker stays")
        self.broker.start()
        status = self.arrives("status", lambda m: m["epoch"] > first["epoch"], 90, "the status of the newest epoch")
        newest = status["epoch"]
        self.arrives(STATE, lambda m: m["epoch"] == newest and m["step"] > 20, 60, "states of the newest epoch")
        wait_until(lambda: len({m.epoch for m in self.subscriber.messages(SAMPLES)}) == 3, 60, "samples of all epochs")
        between = status["previous"]["epoch"]
        wait_until(lambda: max(self.sequences().get((between, STATE), {0})) >= status["previous"]["last"][STATE], 60,
                   "all states of the epoch without broker")
        self.wait_until_whole()
        self.daemon.stop()
        self.check_no_gap(self.subscriber)
        self.check_no_sequence_missing()
        self.check_envelopes()
        self.check_schemas()

    def test_both(self):
        first = self.begin()
        self.changed(("interval: 200ms", "interval: 400ms"), ("64MiB", "32MiB"))
        self.reload("everything")
        self.arrives(STATE, lambda m: m["epoch"] > first["epoch"] and m["step"] > 5, 60, "the twin to run again")
        self.wait_until_whole()
        self.daemon.stop()
        self.check_no_sequence_missing()
        self.check_envelopes()

    def kept(self):
        """What `rollback` would put back."""
        with open(os.path.join(self.folder, "state", "last_good"), encoding="utf-8") as file:
            return file.read()

    def test_rollback(self):
        """A broken file does not start; the error says what can be done, and done it runs again."""
        self.begin()
        good = self.good
        model = os.path.join(self.folder, "tanks_model.yaml")
        wait_until(lambda: os.path.exists(os.path.join(self.folder, "state", "last_good")), 20, "it to be kept")
        self.assertEqual(os.stat(os.path.join(self.folder, "state", "last_good")).st_mode & 0o777, 0o600)
        self.assertIn(good, self.kept())
        self.assertIn(configuration.TWO_TANKS, self.kept())
        nothing = command("rollback", "--config", self.configuration)
        self.assertEqual((nothing.returncode, nothing.stderr), (0, ""))
        self.assertIn("is as it ran last; nothing to put back", nothing.stdout)
        self.daemon.stop()

        broken = good.replace("poll_interval", "pol_interval") + "  ]\n"
        configuration.write(self.folder, broken)
        with open(model, "a", encoding="utf-8") as file:
            file.write("nonsense: 1\n")
        os.chmod(self.configuration, 0o640)
        done = command("run", "--config", self.configuration)
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertRegex(done.stderr, r"twinkeeper\.yaml:\d+:\d+: ")
        told = re.search(r"the last configuration that ran is kept in (\S+); "
                         r"`twinkeeper (rollback --config \S+)` puts it back", done.stderr)
        self.assertTrue(told, done.stderr)
        self.assertEqual(os.path.realpath(told[1]), os.path.realpath(os.path.join(self.folder, "state", "last_good")))
        self.assertIn("pol_interval", open(self.configuration, encoding="utf-8").read(), "nothing is put back unasked")

        back = command(*told[2].split())
        self.assertEqual(back.returncode, 0, back.stderr)
        self.assertIn("twinkeeper.yaml.rejected", back.stdout)
        for path, text, rejected in ((self.configuration, good, broken),
                                     (model, configuration.TWO_TANKS, configuration.TWO_TANKS + "nonsense: 1\n")):
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(), text)
            with open(path + ".rejected", encoding="utf-8") as file:
                self.assertEqual(file.read(), rejected)
        self.assertEqual(os.stat(self.configuration).st_mode & 0o777, 0o640)
        mark = self.subscriber.count()
        self.daemon.start()
        self.arrives(STATE, lambda m: m["step"] > 5, 60, "the twin to run again", mark)
        self.daemon.stop()

    def test_rollback_refuses(self):
        """What is kept belongs to the service: it makes nobody write outside of the configuration's folder."""
        self.begin()
        wait_until(lambda: os.path.exists(os.path.join(self.folder, "state", "last_good")), 20, "it to be kept")
        self.daemon.stop()
        kept = os.path.join(self.folder, "state", "last_good")
        with open(kept, encoding="utf-8") as file:
            text = file.read()
        outside = os.path.join(os.path.dirname(self.folder), "outside.yaml")
        with open(kept, "w", encoding="utf-8") as file:
            file.write(text.replace(os.path.join(self.folder, "tanks_model.yaml"), outside))
        done = command("rollback", "--config", self.configuration)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("outside.yaml is not below", done.stderr)
        self.assertFalse(os.path.exists(outside))
        with open(kept, "w", encoding="utf-8") as file:
            file.write(text[:-1])
        self.assertEqual(command("rollback", "--config", self.configuration).returncode, 66)
        self.assertEqual(command("rollback", "--config", os.path.join(self.folder, "other.yaml")).returncode, 66)


if __name__ == "__main__":
    main()
