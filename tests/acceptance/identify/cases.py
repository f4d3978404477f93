"""What the cases share: `identify` run and scored, plants that make logs."""
import math
import random
import re

from command_case import CommandCase, run_scorer


class IdentifyCase(CommandCase):
    def identify(self, log, inputs, outputs, *more, code=0):
        arguments = ["--inputs", ",".join(inputs)] if inputs else []
        return self.run_command("identify", "--input", log, *arguments, "--outputs", ",".join(outputs), "--output",
                                "model.yaml", *more, code=code)

    def score(self, log, column, estimate, skip):
        """Fit in %, RMSE and the persistence floor, by the scorer of the data."""
        told = run_scorer("fit.py", log, column, estimate, f"yhat.{column}", str(skip))
        found = re.match(r"fit (\S+) %  RMSE (\S+)  persistence floor (\S+) %", told)
        return tuple(map(float, found.groups()))


def staircase(source, count, low=0.0, high=1.0, hold=(5, 40)):
    """Steps of random height and length."""
    values, value, left = [], 0.0, 0
    for _ in range(count):
        if left == 0:
            value, left = source.uniform(low, high), source.randint(*hold)
        values.append(value)
        left -= 1
    return values


def first_order(u, pole=0.9, gain=2.0, noise=0.0, offset=0.0, delay=0, source=None):
    """y(k) of a first-order plant, steady gain `gain`, with white noise on it."""
    x, y = 0.0, []
    for k in range(len(u)):
        y.append(offset + x + (source.gauss(0.0, noise) if noise else 0.0))
        x = pole * x + (1.0 - pole) * gain * (u[k - delay] if k >= delay else u[0])
    return y


def sine(count, period):
    return [math.sin(2.0 * math.pi * k / period) for k in range(count)]


def seeded(number):
    return random.Random(number)
