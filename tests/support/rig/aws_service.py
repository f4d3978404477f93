"""Shadows, jobs and Device Defender as AWS IoT Core's developer guide tells them, as an ordinary client of the broker.

Documents are kept per thing and shadow name; every request that arrives is noted. Refusals have the documented texts.
"""
import copy
import json
import ssl
import threading
import time

import paho.mqtt.client as paho

from .waiting import wait_until


def merge(into, patch):
    """`patch` laid over `into`: null deletes, objects by key, all else as a whole."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            kept = into.get(key) if isinstance(into.get(key), dict) else {}
            merge(kept, value)
            into[key] = kept
            if not kept:
                into.pop(key)
        else:
            into[key] = value
    return into


def differs(desired, reported):
    out = {}
    for key, value in desired.items():
        if isinstance(value, dict) and isinstance(reported.get(key), dict):
            inner = differs(value, reported[key])
            if inner:
                out[key] = inner
        elif reported.get(key) != value:
            out[key] = value
    return out


class AwsService:
    def __init__(self, pki, broker, thing):
        self.thing = thing
        self.shadows = {}     # name: {"state": {...}, "version": n}
        self.jobs = []        # {"id", "document", "status", "details", "version"}
        self.reports = []     # of Device Defender
        self.requests = []    # (topic, document)
        self._lock = threading.RLock()
        self._client = paho.Client(client_id="service", protocol=paho.MQTTv311)
        context = ssl.create_default_context(cafile=pki.path("ca.crt"))
        context.load_cert_chain(pki.path("subscriber.crt"), pki.path("subscriber.key"))
        self._client.tls_set_context(context)
        self._subscribed = threading.Event()
        self._client.on_connect = lambda c, u, f, code: c.subscribe([(f"$aws/things/{thing}/#", 1)])
        self._client.on_subscribe = lambda *a: self._subscribed.set()
        self._client.on_message = self._arrived
        self._client.connect("localhost", broker.port, 60)
        self._client.loop_start()
        assert self._subscribed.wait(20), "the service could not subscribe"

    def stop(self):
        self._client.loop_stop()
        self._client.disconnect()

    # What a person in the cloud does ------------------------------------------------------------------------------

    def desire(self, name, desired):
        with self._lock:
            self._update(name, {"state": {"desired": desired}})

    def reported(self, name):
        with self._lock:
            return copy.deepcopy(self.shadows.get(name, {}).get("state", {}).get("reported", {}))

    def delta(self, name):
        with self._lock:
            state = self.shadows.get(name, {}).get("state", {})
            return differs(state.get("desired", {}), state.get("reported", {}))

    def wait_reported(self, name, predicate, deadline_s, what):
        def look():
            document = self.reported(name)
            return document if document and predicate(document) else None
        return wait_until(look, deadline_s, what)

    def add_job(self, job_id, document):
        with self._lock:
            self.jobs.append({"id": job_id, "document": document, "status": "QUEUED", "details": {}, "version": 1})
            self._publish(f"$aws/things/{self.thing}/jobs/notify-next", self._next_execution())

    def job(self, job_id):
        with self._lock:
            return copy.deepcopy(next(job for job in self.jobs if job["id"] == job_id))

    def wait_job(self, job_id, deadline_s):
        ended = ("SUCCEEDED", "FAILED", "REJECTED")
        return wait_until(lambda: self.job(job_id) if self.job(job_id)["status"] in ended else None, deadline_s,
                          f"the job {job_id} to end")

    # What the service does ----------------------------------------------------------------------------------------

    def _publish(self, topic, document):
        self._client.publish(topic, json.dumps(document), 1)

    def _arrived(self, client, user, message):
        levels = message.topic.split("/")
        if levels[-1] in ("accepted", "rejected", "delta", "notify-next", "documents"):
            return
        try:
            document = json.loads(message.payload) if message.payload else {}
        except ValueError:
            document = {}
        with self._lock:
            self.requests.append((message.topic, document))
            if levels[3] == "shadow":
                self._shadow(levels[5], levels[6], message.topic, document)
            elif levels[3] == "jobs":
                self._job("/".join(levels[4:]), message.topic, document)
            elif levels[3] == "defender":
                self.reports.append(document)
                self._publish(message.topic + "/accepted", {"thingName": self.thing, "reportId":
                                                            document["header"]["report_id"], "status": "ACCEPTED"})

    def _refuse(self, topic, code, text, request):
        self._publish(topic + "/rejected", {"code": code, "message": text, "timestamp": int(time.time()),
                                            "clientToken": request.get("clientToken")})

    def _shadow(self, name, what, topic, request):
        if what == "get":
            shadow = self.shadows.get(name)
            if shadow is None:
                self._refuse(topic, 404, f"No shadow exists with name: '{name}'", request)
            else:
                self._publish(topic + "/accepted", {**shadow, "timestamp": int(time.time()),
                                                    "clientToken": request.get("clientToken")})
        elif what == "update":
            self._update(name, request)

    def _update(self, name, request):
        topic = f"$aws/things/{self.thing}/shadow/name/{name}/update"
        shadow = self.shadows.get(name, {"state": {}, "version": 0})
        if "state" not in request:
            return self._refuse(topic, 400, "Missing required node: state", request)
        if "version" in request and request["version"] != shadow["version"]:
            return self._refuse(topic, 409, "Version conflict", request)
        state = merge(copy.deepcopy(shadow["state"]), request["state"])
        if len(json.dumps(state, separators=(",", ":")).encode()) > 8192:
            return self._refuse(topic, 413, "The payload exceeds the maximum size allowed", request)
        shadow = {"state": state, "version": shadow["version"] + 1}
        self.shadows[name] = shadow
        self._publish(topic + "/accepted", {"state": request["state"], "version": shadow["version"],
                                            "timestamp": int(time.time()), "clientToken": request.get("clientToken")})
        delta = differs(state.get("desired", {}), state.get("reported", {}))
        if delta:
            self._publish(topic + "/delta", {"state": delta, "version": shadow["version"],
                                             "timestamp": int(time.time())})

    def _next(self):
        for status in ("IN_PROGRESS", "QUEUED"):
            for job in self.jobs:
                if job["status"] == status:
                    return job
        return None

    def _next_execution(self):
        job = self._next()
        document = {"timestamp": int(time.time())}
        if job:
            document["execution"] = {"jobId": job["id"], "thingName": self.thing, "jobDocument": job["document"],
                                     "status": job["status"], "queuedAt": 1, "lastUpdatedAt": 1,
                                     "versionNumber": job["version"], "executionNumber": 1}
        return document

    def _job(self, what, topic, request):
        token = {"clientToken": request.get("clientToken")}
        if what in ("$next/get", "start-next"):
            job = self._next()
            if job and what == "start-next" and job["status"] == "QUEUED":
                job["status"] = "IN_PROGRESS"
                job["version"] += 1
            return self._publish(topic + "/accepted", {**self._next_execution(), **token})
        job_id = what.split("/")[0]
        job = next((job for job in self.jobs if job["id"] == job_id), None)
        refused = None
        if job is None:
            refused = "ResourceNotFound"
        elif job["status"] not in ("QUEUED", "IN_PROGRESS"):
            refused = "InvalidStateTransition"
        elif request.get("expectedVersion") != job["version"]:
            refused = "VersionMismatch"
        if refused:
            return self._publish(topic + "/rejected", {"code": refused, "message": refused, **token})
        for name, value in request.get("statusDetails", {}).items():
            assert isinstance(value, str) and len(value) <= 1024, (name, value)
        job["status"] = request["status"]
        job["details"] = request.get("statusDetails", {})
        job["version"] += 1
        state = {"status": job["status"], "versionNumber": job["version"], "statusDetails": job["details"]}
        self._publish(topic + "/accepted", {"executionState": state, **token})
        if job["status"] != "IN_PROGRESS":
            self._publish(f"$aws/things/{self.thing}/jobs/notify-next", self._next_execution())
        return None
