"""A serial adapter is unplugged and comes back under another number; a line that is in use is told once."""
import os
import subprocess

from rig import RigTestCase, configuration, main, wait_until
from rig.peers import TAGS, VALUES, LinePair, PymodbusPeer, tool
from rig.service import Daemon
from test_peers import DEVICE, SAMPLES


class Adapter(RigTestCase):
    def start_reading(self):
        os.mkdir(os.path.join(self.folder, "by-id"))
        self.pair = LinePair(self.folder, os.path.join(self.folder, "by-id", "usb-Adapter_A1-if00-port0"),
                             os.path.join(self.folder, "ttyFar"))
        self.start_peer(self.pair)
        self.plc = self.start_peer(PymodbusPeer(self.folder, "rtu", self.pair.far, VALUES))
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki)
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.link = f"controller: file://{self.pair.near}\n    transmission_mode: RTU\n    baud_rate: 115200"
        self.daemon = self.make_daemon(self.write_configuration(
            configuration.plain_gateway(DEVICE, link=self.link, mqtt_port=self.broker.port, pki=self.pki.folder)))
        self.daemon.start()
        self.good("the first values")

    def good(self, what, since=0):
        right = self.arrives(SAMPLES, lambda m: m["bad"] == {"missing": "exception"}, 30, what, since)
        self.assertEqual(right["tags"], {**TAGS, "missing": None})

    def samples_pass(self, count):
        """Waits until `count` more samples messages have arrived and returns them."""
        mark = self.subscriber.count()
        return wait_until(lambda: (lambda m: len(m) >= count and m)(self.subscriber.messages(SAMPLES, mark)), 30,
                          f"{count} samples messages")

    def test_unplugged(self):
        self.start_reading()
        # The line of the second plug is there before the first goes, so that its number is another for certain.
        again = os.path.join(self.folder, "again")
        os.mkdir(again)
        pair = self.start_peer(LinePair(again, os.path.join(again, "ttyNear"), os.path.join(again, "ttyFar")))
        logged = len(self.daemon.stderr().splitlines())
        mark = self.subscriber.count()
        self.pair.kill()
        os.unlink(self.pair.near)  # as udev does
        self.plc.kill()
        self.arrives(SAMPLES, lambda m: set(m["bad"]) == {*TAGS, "missing"} and set(m["bad"].values()) == {"timeout"},
                     20, "every value to go bad", mark)
        self.arrives("status", lambda m: m["devices"]["plc"]["state"] == "down", 20, "status to tell it", mark)
        raised = self.arrives("devices.plc.anomaly", lambda m: m["event"] == "raised" and m["kind"] == "communication",
                              30, "the alarm", mark)
        for message in self.samples_pass(15):
            self.assertEqual(set(message["bad"].values()), {"timeout"}, "no value is left over")
        self.assertLess(len(self.daemon.stderr().splitlines()) - logged, 8, self.daemon.stderr())

        mark = self.subscriber.count()
        os.symlink(os.readlink(pair.near), self.pair.near)
        self.start_peer(PymodbusPeer(again, "rtu", pair.far, VALUES))
        self.good("the values after the adapter is back", mark)
        self.arrives("devices.plc.anomaly", lambda m: m["event"] == "cleared" and m["anomaly"] == raised["anomaly"], 30,
                     "the alarm to be cleared", mark)
        self.daemon.stop()
        lost = [m["event"] for m in self.subscriber.messages("devices.plc.anomaly")
                if m["kind"] == "communication" and m["event"] in ("raised", "cleared")]
        self.assertEqual(lost, ["raised", "cleared"], "one outage, one alarm")
        self.check_envelopes()
        self.check_schemas()

    def test_in_use(self):
        self.start_reading()
        folder = os.path.join(self.folder, "second")
        os.mkdir(folder)
        second = self.keep(Daemon(folder, configuration.write(folder, configuration.plain_gateway(
            DEVICE, link=self.link, mqtt_port=self.broker.port, pki=self.pki.folder, gateway="rig-gw2")), self.notify))
        second.start(wait_ready=False)

        def refusals():
            return [line for line in second.stderr().splitlines() if "in use by another program" in line]
        wait_until(refusals, 20, lambda: f"the second daemon to say why\n{second.stderr()}")
        for message in self.samples_pass(10):
            self.assertEqual(message["bad"], {"missing": "exception"}, "who has the line keeps it")
        self.assertEqual(len(refusals()), 1, second.stderr())

        self.daemon.stop()
        # One register exists on no peer, so this is what it says of a device that is there.
        wait_until(lambda: "answers only in part" in second.stderr(), 30,
                   lambda: f"the second daemon to take the free line\n{second.stderr()}")
        second.stop()

    def test_other_program(self):
        self.start_reading()
        node = os.path.realpath(self.pair.near)
        os.chmod(node, 0o666)
        nobody = {"user": 65534, "extra_groups": []} if os.geteuid() == 0 else {}  # nothing keeps root out
        done = subprocess.run([tool("mbpoll"), "-m", "rtu", "-b", "115200", "-P", "none", "-1", "-o", "0.2", node],
                              capture_output=True, text=True, timeout=20, cwd="/", **nobody)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Device or resource busy", done.stdout + done.stderr)
        for message in self.samples_pass(5):
            self.assertEqual(message["bad"], {"missing": "exception"})
        self.daemon.stop()


if __name__ == "__main__":
    main()
