"""The wall clock is set while the daemon runs: an hour forth, an hour back. The twin does not notice, time stamps
follow, and each message tells whether a time source stands behind its time."""
from case import GuestTestCase, main
from rig.case import STATE

HOUR_MS = 3600 * 1000
PERIOD_MS = 100
DISCIPLINE = "/usr/local/sbin/discipline"
UNSYNCHRONISED = "perl -e 'my $timex = chr(0) x 208; print syscall(159, $timex) == 5 ? 1 : 0'"  # TIME_ERROR


class WallClock(GuestTestCase):
    def states(self):
        """Each once, by sequence number, of the epoch at hand."""
        epoch = self.epoch()
        found = {m["seq"]: m.document for m in self.subscriber.messages(STATE) if m.epoch == epoch}
        return [document for _, document in sorted(found.items())]

    def test_steps(self):
        self.boot()
        pid = self.until_active()
        self.wait_for_mode("tracking", 400)
        since = self.subscriber.count()
        for seconds in (3600, -3600):
            self.run_for(5)
            self.guest.run(f"date -s '{seconds:+d} seconds'; {DISCIPLINE}")
            self.live()
        self.run_for(5)
        self.assertEqual((self.until_active(), self.property("NRestarts")), (pid, "0"))
        states = self.states()
        # Where the clock stood still against the steps and where it jumped.
        offsets = [m["time_ms"] - m["step"] * PERIOD_MS for m in states]
        jumps = [(a, b - a) for a, b in zip(offsets, offsets[1:]) if abs(b - a) > 1000]
        self.assertEqual([round(by / HOUR_MS, 2) for _, by in jumps], [1, -1], jumps)
        self.assertEqual({m["step"] - m["seq"] for m in states}, {-1}, "the twin left steps out")
        self.assertEqual({m["mode"] for m in self.subscriber.messages(STATE, since)}, {"tracking"})
        self.assertEqual([m["anomaly"] for m in self.subscriber.messages("twins.tanks.anomaly", since)], [])
        self.check_nothing_lost()

    def synchronised(self, expected):
        """The kernel says so, and messages do in time."""
        self.assertEqual(self.inside(UNSYNCHRONISED, check=False), "0" if expected else "1")
        self.arrives(STATE, lambda m: m["clock_synced"] == expected, 120, f"states with clock_synced {expected}",
                     self.subscriber.count())

    def test_a_clock_that_nobody_sets_is_told(self):
        self.boot()
        self.live()
        self.synchronised(True)
        self.guest.run("date -s '+0 seconds'")  # with which the kernel takes the clock for unsynchronised
        self.synchronised(False)
        self.guest.run(DISCIPLINE)
        self.synchronised(True)


if __name__ == "__main__":
    main()
