"""Levenberg–Marquardt in plain Python, for fit_examples.py: a few parameters, residuals that are dear to compute."""
import collections
import math

Parameter = collections.namedtuple("Parameter", "name start low high scale")  # scale: log, or linear


def solve(A, b):
    """x of A x = b by Gauss with row exchange."""
    rows = [list(row) + [value] for row, value in zip(A, b)]
    n = len(rows)
    for i in range(n):
        pivot = max(range(i, n), key=lambda k, column=i: abs(rows[k][column]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        for k in range(i + 1, n):
            factor = rows[k][i] / rows[i][i]
            for j in range(i, n + 1):
                rows[k][j] -= factor * rows[i][j]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (rows[i][n] - sum(rows[i][j] * x[j] for j in range(i + 1, n))) / rows[i][i]
    return x


def least_squares(residuals, table, what):
    """Values by name with the least sum of squares of residuals(values), a list, from the table's starts.

    Derivatives are differences; each step is at most 0.7 in a parameter (in its logarithm, if its scale is log), is cut at the
    bounds, and a parameter that stands at its bound and would leave is held. It ends when a step gains less than a millionth.
    A parameter with low = high is not moved.
    """
    free = [p for p in table if p.low < p.high]

    def values(z):
        return {p.name: p.start for p in table} | {p.name: math.exp(x) if p.scale == "log" else x for p, x in zip(free, z)}

    def scaled(p, value):
        return math.log(value) if p.scale == "log" else value

    def cost_of(r):
        return sum(x * x for x in r)

    z = [scaled(p, p.start) for p in free]
    low, high = [scaled(p, p.low) for p in free], [scaled(p, p.high) for p in free]
    r = residuals(values(z))
    cost, damping = cost_of(r), 1e-2
    print(f"{what}: {len(free)} parameters, {len(r)} residuals, sum of squares at the start {cost:.6g}", flush=True)
    for iteration in range(100):
        columns = []
        for i in range(len(free)):
            step = 1e-4 if z[i] + 1e-4 <= high[i] else -1e-4
            moved = residuals(values(z[:i] + [z[i] + step] + z[i + 1:]))
            columns.append([(a - b) / step for a, b in zip(moved, r)])
        slope = [sum(a * b for a, b in zip(column, r)) for column in columns]
        active = [i for i in range(len(free)) if not (z[i] <= low[i] and slope[i] > 0) and not (z[i] >= high[i] and slope[i] < 0)]
        H = [[sum(a * b for a, b in zip(columns[i], columns[j])) for j in active] for i in active]
        gain = 0.0
        for _ in range(12):
            damped = [[h + (damping * h + 1e-12 * cost if i == j else 0.0) for j, h in enumerate(row)] for i, row in enumerate(H)]
            tried = list(z)
            for i, d in zip(active, solve(damped, [-slope[i] for i in active])):
                tried[i] = min(high[i], max(low[i], z[i] + max(-0.7, min(0.7, d))))
            moved = residuals(values(tried))
            if cost_of(moved) < cost:
                gain, z, r, cost = cost - cost_of(moved), tried, moved, cost_of(moved)
                damping = max(damping / 5, 1e-9)
                break
            damping *= 4
        print(f"  {iteration + 1:3}: {cost:.6g}", flush=True)
        if gain < 1e-6 * cost:
            break
    found = values(z)
    for p in free:
        print(f"  {p.name:16} {p.start:10.5g} -> {found[p.name]:.5g}")
    return found
