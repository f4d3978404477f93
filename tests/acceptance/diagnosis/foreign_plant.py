"""Two tanks that the product did not write, for its own two_tank model to follow: what alarms are worth when the plant is
not the model.

    A1 h1' = q(u) − a1 √(2 g h1) − leak + w1      A2 h2' = a1 √(2 g h1) − a2 √(2 g h2) + w2

as rows of a log, one a second. Against the model: parameters off by up to 10 %, process noise of AR(1) φ = 0.3, sensors with
a lag of 2 s, INT16 counts, a pump that moves nothing below its dead band, switched on and off, with a level controller
whose set point steps. `matched` is the same machine run the same way, but as the model has it in all of this.
"""
import math
import random

A1, A2, OUTLET_1, OUTLET_2, PUMP = 28.0e-4, 32.0e-4, 0.12e-4, 0.12e-4, 6.239e-6   # of the model: m2, m3/(s V)
G = 9.80665
NOISE = 0.002           # m, of a level sensor
PROCESS = (2.5e-4, 3.8e-4)  # m per √s, of the levels
COUNT = 0.0005          # m, of an INT16 count
LAG = 2.0               # s
PHI = 0.3
DEAD_BAND = 0.4         # V
SUBSTEPS = 2


class Plant:
    def __init__(self, machine, matched=False):
        """`machine`: seed of its parameters."""
        chance = random.Random(machine)
        self.a1, self.a2, self.o1, self.o2, self.k = (
            value * (1.0 if matched else chance.uniform(0.9, 1.1)) for value in (A1, A2, OUTLET_1, OUTLET_2, PUMP))
        self.matched = matched

    def rows(self, seconds, seed, fault=None):
        """(pump, level_1, level_2) of each second, as the PLC says them. `fault`: (kind, size, second): leak_1, leak_2
        in m/s, bias_1, bias_2 in m; the machine then runs from half an hour before to an hour after."""
        chance = random.Random(seed)
        normal = chance.gauss
        kind, size, fault_at = fault or (None, 0.0, math.inf)
        leak_1, leak_2, bias_1, bias_2 = (size if kind == one else 0.0 for one in ("leak_1", "leak_2", "bias_1", "bias_2"))
        dead = 0.0 if self.matched else DEAD_BAND
        follow = 1.0 if self.matched else 1.0 - math.exp(-1.0 / LAG)
        phi = 0.0 if self.matched else PHI
        spread = math.sqrt(1.0 - phi * phi)
        c1, c2 = self.o1 * math.sqrt(2 * G) / self.a1, self.o1 * math.sqrt(2 * G) / self.a2
        c3, b = self.o2 * math.sqrt(2 * G) / self.a2, self.k / self.a1
        h1 = h2 = s1 = s2 = 0.12
        w1 = w2 = 0.0
        integral, u, on, target = 3.0, 3.0, True, 0.12
        switch_at, step_at = chance.randint(1800, 5400), chance.randint(600, 1800)
        dt = 1.0 / SUBSTEPS
        for k in range(int(seconds)):
            # The controller and its operator.
            if k == fault_at - 1800:
                on, integral, switch_at = True, 3.0, fault_at + 3600
            if k >= switch_at:
                on = not on
                switch_at = k + (chance.randint(1800, 5400) if on else chance.randint(120, 900))
                integral = 3.0
            if k >= step_at:
                target = chance.uniform(0.09, 0.15)
                step_at = k + chance.randint(600, 1800)
            m1, m2 = s1 + normal(0.0, NOISE), s2 + normal(0.0, NOISE)
            faulty = k >= fault_at
            if faulty:
                m1, m2 = m1 + bias_1, m2 + bias_2
            if not self.matched:
                m1, m2 = round(m1 / COUNT) * COUNT, round(m2 / COUNT) * COUNT
            error = target - m2
            integral = min(max(integral + 0.02 * error, 2.0), 4.5)
            u = round(min(max(integral + 4.0 * error, 0.5), 5.0), 2) if on else 0.0
            yield u, m1, m2
            # The tanks.
            w1 = phi * w1 + spread * normal(0.0, PROCESS[0])
            w2 = phi * w2 + spread * normal(0.0, PROCESS[1])
            inflow = b * u if u > dead else 0.0
            lost_1, lost_2 = (leak_1, leak_2) if faulty else (0.0, 0.0)
            for _ in range(SUBSTEPS):
                r1, r2 = math.sqrt(h1), math.sqrt(h2)
                h1 = max(h1 + dt * (inflow - c1 * r1 - lost_1 + w1), 1e-4)
                h2 = max(h2 + dt * (c2 * r1 - c3 * r2 - lost_2 + w2), 1e-4)
            s1 += follow * (h1 - s1)
            s2 += follow * (h2 - s2)


def write_log(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.write("time[s],plc.pump[V],plc.level_1[m],plc.level_2[m]\n")
        for k, (pump, level_1, level_2) in enumerate(rows):
            file.write(f"{k},{pump:.2f},{level_1:.6f},{level_2:.6f}\n")
