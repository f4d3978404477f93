"""A TCP listener on an event loop in a thread of its own, which a test can start and stop."""
import asyncio
import contextlib
import socket
import threading

HANDSHAKE_S = 10


class LoopThread:
    """Subclasses implement `async def serve(self, connection)` for each accepted socket.

    `process` is None: the rig's list of parts asks every part for it.
    """

    process = None

    def __init__(self, port=0):
        self._wanted_port = port
        self.port = None
        self.loop = None
        self._thread = None
        self._socket = None
        self._tasks = set()

    def start(self):
        """Listens on 127.0.0.1, again on the same port after stop()."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", self.port or self._wanted_port))
        self._socket.listen(100)
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self):
        """Closes the port and every connection."""
        if self._thread is None:
            return
        self.loop.call_soon_threadsafe(self._cancel)
        self._thread.join(timeout=30)
        assert not self._thread.is_alive(), "the event loop did not end"
        self._thread = None

    end = stop  # the rig's word for it

    def call(self, coroutine, deadline_s=30):
        """Runs a coroutine on the loop and returns what it returns."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(deadline_s)

    def spawn(self, coroutine):
        """On the loop's own thread: a task that ends with the listener at the latest."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.set_exception_handler(lambda loop, context: None)  # sockets that break off are what tests are about
        accepting = self.spawn(self._accept())
        with contextlib.suppress(asyncio.CancelledError):
            self.loop.run_until_complete(accepting)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.run_until_complete(asyncio.sleep(0))
        self._socket.close()
        self.loop.close()

    def _cancel(self):
        for task in list(self._tasks):
            task.cancel()

    async def _accept(self):
        while True:
            connection, _ = await self.loop.sock_accept(self._socket)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.spawn(self.serve(connection))


async def open_accepted(loop, connection, context=None):
    """(reader, writer) of an accepted socket; with `context` after the TLS handshake, which may raise."""
    reader = asyncio.StreamReader(limit=1 << 20, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    handshake = {"ssl": context, "ssl_handshake_timeout": HANDSHAKE_S, "ssl_shutdown_timeout": 1} if context else {}
    try:
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, **handshake)
    except BaseException:
        connection.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def common_name(certificate):
    """Of the dictionary that getpeercert() gives."""
    return next((value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"), None)
