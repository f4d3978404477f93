"""Measures one gateway with 200 Modbus TCP endpoints polled every second and 50 polled every 100 ms, a thread for each.

usage: bench/many_devices.py --executable PATH [--slow 200] [--fast 50] [--minutes 2]

`twinkeeper simulate` serves them all on the same machine (50 FLOAT32 registers each); the samples of every cycle go
through the spool to a Mosquitto that demands client certificates. What is told comes from the daemon's own metrics, of
which there is one a minute: cycles that were due and left out, bad samples, round trips; and from /proc.
"""
import argparse
import json
import os
import threading

from gateway_load import REGISTERS, Rig, Subscriber, free_ports, print_machine, quantile, uplink, usage


def write_config(folder, ports, slow, mqtt_port):
    lines = [f"gateway: {{id: bench, state_directory: {folder}/state}}", "register_sets:", "  floats:"]
    lines += [f"    - {{name: r{r}, register: holding, address: {2 * r}, type: FLOAT32}}" for r in range(REGISTERS)]
    lines.append("devices:")
    for i, port in enumerate(ports):
        interval = "1s" if i < slow else "100ms"
        lines += [f"  - name: d{i}", f"    controller: tcp://127.0.0.1:{port}", f"    poll_interval: {interval}",
                  f"    collection_jitter: {'900ms' if i < slow else '90ms'}", f"    publish: {{interval: {interval}}}",
                  "    registers: floats"]
    lines += uplink(folder, mqtt_port)
    path = folder / "bench.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Metrics:
    def __init__(self, folder, port, devices):
        self.devices = devices
        self.messages, self.arrived = [], threading.Semaphore(0)
        self.subscriber = Subscriber(folder, port)  # connects when the broker is there
        self.subscriber.client.on_message = self.take
        self.subscriber.client.subscribe([("twinkeeper/bench/metrics", 1)])

    def take(self, _client, _user, message):
        if not message.topic.endswith("/metrics"):
            return
        share = json.loads(message.payload)  # a gateway of this size tells its devices in several messages
        if self.messages and self.messages[-1]["time_ms"] == share["time_ms"]:
            self.messages[-1]["devices"].update(share["devices"])
        else:
            self.messages.append(share)
        if len(self.messages[-1]["devices"]) == self.devices:
            self.arrived.release()

    def next(self, timeout):
        if not self.arrived.acquire(timeout=timeout):
            raise TimeoutError("no metrics")
        return self.messages[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executable", required=True)
    parser.add_argument("--slow", type=int, default=200)
    parser.add_argument("--fast", type=int, default=50)
    parser.add_argument("--minutes", type=int, default=2)
    arguments = parser.parse_args()
    print_machine()
    with Rig() as rig:
        *ports, mqtt_port = free_ports(arguments.slow + arguments.fast + 1)
        config = write_config(rig.folder, ports, arguments.slow, mqtt_port)
        rig.start_broker(mqtt_port)
        rig.start(arguments.executable, "simulate", "--config", config)
        metrics = Metrics(rig.folder, mqtt_port, arguments.slow + arguments.fast)
        daemon = rig.start(arguments.executable, "run", "--config", config)
        before = metrics.next(90)
        cpu_before, _ = usage(daemon.pid)
        for _ in range(arguments.minutes):
            after = metrics.next(90)
        cpu_after, rss = usage(daemon.pid)
        threads = len(os.listdir(f"/proc/{daemon.pid}/task"))
    seconds = (after["time_ms"] - before["time_ms"]) / 1000
    devices = after["devices"]
    grown = {d: {k: devices[d][k] - before["devices"][d][k] for k in ("cycles_total", "missed_cycles_total", "samples_bad_total")}
             for d in devices}
    for label, members in (("1 s", range(arguments.slow)), ("100 ms", range(arguments.slow, arguments.slow + arguments.fast))):
        names = [f"d{i}" for i in members]
        cycles, missed, bad = (sum(grown[n][k] for n in names) for k in ("cycles_total", "missed_cycles_total", "samples_bad_total"))
        trips = [1000 * devices[n]["last_round_trip_seconds"] for n in names]
        print(f"{len(names):>4} devices every {label:>6}: {cycles} cycles, {missed} left out, {bad} samples bad, "
              f"last round trips median {quantile(trips, 0.5):.2f} ms, max {max(trips):.2f} ms")
    cycles = sum(g["cycles_total"] for g in grown.values())
    print(f"daemon: {100 * (cpu_after - cpu_before) / seconds:.1f} % of one core, {1000 * (cpu_after - cpu_before) / cycles:.3f} ms per "
          f"device-cycle, {rss / 1e6:.1f} MB, {threads} threads, {after['samples_dropped_total']} samples dropped")


if __name__ == "__main__":
    main()
