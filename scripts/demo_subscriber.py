"""The subscriber of scripts/demo: prints what arrives at the broker, then judges the run.

It is an ordinary MQTT client with a certificate of its own. The true states come from the plant's --truth file; wall
clock times join the two. The verdict (and the exit code) is strict: the twin must have tracked, and the leak and the
stuck sensor must both have been flagged with the right tag and kind, and nothing else.
"""
import argparse
import bisect
import csv
import json
import os
import signal
import sys
import threading
import time

import paho.mqtt.client as mqtt

PREFIX = "twinkeeper/demo-gw1"


class Collector:
    def __init__(self):
        self.lock = threading.Lock()
        self.messages = {}  # id -> message: the same id twice is the same message
        self.duplicates = 0
        self.printed_state = 0.0

    def take(self, topic, payload):
        message = json.loads(payload)
        parts = message["messages"] if message["schema"].startswith("twinkeeper.backlog/") else [message]
        with self.lock:
            for part in parts:
                if part["id"] in self.messages:
                    self.duplicates += 1
                self.messages[part["id"]] = part
        for part in parts:
            self.show(part)

    def show(self, message):
        stream, at = message["stream"], message["time"][11:23]
        if stream.endswith(".anomaly"):
            print(f"{at}  ANOMALY {message['event']:8} {message['anomaly']}  {message['kind']}  {message['message']}")
        elif stream == "status":
            print(f"{at}  status {message['state']} ({message['reason']})")
        elif stream.endswith(".state") and message["time_ms"] - self.printed_state >= 5000:
            self.printed_state = message["time_ms"]
            states = "  ".join(f"{name} {s['value']:.4f} ± {s['std']:.4f} {s['unit']}"
                               for name, s in message["states"].items() if s["value"] is not None and s["std"] is not None)
            print(f"{at}  state {message['mode']:12} {states}")
        sys.stdout.flush()

    def of(self, suffix):
        with self.lock:
            return sorted((m for m in self.messages.values() if m["stream"].endswith(suffix)),
                          key=lambda m: (m["epoch"], m["seq"]))


def connect(arguments, collector):
    client = mqtt.Client(client_id="demo-subscriber", protocol=mqtt.MQTTv5)
    pki = os.path.join(arguments.directory, "pki")
    client.tls_set(ca_certs=f"{pki}/ca.crt", certfile=f"{pki}/subscriber.crt", keyfile=f"{pki}/subscriber.key")
    client.on_connect = lambda c, *_: c.subscribe(f"{PREFIX}/#", qos=1)
    client.on_message = lambda _c, _u, m: collector.take(m.topic, m.payload)
    deadline = time.monotonic() + 20
    while True:
        try:
            client.connect("localhost", arguments.port, keepalive=30)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    client.loop_start()
    return client


def read_truth(path):
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(line for line in file if line.endswith("\n"))  # the plant still writes
        header = next(rows)
        names = [column.split("[")[0].removeprefix("tanks.") for column in header[1:]]
        table = [[float(cell) for cell in row] for row in rows]
    return names, [row[0] for row in table], [row[1:] for row in table]


def coverage(states, truth, before):
    """Share of published states within 1 and 3 standard deviations of the truth, while tracking and before `before`."""
    names, times, values = truth
    inside = {1: 0, 3: 0}
    total = 0
    for message in states:
        at = message["time_ms"] / 1000 + 0.001  # time_ms is rounded down
        if message["mode"] != "tracking" or at >= before:
            continue
        row = bisect.bisect_right(times, at) - 1  # the plant holds its state until its next step
        if row < 0:
            continue
        for name, true in zip(names, values[row]):
            state = message["states"][name]
            total += 1
            for k in inside:
                inside[k] += abs(state["value"] - true) <= k * state["std"]
    return {k: inside[k] / total if total else 0.0 for k in inside}, total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--directory", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--daemon", type=int, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--plant-started", type=float, required=True)
    parser.add_argument("--leak", type=float, nargs=2, required=True)
    parser.add_argument("--stuck", type=float, nargs=2, required=True)
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()

    collector = Collector()
    client = connect(arguments, collector)
    end = arguments.plant_started + arguments.seconds
    while time.time() < end:
        time.sleep(0.2)
    if not arguments.keep:
        os.kill(arguments.daemon, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            statuses = collector.of("status")
            if statuses and statuses[-1]["state"] == "offline":
                break
            time.sleep(0.1)

    start = arguments.plant_started
    leak = (start + arguments.leak[0], start + sum(arguments.leak))
    stuck = (start + arguments.stuck[0], start + sum(arguments.stuck))
    truth = read_truth(os.path.join(arguments.directory, "truth.csv"))
    states = collector.of(".state")
    share, judged = coverage(states, truth, before=leak[0])
    sensor_std = 0.002
    tracked = [m for m in states if m["mode"] == "tracking"]
    widest = max((s["std"] for m in tracked for s in m["states"].values()), default=float("nan"))

    raised = [m for m in collector.of("anomaly") if m["event"] == "raised"]
    cleared = {(m["anomaly"], m["occurrence"]): m["time_ms"] / 1000 for m in collector.of("anomaly") if m["event"] == "cleared"}
    found = {"leak": None, "stuck": None}
    others = []
    for m in raised:
        at = m["time_ms"] / 1000
        if found["leak"] is None and leak[0] <= at <= leak[1] + 2 and m["kind"] == "process" and "tank_plc.level_1" in m["tags"]:
            found["leak"] = m
        elif found["stuck"] is None and stuck[0] <= at <= stuck[1] + 2 and m["kind"] == "sensor" and m["tags"] == ["tank_plc.level_2"] and m["test"] == "stuck":
            found["stuck"] = m
        else:
            others.append(m)

    metrics = collector.of("metrics")
    print("\nSummary")
    print(f"  states followed    {judged} true values compared while tracking, before the first fault: "
          f"{100 * share[3]:.1f} % within 3 std, {100 * share[1]:.1f} % within 1 std, widest std {1000 * widest:.2f} mm "
          f"(sensor {1000 * sensor_std:.0f} mm)")
    for name, window in (("leak", leak), ("stuck", stuck)):
        m = found[name]
        if m is None:
            print(f"  {name:18} NOT flagged")
            continue
        end_text = cleared.get((m["anomaly"], m["occurrence"]))
        print(f"  {name:18} {m['anomaly']} ({m['kind']}) after {m['time_ms'] / 1000 - window[0]:.1f} s, "
              + (f"cleared {end_text - window[1]:.1f} s after it ended" if end_text else "not cleared yet"))
    for m in others:
        print(f"  unexpected         {m['anomaly']} ({m['kind']}) at {m['time']}")
    if metrics:
        last = metrics[-1]
        print(f"  messages           {last['publish_sent_total']} sent, {last['publish_acknowledged_total']} acknowledged, "
              f"{len(collector.messages)} received, {collector.duplicates} duplicates, {last['spool_messages']} waiting")
        print(f"  memory             {last['rss_bytes'] / 2 ** 20:.1f} MB resident")

    good = judged >= 50 and share[3] >= 0.99 and 0.55 <= share[1] <= 0.80 and widest <= sensor_std and all(found.values()) and not others
    print("  verdict            " + ("the twin tracked and both faults were flagged" if good else "FAILED"))
    sys.stdout.flush()
    if arguments.keep:
        print("\nGoing on until Ctrl-C")
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass
    client.disconnect()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
