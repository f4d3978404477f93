#!/usr/bin/python3
"""A gateway for hours, while its broker goes and comes: does it grow, leak, slow down or lose anything?

usage: tests/acceptance/reliability/soak.py --executable PATH [--hours 2 | --minutes M] [--bounce 180] [--csv FILE]

`twinkeeper simulate` serves 50 devices (50 FLOAT32 registers each), polled every 100 ms by a thread each; 20 twins of
(4, 2, 2) step every 100 ms. The samples of each device and the state of each twin leave once a second over mutual TLS
to a Mosquitto, which every three minutes is stopped or killed, in turns, for 5 s or 20 s. A subscriber with a session
that outlives the broker balances the sequence numbers. Memory, descriptors, threads and CPU of the daemon are read
every 10 s from /proc (which needs root: the daemon hides its descriptors from everybody else) and written to FILE.

What is judged is in soak_report.py; a run of less than 30 minutes is printed, and judged for losses alone. Exits with 1
if a bar is missed.
"""
import argparse
import array
import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time

SOURCE = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(SOURCE / "tests" / "support"), str(SOURCE / "bench")]

import paho.mqtt.client as mqtt  # noqa: E402

import soak_report  # noqa: E402
from gateway_load import MODEL, REGISTERS, print_machine, uplink  # noqa: E402
from rig.broker import Broker  # noqa: E402
from rig.pki import Pki  # noqa: E402
from rig.ports import free_port  # noqa: E402
from rig.process import Process  # noqa: E402
from rig.service import Simulator  # noqa: E402
from rig.waiting import wait_until  # noqa: E402
from running_ledger import RunningLedger  # noqa: E402

DEVICES, TWINS = 50, 20
SAMPLE_S = 10
OUTAGES_S = (5, 5, 20, 20)  # each of both lengths after a stop and after a kill
DRAIN_S = 600  # on a machine that is busy with other work


def write_configuration(folder, ports, mqtt_port):
    """Inputs and outputs of a twin come from two devices; ten devices belong to no twin."""
    (folder / "model.yaml").write_text(MODEL, encoding="utf-8")
    lines = [f"gateway: {{id: soak, state_directory: {folder}/state}}", "register_sets:", "  floats:"]
    lines += [f"    - {{name: r{r}, register: holding, address: {2 * r}, type: FLOAT32}}" for r in range(REGISTERS)]
    lines.append("devices:")
    for i, port in enumerate(ports):
        lines += [f"  - name: d{i}", f"    controller: tcp://127.0.0.1:{port}", "    poll_interval: 100ms",
                  "    publish: {interval: 1s}", "    registers: floats"]
    lines.append("twins:")
    for t in range(TWINS):
        lines += [f"  - name: t{t}", "    period: 100ms", "    model: model.yaml",
                  f"    inputs: {{u1: d{t}.r2, u2: d{TWINS + t}.r3}}",
                  f"    outputs: {{y1: d{t}.r0, y2: d{TWINS + t}.r1}}", "    publish: {state_interval: 1s}"]
    path = folder / "soak.yaml"
    path.write_text("\n".join(lines + uplink(folder, mqtt_port)) + "\n", encoding="utf-8")
    return path


class Subscriber:
    """Its session is the broker's to keep: what is published while it is away comes later."""

    def __init__(self, pki, port, ledger):
        self.lost_sessions = 0
        self._known = False
        self._subscribed = threading.Event()
        self._ledger = ledger
        self.connected = False
        self._client = mqtt.Client(client_id="soak-subscriber", clean_session=False)
        self._client.tls_set(pki.path("ca.crt"), pki.path("subscriber.crt"), pki.path("subscriber.key"))
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = lambda _client, _user, m: ledger.take(m.payload, m.retain)  # acknowledged after this
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("localhost", port)
        self._closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._subscribed.wait(20), "the subscriber has not subscribed"

    def _serve(self):
        while not self._closing:
            try:
                self._client.loop_forever()
            except OSError:  # paho 1.6 lets the end of a TLS connection through if it meets it while writing
                self.connected = False
                self._reconnect()

    def _reconnect(self):
        while not self._closing:
            try:
                self._client.reconnect()
                return
            except OSError:
                time.sleep(1)

    def has_read_all(self):
        """Whether nothing that the broker sent waits in the socket."""
        tls = self._client.socket()
        if not self.connected or tls is None:
            return False
        waiting = array.array("i", [0])
        fcntl.ioctl(tls.fileno(), termios.FIONREAD, waiting)
        return waiting[0] == 0 and tls.pending() == 0

    def _on_connect(self, client, _user, flags, code):
        assert code == 0, f"the broker refuses the subscriber: {code}"
        if not flags["session present"]:
            self.lost_sessions += self._known
            client.subscribe("twinkeeper/soak/#", qos=1)
        self._known = self.connected = True

    def _on_disconnect(self, *_):
        self.connected = False

    def close(self):
        self._closing = True
        self._client.disconnect()
        self._thread.join(timeout=20)


def read_process(pid):
    """What /proc tells of a process now."""
    status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return {"rss_kb": int(status["VmRSS"].split()[0]), "anon_kb": int(status["RssAnon"].split()[0]),
            "descriptors": len(os.listdir(f"/proc/{pid}/fd")), "threads": int(status["Threads"]),
            "cpu_s": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")}


def on_disk(folder):
    """An empty folder on a real file system: on a tmpfs the spool would be memory."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="twinkeeper-soak.", dir=folder))
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], check=True, capture_output=True, text=True).stdout.strip()
    assert kind not in ("tmpfs", "ramfs", "overlayfs"), f"{folder} is on a {kind}; name a folder on a disk by --folder"
    return folder


class Soak:
    def __init__(self, arguments, folder):
        self.seconds = 3600 * arguments.hours if arguments.minutes is None else 60 * arguments.minutes
        self.bounce_s = arguments.bounce
        self.folder = folder
        self.ledger = RunningLedger()
        self.rows = []
        self.bounces = 0
        self.back = None         # when the broker was started again, and what had been received by then
        self.returns_s = []      # from then to the first message
        self._csv = soak_report.Csv(arguments.csv)

    def prepare(self, executable):
        pki = Pki(str(self.folder / "pki"))
        self.broker = Broker(str(self.folder), pki, log="error warning notice", saves="seldom")
        self.broker.start()
        (self.folder / "state").mkdir()
        ports = [free_port() for _ in range(DEVICES)]
        self.configuration = write_configuration(self.folder, ports, self.broker.port)
        self.simulator = Simulator(str(self.folder), str(self.configuration), ports[0])
        self.simulator.start()
        self.subscriber = Subscriber(pki, self.broker.port, self.ledger)
        self.executable = executable

    def start_daemon(self):
        self.daemon = Process("daemon", [self.executable, "run", "--config", str(self.configuration)], str(self.folder))

    def end(self):
        for part in ("daemon", "simulator", "broker"):
            held = getattr(self, part, None)
            process = getattr(held, "process", held)
            if process is not None:
                process.kill()

    def must_run(self):
        for process in (self.daemon, self.simulator.process):
            assert process.running(), f"{process.name} ended by itself with {process.exit_code()}\n{process.tail(60)}"

    def schedule(self):
        """[(seconds, what, how)] in order of time."""
        events = [(s, self.sample, "") for s in range(0, int(self.seconds) + 1, SAMPLE_S)]
        for i in range(int(self.seconds / self.bounce_s)):
            at = (i + 0.5) * self.bounce_s
            events += [(at, self.take_broker_away, "kill" if i % 2 else "stop"),
                       (at + OUTAGES_S[i % len(OUTAGES_S)], self.bring_broker_back, "")]
        return sorted(events, key=lambda event: event[0])

    def run(self):
        self.start_daemon()
        wait_until(lambda: self.ledger.newest_live_ms, 60, "the first live message")
        self.began = time.monotonic()
        for seconds, act, how in self.schedule():
            while time.monotonic() - self.began < seconds:
                self.must_run()
                self.watch_return()
                time.sleep(min(0.2, max(0, seconds - time.monotonic() + self.began)))
            act(how)
        wait_until(self.has_returned, DRAIN_S, "messages after the last outage")

    def has_returned(self):
        self.watch_return()
        return self.back is None

    def watch_return(self):
        if self.back and self.ledger.total("received") > self.back[1]:
            self.returns_s.append(time.monotonic() - self.back[0])
            self.back = None

    def sample(self, phase):
        row = {"elapsed_s": round(time.monotonic() - self.began, 2), "phase": phase, **read_process(self.daemon.pid),
               "simulator_cpu_s": read_process(self.simulator.process.pid)["cpu_s"],
               "received": self.ledger.total("received"), "duplicates": self.ledger.total("duplicates"),
               "open": self.ledger.holes_so_far(), "told": self.ledger.total("told"),
               "sessions": len(self.ledger.sessions)}
        metrics = self.ledger.metrics
        for name in ("rss_bytes", "spool_messages", "spool_bytes", "spool_dropped_total", "reconnects_total",
                     "steps_missed_total", "steps_total", "samples_total", "samples_bad_total", "samples_dropped_total",
                     "steps_dropped_total"):
            row[name] = metrics.get(name)
        self.rows.append(row)
        self._csv.write(row)

    def take_broker_away(self, how):
        """Before that, all descriptors are open and nothing is in a queue: these samples compare with each other.

        A broker that is killed stands still for a second first: the subscriber reads what it was sent. So what
        was acknowledged to the daemon cannot be lost at the subscriber's end, though the broker saves it seldom: one
        that saves each change would acknowledge fewer messages than a gateway on a busy machine makes.
        """
        wait_until(self.has_returned, DRAIN_S, "a message since the last outage")
        wait_until(self.subscriber.has_read_all, DRAIN_S, "the subscriber to have read what was sent")
        self.sample("before_bounce")
        if how == "kill":
            self.broker.process.send(signal.SIGSTOP)
            time.sleep(0.5)
            wait_until(self.subscriber.has_read_all, DRAIN_S, "the subscriber to have read what was sent")
            time.sleep(0.5)
            self.broker.kill()
        else:
            self.broker.stop()
        self.bounces += 1
        self.sample("after_" + how)

    def bring_broker_back(self, _how):
        self.back = (time.monotonic(), self.ledger.total("received"))
        self.broker.start()

    def balance(self):
        """Ends the daemon and starts it once more to learn how far it had come. Returns the holes."""
        self.log_lines = self.daemon.stderr().count("\n")
        code = self.daemon.stop()
        assert code == 0, f"the daemon ended with {code} after SIGTERM\n{self.daemon.tail(60)}"
        self.start_daemon()
        wait_until(self.ledger.ended, 60, "the status that tells how far the run had come")
        try:
            wait_until(lambda: not self.ledger.holes(), DRAIN_S, "everything that was stored")
        except AssertionError:
            pass  # told by the report
        return self.ledger.holes()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executable", required=True)
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--minutes", type=float, help="instead of hours")
    parser.add_argument("--bounce", type=float, default=180, help="seconds from one outage to the next")
    parser.add_argument("--csv", default="soak.csv")
    parser.add_argument("--folder", default="/var/tmp", help="on a disk; what is made in it is removed at the end")
    arguments = parser.parse_args()
    executable = os.path.abspath(arguments.executable)
    os.environ["TWINKEEPER_EXECUTABLE"] = executable
    folder = on_disk(arguments.folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # its folder and its children go then, too
    soak = Soak(arguments, folder)
    print_machine()
    try:
        soak.prepare(executable)
        soak.run()
        holes = soak.balance()
        return soak_report.report(soak, holes)
    finally:
        soak.end()
        with contextlib.suppress(OSError):
            shutil.copyfile(folder / "daemon.err", arguments.csv + ".log")
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
