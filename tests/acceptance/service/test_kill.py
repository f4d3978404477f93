"""The daemon is killed again and again: what its spool had committed arrives, and no id ever means two things."""
import random
import time

from rig import RigTestCase, main, wait_until
from rig.case import STATE
from rig.waiting import let_run

KILLS = 10
BROKER_AWAY = range(4, 8)  # during these lives the spool is the only place where messages are


class Kill(RigTestCase):
    def test_ten_kills_at_random_moments(self):
        dice = random.Random(20240229)
        self.start_line()
        lived = []
        for life in range(KILLS):
            if life == BROKER_AWAY.start:
                self.broker.stop()
            if life == BROKER_AWAY.stop:
                self.broker.start()
            self.daemon.start()  # fails if this start is refused
            seconds = dice.uniform(0.2, 2.5)
            let_run(seconds, self.daemon.process)
            self.daemon.kill()
            lived.append(seconds)

        restarted_ms = time.time() * 1000
        self.daemon.start()
        final = self.arrives(STATE, lambda m: m["time_ms"] > restarted_ms and not m["replay"] and m["step"] > 20, 60,
                             "a live state of the last life")

        def told_ends():
            """{epoch: previous.last} as the first status of the epoch after it told."""
            return {m["previous"]["epoch"]: m["previous"]["last"]
                    for m in self.subscriber.messages("status") if m.document.get("previous")}

        def complete():
            found = self.sequences()
            return all(len({s for s in found.get((epoch, stream), ()) if s <= seq}) == seq
                       for epoch, last in told_ends().items() for stream, seq in last.items() if stream != "status")
        wait_until(complete, 90, "every message of a committed row")
        self.daemon.stop()

        epochs = sorted({m.epoch for m in self.subscriber.messages()})
        ends = told_ends()
        # Each life that was long enough to connect has told how far its predecessor came.
        connected_lives = [life for life in range(1, KILLS) if life not in BROKER_AWAY and lived[life] > 1.5]
        self.assertGreaterEqual(len(ends), 1 + len(connected_lives), f"lives {lived}, ends told of {sorted(ends)}")
        self.assertEqual(epochs[-1], final["epoch"])
        # A life of a fraction of a second may end before its first message; all others are there, without broker too.
        expected = 1 + sum(seconds > 1 for seconds in lived)
        self.assertGreaterEqual(len(epochs), expected, f"lives {lived}, epochs {epochs}")

        sequences = self.sequences()
        connected = {m["epoch"] for m in self.subscriber.messages("status")}
        for (epoch, stream), arrived in sequences.items():
            if epoch in ends:
                committed = ends[epoch].get(stream, 0)  # beyond it a live message may have overtaken its lost row
            elif epoch not in connected:
                committed = max(arrived)  # all that arrived came out of the spool
            else:
                committed = 0
            missing = sorted(set(range(1, committed + 1)) - arrived)
            self.assertEqual(missing, [], f"epoch {epoch}, stream {stream}, committed up to {committed}")
        for epoch, last in ends.items():
            for stream, seq in last.items():
                if stream != "status" and seq > 0:
                    self.assertIn((epoch, stream), sequences)

        # What was committed when the daemon died: everything up to one commit interval and one encoding turn before.
        states = [len(sequences.get((epoch, STATE), ())) for epoch in epochs[:-1]]
        steps_lived = sum(max(0.0, seconds - 1.0) * 10 for seconds in lived)
        self.assertGreater(sum(states), steps_lived, f"states per life {states}, lives {lived}")

        ordered = [m["epoch"] for m in self.subscriber.messages("status") if not m.arrival.retained]
        self.assertEqual(ordered, sorted(ordered), "epochs only grow")
        self.check_envelopes()
        self.check_schemas()


if __name__ == "__main__":
    main()
