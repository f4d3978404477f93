"""AWS IoT Device Advisor's list, back-off: measured on the wire in the three situations it tests, with several gateways.

The real profile with its real pauses, so this takes minutes, most of them waiting: all gateways of all situations run at once.
"""
import os
import statistics
import unittest

from gateway_case import GatewayCase
from rig import wait_until
from rig.notify import NotifySocket
from strict_broker.scripted_broker import KEEP_SILENT, Behaviour

GATEWAYS = int(os.environ.get("TWINKEEPER_BACK_OFF_GATEWAYS", "4"))
ATTEMPTS = 6           # CONNECTs of each; Device Advisor wants five
LEAST_PAUSE_S = 10
CONNECT_TIMEOUT_S = 10
LONGEST_PAUSE_S = 130

# What the broker does on each connection, and how long an attempt takes by itself before its pause begins.
SITUATIONS = {
    "no CONNACK": (lambda: Behaviour(connack=KEEP_SILENT), CONNECT_TIMEOUT_S),
    "server disconnects": (lambda: Behaviour(drop_after=2, drop_reason=0x8B), 2),
    "unstable": (lambda: Behaviour(drop_after=0), 0),
}


class BackOff(GatewayCase):
    def test_three_situations(self):
        brokers = {}
        for situation, (behaviour, _) in SITUATIONS.items():
            for number in range(GATEWAYS):
                broker = self.start_scripted_broker(self.pki, behaviour())
                name = f"{situation.replace(' ', '_')}_{number}"
                folder = os.path.join(self.folder, name)
                os.makedirs(folder)
                notify = NotifySocket(folder)
                self.addCleanup(notify.close)
                self.gateway(broker.port, commands=False, name=name, notify=notify).start()
                brokers.setdefault(situation, []).append(broker)
        every = [broker for found in brokers.values() for broker in found]
        wait_until(lambda: all(len(b.of("CONNECT")) >= ATTEMPTS for b in every), 900, f"{ATTEMPTS} CONNECTs of each")

        for situation, found in brokers.items():
            times = [[r.at for r in broker.of("CONNECT")[:ATTEMPTS]] for broker in found]
            pauses = [[b - a for a, b in zip(t, t[1:])] for t in times]  # of each gateway, by attempt
            print(situation)
            for gateway in pauses:
                print("  " + " ".join(f"{pause:6.1f}" for pause in gateway))
            flat = [pause for gateway in pauses for pause in gateway]
            taken = SITUATIONS[situation][1]
            self.assertGreaterEqual(min(flat), LEAST_PAUSE_S - 0.2, situation)
            self.assertLessEqual(max(flat), LONGEST_PAUSE_S + taken + 5, situation)
            # Growing: later pauses are longer on average, though each single one is drawn.
            early = statistics.mean(gateway[0] for gateway in pauses)
            late = statistics.mean(pause for gateway in pauses for pause in gateway[-2:])
            self.assertGreater(late, early, situation)
            # Jitter: no two gateways keep step, and no gateway has a fixed pattern.
            for attempt in range(ATTEMPTS - 1):
                column = sorted(gateway[attempt] for gateway in pauses)
                self.assertGreater(column[-1] - column[0], 0.05, f"{situation}, attempt {attempt}")
            self.assertGreater(statistics.pstdev(flat), 2, situation)


if __name__ == "__main__":
    unittest.main(verbosity=2)
