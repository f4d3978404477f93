"""What stands before AWS IoT Core's brokers: TLS that looks at the server name and ALPN, and notes what was negotiated.

    front = TlsFront(pki, broker.port)                              # as port 8883
    front = TlsFront(pki, broker.port, alpn="x-amzn-mqtt-ca")       # as port 443
    front.start(); …; front.wait_for_handshake().sni

Who the client is reaches the broker behind in a certificate: the front asks for the client's, makes one of the same
common name with the throwaway authority's key, and connects to the broker (TLS, 127.0.0.1) with that. Bytes pass as
they are.
"""
import asyncio
import contextlib
import ctypes
import itertools
import os
import ssl
import time
from dataclasses import dataclass

from rig.waiting import wait_until

from .loop_thread import LoopThread, common_name, open_accepted

LARGEST_RECORD = 16384
SMALLEST_FRAGMENT = 512  # OpenSSL's own bound for what it splits by itself, the handshake
GATHER_S = 0.02
SSL_CTRL_SET_MAX_SEND_FRAGMENT = 52


@dataclass
class Handshake:
    at: float                  # time.monotonic() at its end
    sni: str | None = None     # the server name that the client sent
    alpn: str | None = None    # what was agreed on
    version: str | None = None  # TLSv1.2, TLSv1.3
    cipher: str | None = None
    shared_ciphers: tuple = ()  # the client's that the front knows too
    common_name: str | None = None
    error: str | None = None   # why it failed, or why the front closed after it


class TlsFront(LoopThread):
    """`server`: the certificate that is shown, by its name in the folder `pki`. `names`: server names that are let in,
    None: any, or none at all. `alpn`: the protocol that must be agreed on, None: not needed. `versions`: oldest and
    newest TLS. `ciphers`: for TLS 1.2, as OpenSSL names them. `record_size`: what goes to the client comes in TLS
    records of this size (application data exactly, the handshake at most, but not below 512); 16384 gathers the largest
    there are."""

    def __init__(self, pki, broker_port, server="server", names=("localhost",), alpn=None,
                 versions=(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3), ciphers=None, record_size=None, port=0):
        super().__init__(port)
        self.handshakes = []  # only ever grows
        self._pki = pki
        self._broker_port = broker_port
        self._server = server
        self._names = names
        self._alpn = alpn
        self._versions = versions
        self._ciphers = ciphers
        self._record_size = record_size
        self._flows = None  # an asyncio.Event while frozen() has been used
        self._numbers = itertools.count()
        self._writers = set()
        self._identities = {}  # common name → context that shows it

    # What tests ask --------------------------------------------------------------------------------------------------

    def wait_for_handshake(self, count=1, deadline_s=20):
        """The count-th handshake, successful or not, once it is over."""
        return wait_until(lambda: self.handshakes[count - 1] if len(self.handshakes) >= count else None, deadline_s,
                          f"{count} TLS handshakes")

    def cut(self):
        """Ends every connection on both sides, as a load balancer does."""
        async def close():
            for writer in list(self._writers):
                writer.transport.abort()
        self.call(close())

    def freeze(self, frozen):
        """While frozen, nothing passes and nobody is told: a half-open link."""
        async def change():
            if self._flows is None:
                self._flows = asyncio.Event()
            (self._flows.clear if frozen else self._flows.set)()
        self.call(change())

    # The work --------------------------------------------------------------------------------------------------------

    async def serve(self, connection):
        handshake = Handshake(0)
        try:
            reader, writer = await open_accepted(self.loop, connection, self._context(handshake))
        except OSError as error:  # ssl.SSLError is one
            self._over(handshake, handshake.error or str(error))
            return
        tls = writer.get_extra_info("ssl_object")
        handshake.alpn = tls.selected_alpn_protocol()
        handshake.version = tls.version()
        handshake.cipher = tls.cipher()[0]
        handshake.shared_ciphers = tuple(cipher[0] for cipher in tls.shared_ciphers() or ())
        handshake.common_name = common_name(tls.getpeercert() or {})
        if self._alpn is not None and handshake.alpn != self._alpn:
            self._over(handshake, f"no ALPN {self._alpn}")
            writer.transport.abort()
            return
        self._over(handshake, None)
        self._writers.add(writer)
        try:
            await self._forward(reader, writer, handshake.common_name)
        except OSError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _over(self, handshake, error):
        handshake.at = time.monotonic()
        handshake.error = error
        self.handshakes.append(handshake)

    def _context(self, handshake):
        """One for each connection, as it knows where to note the server name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version, context.maximum_version = self._versions
        if self._ciphers:
            context.set_ciphers(self._ciphers)
        context.options |= ssl.OP_NO_TICKET  # AWS IoT Core resumes no session
        context.num_tickets = 0
        context.load_cert_chain(self._pki.path(self._server + ".crt"), self._pki.path(self._server + ".key"))
        context.load_verify_locations(self._pki.path("ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        if self._alpn is not None:
            context.set_alpn_protocols([self._alpn])
        if self._record_size is not None:
            limit_records(context, max(self._record_size, SMALLEST_FRAGMENT))

        def look_at_name(tls, name, unused):
            handshake.sni = name
            if self._names is None or name in self._names:
                return None
            handshake.error = "no server name" if name is None else f"unknown server name {name}"
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        context.sni_callback = look_at_name
        return context

    async def _forward(self, reader, writer, name):
        context = await self._identity(name)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._broker_port, ssl=context,
                                                               server_hostname="localhost")
        self._writers.add(far_writer)
        try:
            ways = [self.spawn(self._pump(reader, far_writer, None)),
                    self.spawn(self._pump(far_reader, writer, self._record_size))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)  # MQTT knows no half-closed connection
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._writers.discard(far_writer)
            far_writer.close()

    async def _identity(self, name):
        """A client's context with a certificate of this common name."""
        if name not in self._identities:
            file = f"front_{self.port}_{next(self._numbers)}"
            await asyncio.to_thread(self._pki.issue, file, name)
            context = ssl.create_default_context(cafile=self._pki.path("ca.crt"))
            context.load_cert_chain(self._pki.path(file + ".crt"), self._pki.path(file + ".key"))
            for ending in (".crt", ".key"):
                os.remove(self._pki.path(file + ending))
            self._identities[name] = context
        return self._identities[name]

    async def _pump(self, reader, writer, record_size):
        while True:
            data = await reader.read(1 << 16)
            if not data:
                return
            if record_size == LARGEST_RECORD:
                data = await gather(reader, data)
            if self._flows is not None:
                await self._flows.wait()
            for at in range(0, len(data), record_size or len(data)):
                writer.write(data[at:at + (record_size or len(data))])  # one call, one record
            await writer.drain()


async def gather(reader, data):
    """What follows at once comes along, so that full records can be made of it."""
    with contextlib.suppress(TimeoutError):
        while len(data) < 64 * LARGEST_RECORD:
            more = await asyncio.wait_for(reader.read(1 << 16), GATHER_S)
            if not more:
                break
            data += more
    return data


def limit_records(context, size):
    """No TLS record that OpenSSL sends with this context holds more. Python's ssl has no name for it, so the SSL_CTX is
    taken out of the SSLContext, where it is the first member behind the object's head (CPython, not a debug build)."""
    library = ctypes.CDLL("libssl.so.3")
    library.SSL_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
    library.SSL_CTX_ctrl.restype = ctypes.c_long
    native = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if library.SSL_CTX_ctrl(native, SSL_CTRL_SET_MAX_SEND_FRAGMENT, size, None) != 1:
        raise ValueError(f"OpenSSL takes no records of {size} bytes")
