"""The two tanks of foreign_plant.py, followed by the product's own model of them: what is told when the plant is not the
model, beside what is told when it is.

Each machine is calibrated on four hours of its own log and judged on other days of it. The model has the parameters of the
catalogue; two of them are estimated as it runs (`augment`), which is all that is done about the others.

    foreign_trial.py [--machines N] [--runs R] [--days D]

prints the table of docs/benchmarks.md. TWINKEEPER_EXECUTABLE names the program.
"""
import argparse
import os
import re
import statistics
import sys
import tempfile

import foreign_plant
from foreign_plant import NOISE, Plant, write_log
from trial import command

CALIBRATION = 4 * 3600
FAULT_AT, FAULT_FOR = 5400, 1800
MODEL = f"""model:
  name: two_tank
  type: two_tank
  sample_time: 1
  parameters: {{A1: {foreign_plant.A1} m2, A2: {foreign_plant.A2} m2, a1: {foreign_plant.OUTLET_1} m2,
    a2: {foreign_plant.OUTLET_2} m2, k_pump: {foreign_plant.PUMP} m3/(s V)}}
  states:
    - {{name: level_1, initial: 0.12, initial_std: 0.02}}
    - {{name: level_2, initial: 0.12, initial_std: 0.02}}
  inputs:
    - {{name: pump, nominal: 3, min: 0, max: 10}}
  outputs:
    - {{name: level_1, noise_std: {NOISE}, resolution: {foreign_plant.COUNT}}}
    - {{name: level_2, noise_std: {NOISE}, resolution: {foreign_plant.COUNT}}}
  noise: {{Q: [[{foreign_plant.PROCESS[0] ** 2}, 0], [0, {foreign_plant.PROCESS[1] ** 2}]]}}
  augment:
    - {{kind: parameter, name: k_pump, initial_std: 0.3e-6, noise_density: 1e-10}}
    - {{kind: parameter, name: a2, initial_std: 0.6e-6, noise_density: 1e-10}}
"""
CONFIGURATION = f"""gateway: {{id: gw}}
devices:
  - name: plc
    controller: tcp://127.0.0.1:1502
    poll_interval: 1s
    registers:
      - {{name: pump, register: holding, address: 0, type: INT16, scale: 0.01, unit: V, stuck_after: off}}
      - {{name: level_1, register: holding, address: 1, type: INT16, scale: {foreign_plant.COUNT}, unit: m}}
      - {{name: level_2, register: holding, address: 2, type: INT16, scale: {foreign_plant.COUNT}, unit: m}}
twins:
  - name: tanks
    period: 1s
    model: model.yaml
    inputs: {{pump: plc.pump}}
    outputs: {{level_1: plc.level_1, level_2: plc.level_2}}
    regimes: [{{name: running, when: plc.pump > 0.3, settle: 60s}}]
"""
FAULTS = ([(f"bias_{tank}", sigmas * NOISE, f"bias of level_{tank}, {sigmas} σ") for tank in (1, 2)
           for sigmas in (2, 3, 5, 10)] +
          [(f"leak_{tank}", speed, f"leak of tank {tank}, {1000 * speed:g} mm/s") for tank in (1, 2)
           for speed in (0.0003, 0.0005, 0.001)])


class Machine:
    def __init__(self, folder, number, matched):
        self.folder, self.number, self.plant = folder, number, Plant(number, matched)
        self.log = os.path.join(folder, "log.csv")
        self.config = os.path.join(folder, "config.yaml")
        for name, text in (("model.yaml", MODEL), ("config.yaml", CONFIGURATION)):
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        write_log(self.log, self.plant.rows(CALIBRATION, 100 + number))
        self.told = self.command("calibrate", "--output", os.path.join(folder, "model.yaml"))

    def command(self, name, *more):
        return command(name, "--config", self.config, "--input", self.log, *more)

    def alarms(self, rows):
        write_log(self.log, rows)
        found = re.findall(r"^(\S+)  anomaly raised tanks\.(\S+):", self.command("replay"), re.M)
        return [(float(time), name) for time, name in found]

    def healthy(self, days):
        """Alarms in days that were not calibrated on."""
        return self.alarms(self.plant.rows(days * 86400, 1000 + self.number))

    def delay(self, kind, size, run):
        """Seconds from the fault to its first alarm; None: none in half an hour, or a false one stands."""
        rows = self.plant.rows(FAULT_AT + FAULT_FOR, 2000 + 100 * self.number + run, (kind, size, FAULT_AT))
        raised = [time for time, _ in self.alarms(rows) if time >= FAULT_AT]
        return raised[0] - FAULT_AT if raised else None


def delays(machines, runs, faults):
    """By fault, of each machine and run."""
    return {(kind, size): [machine.delay(kind, size, run) for machine in machines for run in range(runs)]
            for kind, size, _ in faults}


def figures(found):
    detected = sorted(delay for delay in found if delay is not None)
    if not detected:
        return "0", None, None
    return f"{len(detected)}", statistics.median(detected), detected[int(0.9 * (len(detected) - 1) + 0.5)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--machines", type=int, default=5)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--days", type=float, default=30)
    arguments = parser.parse_args()
    tables, healthy = {}, {}
    for matched in (True, False):
        machines, folders = [], []
        for number in range(1, arguments.machines + 1):
            folders.append(tempfile.TemporaryDirectory())
            machines.append(Machine(folders[-1].name, number, matched))
        tables[matched] = delays(machines, arguments.runs, FAULTS)
        healthy[matched] = [machine.healthy(arguments.days) if arguments.days > 0 else [] for machine in machines]
        for folder in folders:
            folder.cleanup()
        print("matched" if matched else "foreign", "done", file=sys.stderr)
    count = arguments.machines * arguments.runs
    print(f"{arguments.machines} machines, {count} runs of each fault, σ = {NOISE * 1000:g} mm, delays in seconds\n")
    print("| fault | matched: detected | median, 90 % | foreign: detected | median, 90 % | ratio of medians |")
    print("|---|---|---|---|---|---|")
    for kind, size, text in FAULTS:
        one, other = figures(tables[True][kind, size]), figures(tables[False][kind, size])
        shown = [f"{found[0]} of {count} | " + (f"{found[1]:.0f}, {found[2]:.0f}" if found[1] is not None else "–")
                 for found in (one, other)]
        ratio = f"{other[1] / one[1]:.2f}" if one[1] and other[1] else "–"
        print(f"| {text} | {shown[0]} | {shown[1]} | {ratio} |")
    for matched, name in ((True, "matched"), (False, "foreign")):
        alarms = [len(found) for found in healthy[matched]]
        days = arguments.days * arguments.machines
        print(f"\n{name}: {alarms} false alarms in {arguments.days:g} days each, {sum(alarms) / days if days else 0:.2f} a day"
              + (f" (0 in T: at most {3 / days:.2g})" if days and not sum(alarms) else ""))


if __name__ == "__main__":
    main()
