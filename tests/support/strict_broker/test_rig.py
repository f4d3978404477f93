"""The daemon itself on the test broker: what works on AWS IoT Core works here, and what does not is refused here."""
from rig import RigTestCase, main
from rig.case import STATE
from rig.configuration import GATEWAY
from rig.strict_broker import StrictParts


class Rig(StrictParts, RigTestCase):
    def test_daemon(self):
        self.start_line(profile="aws-iot-core")
        self.daemon.start()
        self.wait_for_mode("tracking")
        self.assertEqual(self.broker.refusals(), [])
        # What it may no longer say costs it the connection, as it would there.
        self.broker.rule(f"deny publish twinkeeper/{GATEWAY}/twins/*")
        self.assertEqual(self.broker.wait_for_refusal("denied by the policy")[:2], ("closed", GATEWAY))
        self.assertTrue(self.subscriber.messages(STATE))


if __name__ == "__main__":
    main()
