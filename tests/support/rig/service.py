"""The executable under test: the daemon, the simulator and single commands."""
import os
import signal
import subprocess

from .ports import listens
from .process import Process, clean_environment
from .waiting import wait_until


def executable():
    path = os.environ.get("TWINKEEPER_EXECUTABLE")
    assert path, "set TWINKEEPER_EXECUTABLE to the twinkeeper executable under test"
    assert os.access(path, os.X_OK), f"TWINKEEPER_EXECUTABLE={path} cannot be executed"
    return path


def command(*arguments, environment=None, deadline_s=60, stdout=subprocess.PIPE):
    """Runs one command to its end; returns subprocess.CompletedProcess with text output."""
    return subprocess.run([executable(), *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True,
                          timeout=deadline_s, env=clean_environment(environment), stdin=subprocess.DEVNULL)


class Daemon:
    """`twinkeeper run`. Start it again after stop() or kill(): the state directory stays."""

    def __init__(self, folder, configuration, notify, environment=None, arguments=()):
        self._folder = folder
        self._configuration = configuration
        self._arguments = arguments
        self._notify = notify
        self._environment = dict(environment or {})
        self.process = None
        self._ready_mark = 0

    def start(self, wait_ready=True):
        self._ready_mark = len(self._notify.lines())
        self.process = Process("daemon", [executable(), "run", "--config", self._configuration, *self._arguments],
                               self._folder,
                               {**self._environment, "NOTIFY_SOCKET": self._notify.path})
        if wait_ready:
            self.wait_ready()

    def wait_ready(self, deadline_s=30):
        def ready():
            self.must_run()
            return "READY=1" in self._notify.lines(self._ready_mark)
        wait_until(ready, deadline_s, "the daemon to send READY=1")

    def must_run(self):
        code = self.process.exit_code()
        assert code is None, f"the daemon ended by itself with {code}\n{self.process.tail(60)}"

    def stderr(self):
        return self.process.stderr()

    def stop(self, deadline_s=30):
        """SIGTERM and a clean end."""
        self.must_run()
        code = self.process.stop(deadline_s)
        assert code == 0, f"the daemon ended with {code} after SIGTERM\n{self.process.tail(60)}"

    def kill(self):
        self.must_run()
        self.process.kill()

    def hang_up(self):
        self.process.send(signal.SIGHUP)


class Simulator:
    """`twinkeeper simulate`, the plant behind the Modbus servers. `endpoint`: the port or the serial line to wait for."""

    def __init__(self, folder, configuration, endpoint, arguments=(), environment=None):
        self._folder = folder
        self._command = ["simulate", "--config", configuration, *arguments]
        self._endpoint = endpoint
        self._environment = environment
        self.process = None

    def start(self):
        self.process = Process("simulator", [executable(), *self._command], self._folder, self._environment)

        def serves():
            assert self.process.running(), f"the simulator ended by itself\n{self.process.tail()}"
            line = isinstance(self._endpoint, str)
            return os.path.exists(self._endpoint) if line else listens(self._endpoint)

        wait_until(serves, 30, "the simulator to serve")

    def kill(self):
        self.process.kill()

    def stop(self):
        self.process.stop()
