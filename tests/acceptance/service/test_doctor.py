"""`doctor`: nothing to mend where all is well; what an installer gets wrong is named with what mends it."""
import json
import os
import pty
import re
import shutil
import subprocess
import time

from rig import RigTestCase, configuration, main
from rig.pki import openssl
from rig.ports import free_port
from rig.service import command
from rig.waiting import wait_until

# How the machine of the test is: its clock, and whether systemd has a unit for another configuration.
OF_THE_MACHINE = {"clock", "unit"}
SERIAL = """\
  - name: meter
    controller: file://PORT
    transmission_mode: RTU
    slave_id: 2
    poll_interval: 1s
    timeout: 300ms
    registers: [{{name: power, register: input, address: 0, type: UINT16}}]
"""
FAR_AWAY = "192.0.2."  # addresses of documentation: packets get lost, or there is no way to them at all


def listing(folder):
    """Names, modes and contents of all files, but for the output of the test's own parts."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with open(path, "rb") as file:
                found[path] = (os.stat(path).st_mode, os.stat(path).st_uid, file.read())
    return found


class Doctor(RigTestCase):
    within = "/var/tmp"  # on a disk, as it wants the state directory to be

    def setUp(self):
        super().setUp()
        self.pki = self.make_pki()
        self.broker = self.start_broker(self.pki)
        self.port = free_port()
        self.values = {"modbus_port": self.port, "mqtt_port": self.broker.port, "pki": self.pki.folder,
                       "samples_interval": "1s", "twin_extra": "    diagnosis: {gate: 5}\n"}
        self.state = os.path.join(self.folder, "state")
        os.mkdir(self.state, 0o750)
        self.set_up(**self.values)

    def text(self):
        """A configuration without a warning."""
        text = configuration.plant_with_twin(**self.values)
        for old, new in (("poll_interval: 100ms", "poll_interval: 1s"), ("max_age: 1d", "max_age: 1h")):
            self.assertIn(old, text)
            text = text.replace(old, new, 1)
        return text

    def set_up(self, **values):
        self.values.update(values)
        self.path = self.write_configuration(self.text())

    def start_plant(self):
        return self.start_simulator(self.path, self.port)

    def doctor(self, *options, code):
        done = command("doctor", "--config", self.path, "--json", *options)
        self.assertEqual((done.returncode, done.stderr), (code, ""), done.stdout)
        self.document = json.loads(done.stdout)
        self.assertEqual(self.document["exit_code"], code)
        for finding in self.document["findings"]:
            self.assertEqual(finding["mend"] is None, finding["state"] == "ok", finding)
        return [f for f in self.document["findings"] if f["state"] != "ok" and f["id"] not in OF_THE_MACHINE]

    def only(self, *options, code, state="failure"):
        """The one finding that is not well."""
        found = self.doctor(*options, code=code)
        self.assertEqual(len(found), 1, json.dumps(found, indent=1))
        self.assertEqual(found[0]["state"], state)
        return found[0]

    def test_healthy_set_is_all_ok_and_stays_as_it_is(self):
        self.start_plant()
        before = listing(self.state), listing(self.pki.folder)
        self.assertEqual(self.doctor(code=0), [])
        self.assertEqual((listing(self.state), listing(self.pki.folder)), before)
        self.assertEqual({f["group"] for f in self.document["findings"]},
                         {"configuration", "certificates", "state", "devices", "broker", "clock", "service"})
        told = command("doctor", "--config", self.path)
        self.assertEqual(told.returncode, 0, told.stderr)
        self.assertIn("device: plc (tcp://127.0.0.1:%d): answers a read" % self.port, told.stdout)
        self.assertRegex(told.stdout.splitlines()[-1], r"^\d+ ok, \d+ warnings?, 0 failures; access judged for ")

    def test_offline_asks_nobody(self):
        self.broker.stop()
        self.assertEqual(self.doctor("--offline", code=0), [])
        self.assertFalse({f["group"] for f in self.document["findings"]} & {"devices", "broker"})

    def test_running_service_is_not_disturbed_and_says_what_it_knows(self):
        simulator = self.start_plant()
        socket = os.path.join(self.folder, "control")
        text = self.text().replace(
            "state_directory: state}", f"state_directory: state, control_socket: {socket}}}")
        self.path = self.write_configuration(text)
        daemon = self.make_daemon(self.path)
        daemon.start()
        self.assertEqual(self.doctor(code=0), [])
        device = [f for f in self.document["findings"] if f["id"] == "device"]
        self.assertEqual([f["found"] for f in device], ["the running service has no alarm of its connection"])
        self.assertTrue(any("running service holds it" in f["found"] for f in self.document["findings"]))
        simulator.kill()
        wait_until(lambda: self.doctor_code() == 69, 20, "the alarm of the device")
        finding = self.only(code=69)
        self.assertEqual((finding["id"], finding["cause"]), ("device", "alarm"))
        daemon.must_run()
        self.assertNotIn("already connected", self.broker.process.stderr())
        daemon.stop()

    def doctor_code(self):
        return command("doctor", "--config", self.path).returncode

    def test_key_that_others_can_read(self):
        os.chmod(self.pki.path("gateway.key"), 0o644)
        finding = self.only("--offline", code=77)
        self.assertEqual((finding["id"], finding["cause"]), ("key", "not_private"))
        self.assertIn("0644", finding["found"])
        subprocess.run(["sh", "-c", finding["mend"]], check=True)
        self.assertEqual(self.doctor("--offline", code=0), [])

    def test_configuration_that_others_can_change(self):
        os.chmod(self.path, 0o666)
        finding = self.only("--offline", code=0, state="warning")
        self.assertEqual((finding["id"], finding["subject"]), ("configuration_access", self.path))
        subprocess.run(["sh", "-c", finding["mend"]], check=True)
        self.assertEqual(self.doctor("--offline", code=0), [])

    def test_certificate_that_has_ended_or_is_about_to(self):
        for days, state, code, cause in ((-1, "failure", 78, "expired"), (3, "failure", 78, "ends_soon"),
                                         (20, "warning", 0, "ends_soon")):
            self.reissue(days)
            finding = self.only("--offline", code=code, state=state)
            self.assertEqual((finding["id"], finding["cause"]), ("certificate", cause))
            self.assertIn("openssl req -new", finding["mend"])

    def reissue(self, days):
        """The gateway's certificate again for its key, with so many days left."""
        request = self.pki.path("again.csr")
        openssl("req", "-new", "-key", self.pki.path("gateway.key"), "-out", request, "-subj", "/CN=rig-gw1")
        begin, end = (time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + day * 86400))
                      for day in (min(days, 0) - 1, days + 0.1))
        database = self.pki.path("index.txt")
        open(database, "w").close()
        with open(self.pki.path("ca.cnf"), "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=own\n[own]\ndatabase={database}\nnew_certs_dir={self.pki.folder}\n"
                       "rand_serial=yes\ndefault_md=sha256\npolicy=any\nunique_subject=no\n"
                       "[any]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-notext", "-config", self.pki.path("ca.cnf"), "-cert", self.pki.path("ca.crt"),
                "-keyfile", self.pki.path("ca.key"), "-in", request, "-out", self.pki.path("again.crt"),
                "-startdate", begin, "-enddate", end)
        self.pki.put(self.pki.path("again.crt"), "gateway.crt")

    def test_key_of_another_certificate(self):
        self.pki.put(self.pki.path("subscriber.key"), "gateway.key")
        finding = self.only("--offline", code=78)
        self.assertEqual((finding["id"], finding["cause"]), ("key", "key_mismatch"))

    def test_files_that_are_not_there(self):
        os.remove(self.pki.path("gateway.crt"))
        os.remove(self.pki.path("ca.crt"))
        found = self.doctor("--offline", code=78)
        self.assertEqual([(f["id"], f["cause"]) for f in found],
                         [("root_ca", "ca_missing"), ("certificate", "certificate_missing")])

    def test_broker_that_is_not_there(self):
        self.start_plant()
        self.broker.stop()
        finding = self.only(code=69)
        self.assertEqual((finding["id"], finding["cause"]), ("broker", "refused"))
        self.assertIn(f"nc -vz localhost {self.broker.port}", finding["mend"])

    def test_broker_under_another_name(self):
        self.start_plant()
        port = free_port()
        self.broker.stop()
        self.broker.add_listener(port, "wrong_host")
        self.broker.start()
        self.set_up(mqtt_port=port)
        finding = self.only(code=69)
        self.assertEqual((finding["id"], finding["cause"]), ("broker", "wrong_host"))
        self.assertIn("uplink.endpoint", finding["mend"])

    def test_broker_of_a_foreign_authority(self):
        self.start_plant()
        self.path = self.write_configuration(self.text().replace(
            self.pki.path("ca.crt"), self.pki.path("other_ca.crt")))
        finding = self.only(code=69)
        self.assertEqual((finding["id"], finding["cause"]), ("broker", "unknown_issuer"))
        self.assertIn(self.pki.path("other_ca.crt"), finding["mend"])

    def test_broker_whose_name_nobody_knows(self):
        self.start_plant()
        self.set_up(host="nobody.invalid")
        finding = self.only(code=69)
        self.assertEqual((finding["id"], finding["cause"]), ("broker", "name_not_resolved"))

    def test_device_that_is_not_there(self):
        finding = self.only(code=69)
        self.assertEqual((finding["id"], finding["cause"]), ("device", "not_reached"))
        self.assertIn("twinkeeper probe tcp://127.0.0.1:%d --slave-id 1 --register" % self.port, finding["mend"])

    def test_device_without_the_register(self):
        self.start_plant()
        text = self.text()
        for old, new in (("address: 0,", "address: 5000,"), ("address: 2,", "address: 5002,"),
                         ("address: 10,", "address: 5010,")):
            text = text.replace(old, new)
        self.path = self.write_configuration(text)
        finding = self.only(code=69)
        self.assertEqual((finding["id"], finding["cause"]), ("device", "no_data"))
        self.assertIn("0x02", finding["found"])
        self.assertIn("--scan-addresses", finding["mend"])

    def test_nobody_answers_and_it_ends_in_time(self):
        devices = "".join(configuration.METER.replace("127.0.0.1:{modbus_port}", f"{FAR_AWAY}{number}").replace(
            "meter", f"meter_{number}") for number in range(1, 31))
        self.set_up(host=FAR_AWAY + "99", more_devices=devices)
        began = time.monotonic()
        found = self.doctor(code=69)
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual(len([f for f in found if f["id"] == "device"]), 31)
        self.assertEqual(len([f for f in found if f["id"] == "broker"]), 1)

    def test_port_that_is_not_there_and_port_that_is_held(self):
        self.start_plant()
        self.set_up(more_devices=SERIAL.replace("PORT", os.path.join(self.folder, "ttyUSB9")))
        found = self.doctor(code=69)
        self.assertEqual([(f["id"], f["cause"]) for f in found], [("serial_port", "missing"), ("device", "not_asked")])
        near, far = pty.openpty()
        self.addCleanup(os.close, near)
        self.addCleanup(os.close, far)
        self.set_up(more_devices=SERIAL.replace("PORT", os.ttyname(far)))
        with subprocess.Popen(["sleep", "60"], stdin=far) as holder:
            self.addCleanup(holder.kill)
            found = self.doctor(code=69)
            held = [f for f in found if f["id"] == "serial_free"]
            self.assertEqual([f["cause"] for f in held], ["held"])
            # This process has it open, too: it is told of one of the two.
            self.assertRegex(held[0]["found"], rf"\(process ({holder.pid}|{os.getpid()})\)")
            self.assertTrue(re.match(r"stop it: kill \d+$", held[0]["mend"]))
            holder.kill()

    def test_broken_configuration_with_file_line_and_key(self):
        text = self.text().replace("slave_id: 1\n", "slave_id: 400\n").replace(
            "timeout: 300ms", "timeoutt: 300ms")
        self.path = self.write_configuration(text)
        found = self.doctor(code=78)
        checked = command("check", "--config", self.path)
        self.assertEqual(len(found), 2)
        self.assertEqual([f"{f['subject']}: {f['found']}; {f['mend'].partition('; ')[2]}" for f in found],
                         checked.stderr.splitlines())
        line = next(n for n, line in enumerate(text.splitlines(), 1) if "slave_id: 400" in line)
        self.assertTrue(any(f["mend"].startswith(f"edit {self.path}, line {line};") for f in found), found)

    def test_configuration_that_is_not_there(self):
        self.path = os.path.join(self.folder, "nowhere.yaml")
        self.assertEqual(self.only(code=66)["id"], "configuration")

    def test_state_directory_that_is_not_there_or_damaged(self):
        shutil.rmtree(self.state)
        finding = self.only("--offline", code=74)
        self.assertEqual(finding["id"], "state_directory")
        subprocess.run(["sh", "-c", finding["mend"]], check=True)
        self.assertEqual(self.doctor("--offline", code=0), [])
        with open(os.path.join(self.state, "spool.db"), "wb") as file:
            file.write(b"no database" * 1000)
        self.assertEqual(self.only("--offline", code=74)["id"], "spool")

    def test_spool_that_was_used_is_read_and_left_alone(self):
        self.start_plant()
        daemon = self.make_daemon(self.path)
        daemon.start()
        daemon.stop()
        before = listing(self.state)
        self.assertTrue(before)
        self.assertEqual(self.doctor(code=0), [])
        self.assertEqual(listing(self.state), before)


if __name__ == "__main__":
    main()
