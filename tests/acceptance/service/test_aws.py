"""AWS IoT Core's documents on the strict broker and its services: shadows, configuration, jobs, Device Defender."""
import hashlib
import json
import os
import random
import unittest.mock

from rig import RigTestCase, configuration, main, wait_until
from rig.service import command
from rig.strict_broker import ServiceParts, StrictParts
from rig.tpm import Tpm

THING = configuration.GATEWAY
OVERLAY = {"twins": {"tanks": {"publish": {"state_interval": "1s"}}}}


class Aws(ServiceParts, RigTestCase):
    def overlay_file(self):
        return os.path.join(self.folder, "state", "config_overlay.json")

    # Shadows ---------------------------------------------------------------------------------------------------------

    def test_shadow_of_a_twin(self):
        self.begin()
        reported = self.reported("twin-tanks", lambda d: d.get("mode") == "tracking", 90)
        self.assertEqual(set(reported["states"]), {"level_1", "level_2"})
        self.assertEqual(reported["anomalies"], [])
        self.assertLessEqual(len(self.service.requested("twin-tanks/update")), 6)
        # What another left there goes, and a restart of the broker costs nothing.
        self.service.update_shadow(THING, {"state": {"reported": {"foreign": {"a": 1}}}}, "twin-tanks")
        self.broker.stop()
        self.broker.start()
        self.reported("twin-tanks", lambda d: d and "foreign" not in d, 90)
        self.end()
        self.check_schemas()

    def test_service_that_refuses_and_is_silent(self):
        self.begin()
        self.reported("twin-tanks", lambda d: d.get("mode") == "tracking", 90)
        self.service.shadows.reject_next("twin-tanks/update", 429, "throttled", 2)
        self.service.silence("twin-tanks/update")
        self.service.update_shadow(THING, {"state": {"reported": {"foreign": 1}}}, "twin-tanks")
        self.reported("twin-tanks", lambda d: d and "foreign" not in d, 120)
        self.end()

    def test_pause_between_connects(self):
        """Ten seconds from CONNECT to CONNECT, over a reload, too: the broker closes what comes sooner."""
        self.start_line(profile="aws-iot-core\n  keep_alive: 30s", broker_options={"connect_interval_ms": 10000})
        self.daemon.start()
        session = 0
        for reload in (False, True, True):
            if reload:
                self.write_configuration(configuration.plant_with_twin(
                    **self.values, uplink_extra=f"  digits: {5 + session % 2}\n"))
                self.daemon.hang_up()
            status = self.arrives("status", lambda m, least=session: m["state"] == "online" and m["session"] > least, 60,
                                  "the status of a new connection")
            session = status["session"]
        self.end()

    # Configuration ---------------------------------------------------------------------------------------------------

    def test_configuration(self):
        self.begin(desired=OVERLAY)
        applied = self.reported("config", lambda d: d.get("config_result") == "applied" and "twins" in d)
        self.assertEqual(self.delta("config"), {})
        with open(self.overlay_file(), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["overlay"], OVERLAY)
        checked = command("check", "--config", self.configuration)
        self.assertEqual(checked.returncode, 0, checked.stderr)
        self.assertIn("config_overlay.json: is laid over the configuration file", checked.stderr)
        self.assertIn("state_interval: 1s", checked.stdout)
        # Wrong: refused with the place, nothing changes.
        self.service.set_desired(THING, {"twins": {"tanks": {"publish": {"state_interval": "soon"}}}}, "config")
        refused = self.reported("config", lambda d: d.get("config_result") == "refused")
        self.assertRegex(refused["config_error"][0], r"config_overlay\.json:\d+:\d+: twins\[0\]\.publish\.state_interval")
        self.assertEqual(refused["twins"], OVERLAY["twins"])
        self.assertEqual(refused["config_hash"], applied["config_hash"])
        self.assertNotEqual(self.delta("config"), {})
        # Out of reach.
        self.service.set_desired(THING, {"twins": None, "commands": {"enabled": True}}, "config")
        refused = self.reported("config", lambda d: "commands" in str(d.get("config_error")))
        self.assertIn("can't be changed by an overlay", refused["config_error"][0])
        # After a restart the same is in force.
        self.daemon.stop()
        self.daemon.start()
        self.reported("config", lambda d: d.get("config_result") == "refused" and "twins" in d)
        self.service.set_desired(THING, {"commands": None}, "config")
        self.reported("config", lambda d: d.get("config_result") == "applied" and "twins" not in d)
        self.assertFalse(os.path.exists(self.overlay_file()))
        self.end()

    def test_overlay_that_no_longer_fits(self):
        self.begin(desired={"twins": {"tanks": {"diagnosis": {"gate": 4}}}})
        self.reported("config", lambda d: "twins" in d)
        self.daemon.stop()
        with open(self.configuration, encoding="utf-8") as file:
            text = file.read()
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(text.replace("name: tanks", "name: basins"))
        self.daemon.start()
        self.assertIn("(the overlay is left out)", self.daemon.stderr())
        self.reported("config", lambda d: "config_error" in d)
        told = self.daemon.stderr().count("(the overlay is left out)")
        self.daemon.hang_up()
        wait_until(lambda: self.daemon.stderr().count("(the overlay is left out)") > told, 30, "a reload to tell it, too")
        self.end()

    # Jobs ------------------------------------------------------------------------------------------------------------

    def test_jobs(self):
        self.begin()
        self.wait_for_mode("tracking")
        details = self.run_job("logs-1", {"operation": "collect-logs", "lines": 50}, "SUCCEEDED").details
        logs = self.arrives("logs", lambda d: d["job"] == "logs-1", 20, "the log lines")
        self.assertEqual(str(len(logs["lines"])), details["lines"])
        self.assertTrue(any("connected to" in line for line in logs["lines"]))
        checked = command("check", "--config", self.configuration).stdout
        self.assertIn("\n" + logs["configuration"], checked, "the effective configuration as check prints it")
        self.assertIn("state_interval: 100ms", logs["configuration"])
        with open(os.path.join(self.folder, "tanks_model.yaml"), encoding="utf-8") as file:
            model = file.read()
        better = model.replace("version: 1", "version: 2")

        def update(text, **more):
            return {"operation": "update-model", "twin": "tanks", "model": text,
                    "sha256": hashlib.sha256(text.encode()).hexdigest(), **more}
        self.run_job("model-1", update(better), "SUCCEEDED")
        self.arrives("twins.tanks.state", lambda d: d["model"]["version"] == 2, 30, "the new model")
        with open(os.path.join(self.folder, "tanks_model.yaml.before"), encoding="utf-8") as file:
            self.assertEqual(file.read(), model)
        for number, (document, reason) in enumerate((
                (update(better.replace("A: [[0.998, 0]", "A: [[0.998]")), "tanks_model.yaml:"),
                (update(better, sha256="00"), "the model's text has the hash sha256:"),
                (update(better, twin="basins"), "there is no twin basins"),
                (update(better, path="/etc/passwd"), "unknown member path"),
                ({"operation": "reboot"}, "reboot is not supported by this version"),
                ({"operation": "recalibrate", "twin": "tanks"}, "log is missing"),
                ({"operation": "recalibrate", "twin": "tanks", "log": "../tanks_model.yaml"}, "below the state directory"),
                ({"operation": "recalibrate", "twin": "tanks", "log": "none.csv"}, "none.csv"),
                ({"version": "1.0", "steps": []}, "the document names no operation"))):
            details = self.run_job(f"refused-{number}", document, "REJECTED").details
            self.assertIn(reason, details["reason"])
        with open(os.path.join(self.folder, "tanks_model.yaml"), encoding="utf-8") as file:
            self.assertEqual(file.read(), better)
        self.run_job("reload-1", {"operation": "reload-config"}, "SUCCEEDED")
        with open(self.configuration, "a", encoding="utf-8") as file:
            file.write("nonsense: true\n")
        details = self.run_job("reload-2", {"operation": "reload-config"}, "REJECTED").details
        self.assertIn("nonsense: unknown key", details["reason"])
        wait_until(lambda: not os.path.exists(os.path.join(self.folder, "state", "job.json")), 30,
                   "the job to be forgotten")
        self.end()
        self.check_schemas()

    def test_recalibration(self):
        self.begin()
        self.wait_for_mode("tracking")
        source = random.Random(3)
        levels, rows = [0.5, 0.5], ["time,plc.pump,plc.level_1,plc.level_2"]
        for k in range(3000):
            measured = [level + source.gauss(0.0, 0.004) for level in levels]  # twice what the model says
            rows.append(f"{k / 10},5.0,{measured[0]},{measured[1]}")
            deviations = [level - 0.5 for level in levels]
            levels = [0.5 + 0.998 * deviations[0] + source.gauss(0.0, 0.0002),
                      0.5 + 0.002 * deviations[0] + 0.998 * deviations[1] + source.gauss(0.0, 0.0002)]
        with open(os.path.join(self.folder, "state", "healthy.csv"), "w", encoding="utf-8") as file:
            file.write("\n".join(rows) + "\n")
        self.run_job("calibrate-1", {"operation": "recalibrate", "twin": "tanks", "log": "healthy.csv", "rows": "100:"},
                     "SUCCEEDED")
        self.arrives("twins.tanks.state", lambda d: d["model"]["version"] == 2, 30, "the calibrated model")
        info = self.arrives("twins.tanks.info", lambda d: d["model"]["version"] == 2, 30, "its description")
        self.assertEqual(info["calibration"], {"all": "calibrated"})
        self.assertRegex(self.daemon.stderr(), r"all covariances of the model times (3\.[6-9]|4)")
        self.end()
        self.check_schemas()

    def test_job_under_way_at_a_kill(self):
        self.begin()
        self.wait_for_mode("tracking")
        self.service.silence("logs-1/update", 1000)
        self.service.create_job(THING, {"operation": "collect-logs"}, "logs-1")
        self.service.wait_for_request("logs-1/update")
        kept = os.path.join(self.folder, "state", "job.json")
        with open(kept, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["status"], "SUCCEEDED")
        self.daemon.kill()
        self.service._silenced.clear()
        self.daemon.start()
        self.service.wait_for_job(THING, "logs-1", "SUCCEEDED", 60)
        wait_until(lambda: not os.path.exists(kept), 20, "the job to be forgotten")
        self.assertEqual(len({m["id"] for m in self.subscriber.messages("logs")}), 1)
        self.end()

    # The rest --------------------------------------------------------------------------------------------------------

    def test_device_defender(self):
        self.begin("  shadow_interval: 10s\n  defender_interval: 5min\n")
        self.service.wait_for_request("defender/metrics/json", deadline_s=120)
        report = wait_until(lambda: self.service.reports(THING), 20, "a report that is accepted")[0]
        self.assertIn("spool_messages", report["custom_metrics"])
        ports = [p["port"] for p in report["metrics"]["listening_tcp_ports"]["ports"]]
        self.assertIn(self.broker.port, ports)
        self.end()

    def test_basic_ingest(self):
        self.begin("  basic_ingest: {rule: plant_rule, streams: [state, metrics]}\n")
        state = f"{configuration.PREFIX}/twins/tanks/state"
        wait_until(lambda: any(topic == state for topic, _ in self.service.ingested("plant_rule")), 60, "a state")
        self.arrives("devices.plc.samples", lambda d: True, 60, "samples below the prefix")
        self.end()
        self.assertEqual(self.subscriber.messages("twins.tanks.state"), [])
        kinds = {topic.split("/")[-1] for topic, _ in self.service.ingested("plant_rule")}
        self.assertEqual(kinds, {"state", "metrics"})


class Provision(StrictParts, RigTestCase):
    """Fleet provisioning by claim."""

    def setUp(self):
        super().setUp()
        self.pki = self.make_pki()
        self.pki.issue("claim", "claim")
        self.broker = self.start_broker(self.pki)
        self.service = self.start_aws_service(self.pki, self.broker)
        os.makedirs(self.path("own"))
        self.write(THING)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, thing):
        self.configuration = self.write_configuration(f"""\
gateway: {{id: {THING}, state_directory: state}}
uplink:
  endpoint: localhost:{self.broker.port}
  thing_name: {thing}
  topic_prefix: twinkeeper/{THING}
  cert: own/gateway.crt
  key: own/gateway.key
  root_ca: {self.pki.path("ca.crt")}
""")

    def provision(self, *more, template="twinkeeper", serial=THING, timeout="30s", claim="claim", environment=None):
        return command("provision", "--config", self.configuration, "--claim-cert", self.pki.path(claim + ".crt"),
                       "--claim-key", self.pki.path(claim + ".key"), "--template", template, "--parameter",
                       f"SerialNumber={serial}", "--timeout", timeout, *more, environment=environment)

    def test_provision(self):
        with unittest.mock.patch.dict(os.environ, {"https_proxy": "http://127.0.0.1:9"}):  # of no interest
            done = self.provision()
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told["thing_name"], THING)
        self.assertEqual(os.stat(self.path("own/gateway.key")).st_mode & 0o777, 0o600)
        with open(self.path("own/gateway.crt"), encoding="ascii") as file:
            self.assertIn("BEGIN CERTIFICATE", file.read())
        self.assertEqual(sorted(os.listdir(self.path("own"))), ["gateway.crt", "gateway.crt.provisioned", "gateway.key"])
        for request in self.service.requests:
            self.assertNotIn(b"PRIVATE KEY", request.payload)
        before = len(self.service.requests)
        again = self.provision()
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("is there already", again.stderr)
        self.assertEqual(len(self.service.requests), before)
        os.mkdir(self.path("state"))
        done = command("reset", "--config", self.configuration, "--everything", "--yes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.listdir(self.path("own")), [], "what it has made goes with everything")

    def test_provision_with_a_key_in_a_tpm(self):
        """OpenSSL's configuration decides where the key is made; one that an operator made there is used."""
        tpm = Tpm(self)
        key = self.path("own/gateway.key")
        for made_before in (False, True):
            if made_before:
                os.remove(key)
                os.remove(self.path("own/gateway.crt"))
                tpm.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "group:P-256", "-out", key)
            done = self.provision(environment=tpm.environment)  # it connects with the key at the end
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual("made the key" in done.stderr, not made_before)
            with open(key, encoding="ascii") as file:
                self.assertIn("BEGIN TSS2 PRIVATE KEY", file.read())
            self.assertEqual(os.stat(key).st_mode & 0o777, 0o600)
        again = self.provision(environment=tpm.environment)
        self.assertIn("is there already", again.stderr)
        os.remove(self.path("own/gateway.crt"))
        done = self.provision()
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn("it is in a TPM, which OPENSSL_CONF and TPM2OPENSSL_TCTI must name", done.stderr)

    def test_provision_that_is_cut_off_goes_on(self):
        self.service.silence("provision/json", 1000)
        done = self.provision(timeout="4s")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertEqual(sorted(os.listdir(self.path("own"))), ["gateway.crt.provisioned", "gateway.crt.provisioning", "gateway.key"])
        self.service._silenced.clear()
        done = self.provision()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.service.requested("create-from-csr")), 1, "the certificate it had was used")
        self.assertEqual(sorted(os.listdir(self.path("own"))), ["gateway.crt", "gateway.crt.provisioned", "gateway.key"])

    def test_provision_of_a_thing_with_another_name(self):
        done = self.provision(serial="other-gw")
        self.assertEqual(done.returncode, 78, done.stderr)
        self.assertIn('the template made the thing "other-gw", not "rig-gw1"; accepted: thing_name: other-gw', done.stderr)
        self.assertFalse(os.path.exists(self.path("own/gateway.crt")))
        self.write("other-gw")
        requests = len(self.service.requests)
        done = self.provision(serial="other-gw")
        self.assertEqual(len(self.service.requests), requests, done.stderr)
        self.assertTrue(os.path.exists(self.path("own/gateway.crt")))

    def test_provision_that_is_refused(self):
        done = self.provision(template="unknown")
        self.assertEqual(done.returncode, 69, done.stderr)
        self.assertIn("the template was refused: 404 ResourceNotFound", done.stderr)
        self.assertFalse(os.path.exists(self.path("own/gateway.crt")))
        for arguments, code, text in ((("--parameter", "nonsense"), 64, "accepted: KEY=VALUE"),
                                      (("--timeout", "soon"), 64, "accepted: a duration")):
            done = self.provision(*arguments) if arguments[0] == "--parameter" else self.provision(timeout="soon")
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(text, done.stderr)
        os.chmod(self.pki.path("claim.key"), 0o644)
        self.assertEqual(self.provision().returncode, 77)
        os.remove(self.pki.path("claim.key"))
        self.assertEqual(self.provision().returncode, 66)
        self.assertEqual(self.provision(claim="stranger", timeout="3s").returncode, 69)


if __name__ == "__main__":
    main()
