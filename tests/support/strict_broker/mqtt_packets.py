"""MQTT 3.1.1 and 5 on the wire: what a broker reads from a client, and what it says to it.

Written from the OASIS standards, only as far as the scripted broker needs it: no QoS 2, no AUTH. What is malformed
raises Malformed; the caller closes the connection.
"""
import struct
from dataclasses import dataclass, field

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH = 8, 9, 10, 11, 12, 13, 14, 15
NAMES = {value: name for name, value in list(globals().items()) if name.isupper() and isinstance(value, int)}

# identifier: (name, type) of the properties of MQTT 5
PROPERTIES = {
    0x01: ("payload_format_indicator", "byte"), 0x02: ("message_expiry_interval", "four"),
    0x03: ("content_type", "text"), 0x08: ("response_topic", "text"), 0x09: ("correlation_data", "binary"),
    0x0B: ("subscription_identifier", "variable"), 0x11: ("session_expiry_interval", "four"),
    0x12: ("assigned_client_identifier", "text"), 0x13: ("server_keep_alive", "two"),
    0x15: ("authentication_method", "text"), 0x16: ("authentication_data", "binary"),
    0x17: ("request_problem_information", "byte"), 0x18: ("will_delay_interval", "four"),
    0x19: ("request_response_information", "byte"), 0x1A: ("response_information", "text"),
    0x1C: ("server_reference", "text"), 0x1F: ("reason_string", "text"), 0x21: ("receive_maximum", "two"),
    0x22: ("topic_alias_maximum", "two"), 0x23: ("topic_alias", "two"), 0x24: ("maximum_qos", "byte"),
    0x25: ("retain_available", "byte"), 0x26: ("user_property", "pair"), 0x27: ("maximum_packet_size", "four"),
    0x28: ("wildcard_subscription_available", "byte"), 0x29: ("subscription_identifier_available", "byte"),
    0x2A: ("shared_subscription_available", "byte"),
}
_identifiers = {name: (identifier, kind) for identifier, (name, kind) in PROPERTIES.items()}


class Malformed(Exception):
    """What the peer sent is no MQTT."""


@dataclass
class Packet:
    kind: int
    flags: int
    body: bytes
    size: int = 0  # of the whole packet, in bytes

    @property
    def name(self):
        return NAMES[self.kind]


@dataclass
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: dict


@dataclass
class Connect:
    version: int  # 4: MQTT 3.1.1, 5: MQTT 5
    client_id: str
    clean: bool   # Clean Session, or Clean Start
    keep_alive: int
    will: Will = None
    username: str = None
    password: bytes = None
    properties: dict = field(default_factory=dict)

    @property
    def session_expiry(self):
        return self.properties.get("session_expiry_interval", 0)

    @property
    def keeps_session(self):
        """Whether the broker is asked to keep the session when the connection ends."""
        return self.session_expiry > 0 if self.version == 5 else not self.clean


@dataclass
class Publish:
    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = None
    dup: bool = False
    retain: bool = False
    properties: dict = field(default_factory=dict)


@dataclass
class Acknowledgement:
    packet_id: int
    reason: int = 0
    properties: dict = field(default_factory=dict)


@dataclass
class Subscribe:
    packet_id: int
    filters: list  # [(filter, QoS asked for)]
    properties: dict = field(default_factory=dict)


@dataclass
class Unsubscribe:
    packet_id: int
    filters: list


@dataclass
class Disconnect:
    reason: int = 0
    properties: dict = field(default_factory=dict)


class Cursor:
    """Reads the body of a packet from front to back."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        if self.at + count > len(self.data):
            raise Malformed(f"{count} bytes expected at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]

    def number(self, count):
        return int.from_bytes(self.take(count), "big")

    def variable(self):
        value = 0
        for shift in (0, 7, 14, 21):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise Malformed("a variable byte integer of more than four bytes")

    def binary(self):
        return self.take(self.number(2))

    def text(self):
        try:
            return self.binary().decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(f"not UTF-8: {error}") from error

    def rest(self):
        return self.take(len(self.data) - self.at)

    def over(self):
        return self.at == len(self.data)

    def properties(self):
        inner = Cursor(self.take(self.variable()))
        found = {}
        while not inner.over():
            identifier = inner.variable()
            if identifier not in PROPERTIES:
                raise Malformed(f"unknown property 0x{identifier:02X}")
            name, kind = PROPERTIES[identifier]
            read = {"byte": lambda: inner.number(1), "two": lambda: inner.number(2), "four": lambda: inner.number(4),
                    "variable": inner.variable, "binary": inner.binary, "text": inner.text,
                    "pair": lambda: (inner.text(), inner.text())}[kind]
            if kind == "pair":
                found.setdefault(name, []).append(read())
            elif name in found:
                raise Malformed(f"{name} twice")
            else:
                found[name] = read()
        return found


async def read_packet(reader):
    """The next packet of an asyncio.StreamReader; asyncio.IncompleteReadError at the end."""
    head = await reader.readexactly(1)
    length, size = 0, 1
    for shift in (0, 7, 14, 21):
        byte = (await reader.readexactly(1))[0]
        size += 1
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return Packet(head[0] >> 4, head[0] & 0x0F, await reader.readexactly(length), size + length)
    raise Malformed("a packet whose length has more than four bytes")


# From the client -----------------------------------------------------------------------------------------------------

def parse_connect(packet):
    cursor = Cursor(packet.body)
    protocol, version, flags = cursor.text(), cursor.number(1), cursor.number(1)
    if protocol != "MQTT" or version not in (4, 5) or flags & 1:
        raise Malformed(f"protocol {protocol} {version}, flags 0x{flags:02X}")
    connect = Connect(version, "", bool(flags & 2), cursor.number(2))
    if version == 5:
        connect.properties = cursor.properties()
    connect.client_id = cursor.text()
    if flags & 4:
        properties = cursor.properties() if version == 5 else {}
        topic = cursor.text()
        connect.will = Will(topic, cursor.binary(), flags >> 3 & 3, bool(flags & 0x20), properties)
    if flags & 0x80:
        connect.username = cursor.text()
    if flags & 0x40:
        connect.password = cursor.binary()
    return connect


def parse_publish(packet, version):
    cursor = Cursor(packet.body)
    qos = packet.flags >> 1 & 3
    publish = Publish(cursor.text(), b"", qos, None, bool(packet.flags & 8), bool(packet.flags & 1))
    if qos:
        publish.packet_id = cursor.number(2)
    if version == 5:
        publish.properties = cursor.properties()
    publish.payload = cursor.rest()
    return publish


def parse_acknowledgement(packet, version):
    cursor = Cursor(packet.body)
    found = Acknowledgement(cursor.number(2))
    if version == 5 and not cursor.over():
        found.reason = cursor.number(1)
        if not cursor.over():
            found.properties = cursor.properties()
    return found


def parse_subscribe(packet, version):
    cursor = Cursor(packet.body)
    found = Subscribe(cursor.number(2), [], cursor.properties() if version == 5 else {})
    while not cursor.over():
        found.filters.append((cursor.text(), cursor.number(1) & 3))
    return found


def parse_unsubscribe(packet, version):
    cursor = Cursor(packet.body)
    found = Unsubscribe(cursor.number(2), [])
    if version == 5:
        cursor.properties()
    while not cursor.over():
        found.filters.append(cursor.text())
    return found


def parse_disconnect(packet, version):
    cursor = Cursor(packet.body)
    found = Disconnect()
    if version == 5 and not cursor.over():
        found.reason = cursor.number(1)
        if not cursor.over():
            found.properties = cursor.properties()
    return found


# To the client -------------------------------------------------------------------------------------------------------

def _variable(value):
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _text(value):
    data = value.encode("utf-8") if isinstance(value, str) else value
    return struct.pack(">H", len(data)) + data


def _properties(version, properties):
    if version != 5:
        return b""
    out = bytearray()
    for name, value in (properties or {}).items():
        identifier, kind = _identifiers[name]
        for each in value if kind == "pair" else [value]:
            out += _variable(identifier)
            out += {"byte": lambda v: struct.pack(">B", v), "two": lambda v: struct.pack(">H", v),
                    "four": lambda v: struct.pack(">I", v), "variable": _variable, "binary": _text, "text": _text,
                    "pair": lambda v: _text(v[0]) + _text(v[1])}[kind](each)
    return _variable(len(out)) + bytes(out)


def _packet(kind, flags, body):
    return bytes([kind << 4 | flags]) + _variable(len(body)) + body


def connack(version, session_present=False, reason=0, properties=None):
    return _packet(CONNACK, 0, bytes([session_present, reason]) + _properties(version, properties))


def publish(version, message):
    flags = message.dup << 3 | message.qos << 1 | message.retain
    body = _text(message.topic) + (struct.pack(">H", message.packet_id) if message.qos else b"")
    return _packet(PUBLISH, flags, body + _properties(version, message.properties) + message.payload)


def puback(version, packet_id, reason=0):
    body = struct.pack(">H", packet_id)
    return _packet(PUBACK, 0, body + bytes([reason]) if version == 5 and reason else body)


def suback(version, packet_id, reasons):
    return _packet(SUBACK, 0, struct.pack(">H", packet_id) + _properties(version, {}) + bytes(reasons))


def unsuback(version, packet_id, count):
    body = struct.pack(">H", packet_id) + _properties(version, {})
    return _packet(UNSUBACK, 0, body + bytes(count) if version == 5 else body)


def pingresp():
    return _packet(PINGRESP, 0, b"")


def disconnect(version, reason):
    """MQTT 5 alone. The reason in words beside the code: some clients look at the code only then."""
    if version != 5:
        return b""
    return _packet(DISCONNECT, 0, bytes([reason]) + _properties(5, {"reason_string": f"scripted 0x{reason:02X}"}))
