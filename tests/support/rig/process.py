"""A child process whose output goes to files and that never outlives the test."""
import ctypes
import os
import pathlib
import re
import signal
import subprocess

from .waiting import wait_until

UNIT = pathlib.Path(__file__).resolve().parents[3] / "systemd" / "twinkeeper.service"
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def clean_environment(extra=None):
    """The environment of a service: what the unit sets and unsets, and no notification socket of somebody else."""
    unwanted = {"http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "MQTT_C_CLIENT_TRACE", "NOTIFY_SOCKET",
                "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    with open(UNIT, encoding="utf-8") as unit:
        for line in unit:
            if set_here := re.fullmatch(r'Environment="?(\w+)=(.*?)"?\n', line):
                environment[set_here[1]] = set_here[2]
    environment.update(extra or {})
    return environment


class Process:
    def __init__(self, name, command, folder, environment=None, stdin=None, pass_fds=()):
        self.name = name
        self.stdout_path = os.path.join(folder, f"{name}.out")
        self.stderr_path = os.path.join(folder, f"{name}.err")
        with open(self.stdout_path, "ab") as out, open(self.stderr_path, "ab") as err:
            self._popen = subprocess.Popen(command, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=err,
                                           env=clean_environment(environment), preexec_fn=_die_with_parent,
                                           pass_fds=pass_fds, start_new_session=True)  # as a service manager does
        self.pid = self._popen.pid
        self.stdin = self._popen.stdin

    def running(self):
        return self._popen.poll() is None

    def exit_code(self):
        return self._popen.poll()

    def send(self, signal_number):
        self._popen.send_signal(signal_number)

    def wait(self, deadline_s):
        return self._popen.wait(timeout=deadline_s)

    def kill(self):
        """SIGKILL, and gone when this returns."""
        if self.running():
            self._popen.kill()
        self._popen.wait(timeout=30)
        if self.stdin:
            self.stdin.close()

    def stop(self, deadline_s=30):
        """SIGTERM; returns the exit code, fails if the process does not end."""
        if self.running():
            self.send(signal.SIGTERM)
        wait_until(lambda: not self.running(), deadline_s, lambda: f"{self.name} to end after SIGTERM\n{self.tail()}")
        if self.stdin:
            self.stdin.close()
        return self.exit_code()

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stdout(self):
        with open(self.stdout_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def tail(self, lines=25):
        return "\n".join(f"  {self.name}| {line}" for line in self.stderr().splitlines()[-lines:])
