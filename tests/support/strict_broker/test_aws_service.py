"""The AWS services, asked through the strict Mosquitto by a client with a thing's certificate."""
import itertools
import json
import os
import shutil
import tempfile

from rig import wait_until
from rig.pki import openssl
from rig.strict_broker import StrictBroker
from strict_broker.aws_service import AwsService
from strict_broker.case import StrictTestCase, main
from strict_broker.provisioning import Template

THING = "$aws/things/gateway/"


class AwsServiceTest(StrictTestCase):
    """Broker and service are those of all cases; each case has shadows and jobs of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.class_folder = tempfile.mkdtemp(prefix="twinkeeper-rig-")
        cls.addClassCleanup(shutil.rmtree, cls.class_folder, True)
        cls.broker = StrictBroker(cls.class_folder, cls.pki)
        cls.broker.start()
        cls.addClassCleanup(cls.broker.kill)
        # A job's minute lasts 0.2 s.
        cls.service = AwsService(cls.pki, cls.broker, minute_s=0.2, templates={
            "line3": Template(("SerialNumber",), "gw-{SerialNumber}", {"site": "north"},
                              allows=lambda p: p["SerialNumber"] != "stolen")})
        cls.service.start()
        cls.addClassCleanup(cls.service.stop)
        cls.names = itertools.count()

    def setUp(self):
        super().setUp()
        self.name = f"shadow-{next(self.names)}"
        self.heard = set()  # (client, topic) subscribed to
        self.gateway = self.connect("gateway")

    def connect(self, who, client_id=None):
        client = self.client(self.broker.port, self.pki, who, client_id=client_id or who).connected()
        return client

    def listen(self, client, *topics):
        topics = [topic for topic in topics if (client, topic) not in self.heard]
        if not topics:
            return
        self.heard.update((client, topic) for topic in topics)
        before = len(client.of("suback"))
        client.subscribe(*topics)
        self.assertTrue(all(code < 0x80 for code in client.wait_for("suback", before + 1)))

    def messages(self, client, topic):
        return [json.loads(m.payload) for m in client.of("message") if m.topic == topic]

    def wait_for_messages(self, client, topic, count=1):
        return wait_until(lambda: (self.messages(client, topic)[count - 1:] or [None])[0], 10,
                          lambda: f"message {count} on {topic}; {[(m.topic, m.payload) for m in client.of('message')]}")

    def ask(self, topic, request, client=None):
        """(accepted | rejected, the answer)"""
        client = client or self.gateway
        answers = [topic + "/accepted", topic + "/rejected"]
        before = sum(len(self.messages(client, answer)) for answer in answers)
        self.listen(client, *answers)
        client.publish(topic, request if isinstance(request, (str, bytes)) else json.dumps(request))
        def look():
            found = [(m.topic.rpartition("/")[2], json.loads(m.payload)) for m in client.of("message")
                     if m.topic in answers]
            return found[before:] or None
        return wait_until(look, 10, f"an answer on {topic}")[0]

    # Shadows ---------------------------------------------------------------------------------------------------------

    def shadow(self, verb, request="", name=None):
        return self.ask(f"{THING}shadow/name/{name or self.name}/{verb}", request)

    def rejected(self, code, message, request, verb="update", name=None):
        what, answer = self.shadow(verb, request, name)
        self.assertEqual((what, answer["code"], answer["message"]), ("rejected", code, message))
        self.assertIn("timestamp", answer)
        return answer

    def test_update_get_delete(self):
        self.rejected(404, f"No shadow exists with name: {self.name}", "", "get")
        what, answer = self.shadow("update", {"state": {"reported": {"a": 1, "b": {"c": [1, 2]}}}, "clientToken": "t"})
        self.assertEqual((what, answer["version"], answer["clientToken"]), ("accepted", 1, "t"))
        self.assertEqual(answer["state"], {"reported": {"a": 1, "b": {"c": [1, 2]}}})
        self.assertIn("timestamp", answer["metadata"]["reported"]["b"]["c"][1])
        _, answer = self.shadow("update", {"state": {"reported": {"b": {"d": 2}, "a": None}}})
        self.assertEqual(answer["state"], {"reported": {"b": {"d": 2}, "a": None}})  # the request's fields alone
        what, answer = self.shadow("get", {"clientToken": "u"})
        self.assertEqual(answer["state"], {"reported": {"b": {"c": [1, 2], "d": 2}}})
        self.assertEqual((what, answer["version"], answer["clientToken"]), ("accepted", 2, "u"))
        self.assertEqual(set(answer["metadata"]["reported"]["b"]), {"c", "d"})
        what, answer = self.shadow("delete")
        self.assertEqual((what, answer["version"], "state" in answer), ("accepted", 2, False))
        self.rejected(404, f"No shadow exists with name: {self.name}", "", "get")
        _, answer = self.shadow("update", {"state": {"reported": {"a": 1}}})
        self.assertEqual(answer["version"], 3, "deleting does not reset the version")

    def test_classic_shadow(self):
        what, answer = self.ask(THING + "shadow/update", {"state": {"desired": {"x": 1}}})
        self.assertEqual((what, answer["version"]), ("accepted", 1))
        self.assertEqual(self.service.shadow("gateway")["state"], {"desired": {"x": 1}, "delta": {"x": 1}})

    def test_arrays_are_replaced_and_sections_deleted(self):
        self.shadow("update", {"state": {"reported": {"a": [1, 2, 3]}, "desired": {"x": 1}}})
        self.shadow("update", {"state": {"reported": {"a": [4]}, "desired": None}})
        self.assertEqual(self.service.shadow("gateway", self.name)["state"], {"reported": {"a": [4]}})

    def test_delta_and_documents(self):
        base = f"{THING}shadow/name/{self.name}/update/"
        self.listen(self.gateway, base + "delta", base + "documents")
        self.service.set_desired("gateway", {"a": 1, "n": {"x": 1, "y": 2}}, self.name, clientToken="cloud")
        delta = self.wait_for_messages(self.gateway, base + "delta")
        self.assertEqual(delta["state"], {"a": 1, "n": {"x": 1, "y": 2}})
        self.assertEqual((delta["version"], delta["clientToken"]), (1, "cloud"))
        self.assertIn("timestamp", delta["metadata"]["n"]["x"])
        self.shadow("update", {"state": {"reported": {"a": 1, "n": {"x": 1}}}})
        self.assertEqual(self.wait_for_messages(self.gateway, base + "delta", 2)["state"], {"n": {"y": 2}})
        self.shadow("update", {"state": {"reported": {"unrelated": True}}})  # a difference remains: told again
        self.assertEqual(self.wait_for_messages(self.gateway, base + "delta", 3)["state"], {"n": {"y": 2}})
        self.shadow("update", {"state": {"reported": {"n": {"y": 2}}}})
        documents = self.wait_for_messages(self.gateway, base + "documents", 4)
        self.assertEqual(len(self.messages(self.gateway, base + "delta")), 3)
        self.assertEqual((documents["previous"]["version"], documents["current"]["version"]), (3, 4))
        self.assertEqual(documents["previous"]["state"]["reported"]["n"], {"x": 1})
        self.assertEqual(documents["current"]["state"]["reported"]["n"], {"x": 1, "y": 2})

    def test_texts_of_rejection(self):
        deep = {"1": {"2": {"3": {"4": {"5": {"6": 0}}}}}}
        self.assertEqual(self.shadow("update", {"state": {"reported": deep}})[0], "accepted")
        for code, message, request in (
                (400, "Invalid JSON", "{"),
                (400, "Invalid JSON", '{"state": {"reported": {"a": NaN}}}'),
                (400, "Missing required node: state", {"reported": {}}),
                (400, "State node must be an object", {"state": 1}),
                (400, "Desired node must be an object", {"state": {"desired": 1}}),
                (400, "Reported node must be an object", {"state": {"reported": []}}),
                (400, "Invalid version", {"state": {}, "version": "1"}),
                (400, "Invalid clientToken", {"state": {}, "clientToken": "x" * 65}),
                (400, "Invalid clientToken", {"state": {}, "clientToken": 7}),
                (400, "JSON contains too many levels of nesting; maximum is 6", {"state": {"reported": {"0": deep}}}),
                (400, "State contains an invalid node", {"state": {"reported": {"a": [1, None]}}}),
                (409, "Version conflict", {"state": {"reported": {}}, "version": 7}),
                (413, "The payload exceeds the maximum size allowed", {"state": {"reported": {"a": "x" * 8192}}}),
                (415, "Unsupported documented encoding; supported encoding is UTF-8", b"\xff\xfe{}")):
            with self.subTest(message=message, request=str(request)[:40]):
                self.rejected(code, message, request)
        answer = self.rejected(409, "Version conflict", {"state": {}, "version": 9, "clientToken": "mine"})
        self.assertEqual(answer["clientToken"], "mine")
        self.assertEqual(self.shadow("update", {"state": {"reported": {"a": 1}}, "version": 1})[1]["version"], 2)

    def test_the_stored_document_counts(self):
        self.assertEqual(self.shadow("update", {"state": {"reported": {"a": "x" * 8100}}})[0], "accepted")
        small = {"state": {"reported": {"b": "y" * 100}}}
        self.rejected(413, "The payload exceeds the maximum size allowed", small)
        self.assertEqual(self.shadow("update", {"state": {"reported": {"a": None, **small["state"]["reported"]}}})[0],
                         "accepted")

    def test_rejections_that_only_a_test_can_cause(self):
        for code, message in ((401, "Unauthorized"), (403, "Forbidden"), (429, "Too many requests"),
                              (500, "Internal service failure")):
            self.service.shadows.reject_next(self.name, code, message)
            self.rejected(code, message, {"state": {}})
        self.assertEqual(self.shadow("update", {"state": {}})[0], "accepted")

    def test_unregistered_thing(self):
        self.service.shadows.things = {"another"}
        self.addCleanup(setattr, self.service.shadows, "things", None)
        self.rejected(404, "Thing not found", {"state": {}})

    def test_silence(self):
        self.service.silence(self.name)
        topic = f"{THING}shadow/name/{self.name}/update"
        self.gateway.publish(topic, '{"state": {"reported": {"lost": 1}}}')
        self.service.wait_for_request(self.name)
        self.shadow("update", {"state": {"reported": {"kept": 1}}})
        self.assertEqual(self.service.wait_for_reported("gateway", bool, self.name), {"kept": 1})

    # Jobs ------------------------------------------------------------------------------------------------------------

    def job(self, path, request=None):
        return self.ask(f"$aws/things/{self.worker}/jobs/{path}", request or {})

    def start_worker(self):
        """A thing of its own: what is next for a thing depends on its other jobs."""
        self.worker = f"subscriber-{next(self.names)}"
        self.gateway = self.connect("subscriber", self.worker)  # that certificate may do everything
        self.base = f"$aws/things/{self.worker}/jobs/"
        self.listen(self.gateway, self.base + "notify", self.base + "notify-next")

    def test_life_of_a_job(self):
        self.start_worker()
        self.assertNotIn("execution", self.job("start-next", {"clientToken": "c"})[1])
        self.service.create_job(self.worker, {"operation": "collect-logs"}, "first")
        self.service.create_job(self.worker, {"operation": "reload-config"}, "second")
        notified = self.wait_for_messages(self.gateway, self.base + "notify", 2)
        self.assertEqual([j["jobId"] for j in notified["jobs"]["QUEUED"]], ["first", "second"])
        following = self.wait_for_messages(self.gateway, self.base + "notify-next")
        self.assertEqual((following["execution"]["jobId"], following["execution"]["status"]), ("first", "QUEUED"))
        _, listed = self.job("get")
        self.assertEqual([len(listed["inProgressJobs"]), len(listed["queuedJobs"])], [0, 2])
        what, started = self.job("start-next", {"statusDetails": {"step": "1"}, "clientToken": "c"})
        execution = started["execution"]
        self.assertEqual((what, execution["jobId"], execution["status"], execution["versionNumber"],
                          execution["jobDocument"], execution["statusDetails"], started["clientToken"]),
                         ("accepted", "first", "IN_PROGRESS", 2, {"operation": "collect-logs"}, {"step": "1"}, "c"))
        # After a crash the one under way comes first.
        self.assertEqual(self.job("start-next")[1]["execution"]["versionNumber"], 2)
        self.assertEqual(self.job("$next/get")[1]["execution"]["jobId"], "first")
        self.assertNotIn("jobDocument", self.job("first/get", {"includeJobDocument": False})[1]["execution"])
        what, answer = self.job("first/update", {"status": "SUCCEEDED", "expectedVersion": 1, "clientToken": "d"})
        self.assertEqual((what, answer["code"], answer["clientToken"]), ("rejected", "VersionMismatch", "d"))
        self.assertEqual(answer["executionState"],
                         {"status": "IN_PROGRESS", "statusDetails": {"step": "1"}, "versionNumber": 2})
        what, answer = self.job("first/update", {"status": "SUCCEEDED", "expectedVersion": 2,
                                                 "includeJobExecutionState": True, "includeJobDocument": True})
        self.assertEqual((what, answer["executionState"]["status"], answer["jobDocument"]),
                         ("accepted", "SUCCEEDED", {"operation": "collect-logs"}))
        following = self.wait_for_messages(self.gateway, self.base + "notify-next", 2)
        self.assertEqual(following["execution"]["jobId"], "second")
        self.job("second/update", {"status": "REJECTED", "statusDetails": {"reason": "unknown operation"}})
        self.assertNotIn("execution", self.wait_for_messages(self.gateway, self.base + "notify-next", 3))
        self.assertEqual(self.service.wait_for_job(self.worker, "second", "REJECTED").details,
                         {"reason": "unknown operation"})
        self.assertEqual(self.service.job(self.worker, "first").history, ["QUEUED", "IN_PROGRESS", "SUCCEEDED"])

    def test_wrong_requests_about_jobs(self):
        self.start_worker()
        self.service.create_job(self.worker, {}, "j")
        self.job("j/update", {"status": "FAILED"})
        for code, path, request in (
                ("ResourceNotFound", "none/get", {}), ("ResourceNotFound", "none/update", {"status": "FAILED"}),
                ("InvalidStateTransition", "j/update", {"status": "IN_PROGRESS"}),
                ("TerminalStateReached", "j/get", {}),
                ("InvalidJson", "j/update", "{"), ("InvalidRequest", "j/update", {"status": "QUEUED"}),
                ("InvalidRequest", "j/update", {"status": "FAILED", "statusDetails": {"a": 1}}),
                ("InvalidRequest", "j/update", {"status": "FAILED", "statusDetails": {str(n): "x" for n in range(11)}}),
                ("InvalidRequest", "start-next", {"stepTimeoutInMinutes": 0}),
                ("InvalidRequest", "get", {"clientToken": "x" * 65})):
            what, answer = self.job(path, request)
            self.assertEqual((what, answer["code"]), ("rejected", code), (path, request))
        self.service.jobs.reject_next(self.worker, "RequestThrottled", "too many requests")
        self.assertEqual(self.job("get")[1]["code"], "RequestThrottled")
        self.assertEqual(self.job("get")[0], "accepted")

    def test_step_that_takes_too_long(self):
        self.start_worker()
        self.service.create_job(self.worker, {}, "slow")
        self.job("start-next", {"stepTimeoutInMinutes": 1})
        self.service.wait_for_job(self.worker, "slow", "TIMED_OUT")
        self.assertEqual(self.job("slow/update", {"status": "SUCCEEDED"})[1]["executionState"]["status"], "TIMED_OUT")

    def test_cancelled_job(self):
        self.start_worker()
        self.service.create_job(self.worker, {}, "c")
        self.service.cancel_job(self.worker, "c")
        self.assertEqual(self.wait_for_messages(self.gateway, self.base + "notify", 2)["jobs"], {})

    # Device Defender -------------------------------------------------------------------------------------------------

    def test_reports(self):
        topic = THING + "defender/metrics/json"
        report = {"header": {"report_id": 1, "version": "1.0"},
                  "metrics": {"listening_tcp_ports": {"ports": [{"interface": "eth0", "port": 22}], "total": 1},
                              "network_stats": {"bytes_in": 1, "bytes_out": 2, "packets_in": 3, "packets_out": 4}},
                  "custom_metrics": {"spool_messages": [{"number": 7}]}}
        what, answer = self.ask(topic, report)
        self.assertEqual((what, answer["status"], answer["reportId"], answer["thingName"]),
                         ("accepted", "ACCEPTED", 1, "gateway"))
        self.assertEqual(self.service.reports("gateway"), [report])
        what, answer = self.ask(topic, {**report, "header": {"report_id": 2, "version": "1.0"}})
        self.assertEqual((what, answer["statusDetails"]["ErrorCode"]), ("rejected", "Throttled"))
        self.service.defender.least_interval_s = 0
        short = {"hed": {"rid": 3, "v": "1.0"}, "met": {"tp": {"t": 0}}, "cmet": {"v": [{"string_list": ["a"]}]}}
        for wrong in ("{", {}, {**report, "header": {"version": "1.0"}}, {"header": report["header"]},
                      {**report, "header": {"report_id": 1, "version": "1.0"}},
                      {**short, "cmet": {"n": 1}}, {**short, "cmet": {"n": [{"number": "1"}]}},
                      {**short, "met": {"tp": {"t": -1}}}, {**short, "met": {"ns": {"bi": -1}}}):
            what, answer = self.ask(topic, wrong)
            self.assertEqual((what, answer["statusDetails"]["ErrorCode"]), ("rejected", "InvalidPayload"), wrong)
        self.assertEqual(self.ask(topic, short)[0], "accepted")
        self.assertEqual(self.service.reports("gateway")[-1]["header"], {"report_id": 3, "version": "1.0"})

    # Provisioning ----------------------------------------------------------------------------------------------------

    def claim(self):
        if not os.path.exists(self.pki.path("claim.crt")):
            self.pki.issue("claim", "claim")
        return self.connect("claim", f"claim-{next(self.names)}")

    def request_of(self, common_name):
        key, request = self.pki.path("new.key"), self.pki.path("new.csr")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                "-out", request, "-subj", "/CN=" + common_name)
        with open(request, encoding="ascii") as file:
            return {"certificateSigningRequest": file.read()}

    def provision(self, client, token, serial="4711", template="line3"):
        return self.ask(f"$aws/provisioning-templates/{template}/provision/json",
                        {"certificateOwnershipToken": token, "parameters": {"SerialNumber": serial}}, client)

    def test_provisioning_by_signing_request(self):
        claim = self.claim()
        what, made = self.ask("$aws/certificates/create-from-csr/json", self.request_of("factory-new"), claim)
        self.assertEqual(what, "accepted")
        self.assertEqual(set(made), {"certificateOwnershipToken", "certificateId", "certificatePem"})
        token = made["certificateOwnershipToken"]
        what, answer = self.provision(claim, token)
        self.assertEqual(what, "accepted")
        self.assertEqual(answer, {"thingName": "gw-4711", "deviceConfiguration": {"site": "north"}})
        what, answer = self.provision(claim, token)
        self.assertEqual((what, answer["statusCode"], answer["errorCode"]),
                         ("rejected", 400, "InvalidCertificateOwnershipToken"))
        with open(self.pki.path("new.crt"), "w", encoding="ascii") as file:
            file.write(made["certificatePem"])
        thing = self.connect("new", "gw-4711")
        thing.publish("twinkeeper/gw-4711/state")
        thing.wait_for("puback")
        wrong = self.client(self.broker.port, self.pki, "new", client_id="factory-new")
        wrong.wait_for("closed")
        self.assertEqual(self.service.provisioning.certificates[-1].thing, "gw-4711")

    def test_provisioning_with_keys_made_by_the_service(self):
        claim = self.claim()
        what, made = self.ask("$aws/certificates/create/json", "", claim)
        self.assertEqual(what, "accepted")
        for name, content in (("made.crt", made["certificatePem"]), ("made.key", made["privateKey"])):
            with open(self.pki.path(name), "w", encoding="ascii") as file:
                file.write(content)
        self.assertEqual(self.provision(claim, made["certificateOwnershipToken"], "4712")[0], "accepted")
        self.connect("made", "gw-4712")

    def test_wrong_requests_for_provisioning(self):
        claim = self.claim()

        def error(what, answer):
            self.assertEqual((what, set(answer)), ("rejected", {"statusCode", "errorCode", "errorMessage"}))
            return answer["statusCode"], answer["errorCode"]
        csr = "$aws/certificates/create-from-csr/json"
        self.assertEqual(error(*self.ask(csr, "{", claim)), (400, "InvalidPayload"))
        for wrong in ({}, {"certificateSigningRequest": "no PEM"}):
            self.assertEqual(error(*self.ask(csr, wrong, claim)), (400, "InvalidCertificateSigningRequest"))
        token = self.ask(csr, self.request_of("x"), claim)[1]["certificateOwnershipToken"]
        self.assertEqual(error(*self.provision(claim, token, template="other")), (404, "ResourceNotFound"))
        self.assertEqual(error(*self.provision(claim, "")), (400, "InvalidCertificateOwnershipToken"))
        self.assertEqual(error(*self.provision(claim, "guessed")), (400, "InvalidCertificateOwnershipToken"))
        self.assertEqual(error(*self.provision(claim, token, "")), (400, "InvalidParameters"))
        self.assertEqual(error(*self.provision(claim, token, "stolen")), (403, "AccessDenied"))
        self.service.provisioning.token_life_s = 0
        self.addCleanup(setattr, self.service.provisioning, "token_life_s", 3600)
        self.assertEqual(error(*self.provision(claim, token)), (400, "InvalidCertificateOwnershipToken"))

    def test_claim_may_do_nothing_else(self):
        for topic in ("twinkeeper/claim/state", "$aws/things/claim/shadow/update"):
            claim = self.claim()
            claim.publish(topic)
            claim.wait_for("closed")

    # Basic Ingest ----------------------------------------------------------------------------------------------------

    def test_basic_ingest(self):
        self.gateway.publish("$aws/rules/keep/twinkeeper/gateway/state", "{}")
        self.service.wait_for_request("$aws/rules/keep/")
        self.assertEqual(self.service.ingested("keep"), [("twinkeeper/gateway/state", b"{}")])
        self.gateway.subscribe("$aws/rules/keep/#")
        self.gateway.wait_for("closed")


if __name__ == "__main__":
    main()
