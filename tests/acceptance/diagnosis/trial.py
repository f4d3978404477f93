"""Two tanks with faults whose kind, size and time are known: what is detected, how soon, and what it is taken for.

Plants are served by `simulate`, recorded by `record`, rows are taken away at random, and `replay` judges each log as
the daemon would have. One run is one pair of tanks with one fault or none; as many as the device has room for are
simulated beside each other. They run faster than the twin that judges them: PERIOD is recorded, its log read as of one
step a second, since what matters is the number of steps, but for `changed`, which comes at most once a minute.

    trial.py [--batches N] [--healthy-days D]

prints the tables of docs/benchmarks.md. TWINKEEPER_EXECUTABLE names the program.
"""
import argparse
import collections
import csv
import datetime
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PERIOD = 0.05           # s, of the plant
JUDGED = 1.0            # s, the same in the log that is judged
SENSOR = 0.002          # m, standard deviation
FAULT_AT = 15.0         # s after the simulation's start
RECORD_FOR = 30.0       # s
MISSING = 0.1           # share of the levels' samples

MODEL = """model:
  name: two_tank
  type: state_space
  time: discrete
  sample_time: {period}
  states:
    - {{name: level_1, unit: m, initial: 0.5, initial_std: 0.02}}
    - {{name: level_2, unit: m, initial: 0.5, initial_std: 0.02}}
  inputs:
    - {{name: pump, unit: V, nominal: 5.0, min: 0, max: 10}}
  outputs:
    - {{name: level_1, unit: m, nominal: 0.5, noise_std: {sensor}}}
    - {{name: level_2, unit: m, nominal: 0.5, noise_std: {sensor}}}
  A: [[0.97, 0], [0.025, 0.975]]
  B: [[0.003], [0]]
  C: [[1, 0], [0, 1]]
  D: [[0], [0]]
  noise:
    Q: [[2.5e-8, 0], [0, 2.5e-8]]
    R: [[{variance}, 0], [0, {variance}]]
  operating_point: {{x: [0.5, 0.5], u: [5.0], y: [0.5, 0.5]}}
diagnosis:
  on_delay: {on_delay}
  off_delay: {off_delay}
"""

Case = collections.namedtuple("Case", "kind at size text")


def cases():
    """Every fault of the trial: what it is, where, how large (of the named magnitude), and what a table calls it."""
    found = []
    for at in ("level_1", "level_2"):
        for sigmas in (1, 2, 5, 10, 30):
            found.append(Case("sensor", at, sigmas * SENSOR, f"bias {sigmas} σ"))
        for sigmas in (0.02, 0.05, 0.1):  # of the sensor, per step
            found.append(Case("drift", at, sigmas * SENSOR / PERIOD, f"drift {sigmas} σ/step"))
        for sigmas in (0.05, 0.1, 0.2):
            found.append(Case("process", at, -sigmas * SENSOR / PERIOD, f"leak {sigmas} σ/step"))
        found.append(Case("stuck", at, 0.0, "stuck"))
    for volts in (0.05, 0.1, 0.2):
        found.append(Case("input", "pump", -volts, f"weaker by {volts} V"))
    return found


def spec(case, twin):
    to_end = f"@{FAULT_AT:g}+3600"
    if case.kind == "process":
        return f"disturbance:tanks_{twin}.{case.at}{to_end}={case.size!r}"
    if case.kind == "input":     # the plant has the pump's own voltage, the twin is told more
        return f"bias:plant.pump_{twin}{to_end}={-case.size!r}"
    return f"{'bias' if case.kind == 'sensor' else 'drift'}:plant.{case.at}_{twin}{to_end}={case.size!r}"


def model(period):
    return MODEL.format(period=period, sensor=SENSOR, variance=SENSOR * SENSOR,
                        on_delay=f"{round(5000 * period)}ms", off_delay=f"{round(60000 * period)}ms")


def write_configuration(folder, twins, port, period):
    model_file = f"model_{period:g}.yaml"
    with open(os.path.join(folder, model_file), "w", encoding="utf-8") as file:
        file.write(model(period))
    lines = [f"gateway: {{id: trial, state_directory: {folder}}}", "devices:", "  - name: plant",
             f"    controller: tcp://127.0.0.1:{port}", "    slave_id: 1",
             f"    poll_interval: {round(period * 1000)}ms",
             "    collection_offset: 10ms", "    timeout: 500ms", "    registers:"]
    address = 0
    for twin in range(twins):
        for name, unit in (("level_1", "m"), ("level_2", "m"), ("pump", "V")):
            lines.append(f"      - {{name: {name}_{twin}, register: holding, address: {address}, type: FLOAT32, "
                         f"unit: {unit}}}")
            address += 2
    lines.append("twins:")
    for twin in range(twins):
        lines += [f"  - name: tanks_{twin}", f"    period: {round(period * 1000)}ms", f"    model: {model_file}",
                  f"    inputs: {{pump: plant.pump_{twin}}}",
                  f"    outputs: {{level_1: plant.level_1_{twin}, level_2: plant.level_2_{twin}}}"]
    path = os.path.join(folder, f"trial_{period:g}.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def command(*arguments):
    done = subprocess.run([os.environ["TWINKEEPER_EXECUTABLE"], *arguments], capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def groups_of(configuration):
    """Ambiguity groups as `check` prints them, in the names that anomalies use."""
    twin = json.loads(command("check", "--config", configuration, "--json"))["twins"][0]
    words = {"bias": "sensor", "drift": "drift", "fault": "input", "disturbance": "process"}
    named = []
    for group in twin["ambiguity_groups"]:
        parts = [member.rsplit(".", 1) for member in group]
        named.append({f"{words[what]}:{name}" for name, what in parts})
    return named


def record(folder, configuration, plan, seed, seconds):
    """A log of all plants, and when the simulation began."""
    log = os.path.join(folder, "log.csv")
    arguments = [os.environ["TWINKEEPER_EXECUTABLE"], "simulate", "--config", configuration, "--seed", str(seed)]
    for twin, case in enumerate(plan):
        if case and case.kind != "stuck":
            arguments += ["--fault", spec(case, twin)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as plant:
        plant.stdout.readline()  # it serves
        began = time.time()
        try:
            command("record", "--config", configuration, "--output", log, "--for", f"{seconds:g}s")
        finally:
            plant.terminate()
            plant.stdout.read()
    return log, began


def with_missing(log, path, chance, frozen, began):
    """The log with levels missing, those of the columns `frozen` stuck (`record` leaves out what its own test finds
    stuck, so that is no fault for `simulate` here), and its time stretched: seconds since the simulation began, times
    JUDGED / PERIOD."""
    held = {}
    with open(log, newline="", encoding="utf-8") as source, open(path, "w", newline="", encoding="utf-8") as target:
        rows = csv.reader(row for row in source if not row.startswith("#"))
        out = csv.writer(target)
        header = next(rows)
        out.writerow(["time[s]"] + header[1:])
        levels = [i for i, name in enumerate(header) if "level" in name]
        for row in rows:
            since = seconds_of(row[0]) - began
            row[0] = f"{since * JUDGED / PERIOD:.6f}"
            for i in levels:
                if header[i].split("[")[0] in frozen and since >= FAULT_AT:
                    row[i] = held.setdefault(i, row[i])
                if chance.random() < MISSING:
                    row[i] = ""
            out.writerow(row)


TOLD = re.compile(r"^(\S+)  anomaly (raised|changed) (\S+): (.*)$")
CAUSE = re.compile(r"^    kind (\w+), test (\w+), began (\S+) s before"
                   r"(?:, magnitude (\S+)(?: ± (\S+))? (\S*))?(?:; (.*))?$")


def seconds_of(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def alarms(configuration, twin, log):
    """What was raised, each with what it said last of its cause: `final`."""
    found = []
    lines = command("replay", "--config", configuration, "--twin", f"tanks_{twin}", "--input", log).splitlines()
    for line, after in zip(lines, lines[1:] + [""]):
        told = TOLD.match(line)
        if not told:
            continue
        cause = CAUSE.match(after)
        hypotheses = []
        for part in (cause.group(7) or "").split(", "):
            if part:
                name, probability = part.rsplit(" ", 1)
                hypotheses.append((name.replace("plant.", "").removesuffix(f"_{twin}") if "plant." in name else name,
                                   float(probability)))
        alarm = {"time": float(told.group(1)) * PERIOD / JUDGED, "id": told.group(3).split(".", 1)[1],
                 "kind": cause.group(1), "test": cause.group(2), "onset": float(cause.group(3)),
                 "magnitude": float(cause.group(4)) if cause.group(4) else None,
                 "std": float(cause.group(5)) if cause.group(5) else None, "unit": cause.group(6),
                 "hypotheses": hypotheses}
        if told.group(2) == "raised":
            found.append(alarm | {"final": alarm})
        else:
            next(one for one in reversed(found) if one["id"] == alarm["id"])["final"] = alarm
    return found


def best_of(alarm, groups):
    """The hypothesis an alarm stands for, those of a group counted as one, and its probability."""
    if not alarm["hypotheses"]:
        return None, 0.0
    sums = {}
    for name, probability in alarm["hypotheses"]:
        key = next((tuple(sorted(group)) for group in groups if name in group), (name,))
        sums[key] = sums.get(key, 0.0) + probability
    return max(sums.items(), key=lambda item: item[1])


class Trial:
    def __init__(self):
        self.runs = []          # (case, alarm or None, best, probability, right), as it was raised
        self.false_alarms = 0
        self.healthy_seconds = 0.0
        self.groups = []

    def batch(self, plan, seed, seconds=RECORD_FOR):
        with tempfile.TemporaryDirectory() as folder:
            port = free_port()
            configuration = write_configuration(folder, len(plan), port, JUDGED)
            self.groups = groups_of(configuration)
            log, began = record(folder, write_configuration(folder, len(plan), port, PERIOD), plan, seed, seconds)
            self.judge_log(plan, configuration, log, began, seed, seconds)

    def judge_log(self, plan, configuration, log, began, seed, seconds):
        missing = os.path.join(os.path.dirname(log), "missing.csv")
        frozen = {f"plant.{case.at}_{twin}" for twin, case in enumerate(plan) if case and case.kind == "stuck"}
        with_missing(log, missing, random.Random(seed), frozen, began)
        for twin, case in enumerate(plan):
            self.judge(case, alarms(configuration, twin, missing), FAULT_AT, seconds)

    def judge(self, case, raised, fault_at, seconds):
        before = [alarm for alarm in raised if alarm["time"] < fault_at - 0.2]
        self.false_alarms += len(before) if case else len(raised)
        self.healthy_seconds += FAULT_AT if case else seconds
        if not case:
            return
        after = [alarm for alarm in raised if alarm["time"] >= fault_at - 0.2]
        if not after:
            self.runs.append((case, None, None, 0.0, False))
            return
        alarm = after[0]
        alarm["delay"] = max(0.0, alarm["time"] - fault_at)
        if case.kind == "stuck":
            self.runs.append((case, alarm, (f"{alarm['test']}",), 1.0, alarm["id"] == f"{case.at}.stuck"))
            return
        best, probability = best_of(alarm, self.groups) if alarm["hypotheses"] else ((alarm["test"],), 0.0)
        self.runs.append((case, alarm, best, probability, f"{case.kind}:{case.at}" in best))

    # What a caller asks of it.
    def isolation_rate(self, wanted=lambda case: True):
        found = [right for case, alarm, _, _, right in self.runs if alarm and wanted(case)]
        return sum(found) / len(found) if found else float("nan")

    def detection_rate(self, wanted=lambda case: True):
        found = [alarm is not None for case, alarm, *_ in self.runs if wanted(case)]
        return sum(found) / len(found) if found else float("nan")

    def print(self):
        print(f"{len(self.runs)} runs with a fault, {MISSING:.0%} of the levels' samples missing, gate on, "
              f"period {PERIOD:g} s, σ = {SENSOR * 1000:g} mm")
        print(f"ambiguity groups: {'; '.join(', '.join(sorted(group)) for group in self.groups) or 'none'}\n")
        print("| fault | runs | detected | delay in steps: median, 90 % | isolated | at last | median error of size | at last |")
        print("|---|---|---|---|---|---|---|---|")
        rows = {}
        for run in self.runs:
            rows.setdefault((run[0].at, run[0].text), []).append(run)
        for (at, text), runs in rows.items():
            found = [run for run in runs if run[1]]
            delays = sorted(run[1]["delay"] / PERIOD for run in found)
            print(f"| {at} {text} | {len(runs)} | {len(found)} | "
                  + (f"{statistics.median(delays):.0f}, {delays[int(0.9 * (len(delays) - 1) + 0.5)]:.0f}"
                     if delays else "–")
                  + f" | {sum(run[4] for run in found)} | {sum(self.right_at_last(run) for run in found)} | "
                  + f"{self.error_of_size(found, lambda alarm: alarm)} | "
                  + f"{self.error_of_size(found, lambda alarm: alarm['final'])} |")
        print(f"\ndetected {self.detection_rate():.1%}, isolated of those {self.isolation_rate():.1%}, "
              f"without biases of 1 σ {self.isolation_rate(lambda case: case.text != 'bias 1 σ'):.1%}")
        last = [self.right_at_last(run) for run in self.runs if run[1]]
        print(f"as told at last {sum(last) / len(last):.1%}")
        wrong = collections.Counter((f"{case.kind}:{case.at}", " or ".join(best))
                                    for case, alarm, best, _, right in self.runs if alarm and not right)
        for (true, taken), count in wrong.most_common():
            print(f"  taken wrongly: {true} for {taken}, {count} times")
        sure = [(probability, right) for case, alarm, _, probability, right in self.runs
                if alarm and alarm["hypotheses"] and case.kind != "stuck"]
        for low, high in ((0.0, 0.6), (0.6, 0.9), (0.9, 0.99), (0.99, 1.01)):
            part = [item for item in sure if low <= item[0] < high]
            if part:
                print(f"  stated {min(high, 1.0):.2f} > p ≥ {low:.2f}: mean {statistics.mean(p for p, _ in part):.3f}, "
                      f"right {sum(right for _, right in part)} of {len(part)}")
        print(f"false alarms {self.false_alarms} in {self.healthy_seconds / PERIOD:.0f} healthy steps of one pair")

    def right_at_last(self, run):
        case, alarm, *_, right = run
        if case.kind == "stuck" or not alarm["final"]["hypotheses"]:
            return right
        return f"{case.kind}:{case.at}" in best_of(alarm["final"], self.groups)[0]

    @staticmethod
    def error_of_size(runs, told):
        """Where the best hypothesis is the true one, not one that looks the same."""
        errors = []
        for case, alarm, *_ in runs:
            said = told(alarm)
            if case.size and said["std"] and said["hypotheses"][0][0] == f"{case.kind}:{case.at}":
                size = case.size * (PERIOD / JUDGED if case.kind in ("drift", "process") else 1.0)  # per second
                errors.append(abs(said["magnitude"] / size - 1.0))
        return f"{statistics.median(errors):.1%} of {len(errors)}" if errors else "–"


def healthy(days, seed):
    """False alarms of a matched plant whose pump is set anew every 2 to 30 minutes, one step a second, written without
    `simulate` to be fast."""
    chance = random.Random(seed)
    normal = chance.gauss
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(model(1.0))
        log = os.path.join(folder, "log.csv")
        x1 = x2 = 0.0
        volts, set_at = 5.0, 600
        with open(log, "w", encoding="utf-8") as file:
            file.write("time[s],pump[V],level_1[m],level_2[m]\n")
            for k in range(int(days * 86400)):
                if k == set_at:
                    volts, set_at = round(chance.uniform(3.0, 7.0), 2), k + chance.randint(120, 1800)
                levels = [f"{x + 0.5 + normal(0, SENSOR):.6f}" if chance.random() >= MISSING else "" for x in (x1, x2)]
                file.write(f"{k},{volts},{levels[0]},{levels[1]}\n")
                x1, x2 = (0.97 * x1 + 0.003 * (volts - 5.0) + normal(0, 2.5e-8 ** 0.5),
                          0.025 * x1 + 0.975 * x2 + normal(0, 2.5e-8 ** 0.5))
        found = [line for line in command("replay", "--model", path, "--input", log).splitlines()
                 if "anomaly raised" in line]
    print(f"healthy: {len(found)} alarms in {days:g} days of one step a second"
          + (f" (0 in T: at most {3 / days:.2g} a day)" if not found else ""))
    for line in found[:10]:
        print("  " + line)
    return len(found)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--healthy-days", type=float, default=30)
    arguments = parser.parse_args()
    trial = Trial()
    for batch in range(arguments.batches):
        trial.batch(cases() + [None], 1 + batch)
        print(f"batch {batch + 1} of {arguments.batches}", file=sys.stderr)
    if arguments.batches > 0:
        trial.print()
    if arguments.healthy_days > 0:
        healthy(arguments.healthy_days, 1)


if __name__ == "__main__":
    main()
