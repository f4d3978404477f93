"""Measures what the daemon costs with many devices: CPU per device-cycle, memory, and latency from sample to subscriber.

usage: bench/gateway_load.py --executable PATH [--peer PATH] [--before PATH] [--devices 1,10,50] [--seconds 30]

For each number of devices: `twinkeeper simulate` serves them (50 FLOAT32 registers each), the daemon polls every 100 ms,
runs one twin of (4, 2, 2) per device and publishes samples and state of every cycle through its spool to a Mosquitto that
demands client certificates (profile mqtt). Beside it, in the same run, the peer (bench/plain_gateway.c: libmodbus and
paho C, one message per cycle, no twin, no spool) does the plain job. CPU is user + system time of the process from
/proc, latency is arrival at the subscriber minus the message's own time.
"""
import argparse
import json
import os
import pathlib
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import paho.mqtt.client as mqtt

ROOT = pathlib.Path(__file__).resolve().parent.parent
PERIOD = 0.1
REGISTERS = 50


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


MODEL = """\
model:
  name: bench
  version: 1
  type: state_space
  time: discrete
  sample_time: 0.1
  states: [{name: x1, initial: 1, initial_std: 0.1}, {name: x2, initial: 1, initial_std: 0.1}, {name: x3, initial: 1, initial_std: 0.1}, {name: x4, initial: 1, initial_std: 0.1}]
  inputs: [{name: u1, nominal: 1, min: 0, max: 2}, {name: u2, nominal: 1, min: 0, max: 2}]
  outputs: [{name: y1, nominal: 1}, {name: y2, nominal: 1}]
  A: [[0.95, 0.02, 0, 0], [0, 0.9, 0.03, 0], [0, 0, 0.93, 0.01], [0.01, 0, 0, 0.97]]
  B: [[0.01, 0], [0, 0.02], [0.01, 0], [0, 0.01]]
  C: [[1, 0, 0, 0], [0, 0, 1, 0]]
  noise:
    Q: [[1.0e-6, 0, 0, 0], [0, 1.0e-6, 0, 0], [0, 0, 1.0e-6, 0], [0, 0, 0, 1.0e-6]]
    R: [[1.0e-4, 0], [0, 1.0e-4]]
  operating_point: {x: [1, 1, 1, 1], u: [1, 1], y: [1, 1]}
"""


def uplink(folder, mqtt_port):
    return ["uplink:", f"  endpoint: localhost:{mqtt_port}", "  profile: mqtt", f"  cert: {folder}/pki/gateway.crt",
            f"  key: {folder}/pki/gateway.key", f"  root_ca: {folder}/pki/ca.crt"]


def write_broker_configuration(folder, mqtt_port):
    user = subprocess.run(["id", "-un"], check=True, capture_output=True, text=True).stdout.strip()
    (folder / "mosquitto.conf").write_text(
        f"listener {mqtt_port} 127.0.0.1\ncafile {folder}/pki/ca.crt\ncertfile {folder}/pki/server.crt\n"
        f"keyfile {folder}/pki/server.key\nrequire_certificate true\nuse_identity_as_username true\nuser {user}\n", encoding="utf-8")


def print_machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), "?")
    print(f"machine: {model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")


def write_config(folder, ports, mqtt_port):
    (folder / "model.yaml").write_text(MODEL, encoding="utf-8")
    lines = [f"gateway: {{id: bench, state_directory: {folder}/state}}", "devices:"]
    for i, port in enumerate(ports):
        lines += [f"  - name: d{i}", f"    controller: tcp://127.0.0.1:{port}", "    transmission_mode: TCP",
                  "    slave_id: 1", "    poll_interval: 100ms", "    timeout: 1s", "    publish: {interval: 100ms}",
                  "    registers:"]
        lines += [f"      - {{name: r{r}, register: holding, address: {2 * r}, type: FLOAT32}}" for r in range(REGISTERS)]
    lines.append("twins:")
    for i in range(len(ports)):
        lines += [f"  - name: t{i}", "    period: 100ms", "    model: model.yaml",
                  f"    inputs: {{u1: d{i}.r2, u2: d{i}.r3}}", f"    outputs: {{y1: d{i}.r0, y2: d{i}.r1}}",
                  "    publish: {state_interval: 100ms}"]
    lines += uplink(folder, mqtt_port)
    path = folder / "bench.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def usage(pid):
    """CPU seconds so far and resident bytes of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    rss = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return cpu, rss


def connected_client(folder, port, client_id, on_message):
    """A client of the broker as soon as that is there; its loop is the caller's to start."""
    client = mqtt.Client(client_id=client_id, protocol=mqtt.MQTTv5)
    client.tls_set(ca_certs=f"{folder}/pki/ca.crt", certfile=f"{folder}/pki/subscriber.crt", keyfile=f"{folder}/pki/subscriber.key")
    client.on_message = on_message
    deadline = time.monotonic() + 20
    while True:
        try:
            client.connect("localhost", port)
            return client
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Subscriber:
    def __init__(self, folder, port):
        self.latencies = []
        self.count = 0
        self.client = connected_client(folder, port, "bench-subscriber", self.take)
        # One twin is enough to time: the subscriber must not become the bottleneck of a two-core machine.
        self.client.subscribe([("twinkeeper/bench/twins/t0/state", 1), ("plain/bench/0", 1)])
        self.client.loop_start()

    def take(self, _client, _user, message):
        now = time.time()
        self.count += 1
        self.latencies.append(now - json.loads(message.payload)["time_ms"] / 1000)

    def reset(self):
        self.latencies, self.count = [], 0

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else float("nan")


def measure(process, subscriber, devices, seconds, settle=5):
    time.sleep(settle)
    subscriber.reset()
    cpu_before, _ = usage(process.pid)
    started = time.monotonic()
    time.sleep(seconds)
    cpu_after, rss = usage(process.pid)
    cycles = devices * (time.monotonic() - started) / PERIOD
    return {"cpu_ms_per_cycle": 1000 * (cpu_after - cpu_before) / cycles, "rss_mb": rss / 1e6,
            "latency_median_ms": 1000 * statistics.median(subscriber.latencies or [float("nan")]),
            "latency_p99_ms": 1000 * quantile(subscriber.latencies, 0.99), "messages": subscriber.count}


class Rig:
    """What a bench runs, in a folder with keys and an empty state directory. On leaving everything ends; if that is by an
    exception, the end of what was said on standard error is printed."""

    def __enter__(self):
        self._temporary = tempfile.TemporaryDirectory(prefix="twinkeeper-bench.")
        self.folder = pathlib.Path(self._temporary.name)
        (self.folder / "state").mkdir()
        subprocess.run([ROOT / "scripts/make-pki", self.folder / "pki"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._log = open(self.folder / "stderr.log", "a", encoding="utf-8")
        self._processes = []
        return self

    def start(self, *command):
        environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin")  # Debian's place for mosquitto
        process = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=self._log, env=environment)
        self._processes.append(process)
        return process

    def start_broker(self, port):
        write_broker_configuration(self.folder, port)
        return self.start("mosquitto", "-c", self.folder / "mosquitto.conf")

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
        self._processes.remove(process)

    def __exit__(self, kind, _value, _traceback):
        for process in self._processes:
            process.kill()
            process.wait()
        self._log.close()
        if kind is not None:
            print((self.folder / "stderr.log").read_text(encoding="utf-8")[-3000:], file=sys.stderr)
        self._temporary.cleanup()


def run_case(arguments, devices):
    with Rig() as rig:
        *ports, mqtt_port = free_ports(devices + 1)
        config = write_config(rig.folder, ports, mqtt_port)
        rig.start_broker(mqtt_port)
        rig.start(arguments.executable, "simulate", "--config", config)
        subscriber = Subscriber(rig.folder, mqtt_port)
        results = {}
        for program, executable in (("before", arguments.before), ("twinkeeper", arguments.executable)):
            if executable:
                daemon = rig.start(executable, "run", "--config", config)
                results[program] = measure(daemon, subscriber, devices, arguments.seconds)
                rig.stop(daemon)
        if arguments.peer:
            peer = rig.start(arguments.peer, f"ssl://localhost:{mqtt_port}", rig.folder / "pki", *ports)
            results["plain C"] = measure(peer, subscriber, devices, arguments.seconds)
            rig.stop(peer)
        subscriber.close()
        return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executable", required=True)
    parser.add_argument("--peer")
    parser.add_argument("--before", help="another build of twinkeeper, to be measured in the same run")
    parser.add_argument("--devices", default="1,10,50")
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    print_machine()
    print(f"{'devices':>7} {'program':>12} {'CPU ms/cycle':>13} {'RSS MB':>7} {'median ms':>10} {'p99 ms':>8} {'messages':>9}")
    for devices in (int(d) for d in arguments.devices.split(",")):
        for program, r in run_case(arguments, devices).items():
            print(f"{devices:>7} {program:>12} {r['cpu_ms_per_cycle']:>13.3f} {r['rss_mb']:>7.1f} "
                  f"{r['latency_median_ms']:>10.1f} {r['latency_p99_ms']:>8.1f} {r['messages']:>9}", flush=True)


if __name__ == "__main__":
    main()
