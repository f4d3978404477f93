"""AWS IoT Jobs without the wire: a topic and a payload in, topics and documents out. Time-outs come from tick().

`minute_s` is how many seconds a minute of stepTimeoutInMinutes lasts. Job documents are given as they are; rollout,
signing and presigned addresses are not imitated.
"""
import json
import re

TOPIC = re.compile(r"\$aws/things/([a-zA-Z0-9:_-]{1,128})/jobs/(.+)")
JOB_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
DETAIL_KEY = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
PENDING = ("QUEUED", "IN_PROGRESS")
REPORTABLE = ("IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED")
RESPONSES = ("accepted", "rejected", "notify", "notify-next")


class Rejected(Exception):
    def __init__(self, code, message, execution=None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.execution = execution  # whose state the answer tells


class Execution:
    def __init__(self, job_id, thing, document, now):
        self.job_id = job_id
        self.thing = thing
        self.document = document
        self.status = "QUEUED"
        self.details = {}
        self.version = 1
        self.number = 1
        self.queued_at = self.updated_at = now
        self.started_at = None
        self.deadline = None  # of the step
        self.history = ["QUEUED"]  # every status it has had

    def pending(self):
        return self.status in PENDING

    def change(self, status, now, details=None):
        if status != self.status:
            self.history.append(status)
        self.status = status
        if status == "IN_PROGRESS" and self.started_at is None:
            self.started_at = now
        if details is not None:
            self.details = details
        if not self.pending():
            self.deadline = None
        self.version += 1
        self.updated_at = now

    def summary(self):
        found = {"jobId": self.job_id, "queuedAt": int(self.queued_at), "lastUpdatedAt": int(self.updated_at),
                 "executionNumber": self.number, "versionNumber": self.version}
        if self.started_at is not None:
            found["startedAt"] = int(self.started_at)
        return found

    def state(self):
        return {"status": self.status, "statusDetails": self.details, "versionNumber": self.version}

    def whole(self, with_document=True):
        found = {**self.summary(), "thingName": self.thing, "status": self.status}
        if self.details:
            found["statusDetails"] = self.details
        if with_document:
            found["jobDocument"] = self.document
        return found


class Jobs:
    def __init__(self, minute_s=60):
        self.minute_s = minute_s
        self._executions = {}  # thing → [Execution] as they were queued
        self._rejections = []  # [(part of the topic, Rejected)] for the next requests

    # What tests ask; what is returned is to be published ------------------------------------------------------------

    def create(self, thing, job_id, document, now):
        before = self._next(thing)
        self._executions.setdefault(thing, []).append(Execution(job_id, thing, document, now))
        return self._notify(thing, before, now)

    def cancel(self, thing, job_id, now):
        before = self._next(thing)
        self.execution(thing, job_id).change("CANCELED", now)
        return self._notify(thing, before, now)

    def execution(self, thing, job_id):
        return next((e for e in self._executions.get(thing, []) if e.job_id == job_id), None)

    def reject_next(self, part, code, message, times=1):
        """The next requests whose topic contains `part` are rejected, with RequestThrottled for example."""
        self._rejections += [(part, Rejected(code, message))] * times

    def tick(self, now):
        """Steps that took too long end."""
        out = []
        for thing, executions in self._executions.items():
            for execution in executions:
                if execution.deadline is not None and now > execution.deadline:
                    before = self._next(thing)
                    execution.change("TIMED_OUT", now)
                    out += self._notify(thing, before, now)
        return out

    # Requests --------------------------------------------------------------------------------------------------------

    def handle(self, topic, payload, now):
        found = TOPIC.fullmatch(topic)
        if not found or topic.rpartition("/")[2] in RESPONSES:
            return []
        thing, rest = found.groups()
        token = None
        notices = []
        try:
            request = _parse(payload)
            token = request.get("clientToken")
            for index, (part, rejection) in enumerate(self._rejections):
                if part in topic:
                    del self._rejections[index]
                    raise rejection
            parts = rest.split("/")
            if parts == ["get"]:
                answer = self._list(thing)
            elif parts == ["start-next"]:
                answer, notices = self._start_next(thing, request, now)
            elif len(parts) == 2 and parts[1] == "get":
                answer = self._describe(thing, parts[0], request)
            elif len(parts) == 2 and parts[1] == "update":
                answer, notices = self._update(thing, parts[0], request, now)
            else:
                return []
            what = "accepted"
        except Rejected as error:
            what = "rejected"
            answer = {"code": error.code, "message": error.message}
            if error.execution is not None:
                answer["executionState"] = error.execution.state()
        answer["timestamp"] = int(now)
        if token is not None:
            answer["clientToken"] = token
        return [(topic + "/" + what, answer), *notices]

    def _pending(self, thing):
        """In the order in which they are to be done: what is under way first."""
        pending = [e for e in self._executions.get(thing, []) if e.pending()]
        return sorted(pending, key=lambda e: (e.status != "IN_PROGRESS", e.started_at or e.queued_at))

    def _next(self, thing):
        return next(iter(self._pending(thing)), None)

    def _list(self, thing):
        pending = self._pending(thing)
        return {"inProgressJobs": [e.summary() for e in pending if e.status == "IN_PROGRESS"],
                "queuedJobs": [e.summary() for e in pending if e.status == "QUEUED"]}

    def _find(self, thing, job_id):
        execution = self._next(thing) if job_id == "$next" else self.execution(thing, job_id)
        if execution is None and job_id != "$next":
            raise Rejected("ResourceNotFound", f"there is no execution of job {job_id} for {thing}")
        return execution

    def _start_next(self, thing, request, now):
        details, minutes = _details(request), _step_timeout(request)
        execution = self._next(thing)
        if execution is None:
            return {}, []
        if execution.status == "QUEUED":  # what is under way is handed out as it is
            execution.change("IN_PROGRESS", now, details)
            self._set_step_timeout(execution, minutes, now)
        return {"execution": execution.whole()}, []

    def _describe(self, thing, job_id, request):
        execution = self._find(thing, job_id)
        if execution is None:
            return {}
        if not execution.pending():
            raise Rejected("TerminalStateReached", f"job {job_id} is {execution.status}")
        _check_number(request, execution)
        return {"execution": execution.whole(request.get("includeJobDocument", True))}

    def _update(self, thing, job_id, request, now):
        status = request.get("status")
        if status not in REPORTABLE:
            raise Rejected("InvalidRequest", f"status must be one of {', '.join(REPORTABLE)}")
        details, minutes = _details(request), _step_timeout(request)
        execution = self._find(thing, job_id)
        if execution is None:
            raise Rejected("ResourceNotFound", f"there is no job for {thing}")
        _check_number(request, execution)
        if not execution.pending():
            raise Rejected("InvalidStateTransition", f"{execution.status} can't become {status}", execution)
        if request.get("expectedVersion", execution.version) != execution.version:
            raise Rejected("VersionMismatch", f"version {request['expectedVersion']} expected", execution)
        before = self._next(thing)
        execution.change(status, now, details)
        self._set_step_timeout(execution, minutes, now)
        answer = {}
        if request.get("includeJobExecutionState"):
            answer["executionState"] = execution.state()
        if request.get("includeJobDocument"):
            answer["jobDocument"] = execution.document
        return answer, [] if execution.pending() else self._notify(thing, before, now)

    def _set_step_timeout(self, execution, minutes, now):
        if minutes is not None and execution.pending():
            execution.deadline = None if minutes == -1 else now + minutes * self.minute_s

    def _notify(self, thing, before, now):
        """The list of what is pending has changed, and perhaps what is next."""
        base = f"$aws/things/{thing}/jobs/"
        listed = {}
        for execution in self._pending(thing):
            listed.setdefault(execution.status, []).append(execution.summary())
        out = [(base + "notify", {"timestamp": int(now), "jobs": listed})]
        following = self._next(thing)
        if following is not before:
            document = {"timestamp": int(now)}
            if following is not None:
                document["execution"] = following.whole()
            out.append((base + "notify-next", document))
        return out


def _parse(payload):
    try:
        request = json.loads(payload.decode("utf-8")) if payload.strip() else {}
    except ValueError as error:
        raise Rejected("InvalidJson", "not valid UTF-8 encoded JSON") from error
    if not isinstance(request, dict):
        raise Rejected("InvalidRequest", "an object is expected")
    token = request.get("clientToken")
    if token is not None and (not isinstance(token, str) or len(token.encode("utf-8")) > 64):
        raise Rejected("InvalidRequest", "clientToken must be a text of at most 64 bytes")
    return request


def _details(request):
    details = request.get("statusDetails")
    if details is None:
        return None
    fine = isinstance(details, dict) and len(details) <= 10 and all(
        DETAIL_KEY.fullmatch(key) and isinstance(value, str) and 1 <= len(value) <= 1024 and value.isprintable()
        for key, value in details.items())
    if not fine:
        raise Rejected("InvalidRequest", "statusDetails: at most 10 pairs, names of 1 to 128 letters, digits, `:_-`, "
                                         "values of 1 to 1024 printable characters")
    return details


def _step_timeout(request):
    minutes = request.get("stepTimeoutInMinutes")
    if minutes is not None and (isinstance(minutes, bool) or not isinstance(minutes, int)
                                or not (minutes == -1 or 1 <= minutes <= 10080)):
        raise Rejected("InvalidRequest", "stepTimeoutInMinutes must be 1 to 10080, or -1")
    return minutes


def _check_number(request, execution):
    if request.get("executionNumber", execution.number) != execution.number:
        raise Rejected("ResourceNotFound", f"there is no execution {request['executionNumber']}")
