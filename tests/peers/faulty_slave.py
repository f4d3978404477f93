"""A Modbus TCP slave that misbehaves: faulty_slave.py PORT SEED TIMEOUT_S, TIMEOUT_S being the client's time-out.

Each register pair is a UINT32: its address above, the number of the request below. A line of JSON per request on
standard output says what was done to it: its number, address and time, and whether its value may count as good.
"""
import json
import random
import socket
import struct
import sys
import time

KINDS = ["late", "dripping", "padded", "truncated", "header", "transaction", "slave", "length", "garbage", "exception",
         "close", "silence", "stale"]
# After these the reply is whole, right and in time, whatever else happened.
COUNTS_AS_GOOD = {"good", "padded"}


def frame(transaction, unit, pdu):
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


class Slave:
    def __init__(self, seed, timeout):
        self.random = random.Random(seed)
        self.timeout = timeout
        self.number = 0
        self.storm = 0
        self.previous = b""

    def reply(self, request):
        """Returns (kind, bytes, delay before them, pause between bytes, whether to close)."""
        transaction, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", request)
        self.number += 1
        words = [address + i if i % 2 == 0 else self.number & 0xFFFF for i in range(count)]
        pdu = struct.pack(">BB", function, 2 * count) + struct.pack(f">{count}H", *words)
        good = frame(transaction, unit, pdu)
        refusal = frame(transaction, unit, bytes([function | 0x80, self.random.choice([1, 3, 4, 5, 6, 10, 11])]))
        stale, self.previous = self.previous, good
        kind = self.random.choice(KINDS) if self.random.random() < 0.2 else "good"
        if self.storm:
            self.storm -= 1
            kind = "exception"
        print(json.dumps({"number": self.number, "address": address, "count": count, "time": time.time(), "kind": kind,
                          "good": kind in COUNTS_AS_GOOD}), flush=True)
        if kind == "late":
            return kind, good, self.random.uniform(1.2, 3) * self.timeout, 0, False
        if kind == "dripping":
            return kind, good, 0, 2 * self.timeout / len(good), False
        if kind == "padded":
            return kind, good + self.random.randbytes(3), 0, 0, False
        if kind == "truncated":
            return kind, good[:self.random.randrange(len(good))], 0, 0, False
        if kind == "header":
            at = self.random.randrange(9)
            return kind, good[:at] + bytes([good[at] ^ self.random.randrange(1, 256)]) + good[at + 1:], 0, 0, False
        if kind == "transaction":
            return kind, frame((transaction - self.random.randrange(1, 4)) & 0xFFFF, unit, pdu), 0, 0, False
        if kind == "slave":
            return kind, frame(transaction, unit + 1, pdu), 0, 0, False
        if kind == "length":
            return kind, frame(transaction, unit, pdu[:-2]), 0, 0, False
        if kind == "garbage":
            return kind, self.random.randbytes(self.random.randrange(1, 30)) + good, 0, 0, False
        if kind == "exception":
            self.storm = self.storm or self.random.randrange(5)
            return kind, refusal, 0, 0, False
        if kind == "close":
            return kind, good[:self.random.randrange(len(good))], 0, 0, True
        if kind == "silence":
            return kind, b"", 0, 0, False
        if kind == "stale":
            return kind, stale + good, 0, 0, False
        return kind, good, 0, 0, False


def serve(connection, slave):
    """Until the client hangs up or this side closes; a reply that is late is sent even then, to nobody."""
    received = b""
    while True:
        chunk = connection.recv(64)
        if not chunk:
            return
        received += chunk
        while len(received) >= 12:
            request, received = received[:12], received[12:]
            _, data, delay, pause, close = slave.reply(request)
            time.sleep(delay)
            for piece in [bytes([byte]) for byte in data] if pause else [data]:
                connection.sendall(piece)
                time.sleep(pause)
            if close:
                return


def main():
    port, seed, timeout = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    slave = Slave(seed, timeout)
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            serve(connection, slave)
        except OSError:
            pass  # the client has gone
        connection.close()


if __name__ == "__main__":
    main()
