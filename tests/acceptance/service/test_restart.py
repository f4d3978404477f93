"""What a restart of the service is to a twin: nothing, if its checkpoint is whole and young; never a wrong claim."""
import csv
import json
import os

from rig import RigTestCase, configuration, main, wait_until
from rig.case import STATE
from rig.service import command
from rig.waiting import let_run


class Restart(RigTestCase):
    def checkpoint(self):
        return os.path.join(self.folder, "state", "checkpoints", "tanks.checkpoint")

    def header(self):
        with open(self.checkpoint(), "rb") as file:
            return json.loads(file.readline())

    def track(self):
        self.start_line()
        self.daemon.start()
        self.wait_for_mode("tracking")

    def first_states(self, epoch_before, count=20):
        """The first states of the epoch after that one."""
        def found():
            states = sorted((m["step"], m) for m in self.subscriber.messages(STATE) if m["epoch"] > epoch_before)
            return [m for _, m in states[:count]] if len(states) >= count else None
        return wait_until(found, 60, "states after the restart")

    def test_stop_and_start(self):
        self.track()
        epoch = self.epoch()
        self.daemon.stop()
        header = self.header()
        self.assertEqual(header["schema"], "twinkeeper.checkpoint/4")
        self.assertEqual(header["mode"], "tracking")
        self.assertEqual([s["name"] for s in header["states"]], ["level_1", "level_2"])
        self.assertEqual(os.stat(self.checkpoint()).st_mode & 0o777, 0o600)
        self.daemon.start()
        states = self.first_states(epoch)
        self.assertEqual({m["mode"] for m in states}, {"tracking"}, "the twin did not go on tracking")
        self.assertLessEqual(states[0]["step"], 1)
        level = states[0]["states"]["level_1"]
        before = next(s for s in header["states"] if s["name"] == "level_1")
        self.assertLess(abs(level["value"] - before["value"]), 0.02)
        self.assertIn("goes on from its checkpoint", self.daemon.stderr())
        for _ in range(2):  # one restart upon another, before the grid of the first has begun
            epoch = self.epoch()
            self.daemon.stop()
            self.daemon.start()
        self.assertEqual({m["mode"] for m in self.first_states(epoch)}, {"tracking"}, "lost by quick restarts")
        self.check_schemas()
        self.check_envelopes()

    def test_kill(self):
        self.track()
        wait_until(lambda: os.path.exists(self.checkpoint()), 90, "the first checkpoint of a running service")
        epoch = self.epoch()
        let_run(1.5, self.daemon.process)
        self.daemon.kill()
        self.daemon.start()
        self.assertNotIn("initializing", {m["mode"] for m in self.first_states(epoch)})
        self.assertRegex(self.daemon.stderr(), r"goes on from its checkpoint .* [1-9][0-9]* steps were missed")

    def test_damaged(self):
        self.track()
        epoch = self.epoch()
        self.daemon.stop()
        with open(self.checkpoint(), "r+b") as file:
            file.seek(os.path.getsize(self.checkpoint()) // 2)
            file.write(b"\0\1\2\3")
        self.daemon.start()
        self.assertEqual(self.first_states(epoch, 1)[0]["mode"], "converging", "as a start without a checkpoint")
        self.assertIn("is damaged", self.daemon.stderr())
        self.assertTrue(os.path.exists(self.checkpoint() + ".damaged"))
        self.daemon.stop()
        self.assertEqual(self.header()["twin"], "tanks")

    def test_another_model(self):
        self.track()
        epoch = self.epoch()
        self.daemon.stop()
        before = self.header()["states"]
        changed = configuration.TWO_TANKS.replace("level_2, unit: m, initial: 0.5", "level_2, unit: mm, initial: 0.5")
        changed = changed.replace("initial: 0.5, initial_std: 0.01", "initial: 1.9, initial_std: 0.3")
        configuration.write(self.folder, changed, "tanks_model.yaml")
        self.daemon.start()
        first = self.first_states(epoch, 1)[0]
        self.assertEqual(first["mode"], "converging")
        self.assertLess(abs(first["states"]["level_1"]["value"] - before[0]["value"]), 0.02, "level_1 was not carried over")
        self.assertIn("carried over: level_1;", self.daemon.stderr())

    def test_forecast(self):
        self.track()
        self.daemon.stop()

        def forecast(*arguments):
            return command("forecast", "--config", self.configuration, *arguments)

        plan, output = os.path.join(self.folder, "plan.csv"), os.path.join(self.folder, "next.csv")
        with open(plan, "w", encoding="utf-8") as file:
            file.write("time[s],pump[V]\n0,5\n10,6\n300,6\n")
        done = forecast("--inputs", plan, "--output", output, "--band", "95")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3000 steps of 100ms", done.stdout)
        with open(output, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 3000)
        self.assertEqual({row["u.pump"] for row in rows[:99]}, {"5"})
        self.assertEqual({row["u.pump"] for row in rows[99:]}, {"6"})
        start = next(s["value"] for s in self.header()["states"] if s["name"] == "level_1")
        first, last = rows[0], rows[-1]
        self.assertLess(abs(float(first["x.level_1"]) - start), 0.001)
        # A pump of 1 V more lifts the level by 0.1 m in the end; the time constant is 50 s.
        self.assertAlmostEqual(float(last["x.level_1"]), 0.6, delta=0.002)
        self.assertGreater(float(last["sd.level_1"]), float(first["sd.level_1"]))
        width = (float(last["high.level_1"]) - float(last["low.level_1"])) / (2 * float(last["sd.level_1"]))
        self.assertAlmostEqual(width, 1.96, delta=0.001)
        self.assertLess(float(last["ylow.level_1"]), float(last["low.level_1"]), "a measurement has noise of its own")

        held = forecast("--horizon", "20s", "--output", output)
        self.assertEqual(held.returncode, 0, held.stderr)
        self.assertEqual(forecast("--twin", "tanksy").returncode, 64)
        self.assertEqual(forecast("--horizon", "1m").returncode, 64)
        self.assertEqual(forecast("--inputs", os.path.join(self.folder, "none.csv")).returncode, 66)
        self.assertEqual(forecast("--checkpoint", plan).returncode, 65)
        with open(plan, "w", encoding="utf-8") as file:
            file.write("time,pump[bar]\n0,5\n")
        wrong = forecast("--inputs", plan)
        self.assertEqual((wrong.returncode, "unit bar is not the unit V" in wrong.stderr), (65, True), wrong.stderr)
        configuration.write(self.folder, configuration.TWO_TANKS.replace("0.998, 0]", "0.997, 0]"), "tanks_model.yaml")
        other = forecast("--horizon", "20s")
        self.assertEqual((other.returncode, "another twin, model" in other.stderr), (65, True), other.stderr)

    def test_hang_up(self):
        self.track()
        epoch = self.epoch()
        self.write_configuration(configuration.plant_with_twin(**{**self.values, "samples_interval": "400ms"}))
        self.daemon.hang_up()
        self.assertEqual({m["mode"] for m in self.first_states(epoch)}, {"tracking"}, "a reload lost the state")


if __name__ == "__main__":
    main()
