"""Measures how late a twin of 10 ms steps while all processors are busy, beside a bare loop of clock_nanosleep.

usage: bench/lateness.py --executable PATH --peer PATH [--rounds 5] [--seconds 30]    as root, for SCHED_FIFO

As many busy loops run as there are processors. In turn, for the ordinary policy and for SCHED_FIFO 20 (what
packaging/drop-ins/real-time.conf asks for, with locked memory): the peer (bare_sleep.cpp) alone, then the daemon alone, which polls a
simulated device every 10 ms, steps a twin on it and publishes through its spool to a Mosquitto that demands client
certificates. Lateness is that of `step_lateness_…` in the daemon's own metrics; both use the same histogram, whose buckets are
19 % wide. Told are medians of the rounds, and whether p99 ≤ 1.2 × + 50 µs.
"""
import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import time

from gateway_load import Rig, Subscriber, free_ports, print_machine, uplink

FIGURES = ("p50", "p99", "p999", "max")
FIFO = ["chrt", "-f", "20"]


def write_config(folder, port, mqtt_port):
    (folder / "model.yaml").write_text(
        "model: {name: lag, sample_time: 0.01, states: [{name: x, initial: 1, initial_std: 0.1}], inputs: [{name: u, nominal: 1}],\n"
        "  outputs: [{name: y, nominal: 1, noise_std: 0.01}], A: [[0.98]], B: [[0.02]], C: [[1]], noise: {Q: [[1.0e-6]]},\n"
        "  operating_point: {x: [1], u: [1], y: [1]}}\n", encoding="utf-8")
    lines = [f"gateway: {{id: bench, state_directory: {folder}/state}}", "devices:", "  - name: d",
             f"    controller: tcp://127.0.0.1:{port}", "    poll_interval: 10ms", "    registers:",
             "      - {name: u, register: holding, address: 0, type: FLOAT32}", "      - {name: y, register: holding, address: 2, type: FLOAT32}",
             "twins:", "  - {name: t, period: 10ms, model: model.yaml, inputs: {u: d.u}, outputs: {y: d.y}, publish: {state_interval: 100ms}}"]
    path = folder / "lateness.yaml"
    path.write_text("\n".join(lines + uplink(folder, mqtt_port)) + "\n", encoding="utf-8")
    return path


def spin():
    while True:
        pass


def peer(path, seconds, policy):
    done = subprocess.run([*policy, path, "10000", str(seconds)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def daemon(rig, executable, config, metrics, seconds, policy):
    metrics.clear()
    process = rig.start(*policy, executable, "run", "--config", config)
    time.sleep(seconds)
    rig.stop(process)
    last = max((message for message in metrics if message["steps_total"] > 0), key=lambda message: message["seq"])
    return {name: last[f"step_lateness_seconds_{name}"] for name in FIGURES} | {"missed": last["steps_missed_total"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--executable", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=30)
    arguments = parser.parse_args()
    os.environ["TWINKEEPER_LOCK_MEMORY"] = "yes"
    print_machine()
    modbus, mqtt = free_ports(2)
    metrics = []
    with Rig() as rig:
        rig.start_broker(mqtt)
        config = write_config(rig.folder, modbus, mqtt)
        rig.start(arguments.executable, "simulate", "--config", config)
        subscriber = Subscriber(rig.folder, mqtt)
        subscriber.client.on_message = lambda _client, _user, message: metrics.append(json.loads(message.payload))
        subscriber.client.subscribe([("twinkeeper/bench/metrics", 1)])
        busy = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count())]
        for process in busy:
            process.start()
        found = {}
        for _ in range(arguments.rounds):
            for name, policy in (("default", []), ("fifo", FIFO)):
                found.setdefault((name, "clock_nanosleep"), []).append(peer(arguments.peer, arguments.seconds, policy))
                found.setdefault((name, "twin"), []).append(
                    daemon(rig, arguments.executable, config, metrics, arguments.seconds, policy))
        for process in busy:
            process.kill()
    print(f"{arguments.rounds} rounds of {arguments.seconds} s, medians in µs")
    print(f"{'policy':9}{'who':17}" + "".join(f"{name:>10}" for name in FIGURES))
    middle = {key: {name: statistics.median(one[name] for one in runs) for name in FIGURES} for key, runs in found.items()}
    for (policy, who), figures in middle.items():
        print(f"{policy:9}{who:17}" + "".join(f"{1e6 * figures[name]:10.0f}" for name in FIGURES))
    kept = True
    for policy in ("default", "fifo"):
        limit = 1.2 * middle[policy, "clock_nanosleep"]["p99"] + 50e-6
        within = middle[policy, "twin"]["p99"] <= limit
        kept = kept and within
        print(f"{policy}: p99 {1e6 * middle[policy, 'twin']['p99']:.0f} µs, at most {1e6 * limit:.0f}: {'kept' if within else 'NOT KEPT'}")
    print("steps missed:", sum(one["missed"] for (_, who), runs in found.items() if who == "twin" for one in runs))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
