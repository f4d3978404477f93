"""A USB adapter at /dev/ttyUSB0, with a real driver and pymodbus at the far end of its line: plugged in after the
service has started, unplugged, plugged in again. Its group comes from the package's udev rule, its driver from
modules-load.
"""
from case import CONFIGURATION, GuestTestCase, main
from rig.peers import REGISTERS, TAGS, VALUES, PymodbusPeer
from rig.ports import free_port

METER = """\
  - name: meter
    controller: file:///dev/ttyUSB0
    transmission_mode: RTU
    baud_rate: 115200
    slave_id: 1
    poll_interval: 1s
    timeout: 800ms
    publish: {interval: 1s}
""" + REGISTERS
SAMPLES = "devices.meter.samples"


class SerialLine(GuestTestCase):
    def plug_in(self):
        self.guest.monitor("device_add", driver="usb-serial", chardev="line", id="adapter", **{"always-plugged": True})

    def values(self, since):
        """Of the next samples in which all of the meter is good."""
        return self.arrives(SAMPLES, lambda m: not m["bad"], 400, "good samples", since)["tags"]

    def status(self, state, since):
        return self.arrives("status", lambda m: m["devices"]["meter"]["state"] == state, 400, f"meter {state}", since)

    def test_plugged_and_unplugged(self):
        port = free_port()
        self.start_peer(PymodbusPeer(self.folder, "rtuovertcp", port, VALUES))
        text = self.whole_job(more_devices=METER.replace("{", "{{").replace("}", "}}"))
        line = f"socket,id=line,host=127.0.0.1,port={port}"
        self.boot(text, self.whole_job(), options=["-device", "qemu-xhci", "-chardev", line])
        pid = self.until_active()
        self.status("down", 0)
        self.assertEqual(self.inside("ls /dev/ttyUSB* 2>/dev/null; :"), "")
        for turn in ("plugged in", "plugged in again"):
            since = self.subscriber.count()
            self.plug_in()
            self.assertEqual(self.values(since), TAGS, turn)
            self.status("up", since)
            self.assertEqual(self.inside("stat -c '%G %a' /dev/ttyUSB0"), "twinkeeper 660")
            self.assertIn("ftdi_sio", self.inside("readlink -f /sys/class/tty/ttyUSB0/device/driver"))
            since = self.subscriber.count()
            self.guest.monitor("device_del", id="adapter")
            bad = self.arrives(SAMPLES, lambda m: set(m["bad"]) == set(TAGS), 400, "bad samples", since)
            print(f"unplugged: {', '.join(sorted(set(bad['bad'].values())))}, "
                  f"{self.status('down', since)['devices']['meter']['last_error']}", flush=True)
            self.until_inside("[ ! -e /dev/ttyUSB0 ]", "the node to go")
        events = [m["event"] for m in self.subscriber.messages("devices.meter.anomaly")]
        self.assertEqual(events[:5], ["raised", "cleared", "raised", "cleared", "raised"])
        self.assertEqual((self.until_active(), self.property("NRestarts")), (pid, "0"))
        self.inside(f"twinkeeper check --config {CONFIGURATION}")
        self.check_envelopes()
        self.check_schemas()


if __name__ == "__main__":
    main()
