"""A wall clock that is wrong or goes on: what was stored before it was set, and what comes due as it advances."""
import re
import time
import unittest

from rig import RigTestCase, configuration, wait_until
from rig.case import STATE
from rig.waiting import let_run
from rig.wall_clock import WallClock

DAY_S = 86400
PERIOD_MS = 100


class Clock(RigTestCase):
    def start_with(self, clock):
        self.start_line()
        self.daemon = self.make_daemon(self.configuration, clock.environment)

    def told_of_clock(self):
        """What the log says, which is what messages say."""
        return re.findall(r"\bclock_synced=(\w+)", self.daemon.stderr())

    def test_stored_before_the_clock_was_set(self):
        """A gateway without a battery wakes up in 1970 and can trust no certificate. What it stores until its clock is
        set, a kill in between included, leaves with the true time."""
        clock = WallClock(self.folder, -int(time.time()) + DAY_S, synchronised=False)
        self.start_with(clock)
        lives = []  # [(from, to)] in true ms
        for life in range(2):
            began = time.time() * 1000
            self.daemon.start()
            let_run(4, self.daemon.process)
            self.assertEqual(self.told_of_clock(), ["false"] * (life + 1))
            if life == 0:
                self.daemon.kill()
            lives.append((began, time.time() * 1000))
        self.assertEqual(self.subscriber.messages(), [], "a certificate of the future was trusted")

        clock.step(0)
        clock.discipline(True)
        since = time.time() * 1000
        self.arrives(STATE, lambda m: m["time_ms"] > since, 90, "live states")
        wait_until(lambda: self.told_of_clock() == ["false", "false", "true"], 30,
                   lambda: f"the log to say so, not {self.told_of_clock()}")
        epochs = sorted({m.epoch for m in self.subscriber.messages()})

        def states(epoch):
            return {m["seq"]: m for m in self.subscriber.messages(STATE) if m.epoch == epoch}

        def complete():
            found = {m.epoch for m in self.subscriber.messages(STATE)}
            return len(found) == 2 and all(set(states(e)) == set(range(1, max(states(e)) + 1)) for e in found)
        wait_until(complete, 60, lambda: f"the states of both lives; there are epochs {epochs}")
        for epoch, (began, ended) in zip(sorted({m.epoch for m in self.subscriber.messages(STATE)}), lives):
            told = [m for _, m in sorted(states(epoch).items())]
            self.assertGreater(told[0]["time_ms"], began)
            self.assertLess(told[0]["time_ms"], ended)
            self.assertGreater(len([m for m in told if m["time_ms"] < ended]), 10, "stored before the clock was set")
            for message in told:
                self.assertTrue(message["clock_synced"], message.document)
                elapsed = (message["step"] - told[0]["step"]) * PERIOD_MS
                self.assertLessEqual(abs(message["time_ms"] - told[0]["time_ms"] - elapsed), 20, message.document)
        self.daemon.stop()
        self.check_envelopes()
        self.check_schemas()

    def test_certificate_becomes_urgent(self):
        """An anomaly that stands and gets worse is told as changed."""
        clock = WallClock(self.folder)
        self.start_with(clock)
        self.pki.issue("soon", configuration.GATEWAY, days=20)
        self.pki.put(self.pki.path("soon.key"), "gateway.key")
        self.pki.put(self.pki.path("soon.crt"), "gateway.crt")
        self.daemon.start()
        raised = self.arrives("anomaly", lambda m: m["event"] == "raised", 60, "the anomaly")
        self.assertEqual((raised["anomaly"], raised["priority"]), ("gateway.certificate", "medium"))
        self.assertIn("expires in 19 days", raised["message"])
        clock.step(15 * DAY_S)
        changed = self.arrives("anomaly", lambda m: m["event"] == "changed", 90, "the change")
        for member in ("anomaly", "occurrence"):
            self.assertEqual(changed[member], raised[member])
        self.assertEqual((changed["state"], changed["priority"]), ("active", "high"))
        self.assertIn("expires in 4 days", changed["message"])
        self.daemon.stop()
        events = [m["event"] for m in self.subscriber.messages("anomaly")]
        self.assertEqual(events, ["raised", "changed"])
        self.check_envelopes()
        self.check_schemas()


if __name__ == "__main__":
    unittest.main(verbosity=2)
