"""Clients of others in tests of the test broker: paho-python, with what it was told, and mosquitto_pub.

paho-python 1.6.1 gives up at a PUBACK with a reason and sees a DISCONNECT's reason only beside properties;
mosquitto_pub and mosquitto_sub tell both (-d).
"""
import ssl
import subprocess
import time
from dataclasses import dataclass

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions
from rig.waiting import wait_until


@dataclass
class Said:
    kind: str     # connack, puback, suback, message, closed
    value: object
    at: float


class Client:
    """Connects at once and reconnects never. `version` 4 or 5; `who` names the certificate, None: plain TCP."""

    def __init__(self, port, pki=None, who="gateway", client_id=None, version=5, clean=True, keep_alive=60, alpn=None,
                 host="localhost", will=None, session_expiry=0):
        self.said = []
        self._version = version
        self.client = paho.Client(client_id=who if client_id is None else client_id, protocol=version,
                                  reconnect_on_failure=False, **({"clean_session": clean} if version == 4 else {}))
        self.client.on_connect = lambda c, u, flags, code, *more: self._note("connack", (int_of(code), flags, *more))
        self.client.on_publish = lambda c, u, mid: self._note("puback", mid)
        self.client.on_subscribe = lambda c, u, mid, codes, *more: self._note("suback", [int_of(x) for x in codes])
        self.client.on_message = lambda c, u, message: self._note("message", message)
        self.client.on_disconnect = lambda c, u, code, *more: self._note("closed", int_of(code))
        if will:
            self.client.will_set(*will)
        if pki is not None:
            context = ssl.create_default_context(cafile=pki.path("ca.crt"))
            context.load_cert_chain(pki.path(who + ".crt"), pki.path(who + ".key"))
            if alpn:
                context.set_alpn_protocols(alpn)
            self.client.tls_set_context(context)
        options = {}
        if version == 5:
            options["clean_start"] = clean
            options["properties"] = Properties(PacketTypes.CONNECT)
            options["properties"].SessionExpiryInterval = session_expiry
        self.client.connect(host, port, keep_alive, **options)
        self.client.loop_start()

    def _note(self, kind, value):
        self.said.append(Said(kind, value, time.monotonic()))

    def of(self, kind):
        return [s.value for s in list(self.said) if s.kind == kind]

    def wait_for(self, kind, count=1, deadline_s=10):
        """The newest of `count` things that were said."""
        def enough():
            found = [s for s in list(self.said) if s.kind == kind]
            return found[count - 1] if len(found) >= count else None
        return wait_until(enough, deadline_s, lambda: f"{count} {kind}; was told {self.said[-20:]}").value

    def connected(self):
        """This client, once CONNACK said yes."""
        code = self.wait_for("connack")[0]
        assert code == 0, f"CONNACK {code}"
        return self

    def publish(self, topic, payload="x", qos=1, retain=False):
        return self.client.publish(topic, payload, qos, retain).mid

    def subscribe(self, *topics, qos=1, properties=None):
        if self._version == 5:
            return self.client.subscribe([(topic, SubscribeOptions(qos)) for topic in topics], properties=properties)[1]
        return self.client.subscribe([(topic, qos) for topic in topics])[1]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def int_of(code):
    return getattr(code, "value", code)


def mosquitto_pub(port, pki, topic, payload="x", version=5, who="gateway", *arguments):
    """What it printed."""
    command = ["mosquitto_pub", "-h", "localhost", "-p", str(port), "-V", {4: "mqttv311", 5: "mqttv5"}[version], "-d",
               "-i", who, "-q", "1", "-t", topic, "-m", payload, *arguments]
    if pki is not None:
        command += ["--cafile", pki.path("ca.crt"), "--cert", pki.path(who + ".crt"), "--key", pki.path(who + ".key")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    return done.stdout
