"""The services behind AWS IoT Core's reserved topics, as one ordinary client of the strict Mosquitto.

    service = AwsService(pki, broker)
    service.start()
    service.set_desired("gateway", {"period": 5}, name="config")
    service.wait_for_reported("gateway", lambda reported: reported.get("period") == 5, name="config")
    service.create_job("gateway", {"operation": "reload-config"}, "job-1")
    service.wait_for_job("gateway", "job-1", "SUCCEEDED")

shadows.py, jobs.py, defender.py and provisioning.py decide what is answered. In AWS an answer reaches the one who asked
and nobody else's business; here it is published on its topic, and whoever may subscribe gets it. What is sent to
`$aws/rules/…` (Basic Ingest) is kept and leads nowhere.
"""
import copy
import json
import os
import ssl
import threading
import time
from dataclasses import dataclass

import paho.mqtt.client as paho
from rig.waiting import wait_until

from .defender import Defender
from .jobs import JOB_ID, Jobs
from .provisioning import Provisioning, Template
from .shadows import Shadows

NAME = "aws-service"
TICK_S = 0.05
TOPICS = (
    "$aws/things/+/shadow/get", "$aws/things/+/shadow/update", "$aws/things/+/shadow/delete",
    "$aws/things/+/shadow/name/+/get", "$aws/things/+/shadow/name/+/update", "$aws/things/+/shadow/name/+/delete",
    "$aws/things/+/jobs/get", "$aws/things/+/jobs/start-next", "$aws/things/+/jobs/+/get",
    "$aws/things/+/jobs/+/update",
    "$aws/things/+/defender/metrics/json", "$aws/certificates/create-from-csr/json", "$aws/certificates/create/json",
    "$aws/provisioning-templates/+/provision/json", "$aws/rules/#")


@dataclass
class Request:
    at: float  # time.monotonic()
    topic: str
    payload: bytes

    def document(self):
        return json.loads(self.payload)


class AwsService:
    """`templates`: {name: Template} of fleet provisioning. A certificate that was provisioned for a thing of another
    name than its own is made known to the broker's policy. `process` is None: the rig asks every part for it."""

    process = None

    def __init__(self, pki, broker, things=None, templates=None, least_report_interval_s=300, token_life_s=3600,
                 minute_s=60):
        self.shadows = Shadows(things)
        self.jobs = Jobs(minute_s)
        self.defender = Defender(least_report_interval_s)
        self.provisioning = Provisioning(pki, templates or {"twinkeeper": Template()}, token_life_s)
        self.requests = []  # everything that came, only ever grows
        self._answers = (self.shadows, self.jobs, self.defender, self.provisioning)
        self._pki = pki
        self._broker = broker
        self._lock = threading.RLock()
        self._silenced = []
        self._introduced = []  # lines of the policy
        self._subscribed = threading.Event()
        self._ending = threading.Event()
        self._client = None
        self._ticker = None

    def start(self):
        if not os.path.exists(self._pki.path(NAME + ".crt")):
            self._pki.issue(NAME, NAME)
        context = ssl.create_default_context(cafile=self._pki.path("ca.crt"))
        context.load_cert_chain(self._pki.path(NAME + ".crt"), self._pki.path(NAME + ".key"))
        self._client = paho.Client(NAME, protocol=paho.MQTTv311, clean_session=False)
        self._client.tls_set_context(context)
        self._client.max_inflight_messages_set(100)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._subscribe
        self._client.on_subscribe = lambda *_: self._count_subscribed()
        self._client.on_message = self._arrived
        self._client.connect("localhost", self._broker.port, 60)
        self._client.loop_start()
        self._ticker = threading.Thread(target=self._tick, daemon=True)
        self._ticker.start()
        wait_until(self._subscribed.is_set, 20, "the AWS services to be subscribed")

    def stop(self):
        if self._client is None:
            return
        self._ending.set()
        self._ticker.join(timeout=10)
        self._client.disconnect()
        self._client.loop_stop()
        self._client = None

    end = stop  # the rig's word for it

    # Shadows ---------------------------------------------------------------------------------------------------------

    def set_desired(self, thing, state, name=None, **more):
        """An update of the desired section, as by an application in the cloud. Returns the answer, yes or no."""
        return self.update_shadow(thing, {"state": {"desired": state}, **more}, name)

    def update_shadow(self, thing, document, name=None):
        topic = f"$aws/things/{thing}/shadow" + (f"/name/{name}" if name else "") + "/update"
        with self._lock:
            answers = self.shadows.handle(topic, json.dumps(document).encode(), time.time())
        self._publish(answers)
        return answers[0][1]

    def shadow(self, thing, name=None):
        """{state, metadata, version}, or None."""
        with self._lock:
            return self.shadows.document(thing, name)

    def reported(self, thing, name=None):
        return ((self.shadow(thing, name) or {}).get("state") or {}).get("reported", {})

    def wait_for_reported(self, thing, predicate, name=None, deadline_s=20):
        """The reported section, once the predicate holds for it."""
        def look():
            reported = self.reported(thing, name)
            return [reported] if predicate(reported) else None
        return wait_until(look, deadline_s, lambda: f"a reported state; it is {self.shadow(thing, name)}")[0]

    # Jobs ------------------------------------------------------------------------------------------------------------

    def create_job(self, thing, document, job_id):
        assert JOB_ID.fullmatch(job_id), job_id
        with self._lock:
            notices = self.jobs.create(thing, job_id, document, time.time())
        self._publish(notices)

    def cancel_job(self, thing, job_id):
        with self._lock:
            notices = self.jobs.cancel(thing, job_id, time.time())
        self._publish(notices)

    def job(self, thing, job_id):
        """A copy of the jobs.Execution, or None."""
        with self._lock:
            return copy.deepcopy(self.jobs.execution(thing, job_id))

    def wait_for_job(self, thing, job_id, status, deadline_s=20):
        def look():
            execution = self.job(thing, job_id)
            return execution if execution and execution.status == status else None
        return wait_until(look, deadline_s, lambda: f"{status} of {job_id}; it is {vars(self.job(thing, job_id))}")

    # The rest --------------------------------------------------------------------------------------------------------

    def reports(self, thing):
        """Device Defender's accepted reports, oldest first."""
        with self._lock:
            return [document for name, document in self.defender.reports if name == thing]

    def ingested(self, rule):
        """[(topic behind the rule, payload)] that came by Basic Ingest."""
        start = f"$aws/rules/{rule}/"
        return [(r.topic[len(start):], r.payload) for r in list(self.requests) if r.topic.startswith(start)]

    def requested(self, part):
        """The requests whose topic contains `part`."""
        return [r for r in list(self.requests) if part in r.topic]

    def wait_for_request(self, part, count=1, deadline_s=20):
        """The count-th of them."""
        return wait_until(lambda: (self.requested(part)[count - 1:] or [None])[0], deadline_s,
                          lambda: f"request {count} on {part}; there were {[r.topic for r in self.requests[-20:]]}")

    def silence(self, part, times=1):
        """The next requests whose topic contains `part` are neither heeded nor answered."""
        self._silenced += [part] * times

    def publish(self, topic, document):
        """Anything, for answers that come late, twice or out of order."""
        self._publish([(topic, document)])

    # The work --------------------------------------------------------------------------------------------------------

    def _subscribe(self, client, userdata, flags, code):
        self._left = 0
        for first in range(0, len(TOPICS), 8):
            self._left += 1
            client.subscribe([(topic, 1) for topic in TOPICS[first:first + 8]])

    def _count_subscribed(self):
        self._left -= 1
        if self._left == 0:
            self._subscribed.set()

    def _arrived(self, client, userdata, message):
        with self._lock:
            self.requests.append(Request(time.monotonic(), message.topic, message.payload))
            silenced = next((part for part in self._silenced if part in message.topic), None)
            if silenced is not None:
                self._silenced.remove(silenced)
                return
            for service in self._answers:
                answers = service.handle(message.topic, message.payload, time.time())
                if answers:
                    break
            else:
                return
            if service is self.provisioning:
                self._introduce_things()
        self._publish(answers)

    def _introduce_things(self):
        """A provisioned certificate stands for its thing from the answer on."""
        for certificate in self.provisioning.certificates:
            if certificate.thing and certificate.thing != certificate.common_name:
                line = f"thing {certificate.common_name} {certificate.thing}"
                if line not in self._introduced:
                    self._introduced.append(line)
                    self._broker.rule(line)

    def _publish(self, answers):
        for topic, document in answers:
            self._client.publish(topic, json.dumps(document, separators=(",", ":"), ensure_ascii=False), 1)

    def _tick(self):
        while not self._ending.wait(TICK_S):
            with self._lock:
                notices = self.jobs.tick(time.time())
            self._publish(notices)
