"""A topic that the policy denies: the broker closes the connection for it, and all else flows."""
import time

from gateway_case import DEVICE, GatewayCase
from rig import configuration, main, wait_until
from rig.ports import free_port
from rig.waiting import let_run

DENIED = "devices.plc.samples"
OTHERS = ("devices.meter.samples", "devices.drive.samples")


def more_devices(text):
    one = DEVICE.split("devices:\n")[1].format(modbus_port=free_port())
    others = "".join(one.replace("name: plc", f"name: {stream.split('.')[1]}") for stream in OTHERS)
    return text.replace("twins: []", others + "twins: []")


class Denied(GatewayCase):
    def test_head_of_the_spool(self):
        """What waited behind it arrives on the second connection, which stands until the topic is tried again."""
        broker = self.start_broker(self.pki)
        broker.rule(f"deny publish {configuration.PREFIX}/devices/plc/samples")
        subscriber = self.start_subscriber(self.pki, broker)
        daemon = self.gateway(broker.port, "  backlog: plain\n", change=more_devices, commands=False)
        broker.stop()
        daemon.start()
        let_run(15, daemon.process)  # the spool's head is of the denied topic as of all others
        made = time.time() * 1000
        broker.start()

        def newest(stream):
            return max((m["time_ms"] for m in subscriber.messages(stream)), default=0)

        def whole(stream):
            """All up to `made`."""
            messages = subscriber.messages(stream)
            numbers = {m["seq"] for m in messages if m["time_ms"] <= made}
            return newest(stream) > made and numbers == set(range(1, max(numbers, default=1) + 1))

        def losses():
            return len(broker.refusals())
        wait_until(lambda: all(whole(stream) for stream in OTHERS), 60, "what waited behind the denied topic")
        self.assertEqual(losses(), 1, broker.refusals())
        wait_until(lambda: losses() == 2, 60, "the denied topic to be tried again")
        second = time.time() * 1000
        self.assertTrue(all(second - newest(stream) < 5000 for stream in OTHERS), "live until the second loss")
        wait_until(lambda: all(newest(stream) > second + 15000 for stream in OTHERS), 60, "the others to flow again")
        self.assertEqual(losses(), 2, broker.refusals())
        self.assertTrue(all(refusal[2] == "publish" and "/devices/plc/samples" in refusal[3] for refusal in broker.refusals()))
        self.assertIn("the connection broke twice at a publication", daemon.stderr())
        self.assertEqual(subscriber.messages(DENIED), [])


if __name__ == "__main__":
    main()
