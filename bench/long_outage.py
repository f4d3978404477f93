"""Measures how the backlog of a long outage is drained beside live data.

usage: bench/long_outage.py --executable PATH --fill PATH [--hours 12] [--twins 10] [--bytes-per-second 4194304]

The spool is filled with a state a second of each twin for that long (bench/fill_spool.cpp, with the members of a state
that the daemon itself had published), `max_bytes: 1GiB`. Then the daemon runs on it beside its live data, ten twins with a
state a second each, through a Mosquitto that demands client certificates. What is printed: the backlog's bytes as they came
in packets, the time, the rate as a share of what the configured bytes per second leave beside live data, the daemon's memory
while it drains, and the latency of live states meanwhile. Both layouts, one after the other.
"""
import argparse
import json
import pathlib
import subprocess
import time

from gateway_load import MODEL, Rig, connected_client, free_ports, print_machine, quantile, uplink, usage

ENVELOPE = ("schema", "gateway", "stream", "epoch", "seq", "id", "time", "time_ms", "clock_synced", "boot_id", "replay")
REGISTERS = 4


def write_config(folder, port, mqtt_port, twins, layout, bytes_per_second):
    (folder / "model.yaml").write_text(MODEL, encoding="utf-8")
    lines = [f"gateway: {{id: bench, state_directory: {folder}/state}}", "devices:"]
    for t in range(twins):
        lines += [f"  - name: d{t}", f"    controller: tcp://127.0.0.1:{port}", f"    slave_id: {t + 1}", "    poll_interval: 1s",
                  "    registers:"]
        lines += [f"      - {{name: r{r}, register: holding, address: {2 * r}, type: FLOAT32}}" for r in range(REGISTERS)]
    lines.append("twins:")
    for t in range(twins):
        lines += [f"  - name: t{t}", "    period: 100ms", "    model: model.yaml", f"    inputs: {{u1: d{t}.r2, u2: d{t}.r3}}",
                  f"    outputs: {{y1: d{t}.r0, y2: d{t}.r1}}", f"    publish: {{state_interval: 1s, layout: {layout}}}"]
    lines += uplink(folder, mqtt_port) + [f"  max_bytes_per_second: {bytes_per_second}B", "spool: {max_bytes: 1GiB}"]
    path = folder / f"{layout}.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Consumer:
    def __init__(self, folder, port, twins):
        self.packed, self.packet_bytes, self.packets = 0, 0, 0
        self.first = self.last = None
        self.latencies, self.live_bytes, self.example = [], 0, None
        self.client = connected_client(folder, port, "bench-consumer", self.take)
        self.client.subscribe([("twinkeeper/bench/backlog", 1)] + [(f"twinkeeper/bench/twins/t{t}/state", 1) for t in range(twins)])
        self.client.loop_start()

    def take(self, _client, _user, message):
        now = time.monotonic()
        if message.topic.endswith("/backlog"):
            self.first = self.first or now
            self.last = now
            self.packets += 1
            # Counted by its members: a consumer in Python that parsed them all would be the bottleneck.
            self.packed += message.payload.count(b'"schema":"twinkeeper.state')
            self.packet_bytes += len(message.payload) + len(message.topic)
            return
        document = json.loads(message.payload)
        if not document["replay"]:
            self.example = document
            self.live_bytes += len(message.payload) + len(message.topic)
            self.latencies.append((time.time() - document["time_ms"] / 1000, now))

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.2)


def run_layout(arguments, layout):
    with Rig() as rig:
        port, mqtt_port = free_ports(2)
        config = write_config(rig.folder, port, mqtt_port, arguments.twins, layout, arguments.bytes_per_second)
        rig.start_broker(mqtt_port)
        rig.start(arguments.executable, "simulate", "--config", config)
        consumer = Consumer(rig.folder, mqtt_port, arguments.twins)
        daemon = rig.start(arguments.executable, "run", "--config", config)
        wait_for(lambda: consumer.example and consumer.example["mode"] == "tracking", 60, "a state of a twin that tracks")
        rig.stop(daemon)
        members = {name: value for name, value in consumer.example.items() if name not in ENVELOPE}
        template = pathlib.Path(rig.folder) / "members"
        template.write_text(json.dumps(members, separators=(",", ":"))[1:-1], encoding="utf-8")
        filled = subprocess.run([arguments.fill, rig.folder / "state", "bench", template, str(arguments.twins),
                                 str(round(arguments.hours * 3600))], check=True, capture_output=True, text=True).stdout.split()
        messages, dropped = int(filled[0]), int(filled[2])
        already = consumer.packed
        daemon = rig.start(arguments.executable, "run", "--config", config)
        memory = []
        wait_for(lambda: consumer.first, 60, "the first packet")
        live_before, started = consumer.live_bytes, time.monotonic()
        while consumer.packed - already < messages:
            memory.append(usage(daemon.pid)[1])
            if time.monotonic() - consumer.last > 60:
                raise TimeoutError(f"{consumer.packed - already} of {messages} messages came")
            time.sleep(0.5)
        seconds = consumer.last - consumer.first
        live_rate = (consumer.live_bytes - live_before) / (time.monotonic() - started)
        latencies = [latency for latency, at in consumer.latencies if consumer.first <= at <= consumer.last]
        rig.stop(daemon)
        consumer.close()
    left = arguments.bytes_per_second - live_rate
    rate = consumer.packet_bytes / seconds
    settled = memory[len(memory) // 10:]
    print(f"{layout:>7} {messages:>9} {dropped:>8} {consumer.packet_bytes / 1e6:>9.1f} {consumer.packets:>8} {seconds:>8.1f} "
          f"{rate / 1e6:>9.2f} {100 * rate / left:>11.1f} {min(settled) / 1e6:>7.1f} {max(settled) / 1e6:>7.1f} "
          f"{1000 * quantile(latencies, 0.5):>9.0f} {1000 * quantile(latencies, 0.99):>8.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executable", required=True)
    parser.add_argument("--fill", required=True)
    parser.add_argument("--hours", type=float, default=12)
    parser.add_argument("--twins", type=int, default=10)
    parser.add_argument("--bytes-per-second", type=int, default=4 << 20)
    arguments = parser.parse_args()
    print_machine()
    print(f"{arguments.hours:g} h of {arguments.twins} states a second, {arguments.bytes_per_second} bytes/s allowed")
    print(f"{'layout':>7} {'messages':>9} {'dropped':>8} {'MB':>9} {'packets':>8} {'s':>8} {'MB/s':>9} {'% of left':>11} "
          f"{'RSS min':>7} {'max MB':>7} {'live p50':>9} {'p99 ms':>8}")
    for layout in ("nested", "flat"):
        run_layout(arguments, layout)


if __name__ == "__main__":
    main()
