"""The judges of a soak: each bar can be missed, and a loss is seen as one."""
import contextlib
import io
import json
import types
import unittest

import soak_report
from running_ledger import RunningLedger

SECONDS, PERIOD_S = 7200, 180


def rows(rss=lambda s: 40000, descriptors=lambda s: 112, cpu_share=lambda s: 0.09, busy=lambda s: 1.0):
    """A sample every 10 s, and one just before each outage."""
    made, cpu, simulator = [], 0.0, 0.0
    for s in range(0, SECONDS + 1, 10):
        cpu += 10 * cpu_share(s) * busy(s)
        simulator += 10 * 0.03 * busy(s)
        row = {"elapsed_s": float(s), "phase": "", "rss_kb": rss(s), "anon_kb": rss(s), "descriptors": descriptors(s),
               "threads": 57, "cpu_s": cpu, "simulator_cpu_s": simulator}
        made.append(row)
        if s % PERIOD_S == PERIOD_S / 2:
            made.append({**row, "phase": "before_bounce"})
    return made


def failures(**changes):
    return soak_report.failures(rows(**changes), SECONDS, PERIOD_S)


class Bars(unittest.TestCase):
    def test_steady(self):
        self.assertEqual(failures(), [])

    def test_slope_of_a_line(self):
        means = soak_report.period_means(rows(rss=lambda s: 40000 + s / 36), "rss_kb", PERIOD_S, 1200)
        growth, error = soak_report.slope(means)
        self.assertAlmostEqual(growth, 100, places=6)
        self.assertLess(error, 1)

    def test_memory_that_grows(self):
        self.assertEqual(failures(rss=lambda s: 40000 + 90 * s / 3600), [])
        self.assertIn("RSS grows by 110 KB/h", failures(rss=lambda s: 40000 + 110 * s / 3600)[0])

    def test_memory_that_grows_at_first(self):
        self.assertEqual(failures(rss=lambda s: 40000 + 5 * min(s, 1200)), [])

    def test_memory_in_use_while_the_broker_is_away(self):
        self.assertEqual(failures(rss=lambda s: 40000 + (2000 if s % PERIOD_S in (100, 110) else 0)), [])

    def test_one_descriptor_of_a_connection_is_left_open(self):
        self.assertIn("descriptors: ", failures(descriptors=lambda s: 112 + s // 3600)[0])

    def test_descriptors_of_an_outage(self):
        self.assertEqual(failures(descriptors=lambda s: 200 if s % PERIOD_S == 100 else 112), [])

    def test_cpu_that_grows(self):
        self.assertEqual(failures(cpu_share=lambda s: 0.09 if s < 5400 else 0.098), [])
        self.assertIn("CPU: 3.33 times the simulator's", failures(cpu_share=lambda s: 0.09 if s < 5400 else 0.10)[0])

    def test_a_machine_that_gets_busy(self):
        """All that runs on it needs more then; growth of the daemon's own is seen all the same."""
        self.assertEqual(failures(busy=lambda s: 1.0 if s < 5400 else 1.3), [])
        self.assertIn("CPU: ", failures(busy=lambda s: 1.3 if s < 5400 else 1.0,
                                        cpu_share=lambda s: 0.09 if s < 5400 else 0.10)[0])


def message(seq, stream="twins.t0.state", epoch=1, **members):
    return {"schema": "twinkeeper.state/1", "id": f"soak/{stream}/{epoch}/{seq}", "replay": False, "time_ms": seq,
            **members}


class Losses(unittest.TestCase):
    def setUp(self):
        self.ledger = RunningLedger()

    def take(self, *documents):
        for document in documents:
            self.ledger.take(json.dumps(document), False)

    def end(self, last, epoch=1):
        self.take({"schema": "twinkeeper.status/1", "epoch": epoch + 1, "session": 1,
                   "previous": {"epoch": epoch, "last": {"twins.t0.state": last, "status": 9}}})

    def count(self, member):
        return self.ledger.total(member)

    def test_everything_came(self):
        self.take(*map(message, (1, 2, 2, 3)))
        self.end(3)
        self.assertEqual((self.ledger.holes(), self.ledger.stored(), self.count("duplicates")), ({}, 3, 1))

    def test_a_hole(self):
        self.take(*map(message, (1, 3)))
        self.assertEqual(self.ledger.holes_so_far(), 1)
        self.end(3)
        self.assertEqual(self.ledger.holes(), {(1, "twins.t0.state"): 1})

    def test_the_end_is_missing(self):
        self.take(*map(message, (1, 2)))
        self.end(5)
        self.assertEqual(sum(self.ledger.holes().values()), 3)

    def test_a_whole_stream_is_missing(self):
        self.end(5)
        self.assertEqual(sum(self.ledger.holes().values()), 5)

    def test_a_backlog_beside_live_data(self):
        self.take(*map(message, (1, 5, 6)))
        packed = [message(seq, replay=True) for seq in (2, 3, 4)]
        self.take({"schema": "twinkeeper.backlog/1", "messages": packed})
        self.end(6)
        self.assertEqual((self.ledger.holes(), self.ledger.replayed, self.ledger.holes_so_far()), ({}, 3, 0))

    def gap_message(self, seq, first, last):
        return {"schema": "twinkeeper.gap/1", "id": f"soak/gap/1/{seq}", "replay": False, "time_ms": seq, "epoch": 1,
                "stream": "twins.t0.state", "first_seq": first, "last_seq": last, "count": last - first + 1}

    def test_a_gap_that_is_told(self):
        told = self.gap_message(1, 2, 3)
        self.take(message(1), told, told, message(4))
        self.end(4)
        self.assertEqual((self.ledger.holes(), self.count("told"), self.count("contradicted")), ({}, 2, 0))

    def test_told_and_received(self):
        self.take(*map(message, (1, 3)), self.gap_message(1, 2, 3), message(2))
        self.assertEqual(self.count("contradicted"), 1)

    def test_report(self):
        self.take(*map(message, (1, 3)))
        self.end(3)
        subscriber = types.SimpleNamespace(lost_sessions=0)
        soak = types.SimpleNamespace(rows=rows(), seconds=SECONDS, bounce_s=PERIOD_S, ledger=self.ledger, bounces=40,
                                     returns_s=[5.0] * 40, log_lines=7, subscriber=subscriber)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.assertEqual(soak_report.report(soak, {}), 0)
            self.assertEqual(soak_report.report(soak, self.ledger.holes()), 1)
        self.assertIn("MISSED: stored, neither received nor told", printed.getvalue())


if __name__ == "__main__":
    unittest.main(verbosity=2)
