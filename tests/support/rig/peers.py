"""Modbus servers that were not written here, each a process of its own, and the line between two programs.

Each of them holds VALUES; registers from 200 on do not exist.
"""
import contextlib
import os
import shutil
import subprocess

from .pki import SOURCE
from .ports import listens
from .process import Process
from .waiting import wait_until

# register, address, type, byte order, value
VALUES = [("holding", 0, "float32", "ABCD", 0.1234), ("holding", 2, "float32", "CDAB", -17.25),
          ("holding", 4, "int16", "ABCD", -1234), ("holding", 10, "float64", "ABCD", 3.141592653589793),
          ("input", 20, "uint32", "CDAB", 70000), ("input", 22, "int32", "ABCD", -2), ("coil", 3, "bit", "-", 1),
          ("discrete", 7, "bit", "-", 1)]

# The same as a device's registers, and what must arrive of them.
REGISTERS = """\
    registers:
      - {name: level, register: holding, address: 0, type: FLOAT32, unit: m}
      - {name: flow, register: holding, address: 2, type: FLOAT32, byte_order: CDAB, unit: L/min}
      - {name: voltage, register: holding, address: 4, type: INT16, scale: 0.01, unit: V}
      - {name: pressure, register: holding, address: 10, type: FLOAT64, unit: bar}
      - {name: counter, register: input, address: 20, type: UINT32, byte_order: CDAB}
      - {name: balance, register: input, address: 22, type: INT32}
      - {name: pump_on, register: coil, address: 3, type: BIT}
      - {name: valve_open, register: coil, address: 4, type: BIT}
      - {name: door_closed, register: discrete, address: 7, type: BIT}
"""
TAGS = {"level": 0.1234, "flow": -17.25, "voltage": -12.34, "pressure": 3.141592653589793, "counter": 70000,
        "balance": -2, "pump_on": 1, "valve_open": 0, "door_closed": 1}


class Peer:
    """Start it again after kill()."""

    def __init__(self, folder, name, command, port=None):
        self.port = port
        self.process = None
        self._folder = folder
        self._name = name
        self._command = [str(argument) for argument in command]

    def start(self):
        self.process = Process(self._name, self._command, self._folder, stdin=subprocess.PIPE)
        if self.port is not None:
            wait_until(self._listens, 30, f"{self._name} to listen")

    def _listens(self):
        assert self.process.running(), f"{self._name} ended by itself\n{self.process.tail()}"
        return listens(self.port)

    def kill(self):
        self.process.kill()


class PymodbusPeer(Peer):
    """`mode`: tcp or rtuovertcp with `where` the port, or rtu with the line's name. Registers hold 0 until written."""

    def __init__(self, folder, mode, where, values=()):
        script = os.path.join(os.path.dirname(__file__), "pymodbus_peer.py")
        super().__init__(folder, "pymodbus", ["/usr/bin/python3", script, mode, where],
                         None if mode == "rtu" else where)
        self._values = values

    def start(self):
        self._done = 0
        self._printed = os.path.getsize(self.process.stdout_path) if self.process else 0
        super().start()
        for value in self._values:
            self.write(*value)

    def write(self, register, address, kind, order, value):
        self.process.stdin.write(f"{register} {address} {kind} {order} {value}\n".encode())
        self.process.stdin.flush()
        self._done += 1
        wait_until(lambda: self.process.stdout()[self._printed:].count("done") == self._done, 20,
                   f"pymodbus to take {value}")


class ModbusSerialPeer(Peer):
    """The npm package modbus-serial as a Modbus TCP server."""

    def __init__(self, folder, port):
        package = os.path.join(SOURCE, "tests", "peers", "modbus-serial")
        assert os.path.isdir(os.path.join(package, "node_modules")), "run scripts/install-test-peers first"
        super().__init__(folder, "modbus-serial", [tool("node"), os.path.join(package, "server.js"), port], port)


class LibmodbusPeer(Peer):
    """libmodbus's own server; `mode` and `where` as for pymodbus, without rtuovertcp."""

    def __init__(self, folder, mode, where):
        program = os.environ.get("TWINKEEPER_LIBMODBUS_SERVER")
        assert program, "set TWINKEEPER_LIBMODBUS_SERVER to the program built of tests/peers/libmodbus_server.c"
        super().__init__(folder, "libmodbus", [program, mode, where], where if mode == "tcp" else None)


class LinePair:
    """Two ends of a serial line as socat makes them: pseudo-terminals under the names `near` and `far`."""

    def __init__(self, folder, near, far):
        self.near, self.far = near, far
        self.process = None
        self._folder = folder

    def start(self):
        for name in (self.near, self.far):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        ends = [f"pty,raw,echo=0,link={name}" for name in (self.near, self.far)]
        self.process = Process("socat", [tool("socat"), *ends], self._folder)
        wait_until(lambda: os.path.exists(self.near) and os.path.exists(self.far), 20, "socat to make its line")

    def kill(self):
        self.process.kill()


def tool(name):
    path = shutil.which(name)
    assert path, f"{name} is not installed; scripts/install-dependencies and scripts/install-test-peers do that"
    return path
