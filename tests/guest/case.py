"""A gateway in a guest, and the rest of the world on the host: broker and subscriber outlive a power cut."""
import os
import shlex
import unittest

from guest import Guest
from image import image
from rig import RigTestCase, configuration
from rig.case import STATE
from rig.ledger import Ledger
from rig.ports import free_port
from rig.waiting import let_run, wait_until

CONFIGURATION = "/etc/twinkeeper/twinkeeper.yaml"
MODBUS_PORT = 1502
DROP_IN = "/run/systemd/system/twinkeeper.service.d/test.conf"


class GuestTestCase(RigTestCase):
    def setUp(self):
        super().setUp()
        self.image = image()
        self.pki = self.make_pki()
        # The guest knows its host as `broker`.
        self.pki.issue("broker", "broker", "server", names=("DNS:broker",))
        self.mqtt_port = free_port()
        self.broker = self.start_broker(self.pki, ports={"broker": self.mqtt_port})
        self.subscriber = self.start_subscriber(self.pki, self.broker)
        self.ledger = Ledger()

    def boot(self, text=None, simulated=None, model=configuration.TWO_TANKS, **options):
        """A guest that is configured with `text`, its device and its service enabled and running. `simulated`: what the
        device is, if not all of `text`."""
        self.guest = self.keep(Guest(self.image, self.folder, **options)).boot()
        self.guest.run("mkdir -p /etc/twinkeeper/pki")
        for name in ("ca.crt", "gateway.crt", "gateway.key"):
            self.guest.put(self.pki.path(name), "/etc/twinkeeper/pki/" + name, 0o440)
        self.guest.run("chown root:twinkeeper /etc/twinkeeper/pki/*")
        self.guest.write("/etc/twinkeeper/model.yaml", model)
        text = text or self.whole_job()
        self.guest.write(CONFIGURATION, text)
        self.guest.write("/etc/twinkeeper/device.yaml", simulated or text)
        self.guest.run("systemctl enable --now device twinkeeper")

    def whole_job(self, **values):
        text = configuration.plant_with_twin(host="broker", modbus_port=MODBUS_PORT, mqtt_port=self.mqtt_port,
                                             pki="pki", **values)
        text = text.replace("state_directory: state", "state_directory: /var/lib/twinkeeper")
        text = text.replace("tanks_model.yaml", "model.yaml")
        return text.replace("timeout: 300ms", "timeout: 2s")  # the device is emulated, too

    # Looking ---------------------------------------------------------------------------------------------------------

    def inside(self, command, **more):
        return self.guest.run(command, **more).stdout.strip()

    def property(self, name, unit="twinkeeper"):
        return self.inside(f"systemctl show -P {name} {unit}")

    def journal(self):
        return self.inside("journalctl -b --no-pager -u twinkeeper -o cat")

    def story(self):
        return self.inside("systemctl status twinkeeper; journalctl -b -u twinkeeper | tail -60", check=False)

    def until_inside(self, condition, what, within_s=400):
        """Waits inside for a shell condition: asking from here each time would keep the guest busy."""
        script = shlex.quote(f"until {condition}; do sleep 0.3; done")
        done = self.guest.run(f"timeout {within_s} sh -c {script}", check=False, within_s=within_s + 60)
        if done.returncode != 0:
            self.fail(f"not within {within_s} s: {what}\n{self.story()}")

    def until_active(self):
        self.until_inside("systemctl is-active --quiet twinkeeper", "an active service")
        return self.property("MainPID")

    def live(self, within_s=400):
        """Until a state made after this call has arrived as live; what arrived before is not looked at."""
        since = self.subscriber.count()
        try:
            return self.arrives(STATE, lambda m: not m["replay"], within_s, "live states", since)
        except AssertionError as error:
            self.fail(f"{error}\n{self.story()}")

    def run_for(self, seconds):
        let_run(seconds, self.guest.process)

    def with_drop_in(self, *lines):
        """Restarts the service under these lines of [Service]; without any, under the package's unit alone."""
        if lines:
            self.guest.run(f"mkdir -p {os.path.dirname(DROP_IN)}")
            self.guest.write(DROP_IN, "\n".join(("[Service]", *lines, "")))
        else:
            self.guest.run(f"rm -f {DROP_IN}")
        self.guest.run("systemctl daemon-reload; systemctl reset-failed twinkeeper; systemctl restart twinkeeper",
                       check=False)

    # Judging ---------------------------------------------------------------------------------------------------------

    def read(self):
        return self.ledger.read(self.subscriber.process.stdout_path)

    def check_nothing_lost(self, within_s=600):
        """Ends the epoch, lets the next one tell how far it had come, and balances the ledger."""
        self.live()
        self.read()
        epoch = max(epoch for epoch, _ in self.ledger.received)
        self.guest.run("systemctl restart twinkeeper")

        def balanced():
            self.read()
            return epoch in self.ledger.ends and not self.ledger.missing()

        def left():
            missing = {key: (len(lost), min(lost), max(lost)) for key, lost in self.ledger.missing().items()}
            return f"all that was stored: ends of {sorted(self.ledger.ends)}, missing {missing}\n{self.story()}"
        wait_until(balanced, within_s, left)
        self.assertEqual(self.ledger.faults, [])
        self.assertEqual((self.ledger.reasons, self.ledger.unnamed), ({}, 0), "nothing had to be lost")
        ledger = self.ledger
        print(f"stored {ledger.stored()}, received {ledger.received_count()}, {ledger.duplicates} duplicates, "
              f"{ledger.replayed} replayed, none lost, "
              f"{len(ledger.sessions)} connections", flush=True)
        self.check_envelopes()
        self.check_schemas()


def main():
    unittest.main(verbosity=2)
