"""A broker that breaks off, keeps silent, throttles and repeats itself by a script, and remembers what it was sent.

    broker = ScriptedBroker(pki, Behaviour(no_puback_first=3))
    broker = ScriptedBroker(pki, [Behaviour(drop_after=0), Behaviour()])       # first connection, all others
    broker = ScriptedBroker(pki, lambda number: Behaviour(connack=None if number < 5 else 0))
    broker.start(); …; broker.wait_for("PUBLISH", 2); broker.of("CONNECT")[0].packet.keep_alive

Without a script it acknowledges everything within AWS IoT Core's limits. What no field of Behaviour says, a subclass
with another on_connect, on_publish, … does. It routes nothing from client to client; say() sends what a test wants
sent.
"""
import asyncio
import contextlib
import itertools
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rig.waiting import wait_until

from . import mqtt_packets as mqtt
from .loop_thread import LoopThread, common_name, open_accepted

KEEP_SILENT = None
PARSERS = {mqtt.PUBLISH: mqtt.parse_publish, mqtt.PUBACK: mqtt.parse_acknowledgement,
           mqtt.SUBSCRIBE: mqtt.parse_subscribe, mqtt.UNSUBSCRIBE: mqtt.parse_unsubscribe,
           mqtt.DISCONNECT: mqtt.parse_disconnect}


@dataclass
class Behaviour:
    """What the broker does on one connection. Times are seconds; None where a reason code stands: no answer at all."""

    connack: int | None = 0
    connack_delay: float = 0
    connack_properties: dict = field(default_factory=dict)  # MQTT 5, laid over those below
    session_present: bool | None = None  # None: as it is
    session_expiry_limit: int = 3600     # MQTT 5; a longer wish is answered with this
    keep_alive_range: tuple = (30, 1200)
    stored: list = field(default_factory=list)  # [(topic, payload)] delivered after CONNACK, so many in a second:
    stored_rate: float = 10

    drop_after: float | None = None           # so long after CONNACK; 0: the unstable connection
    drop_after_publishes: int | None = None   # at the n-th PUBLISH, which is not answered
    drop_reason: int | None = None            # MQTT 5: DISCONNECT with this first

    puback: int | None | Callable = 0         # a function gets the Publish
    no_puback_first: int = 0                  # so many PUBLISH of QoS 1 are not answered
    puback_rate: float | None = None          # so many are answered in a second, the rest never
    puback_delay: float = 0
    puback_copies: int = 1
    puback_reversed: int = 1                  # answered in groups of so many, the last one first

    bytes_per_second: float | None = None     # what comes faster is read later

    suback: int | None | Callable | str = "granted"  # a function gets the filter
    pingresp: bool = True
    aws_limits: bool = True                   # what AWS IoT Core closes a connection for is enforced

    # What a subclass may replace -------------------------------------------------------------------------------------

    async def on_connect(self, connection, connect):
        if self.connack is KEEP_SILENT:
            return
        await asyncio.sleep(self.connack_delay)
        present = connection.had_session if self.session_present is None else self.session_present
        await connection.say_connack(present and self.connack == 0, self.connack, self.properties(connect))
        if self.connack != 0:
            await connection.drop()
            return
        if self.stored:
            connection.spawn(self.deliver_stored(connection))
        if self.drop_after is not None:
            connection.spawn(self.drop_later(connection))

    async def on_publish(self, connection, publish):
        if self.drop_after_publishes is not None and connection.publishes >= self.drop_after_publishes:
            await connection.drop(self.drop_reason)
            return
        if publish.qos == 0:
            return
        reason = self.puback(publish) if callable(self.puback) else self.puback
        if reason is KEEP_SILENT or connection.publishes <= self.no_puback_first or not self.within_rate(connection):
            return
        if reason and connection.version == 4:
            return  # MQTT 3.1.1 has no word for it
        connection.held.append((publish.packet_id, reason))
        if len(connection.held) >= self.puback_reversed:
            held, connection.held = connection.held, []
            connection.spawn(self.acknowledge(connection, held[::-1]))

    async def on_subscribe(self, connection, subscribe):
        reasons = []
        for name, qos in subscribe.filters:
            answer = self.suback(name) if callable(self.suback) else self.suback
            if answer is KEEP_SILENT:
                return
            reasons.append(min(qos, 1) if answer == "granted" else answer)
            if reasons[-1] < 0x80:
                connection.subscriptions.add(name)
        await connection.say(mqtt.suback(connection.version, subscribe.packet_id, reasons), "SUBACK")

    async def on_unsubscribe(self, connection, unsubscribe):
        connection.subscriptions.difference_update(unsubscribe.filters)
        answer = mqtt.unsuback(connection.version, unsubscribe.packet_id, len(unsubscribe.filters))
        await connection.say(answer, "UNSUBACK")

    async def on_ping(self, connection):
        if self.pingresp:
            await connection.say(mqtt.pingresp(), "PINGRESP")

    # Parts of it -----------------------------------------------------------------------------------------------------

    def properties(self, connect):
        found = {"receive_maximum": 100, "topic_alias_maximum": 8, "maximum_qos": 1, "maximum_packet_size": 149504,
                 "subscription_identifier_available": 0}
        if self.effective_keep_alive(connect) != connect.keep_alive:
            found["server_keep_alive"] = self.effective_keep_alive(connect)
        if connect.session_expiry > self.session_expiry_limit:
            found["session_expiry_interval"] = self.session_expiry_limit
        if not connect.client_id:
            found["assigned_client_identifier"] = "assigned-by-the-broker"
        return {**found, **self.connack_properties}

    def effective_keep_alive(self, connect):
        least, most = self.keep_alive_range
        given = self.connack_properties.get("server_keep_alive") if connect.version == 5 else None
        return given or min(max(connect.keep_alive or most, least), most)

    def receive_maximum(self):
        return self.connack_properties.get("receive_maximum", 100)

    def within_rate(self, connection):
        """A bucket that holds one second's worth."""
        if self.puback_rate is None:
            return True
        now = time.monotonic()
        level, at = connection.bucket or (self.puback_rate, now)
        level = min(self.puback_rate, level + (now - at) * self.puback_rate)
        connection.bucket = (level - 1 if level >= 1 else level, now)
        return level >= 1

    async def acknowledge(self, connection, held):
        await asyncio.sleep(self.puback_delay)
        for packet_id, reason in held:
            for _ in range(self.puback_copies):
                await connection.say_puback(packet_id, reason)

    async def deliver_stored(self, connection):
        for topic, payload in self.stored:
            await connection.say_publish(topic, payload)
            await asyncio.sleep(1 / self.stored_rate)

    async def drop_later(self, connection):
        await asyncio.sleep(self.drop_after)
        await connection.drop(self.drop_reason)


@dataclass
class Record:
    """One thing that happened. `kind`: the client's CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ,
    DISCONNECT; `opened` and `closed` (packet: "client" or "broker", who ended it), `handshake` (failed; packet: why),
    `malformed`, `keep-alive exceeded`, and `sent PUBACK` etc. for what the broker said (packet: packet id or reason
    code, where there is one)."""
    at: float         # time.monotonic()
    connection: int   # from 0
    kind: str
    packet: object = None
    size: int = 0     # bytes of an MQTT packet that came


class ScriptedConnection:
    """One client's connection, as a Behaviour sees it."""

    def __init__(self, broker, number, behaviour, reader, writer):
        self.broker = broker
        self.number = number
        self.open = True
        self.behaviour = behaviour
        self.version = 4
        self.connect = None
        self.had_session = False
        self.common_name = common_name(writer.get_extra_info("peercert") or {})
        self.publishes = 0            # PUBLISH packets so far
        self.most_in_flight = 0       # of QoS 1 at one time, not acknowledged
        self.held = []                # acknowledgements to be said together
        self.bucket = None
        self.subscriptions = set()
        self._in_flight = set()
        self._aliases = {}
        self._acknowledged = False    # CONNACK was sent
        self._packet_ids = itertools.cycle(range(1, 65536))
        self._reader, self._writer = reader, writer
        self._tasks = []
        self._ended_by = "client"

    def spawn(self, coroutine):
        """A task that ends with the connection."""
        self._tasks.append(self.broker.spawn(coroutine))

    async def say(self, data, kind, packet=None):
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            self.broker.note(self.number, "sent " + kind, packet)
            self._writer.write(data)
            await self._writer.drain()

    async def say_connack(self, present, reason, properties):
        self._acknowledged = True
        await self.say(mqtt.connack(self.version, present, reason, properties), "CONNACK", reason)

    async def say_puback(self, packet_id, reason=0):
        self._in_flight.discard(packet_id)
        await self.say(mqtt.puback(self.version, packet_id, reason), "PUBACK", packet_id)

    async def say_publish(self, topic, payload, qos=1, retain=False, properties=None, packet_id=None, dup=False):
        """Whatever the client has subscribed to. Returns the packet id, which is a new one unless given."""
        data = payload.encode("utf-8") if isinstance(payload, str) else payload
        message = mqtt.Publish(topic, data, qos, packet_id or (next(self._packet_ids) if qos else None), dup, retain,
                               properties or {})
        await self.say(mqtt.publish(self.version, message), "PUBLISH", message)
        return message.packet_id

    async def drop(self, reason=None):
        """Ends the connection; under MQTT 5 with a DISCONNECT before if there is a reason."""
        self.open = False
        self._ended_by = "broker"
        if reason is not None and self.version == 5:
            await self.say(mqtt.disconnect(5, reason), "DISCONNECT", reason)
        self._writer.close()

    async def run(self):
        try:
            await self._read()
        except mqtt.Malformed as error:
            self.broker.note(self.number, "malformed", str(error))
            await self.drop(0x81)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        except TimeoutError:
            self.broker.note(self.number, "keep-alive exceeded")
            await self.drop(0x8D)
        finally:
            self.open = False
            for task in self._tasks:
                task.cancel()
            self.broker.note(self.number, "closed", self._ended_by)
            self._writer.close()

    async def _read(self):
        limit = 30.0  # for CONNECT
        while True:
            packet = await asyncio.wait_for(mqtt.read_packet(self._reader), limit)
            if self.behaviour.bytes_per_second is not None:
                await asyncio.sleep(packet.size / self.behaviour.bytes_per_second)
            if self.connect is None:
                await self._take_connect(packet)
                limit = 1.5 * self.behaviour.effective_keep_alive(self.connect)
            elif not self.open:
                return
            else:
                await self._take(packet)
                if packet.kind == mqtt.DISCONNECT:
                    return

    async def _take_connect(self, packet):
        if packet.kind != mqtt.CONNECT:
            raise mqtt.Malformed(f"{packet.name} before CONNECT")
        self.connect = connect = mqtt.parse_connect(packet)
        self.version = connect.version
        self.broker.note(self.number, "CONNECT", connect, packet.size)
        self.had_session = not connect.clean and connect.client_id in self.broker.sessions
        if not await self.broker.admit(self):
            await self.drop()
        elif self.behaviour.aws_limits and connect.will and connect.will.qos == 2:
            await self.say_connack(False, 0x9B if self.version == 5 else 3, {})
            await self.drop()
        else:
            await self.behaviour.on_connect(self, connect)

    async def _take(self, packet):
        parser = PARSERS.get(packet.kind)
        parsed = parser(packet, self.version) if parser else None
        self.broker.note(self.number, packet.name, parsed, packet.size)
        if self.behaviour.aws_limits and not self._acknowledged:
            await self.drop(0x82)  # before CONNACK nothing may be sent
        elif packet.kind == mqtt.PUBLISH:
            await self._take_publish(parsed)
        elif packet.kind == mqtt.SUBSCRIBE:
            await self._take_subscribe(parsed)
        elif packet.kind == mqtt.UNSUBSCRIBE:
            await self.behaviour.on_unsubscribe(self, parsed)
        elif packet.kind == mqtt.PINGREQ:
            await self.behaviour.on_ping(self)
        elif packet.kind not in (mqtt.PUBACK, mqtt.DISCONNECT):
            await self.drop(0x82)  # QoS 2 and AUTH are not supported

    async def _take_publish(self, publish):
        self.publishes += 1
        alias = publish.properties.get("topic_alias")
        if alias is not None:
            publish.topic = self._aliases.setdefault(alias, publish.topic) if not publish.topic else publish.topic
            self._aliases[alias] = publish.topic
        reason = self._fault_of(publish) if self.behaviour.aws_limits else None
        if reason is not None:
            await self.drop(reason)
            return
        if publish.qos:
            self._in_flight.add(publish.packet_id)
            self.most_in_flight = max(self.most_in_flight, len(self._in_flight))
        if publish.qos == 2 or self.behaviour.aws_limits and len(self._in_flight) > self.behaviour.receive_maximum():
            if self.version == 5:
                await self.drop(0x9B if publish.qos == 2 else 0x93)
            return  # MQTT 3.1.1: no answer, ever
        await self.behaviour.on_publish(self, publish)

    @staticmethod
    def _fault_of(publish):
        """The reason for which AWS IoT Core would close the connection."""
        counted = publish.topic.split("/", 3)[-1] if publish.topic.startswith("$aws/rules/") else publish.topic
        if counted.count("/") > 7 or len(counted.encode("utf-8")) > 256:
            return 0x90
        if publish.properties.get("topic_alias", 0) > 8:
            return 0x94
        if len(publish.payload) > 131072:
            return 0x97
        return 0x82 if publish.retain and publish.topic.startswith("$aws/") else None

    async def _take_subscribe(self, subscribe):
        if self.behaviour.aws_limits:
            if "subscription_identifier" in subscribe.properties:
                await self.drop(0xA1)
                return
            wanted = self.subscriptions | {name for name, _ in subscribe.filters}
            if len(subscribe.filters) > 8 or len(wanted) > 50:
                await self.drop(0x97)
                return
            if self.version == 4 and any(qos == 2 for _, qos in subscribe.filters):
                return  # never answered
        await self.behaviour.on_subscribe(self, subscribe)


class ScriptedBroker(LoopThread):
    """`pki`: folder of certificates, None: no TLS. `server` names the certificate shown; clients must show one of the
    authority's. `connect_interval`: a CONNECT that comes sooner after the one before of its client id is closed."""

    def __init__(self, pki=None, behaviour=None, server="server", port=0, connect_interval=0):
        super().__init__(port)
        self.behaviour = behaviour if behaviour is not None else Behaviour()  # may be replaced at any time
        self.sessions = set()     # client ids whose session is kept
        self.records = []         # only ever grows; what a test reads is a copy
        self.connections = []
        self.connect_interval = connect_interval
        self._context = None
        if pki is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(pki.path(server + ".crt"), pki.path(server + ".key"))
            self._context.load_verify_locations(pki.path("ca.crt"))
            self._context.verify_mode = ssl.CERT_REQUIRED
        self._last_connect = {}
        self._numbers = itertools.count()

    # What tests ask --------------------------------------------------------------------------------------------------

    def of(self, kind, connection=None):
        """The records of one kind, all connections or one."""
        return [r for r in list(self.records) if r.kind == kind and connection in (None, r.connection)]

    def wait_for(self, kind, count=1, deadline_s=20, connection=None):
        """The first `count` records of a kind, once they are there."""
        def enough():
            found = self.of(kind, connection)
            return found[:count] if len(found) >= count else None

        def told():
            return f"{count} {kind}; there were {[r.kind for r in list(self.records)[-40:]]}"
        return wait_until(enough, deadline_s, told)

    def say(self, topic, payload, copies=1, connection=-1, **options):
        """Sends PUBLISHes to a connection, by default the newest, each with a packet id of its own; returns the ids."""
        async def send():
            return [await self.connections[connection].say_publish(topic, payload, **options) for _ in range(copies)]
        return self.call(send())

    def drop(self, reason=None, connection=-1):
        self.call(self.connections[connection].drop(reason))

    def forget_sessions(self):
        """As when they expire."""
        self.sessions.clear()

    # What connections need -------------------------------------------------------------------------------------------

    def note(self, connection, kind, packet=None, size=0):
        self.records.append(Record(time.monotonic(), connection, kind, packet, size))

    async def admit(self, connection):
        """False: too soon. Otherwise who has the client id now goes, with 0x8E under MQTT 5."""
        connect = connection.connect
        now = time.monotonic()
        before = self._last_connect.get(connect.client_id)
        self._last_connect[connect.client_id] = now
        if before is not None and now - before < self.connect_interval:
            return False
        for other in self.connections:
            if other is not connection and other.open and other.connect:
                if other.connect.client_id == connect.client_id:
                    await other.drop(0x8E)
        if connect.keeps_session:
            self.sessions.add(connect.client_id)
        else:
            self.sessions.discard(connect.client_id)
        return True

    async def serve(self, connection):
        number = next(self._numbers)
        self.note(number, "opened")
        try:
            reader, writer = await open_accepted(self.loop, connection, self._context)
        except OSError as error:  # ssl.SSLError is one
            self.note(number, "handshake", str(error))
            return
        script = self.behaviour
        if callable(script):
            script = script(number)
        elif isinstance(script, list):
            script = script[min(number, len(script) - 1)]
        served = ScriptedConnection(self, number, script, reader, writer)
        self.connections.append(served)
        await served.run()

