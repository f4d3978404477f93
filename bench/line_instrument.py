"""Measures what a free running instrument costs: CPU of its thread and of the whole daemon.

usage: PYTHONPATH=tests/support TWINKEEPER_EXECUTABLE=PATH bench/line_instrument.py [--hertz 50] [--seconds 30]

`twinkeeper simulate` speaks on a pseudo-terminal, the daemon listens and publishes samples once a second to a Mosquitto
that demands client certificates. CPU is the time on a processor from /proc/PID/task/*/schedstat.
"""
import argparse
import pathlib
import shutil
import tempfile
import time

from rig import configuration
from rig.broker import Broker
from rig.notify import NotifySocket
from rig.pki import Pki
from rig.service import Daemon, Simulator
from rig.subscriber import Subscriber

DEVICE = """\
devices:
  - name: scale
    controller: file://{folder}/ttySCALE
    transmission_mode: LINE
    baud_rate: 115200
    poll_interval: {interval}ms
    publish: {{{{interval: 1s}}}}
    line: {{{{pattern: '^S S\\s+(?P<weight>[-+0-9.]+) kg$', checksum: xor}}}}
    registers: [{{{{name: weight, type: FLOAT64, unit: kg, min_value: 0, max_value: 25}}}}]
"""


def cpu_seconds(pid):
    """By thread name."""
    out = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        out[name] = out.get(name, 0.0) + int((task / "schedstat").read_text().split()[0]) / 1e9
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hertz", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="twinkeeper-bench-")
    parts = []
    try:
        pki = Pki(f"{folder}/pki")
        broker = Broker(folder, pki)
        broker.start()
        parts.append(broker)
        subscriber = Subscriber(folder, pki, broker, configuration.PREFIX)
        subscriber.start()
        parts.append(subscriber)
        device = DEVICE.format(folder=folder, interval=round(1000 / arguments.hertz))
        text = configuration.plain_gateway(device, mqtt_port=broker.port, pki=pki.folder)
        path = configuration.write(folder, text)
        simulator = Simulator(folder, path, f"{folder}/ttySCALE")
        simulator.start()
        parts.append(simulator)
        daemon = Daemon(folder, path, NotifySocket(folder))
        daemon.start()
        parts.append(daemon)
        subscriber.wait_for("devices.scale.samples", lambda m: not m["bad"], 30, "good samples")
        time.sleep(3)
        before, began = cpu_seconds(daemon.process.pid), time.monotonic()
        time.sleep(arguments.seconds)
        after, span = cpu_seconds(daemon.process.pid), time.monotonic() - began
        used = {name: after[name] - before.get(name, 0.0) for name in after}
        print(f"{arguments.hertz:g} lines/s: device thread {100 * used['device-0'] / span:.3f} % of one core, "
              f"{1e6 * used['device-0'] / span / arguments.hertz:.0f} us a line; "
              f"whole daemon {100 * sum(used.values()) / span:.3f} %")
        for name, seconds in sorted(used.items(), key=lambda item: -item[1]):
            print(f"  {name:16} {100 * seconds / span:.3f} %")
    finally:
        for part in reversed(parts):
            if part.process.running():
                part.process.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
