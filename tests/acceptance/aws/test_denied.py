"""A topic that the policy denies: the broker closes the connection at it, and the rest must not pay for it."""
import time
import unittest

from gateway_case import GatewayCase
from rig import configuration, wait_until
from rig.waiting import let_run

DENIED = "devices.plc.samples"
OTHER = "devices.drive.samples"

SECOND_DEVICE = """\
  - name: drive
    controller: tcp://127.0.0.1:1
    poll_interval: 200ms
    timeout: 300ms
    publish: {interval: 200ms}
    registers: [{name: speed, register: holding, address: 0, type: FLOAT32}]
twins: []
"""


class Denied(GatewayCase):
    def goes_on(self, version):
        self.broker = self.start_broker(self.pki)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.daemon = self.gateway(self.broker.port, f"  mqtt_version: {version}\n", commands=False,
                                   change=lambda text: text.replace("twins: []\n", SECOND_DEVICE))
        self.daemon.start()
        self.arrives(OTHER, lambda m: not m["replay"], 30, "samples")
        # Denied while the broker is away: when it is back, what is denied is at the head of the spool.
        self.broker.stop()
        let_run(2, self.daemon.process)
        topic = f"{configuration.PREFIX}/{DENIED.replace('.', '/')}"
        self.broker.rule(f"deny publish {topic}")
        self.broker.start()
        back = time.time()
        wait_until(lambda: topic in self.daemon.stderr(), 400,
                   lambda: f"the topic to be named\n{self.daemon.process.tail(60)}")
        named_at = time.time()
        # The connection before may have been the last one to break, and the back-off has grown by then.
        self.arrives(OTHER, lambda m: not m["replay"] and m["time_ms"] > named_at * 1000, 180, "samples after it")

        # Connections by their first statuses. The other stream may be in doubt, too, at the first one that breaks, and the
        # denied one be the first to be tried alone; from then on it flows.
        begun = {}
        for status in self.subscriber.messages("status"):
            if status["state"] != "offline" and not status.arrival.retained and status.arrival.at > back:
                begun.setdefault(status["session"], status.arrival.at)
        begun = [*sorted(begun.values()), time.time()]
        others = [m.arrival.at for m in self.subscriber.messages(OTHER)]
        flowed = [sum(a <= at < b for at in others) for a, b in zip(begun, begun[1:])]
        self.assertGreater(len(flowed), 1, "the broker hung up")
        self.assertEqual([n for n, count in enumerate(flowed) if n > 1 and count == 0], [],
                         f"messages of the other stream on each connection: {flowed}")
        wait_until(lambda: all(numbers == set(range(1, max(numbers) + 1)) for (_, stream), numbers in
                               self.sequences().items() if stream == OTHER), 120, "all of the other stream")
        self.arrives("anomaly", lambda m: topic in m["message"], 60, "an anomaly that names the topic")
        print(f"MQTT {version}: {len(self.broker.refusals())} refusals; messages of the other stream on each connection: "
              f"{flowed}; named {named_at - back:.0f} s after the broker was back")

    def test_mqtt_5(self):
        self.goes_on("5")

    def test_mqtt_3(self):
        self.goes_on("3.1.1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
