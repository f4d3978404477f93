"""The service manager's side of sd_notify: a datagram socket that keeps what it is told, with times."""
import os
import socket
import threading
import time


class NotifySocket:
    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._lock = threading.Lock()
        self._lines = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        while True:
            data = self._socket.recv(65536)
            if not data:
                return
            with self._lock:
                self._lines += [(time.monotonic(), line) for line in data.decode("utf-8").splitlines()]

    def lines(self, since=0):
        with self._lock:
            return [line for _, line in self._lines[since:]]

    def times(self, line):
        with self._lock:
            return [at for at, text in self._lines if text == line]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as farewell:
            farewell.sendto(b"", self.path)
        self._thread.join(timeout=5)
        self._socket.close()
        os.unlink(self.path)
