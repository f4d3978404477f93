"""A small rig for tests of the whole service: real processes, real sockets, nothing shared with the daemon's code.

One test gets a temporary folder, a certificate authority, a Mosquitto that demands client certificates, the daemon
under test, the simulated plant or a foreign Modbus server, and a subscriber. Everything is stopped at the end and, if
the test failed, the last lines of every log are printed.
"""
from .case import RigTestCase, main
from .waiting import wait_until

__all__ = ["RigTestCase", "main", "wait_until"]
