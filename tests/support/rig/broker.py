"""Mosquitto with client certificates.

What the broker has acknowledged to the daemon is the broker's to keep, and the daemon must not be blamed if a killed
broker loses it. So the proof is kept honest from the broker's side: it persists its sessions and queues at every change
(the subscriber's session survives a SIGKILL), and its window towards the subscriber is unlimited, so that a message is
in the socket of a connected subscriber before the daemon gets its PUBACK. A test kills it only while that holds.
"""
import os
import pwd
import shutil
import signal

from .ports import accepts, free_port
from .process import Process
from .waiting import wait_until


class Broker:
    def __init__(self, folder, pki, deny=None, log="all", saves="each_change"):
        """`deny`: a topic on which nobody may publish; the rest is open to every certificate of the authority.
        `log`: the types that are logged; of each message there are four lines among all of them.
        `saves`: each_change costs a flushed file for each message and holds the acknowledgements up; otherwise the
        broker saves when it ends and twice a minute, and must not be killed while it has something to hand out."""
        self.folder = folder
        self._pki = pki
        self.port = free_port()
        self.process = None
        self._configuration = os.path.join(folder, "mosquitto.conf")
        self._store = os.path.join(folder, "broker")
        os.makedirs(self._store, exist_ok=True)
        lines = [
            f"user {pwd.getpwuid(os.getuid()).pw_name}",
            "persistence true",
            f"persistence_location {self._store}/",
            f"autosave_interval {1 if saves == 'each_change' else 30}",
            f"autosave_on_changes {'true' if saves == 'each_change' else 'false'}",
            "max_inflight_messages 0",
            "max_queued_messages 1000000",  # 0 would make 2.0.11 close after a refused PUBLISH
            "log_dest stderr",
            *(f"log_type {kind}" for kind in log.split()),
        ]
        if deny:
            rules = os.path.join(folder, "access_rules")
            with open(rules, "w", encoding="ascii") as file:
                file.write(f"pattern readwrite #\npattern deny {deny}\n")
            os.chmod(rules, 0o600)
            lines.append(f"acl_file {rules}")
        with open(self._configuration, "w", encoding="ascii") as file:
            file.write("\n".join(lines) + "\n")
        self.add_listener(self.port, "server")

    def add_listener(self, port, server):
        """One more port, where the broker shows the certificate `server`; from the next start on."""
        with open(self._configuration, "a", encoding="ascii") as file:
            file.write(f"listener {port} 127.0.0.1\n"
                       f"cafile {self._pki.path('ca.crt')}\n"
                       f"certfile {self._pki.path(server + '.crt')}\n"
                       f"keyfile {self._pki.path(server + '.key')}\n"
                       "require_certificate true\n"
                       "use_identity_as_username true\n")

    def start(self):
        executable = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        assert executable, "mosquitto is not installed"
        self.process = Process("mosquitto", [executable, "-c", self._configuration], self.folder)

        def serves():
            assert self.process.running(), f"mosquitto ended by itself\n{self.process.tail()}"
            return accepts(self.port)

        wait_until(serves, 20, "mosquitto to accept connections")

    def stop(self):
        self.process.stop()

    def kill(self):
        self.process.kill()

    def reload(self):
        self.process.send(signal.SIGHUP)
