"""AWS IoT Device Defender's intake of device metrics without the wire (JSON; CBOR is not imitated).

Judged are the header, that report ids grow, the shapes of the documented metrics and of custom metrics, and the
interval.
"""
import json
import re

TOPIC = re.compile(r"\$aws/things/([a-zA-Z0-9:_-]{1,128})/defender/metrics/json")
SHORT = {"hed": "header", "met": "metrics", "cmet": "custom_metrics", "rid": "report_id", "v": "version",
         "tp": "listening_tcp_ports", "up": "listening_udp_ports", "ns": "network_stats", "tc": "tcp_connections",
         "pts": "ports", "pt": "port", "t": "total", "if": "interface", "bi": "bytes_in", "bo": "bytes_out",
         "pi": "packets_in", "po": "packets_out", "ec": "established_connections", "cs": "connections",
         "li": "local_interface", "lp": "local_port", "rad": "remote_addr"}
CUSTOM = {"number": lambda v: _number(v), "number_list": lambda v: _list_of(v, _number),
          "string_list": lambda v: _list_of(v, lambda e: isinstance(e, str)),
          "ip_list": lambda v: _list_of(v, lambda e: isinstance(e, str))}
NETWORK_STATS = ("bytes_in", "bytes_out", "packets_in", "packets_out")
METRIC_NAME = re.compile(r"[a-zA-Z0-9:_-]{1,128}")


class Rejected(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code
        self.message = message


class Defender:
    def __init__(self, least_interval_s=300):
        self.least_interval_s = least_interval_s
        self.reports = []   # [(thing, document)] as accepted, with long names
        self.rejected = []  # [(thing, code, message)]
        self._last = {}     # thing → (time, report id)

    def handle(self, topic, payload, now):
        found = TOPIC.fullmatch(topic)
        if not found:
            return []
        thing = found.group(1)
        answer = {"thingName": thing, "status": "ACCEPTED", "timestamp": int(now * 1000)}
        try:
            document = _parse(payload)
            header = document.get("header")
            if isinstance(header, dict) and isinstance(header.get("report_id"), int):
                answer["reportId"] = header["report_id"]
            _check(document)
            before, last_id = self._last.get(thing, (None, None))
            if last_id is not None and header["report_id"] <= last_id:
                raise Rejected("InvalidPayload", "report_id must grow")
            if before is not None and now - before < self.least_interval_s:
                raise Rejected("Throttled", f"reports are taken every {self.least_interval_s} s at most")
            self._last[thing] = (now, header["report_id"])
            self.reports.append((thing, document))
        except Rejected as error:
            answer["status"] = "REJECTED"
            answer["statusDetails"] = {"ErrorCode": error.code, "ErrorMessage": error.message}
            self.rejected.append((thing, error.code, error.message))
        return [(topic + "/" + answer["status"].lower(), answer)]


def _parse(payload):
    try:
        document = json.loads(payload.decode("utf-8"))
    except ValueError as error:
        raise Rejected("InvalidPayload", "not valid UTF-8 encoded JSON") from error
    return _long_names(document)


def _long_names(value, below_custom=False):
    if isinstance(value, dict):
        return {key if below_custom else SHORT.get(key, key):
                _long_names(each, below_custom or key in ("cmet", "custom_metrics")) for key, each in value.items()}
    if isinstance(value, list):
        return [_long_names(each, below_custom) for each in value]
    return value


def _number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _list_of(value, kind):
    return isinstance(value, list) and all(map(kind, value))


def _demand(fine, message):
    if not fine:
        raise Rejected("InvalidPayload", message)


def _check(document):
    _demand(isinstance(document, dict) and isinstance(document.get("header"), dict), "header is missing")
    header = document["header"]
    _demand(_count(header.get("report_id")), "header.report_id must be a positive integer")
    _demand(re.fullmatch(r"\d+\.\d+", str(header.get("version"))) and isinstance(header["version"], str),
            "header.version must be Major.Minor")
    _demand("metrics" in document or "custom_metrics" in document, "metrics or custom_metrics is missing")
    metrics = document.get("metrics", {})
    _demand(isinstance(metrics, dict), "metrics must be an object")
    for name in ("listening_tcp_ports", "listening_udp_ports"):
        found = metrics.get(name, {"total": 0})
        _demand(isinstance(found, dict) and _count(found.get("total")), f"{name}.total must be a count")
        for entry in found.get("ports", []):
            fine = isinstance(entry, dict) and _count(entry.get("port")) and entry["port"] <= 65535
            _demand(fine, f"{name}.ports.port")
    for name, value in metrics.get("network_stats", {}).items():
        _demand(name in NETWORK_STATS and _count(value), f"network_stats.{name}")
    established = metrics.get("tcp_connections", {}).get("established_connections", {"total": 0})
    _demand(_count(established.get("total")), "tcp_connections.established_connections.total must be a count")
    for entry in established.get("connections", []):
        _demand(isinstance(entry.get("remote_addr"), str), "tcp_connections: remote_addr is missing")
    custom = document.get("custom_metrics", {})
    _demand(isinstance(custom, dict), "custom_metrics must be an object")
    for name, values in custom.items():
        fine = METRIC_NAME.fullmatch(name) and isinstance(values, list) and len(values) == 1
        fine = fine and isinstance(values[0], dict) and len(values[0]) == 1
        fine = fine and all(kind in CUSTOM and CUSTOM[kind](value) for kind, value in values[0].items())
        _demand(fine, f"custom_metrics.{name} must be one of {', '.join(CUSTOM)} in an array of one")
