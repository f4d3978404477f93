"""The equations of a model's steps, written a second time: plain covariance form, no square roots, no shortcuts.

Matrices are lists of rows. A model is the mapping that a model file holds under `model`, discrete, with Q, R and
optionally S, or K and Ry.
"""
import math
import random


def mul(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def add(a, b, sign=1):
    return [[x + sign * y for x, y in zip(r, s)] for r, s in zip(a, b)]


def transposed(a):
    return [list(column) for column in zip(*a)]


def solve(a, b):
    """a⁻¹ b by Gauss with pivots."""
    n = len(a)
    rows = [list(a[i]) + list(b[i]) for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(n):
            if k != i:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i])]
    return [row[n:] for row in rows]


def column(values):
    return [[x] for x in values]


def identity(n):
    return [[float(i == j) for j in range(n)] for i in range(n)]


def pick(a, rows, columns=None):
    return [[a[i][j] for j in (columns if columns is not None else range(len(a[0])))] for i in rows]


def zeros(n, m):
    return [[0.0] * m for _ in range(n)]


class Model:
    def __init__(self, document):
        noise = document["noise"]
        self.A, self.C = document["A"], document["C"]
        self.n, self.p = len(self.A), len(self.C)
        self.inputs = document.get("inputs", [])
        self.m = len(self.inputs)
        self.B = document.get("B") or zeros(self.n, self.m)
        self.D = document.get("D") or zeros(self.p, self.m)
        if "Q" in noise:
            self.Q, self.R, self.S = noise["Q"], noise["R"], noise.get("S") or zeros(self.n, self.p)
        else:
            K, Ry = noise["K"], noise["Ry"]
            self.Q, self.R, self.S = mul(mul(K, Ry), transposed(K)), Ry, mul(K, Ry)
        point = document.get("operating_point", {})
        self.x_op = point.get("x") or [0.0] * self.n
        self.u_op = point.get("u") or [0.0] * self.m
        self.y_op = point.get("y") or [0.0] * self.p
        self.states = document["states"]

    def deviation(self, u):
        limited = [min(max(v, i.get("min", -math.inf)), i.get("max", math.inf)) for v, i in zip(u, self.inputs)]
        return [v - o for v, o in zip(limited, self.u_op)]

    def steady(self):
        """P, K, Sigma by repeating the Riccati step."""
        P = identity(self.n)
        for _ in range(20000):
            before = P
            P, K, sigma = self.riccati(P, range(self.p))
            if all(abs(x - y) <= 1e-15 * max(1.0, abs(x)) for r, s in zip(P, before) for x, y in zip(r, s)):
                break
        return P, K, sigma

    def riccati(self, P, used):
        C, R, S = pick(self.C, used), pick(self.R, used, used), pick(self.S, range(self.n), used)
        sigma = add(mul(mul(C, P), transposed(C)), R)
        across = add(mul(mul(self.A, P), transposed(C)), S)
        L = transposed(solve(sigma, transposed(across)))
        P = add(add(mul(mul(self.A, P), transposed(self.A)), self.Q), mul(mul(L, sigma), transposed(L)), -1)
        return [[(x + y) / 2 for x, y in zip(r, s)] for r, s in zip(P, transposed(P))], L, sigma


def filter_log(model, rows):
    """rows: (u, y) with None where missing; yields per row x, sd, yhat, nu, nis, dof of the step."""
    x = [s["initial"] - o for s, o in zip(model.states, model.x_op)]
    P = [[(s["initial_std"] ** 2 if i == j else 0.0) for j in range(model.n)] for i, s in enumerate(model.states)]
    held = list(model.u_op)
    for u, y in rows:
        held = [h if v is None else v for h, v in zip(held, u)]
        du = model.deviation(held)
        expected = [c[0] + d[0] for c, d in zip(mul(model.C, column(x)), mul(model.D, column(du)) if model.m else zeros(model.p, 1))]
        used = [i for i, v in enumerate(y) if v is not None]
        nu = [y[i] - model.y_op[i] - expected[i] if i in used else None for i in range(model.p)]
        forced = mul(model.B, column(du)) if model.m else zeros(model.n, 1)
        moved = add(mul(model.A, column(x)), forced)
        post, P_post, nis = list(x), P, None
        if used:
            C = pick(model.C, used)
            sigma = add(mul(mul(C, P), transposed(C)), pick(model.R, used, used))
            v = column([nu[i] for i in used])
            weighted = solve(sigma, v)
            nis = mul(transposed(v), weighted)[0][0]
            post = [a + b[0] for a, b in zip(x, mul(mul(P, transposed(C)), weighted))]
            M = transposed(solve(sigma, mul(C, P)))
            P_post = add(P, mul(mul(M, sigma), transposed(M)), -1)
        sd = [math.sqrt(max(P_post[i][i], 0.0)) for i in range(model.n)]
        yield {"x": [a + b for a, b in zip(post, model.x_op)], "sd": sd,
               "yhat": [a + b for a, b in zip(expected, model.y_op)], "nu": nu, "nis": nis, "dof": len(used)}
        if used:
            next_P, L, _ = model.riccati(P, used)
            x = [a[0] + b[0] for a, b in zip(moved, mul(L, v))]
            P = next_P
        else:
            x = [a[0] for a in moved]
            P = add(mul(mul(model.A, P), transposed(model.A)), model.Q)


def random_model(random_source, n, m, p, correlated):
    """A stable model with physical sizes of its own; a discrete model file's content."""
    def normal(rows, columns):
        return [[random_source.gauss(0, 1) for _ in range(columns)] for _ in range(rows)]

    A = normal(n, n)
    norm = max(sum(abs(v) for v in row) for row in A)
    A = [[0.9 * v / norm for v in row] for row in A]
    root = normal(n + p, n + p)
    joint = mul(root, transposed(root))
    Q = [row[:n] for row in joint[:n]]
    R = [row[n:] for row in joint[n:]]
    noise = {"Q": [[0.01 * v for v in row] for row in Q],
             "R": R if correlated else [[R[i][j] if i == j else 0.0 for j in range(p)] for i in range(p)]}
    if correlated:
        noise["S"] = [[0.1 * v for v in row[n:]] for row in joint[:n]]
    model = {"name": "random", "time": "discrete", "sample_time": 0.5,
             "states": [{"name": f"x{i + 1}", "initial": random_source.gauss(0, 1), "initial_std": 0.5} for i in range(n)],
             "inputs": [{"name": f"u{i + 1}"} for i in range(m)], "outputs": [{"name": f"y{i + 1}"} for i in range(p)],
             "A": A, "C": normal(p, n), "noise": noise,
             "operating_point": {"x": [random_source.gauss(0, 1) for _ in range(n)],
                                 "u": [random_source.gauss(0, 1) for _ in range(m)],
                                 "y": [random_source.gauss(0, 1) for _ in range(p)]}}
    if m:
        model["B"], model["D"] = normal(n, m), normal(p, m)
    return model


def random_rows(random_source, model, count, missing):
    def cell():
        return None if random_source.random() < missing else random_source.gauss(0, 1)
    rows = [([cell() for _ in range(model.m)], [cell() for _ in range(model.p)])
            for _ in range(count)]
    first = [random_source.gauss(0, 1) for _ in range(model.m)]  # an input without any value yet is not known
    rows[0] = (first, rows[0][1])
    return rows


def seeded(seed):
    return random.Random(seed)
