"""A daemon's wall clock that a test sets: real time and an offset, followed by a time source or not.

It needs libfaketime, and the module of tests/acceptance/reliability/fault_injection.c, which TWINKEEPER_FAULT_INJECTION
names. What is monotonic stays as it is.
"""
import glob
import os


class WallClock:
    def __init__(self, folder, offset_s=0, synchronised=None):
        """`synchronised` None: as the kernel says."""
        libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
        assert libraries, "faketime is not installed"
        shim = os.environ.get("TWINKEEPER_FAULT_INJECTION")
        assert shim, "set TWINKEEPER_FAULT_INJECTION to the module built of fault_injection.c"
        self._offset = os.path.join(folder, "clock_offset")
        self._state = os.path.join(folder, "clock_state")
        self.environment = {"LD_PRELOAD": f"{shim} {libraries[0]}", "FAKETIME_TIMESTAMP_FILE": self._offset,
                            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.step(offset_s)
        if synchronised is not None:
            self.environment["TWINKEEPER_CLOCK_STATE"] = self._state
            self.discipline(synchronised)

    def step(self, offset_s):
        self._replace(self._offset, f"{offset_s:+d}\n")

    def discipline(self, synchronised):
        self._replace(self._state, "0" if synchronised else "5")  # TIME_OK, TIME_ERROR

    @staticmethod
    def _replace(path, text):
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(text)
        os.replace(path + ".new", path)
