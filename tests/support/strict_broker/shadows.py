"""AWS IoT's Device Shadow service without the wire: a topic and a payload in, topics and documents out.

Classic and named shadows with AWS's merging, versions, deltas, limits and texts of rejection. Not known from its
documentation and decided here: an object that loses its last key stays as {}, a section does not; a request that
gives a version for a shadow that is not there is held against version 0.
"""
import copy
import json
import re

STATE_BYTES = 8192
TOKEN_BYTES = 64
NESTING = 6
NAME = re.compile(r"[$a-zA-Z0-9:_-]{1,64}")
TOPIC = re.compile(r"\$aws/things/([a-zA-Z0-9:_-]{1,128})/shadow(?:/name/([^/]+))?/(get|update|delete)")
MISSING = object()


class Rejected(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


class Shadow:
    def __init__(self):
        self.exists = False
        self.version = 0  # deleting does not reset it
        self.state = {}     # {"desired": …, "reported": …}
        self.metadata = {}


class Shadows:
    def __init__(self, things=None):
        """`things`: the names that are registered; None: every name is."""
        self.things = things
        self._shadows = {}      # (thing, name or None) → Shadow
        self._rejections = []   # [(part of the topic, Rejected)] for the next requests

    # What tests ask --------------------------------------------------------------------------------------------------

    def document(self, thing, name=None):
        """{state, metadata, version} as `get` tells it, or None."""
        shadow = self._shadows.get((thing, name))
        return _whole(shadow) if shadow and shadow.exists else None

    def reject_next(self, part, code, message, times=1):
        """The next requests whose topic contains `part` are rejected: 401, 403, 429 and 500 can't come about here."""
        self._rejections += [(part, Rejected(code, message))] * times

    # Requests --------------------------------------------------------------------------------------------------------

    def handle(self, topic, payload, now):
        """[(topic, document)] to be published for a request; [] for a topic that is none."""
        found = TOPIC.fullmatch(topic)
        if not found:
            return []
        thing, name, verb = found.groups()
        token = None
        try:
            request = self._parse(topic, payload, verb)
            token = _token(request)
            self._may_be_rejected(topic)
            if self.things is not None and thing not in self.things:
                raise Rejected(404, "Thing not found")
            if name is not None and not NAME.fullmatch(name):
                raise Rejected(400, "Invalid shadow name")
            shadow = self._shadows.setdefault((thing, name), Shadow())
            answers = getattr(self, "_" + verb)(shadow, request, name or thing, int(now))
        except Rejected as error:
            document = {"code": error.code, "message": error.message, "timestamp": int(now)}
            answers = [("rejected", document)]
        if token is not None:
            for _, document in answers:
                document["clientToken"] = token
        return [(topic + "/" + what, document) for what, document in answers]

    def _may_be_rejected(self, topic):
        for index, (part, rejection) in enumerate(self._rejections):
            if part in topic:
                del self._rejections[index]
                raise rejection

    @staticmethod
    def _parse(topic, payload, verb):
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Rejected(415, "Unsupported documented encoding; supported encoding is UTF-8") from error
        if verb != "update" and not text.strip():
            return {}
        try:
            request = json.loads(text, parse_constant=_no_constant)
        except ValueError as error:
            raise Rejected(400, "Invalid JSON") from error
        if not isinstance(request, dict):
            raise Rejected(400, "Invalid JSON")
        return request

    @staticmethod
    def _get(shadow, request, called, now):
        if not shadow.exists:
            raise Rejected(404, f"No shadow exists with name: {called}")
        return [("accepted", {**_whole(shadow), "timestamp": now})]

    @staticmethod
    def _delete(shadow, request, called, now):
        if not shadow.exists:
            raise Rejected(404, f"No shadow exists with name: {called}")
        shadow.exists = False
        shadow.state, shadow.metadata = {}, {}
        return [("accepted", {"version": shadow.version, "timestamp": now})]

    @staticmethod
    def _update(shadow, request, called, now):
        _check_update(request, shadow.version if shadow.exists else 0)
        state, metadata = copy.deepcopy(shadow.state), copy.deepcopy(shadow.metadata)
        for section in ("desired", "reported"):
            if section not in request["state"]:
                continue
            wanted = request["state"][section]
            if wanted is None:
                state.pop(section, None)
                metadata.pop(section, None)
                continue
            _merge(state.setdefault(section, {}), metadata.setdefault(section, {}), wanted, now)
            if not state[section]:
                del state[section], metadata[section]
        if len(json.dumps(state, separators=(",", ":"), ensure_ascii=False).encode("utf-8")) > STATE_BYTES:
            raise Rejected(413, "The payload exceeds the maximum size allowed")
        previous = {"state": shadow.state, "metadata": shadow.metadata, "version": shadow.version}
        shadow.exists = True
        shadow.version += 1
        shadow.state, shadow.metadata = state, metadata

        accepted = {section: request["state"][section] for section in ("desired", "reported")
                    if section in request["state"]}
        stamps = {section: _stamps(value, now) for section, value in accepted.items() if value is not None}
        out = [("accepted", {"state": accepted, "metadata": stamps, "version": shadow.version, "timestamp": now})]
        difference, stamps = _delta(shadow)
        if difference:
            delta = {"state": difference, "metadata": stamps, "version": shadow.version, "timestamp": now}
            out.append(("delta", delta))
        current = {"state": copy.deepcopy(state), "metadata": copy.deepcopy(metadata), "version": shadow.version}
        out.append(("documents", {"previous": previous, "current": current, "timestamp": now}))
        return out


def _no_constant(name):
    raise ValueError(name)  # NaN and Infinity are no JSON


def _token(request):
    token = request.get("clientToken")
    if token is not None and (not isinstance(token, str) or len(token.encode("utf-8")) > TOKEN_BYTES):
        raise Rejected(400, "Invalid clientToken")
    return token


def _check_update(request, version):
    if "state" not in request:
        raise Rejected(400, "Missing required node: state")
    state = request["state"]
    if not isinstance(state, dict):
        raise Rejected(400, "State node must be an object")
    for section in ("desired", "reported"):
        value = state.get(section)
        if value is not None and not isinstance(value, dict):
            raise Rejected(400, section.capitalize() + " node must be an object")
        if value is not None and _depth(value) > NESTING:
            raise Rejected(400, f"JSON contains too many levels of nesting; maximum is {NESTING}")
        if _has_null_in_array(value):
            raise Rejected(400, "State contains an invalid node")
    given = request.get("version", MISSING)
    if given is not MISSING and (isinstance(given, bool) or not isinstance(given, int) or given < 0):
        raise Rejected(400, "Invalid version")
    if given is not MISSING and given != version:
        raise Rejected(409, "Version conflict")


def _depth(value):
    """Levels of objects and arrays; {"a": 1} has one."""
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


def _has_null_in_array(value):
    if isinstance(value, dict):
        return any(map(_has_null_in_array, value.values()))
    if isinstance(value, list):
        return any(each is None or _has_null_in_array(each) for each in value)
    return False


def _stamps(value, now):
    """The metadata of a value: a timestamp where the value has a leaf."""
    if isinstance(value, dict):
        return {key: _stamps(each, now) for key, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_stamps(each, now) for each in value]
    return {"timestamp": now}


def _without_nulls(value):
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return value


def _merge(state, metadata, wanted, now):
    for key, value in wanted.items():
        if value is None:
            state.pop(key, None)
            metadata.pop(key, None)
        elif isinstance(value, dict) and isinstance(state.get(key), dict):
            _merge(state[key], metadata[key], value, now)
        else:
            state[key] = _without_nulls(copy.deepcopy(value))
            metadata[key] = _stamps(value, now)


def _difference(desired, reported, metadata):
    """What of `desired` is not so in `reported`, with its metadata."""
    state, stamps = {}, {}
    for key, value in desired.items():
        other = reported.get(key, MISSING)
        if isinstance(value, dict) and isinstance(other, dict):
            inner, inner_stamps = _difference(value, other, metadata[key])
            if inner:
                state[key], stamps[key] = inner, inner_stamps
        elif other is MISSING or type(value) is not type(other) and not _both_numbers(value, other) or value != other:
            state[key], stamps[key] = copy.deepcopy(value), copy.deepcopy(metadata[key])
    return state, stamps


def _delta(shadow):
    state = shadow.state
    return _difference(state.get("desired", {}), state.get("reported", {}), shadow.metadata.get("desired", {}))


def _both_numbers(a, b):
    return all(isinstance(each, (int, float)) and not isinstance(each, bool) for each in (a, b))


def _whole(shadow):
    state = copy.deepcopy(shadow.state)
    difference, _ = _delta(shadow)
    if difference:
        state["delta"] = difference
    return {"state": state, "metadata": copy.deepcopy(shadow.metadata), "version": shadow.version}
