"""The broker is away, for a minute, by SIGKILL, or from the first second on: nothing may be missing afterwards."""
import os
import time

from rig import RigTestCase, main, wait_until
from rig.case import SAMPLES, STATE
from rig.waiting import let_run

OUTAGE_S = float(os.environ.get("TWINKEEPER_TEST_OUTAGE_S", "60"))
# A reconnect waits for a random part of a back-off that has grown through the outage.
RECONNECT_S = 150
# What live data need, and as much more as drains the outage's backlog within some nine seconds: slowly enough to see who
# goes first.
BYTES_PER_SECOND = int(16_000 + 1_780 * OUTAGE_S)


class BrokerOutage(RigTestCase):
    def wait_drained(self, after_ms):
        """Until a live state younger than after_ms is there and every stream is complete up to its newest message."""
        def complete():
            newest = [m for m in self.subscriber.messages(STATE) if m["time_ms"] > after_ms and not m["replay"]]
            if not newest:
                return False
            return all(arrived == set(range(1, max(arrived) + 1)) for arrived in self.sequences().values())
        wait_until(complete, 60, "the backlog to be drained and every stream to be complete")

    def wait_live(self, since, deadline_s):
        """The first state that was made after the first message behind the mark `since` had arrived."""
        wait_until(lambda: self.subscriber.count() > since, deadline_s, "the daemon to be connected again")
        reconnected_ms = self.subscriber.arrivals()[since].at * 1000
        return self.arrives(STATE, lambda m: m["time_ms"] > reconnected_ms, 60, "a live state", since)

    def check_whole_run(self, stopped_ms):
        """Starts the daemon once more: its first status tells how far each stream of the last epoch went."""
        epoch = self.epoch()
        self.daemon.start()
        first = self.arrives("status", lambda m: m["epoch"] > epoch and "previous" in m, 60, "the next epoch's status")
        self.assertEqual(first["previous"]["epoch"], epoch)
        last = {(epoch, stream): seq for stream, seq in first["previous"]["last"].items()}
        self.assertGreater(last[(epoch, STATE)], 0)

        def complete():
            found = self.sequences()
            return all(len(found.get(key, ())) >= seq for key, seq in last.items() if key[1] != "status")
        wait_until(complete, 60, "what the stopped daemon had left in its spool")
        self.daemon.stop()

        self.check_no_sequence_missing(last)
        steps = self.check_steps_contiguous(epoch)
        newest = max(m["time_ms"] for m in self.subscriber.messages(STATE) if m["epoch"] == epoch)
        self.assertLess(stopped_ms - newest, 3000, "the twin ran until it was stopped")
        self.check_envelopes()
        self.check_schemas()
        return epoch, steps

    def test_minute_without_broker_then_broker_killed(self):
        self.start_line(uplink_extra=f"  max_bytes_per_second: {BYTES_PER_SECOND}B\n")
        self.daemon.start()
        self.wait_for_mode("tracking", 60)

        self.broker.stop()
        stopped_at = time.time()
        let_run(OUTAGE_S, self.daemon.process, self.simulator.process)
        mark = self.subscriber.count()
        self.broker.start()
        live = self.wait_live(mark, RECONNECT_S)
        self.wait_drained(live["time_ms"])

        after = self.subscriber.messages(since=mark)
        replayed = [m for m in after if m["stream"] == STATE and m["replay"]]
        packages = [m for m in after if m.packed]
        self.assertTrue(packages, "a minute of state comes in packages")
        self.assertTrue(all(m["replay"] for m in packages), "what is in a package is marked as replayed")
        begin_ms, end_ms = stopped_at * 1000 + 1000, (stopped_at + OUTAGE_S) * 1000 - 6000  # surely older than 5 s
        during = [m for m in replayed if begin_ms < m["time_ms"] < end_ms]
        self.assertGreater(len(during), (OUTAGE_S - 8) * 10 * 0.95, "the states of the outage came as replayed")
        unmarked = [m["id"] for m in after if m["stream"] in (STATE, SAMPLES) and not m["replay"]
                    and begin_ms < m["time_ms"] < end_ms]
        self.assertEqual(unmarked, [], "every message of the outage is marked as replayed")
        backlog_end = max(m.order for m in after if m.packed)
        self.assertFalse(live["replay"])
        self.assertLess(live.order, backlog_end, "live data comes before the backlog is finished")

        self.broker.kill()
        let_run(3, self.daemon.process, self.simulator.process)
        mark = self.subscriber.count()
        self.broker.start()
        live = self.wait_live(mark, RECONNECT_S)
        self.wait_drained(live["time_ms"])

        stopped_ms = time.time() * 1000
        self.daemon.stop()
        self.check_whole_run(stopped_ms)

    def test_broker_away_from_the_first_second(self):
        self.start_line()
        self.broker.stop()
        self.daemon.start()  # returns once READY=1 came, without any broker
        let_run(15, self.daemon.process, self.simulator.process)
        self.assertEqual(self.subscriber.messages(), [])
        mark = self.subscriber.count()
        self.broker.start()
        live = self.wait_live(mark, RECONNECT_S)
        self.assertFalse(live["replay"])
        self.assertGreater(live["step"], 120, "the twin has been running all the time")
        self.wait_drained(live["time_ms"])
        first = min(self.subscriber.messages(STATE), key=lambda m: m["seq"])
        self.assertEqual((first["seq"], first["step"], first["replay"]), (1, 0, True))
        stopped_ms = time.time() * 1000
        self.daemon.stop()
        self.check_whole_run(stopped_ms)


if __name__ == "__main__":
    main()
