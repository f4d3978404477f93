"""Measures what 200 twins of order 8 (two inputs, four outputs, every 100 ms) cost the whole daemon.

usage: bench/many_twins.py --executable PATH [--twins 200] [--minutes 1]

`twinkeeper simulate` serves eight devices with six FLOAT32 registers for each twin; the daemon polls them every 100 ms and
publishes each twin's state once a second through its spool to a Mosquitto that demands client certificates. The same
gateway without the twins is measured before it: the difference is theirs. CPU and memory are from /proc, times of steps and
missed steps from the daemon's own metrics.
"""
import argparse
import json
import statistics
import threading

from gateway_load import Rig, Subscriber, free_ports, print_machine, uplink, usage

DEVICES = 8
STATES, INPUTS, OUTPUTS = 8, 2, 4


def matrix(rows, columns, element):
    return [[element(i, j) for j in range(columns)] for i in range(rows)]


def model():
    """Two chains of four lags, each state fed by the one before it; every other state is measured."""
    signals = [("states", "x", STATES, ", initial: 1, initial_std: 0.1, min: -9, max: 11"),
               ("inputs", "u", INPUTS, ", nominal: 1, min: 0, max: 2"), ("outputs", "y", OUTPUTS, ", nominal: 1, noise_std: 0.01")]
    lines = ["model:", "  name: bench", "  sample_time: 0.1"]
    lines += [f"  {kind}: [{', '.join(f'{{name: {letter}{i}{rest}}}' for i in range(count))}]" for kind, letter, count, rest in signals]
    lines += [f"  A: {matrix(STATES, STATES, lambda i, j: 0.9 + 0.01 * (i % 4) if i == j else 0.05 if j == i - 1 else 0)}",
              f"  B: {matrix(STATES, INPUTS, lambda i, j: 0.02 if i == 4 * j else 0)}",
              f"  C: {matrix(OUTPUTS, STATES, lambda i, j: 1 if j == 2 * i else 0)}",
              f"  noise: {{Q: {matrix(STATES, STATES, lambda i, j: 1e-6 if i == j else 0)}}}",
              f"  operating_point: {{x: {[1] * STATES}, u: {[1] * INPUTS}, y: {[1] * OUTPUTS}}}"]
    return "\n".join(lines) + "\n"


def write_config(folder, ports, twins, with_twins, mqtt_port):
    (folder / "model.yaml").write_text(model(), encoding="utf-8")
    names = [f"u{i}" for i in range(INPUTS)] + [f"y{i}" for i in range(OUTPUTS)]
    lines = [f"gateway: {{id: bench, state_directory: {folder}/state}}", "devices:"]
    for d, port in enumerate(ports):
        lines += [f"  - name: d{d}", f"    controller: tcp://127.0.0.1:{port}", "    poll_interval: 100ms", "    registers:"]
        tags = [f"t{t}_{name}" for t in range(d, twins, len(ports)) for name in names]
        lines += [f"      - {{name: {tag}, register: holding, address: {2 * r}, type: FLOAT32}}" for r, tag in enumerate(tags)]
    lines.append("twins:" if with_twins else "twins: []")
    for t in range(twins if with_twins else 0):
        tag = {name: f"d{t % len(ports)}.t{t}_{name}" for name in names}
        inputs, outputs = (", ".join(f"{n}: {tag[n]}" for n in names if n[0] == letter) for letter in "uy")
        lines += [f"  - name: t{t}", "    period: 100ms", "    model: model.yaml", f"    inputs: {{{inputs}}}",
                  f"    outputs: {{{outputs}}}"]
    lines += uplink(folder, mqtt_port)
    path = folder / ("twins.yaml" if with_twins else "plain.yaml")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Metrics:
    def __init__(self, folder, port):
        self.twins = 0  # that a whole report has
        self.newest, self.arrived = None, threading.Semaphore(0)
        self.subscriber = Subscriber(folder, port)  # connects when the broker is there
        self.subscriber.client.on_message = self.take
        self.subscriber.client.subscribe([("twinkeeper/bench/metrics", 1)])

    def take(self, _client, _user, message):
        if not message.topic.endswith("/metrics"):
            return
        share = json.loads(message.payload)  # many twins are told in several messages, the gateway's figures in each
        if self.newest is not None and self.newest["time_ms"] == share["time_ms"]:
            self.newest["twins"].update(share["twins"])
        else:
            self.newest = share
        if len(self.newest["twins"]) == self.twins:
            self.arrived.release()

    def next(self):
        if not self.arrived.acquire(timeout=90):
            raise TimeoutError("no metrics")
        return self.newest


def measure(rig, executable, config, twins, metrics, minutes):
    metrics.twins = twins
    daemon = rig.start(executable, "run", "--config", config)
    before = metrics.next()
    cpu_before, _ = usage(daemon.pid)
    for _ in range(minutes):
        after = metrics.next()
    cpu_after, rss = usage(daemon.pid)
    rig.stop(daemon)
    seconds = (after["time_ms"] - before["time_ms"]) / 1000
    return {"share": (cpu_after - cpu_before) / seconds, "rss": rss, "seconds": seconds,
            "steps": after["steps_total"] - before["steps_total"],
            "missed": after["steps_missed_total"] - before["steps_missed_total"],
            "dropped": after["steps_dropped_total"] + after["samples_dropped_total"],
            "steps_of": list(after["twins"].values())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executable", required=True)
    parser.add_argument("--twins", type=int, default=200)
    parser.add_argument("--minutes", type=int, default=1)
    arguments = parser.parse_args()
    print_machine()
    with Rig() as rig:
        *ports, mqtt_port = free_ports(min(DEVICES, arguments.twins) + 1)
        plain, full = (write_config(rig.folder, ports, arguments.twins, with_twins, mqtt_port) for with_twins in (False, True))
        rig.start_broker(mqtt_port)
        rig.start(arguments.executable, "simulate", "--config", full)
        metrics = Metrics(rig.folder, mqtt_port)
        without = measure(rig, arguments.executable, plain, 0, metrics, arguments.minutes)
        twins = measure(rig, arguments.executable, full, arguments.twins, metrics, arguments.minutes)
    for label, figures in (("without twins", without), (f"{arguments.twins} twins", twins)):
        print(f"{label:>14}: {100 * figures['share']:.1f} % of one core, {figures['rss'] / 1e6:.1f} MB")
    count = arguments.twins
    p50, p99, longest = ([twin[f"step_seconds_{q}"] for twin in twins["steps_of"]] for q in ("p50", "p99", "max"))
    print(f"each twin: {100 * (twins['share'] - without['share']) / count:.3f} % of one core with its message a second, "
          f"{(twins['rss'] - without['rss']) / count / 1e3:.0f} kB")
    print(f"steps: {twins['steps']} in {twins['seconds']:.0f} s, {twins['missed']} a period late or more, {twins['dropped']} dropped; "
          f"step p50 {1e6 * statistics.median(p50):.0f} us (the first of a tick {1e6 * p50[0]:.0f} us), "
          f"p99 {1e6 * statistics.median(p99):.0f} us, longest {1e3 * max(longest):.2f} ms")


if __name__ == "__main__":
    main()
