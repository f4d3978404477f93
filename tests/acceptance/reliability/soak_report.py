"""What soak.py has sampled: the table, and the bars.

The same work costs more processor time on a busy machine (shared caches and cores), so what is judged is the daemon's
beside that of the simulator, which does the same work all the time.

A slope is that of the means over each period from one outage to the next, by least squares: samples within a period
depend on each other, and its standard error would be told too small from them.
"""
import csv
import math
import statistics

WARM_UP_S = 20 * 60
RSS_KB_PER_HOUR = 100
CPU_SHARE = 0.10   # how far the last quarter may be from the second
JUDGED_S = 1800    # a shorter run has too few periods for a slope


class Csv:
    def __init__(self, path):
        self._file = open(path, "w", newline="", encoding="utf-8", buffering=1)
        self._writer = None

    def write(self, row):
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, row.keys())
            self._writer.writeheader()
        self._writer.writerow(row)


def slope(points):
    """(slope, its standard error) of [(x, y)] by least squares."""
    n = len(points)
    if n < 3:
        return float("nan"), float("nan")
    mean_x, mean_y = (sum(p[i] for p in points) / n for i in (0, 1))
    xx = sum((x - mean_x) ** 2 for x, _ in points)
    b = sum((x - mean_x) * (y - mean_y) for x, y in points) / xx
    residual = sum((y - mean_y - b * (x - mean_x)) ** 2 for x, y in points)
    return b, math.sqrt(residual / (n - 2) / xx)


def warm_up(seconds):
    return min(WARM_UP_S, seconds / 4)


def period_means(rows, member, period_s, since_s):
    """[(hours, mean)] of whole periods after `since_s`."""
    found = {}
    for row in rows:
        found.setdefault(int(row["elapsed_s"] / period_s), []).append(row[member])
    last = rows[-1]["elapsed_s"]
    return [((i + 0.5) * period_s / 3600, sum(values) / len(values)) for i, values in sorted(found.items())
            if i * period_s >= since_s and (i + 1) * period_s <= last + 1]


def cpu_at(rows, seconds, member):
    """CPU seconds used up to then, between the samples beside it."""
    before = max((r for r in rows if r["elapsed_s"] <= seconds), key=lambda r: r["elapsed_s"], default=rows[0])
    after = min((r for r in rows if r["elapsed_s"] >= seconds), key=lambda r: r["elapsed_s"], default=rows[-1])
    width = after["elapsed_s"] - before["elapsed_s"]
    part = (seconds - before["elapsed_s"]) / width if width else 0
    return before[member] + part * (after[member] - before[member])


def cpu_shares(rows, since_s, until_s, parts, member="cpu_s"):
    """Per cent of one core, in each of so many equal parts of that time."""
    width = (until_s - since_s) / parts
    marks = [cpu_at(rows, since_s + i * width, member) for i in range(parts + 1)]
    return [100 * (b - a) / width for a, b in zip(marks, marks[1:])]


def cpu_ratios(rows, seconds):
    """CPU of the daemon as a multiple of the simulator's, by quarters."""
    return [ours / theirs for ours, theirs in zip(cpu_shares(rows, 0, seconds, 4),
                                                  cpu_shares(rows, 0, seconds, 4, "simulator_cpu_s"))]


def at_equal_phases(rows, member, since_s):
    """Values just before each outage: those of the first third of the time, and of the last."""
    values = [r[member] for r in rows if r["phase"] == "before_bounce" and r["elapsed_s"] >= since_s]
    third = (len(values) + 2) // 3
    return values[:third], values[-third:]


def extent(values):
    return f"{min(values)} to {max(values)}" if values else "none"


def failures(rows, seconds, period_s):
    """The bars of the process that were missed."""
    since = warm_up(seconds)
    missed = []
    growth, _ = slope(period_means(rows, "rss_kb", period_s, since))
    if growth > RSS_KB_PER_HOUR:
        missed.append(f"RSS grows by {growth:.0f} KB/h, allowed are {RSS_KB_PER_HOUR}")
    for member in ("descriptors", "threads"):
        earlier, later = at_equal_phases(rows, member, since)
        if statistics.median(later) > statistics.median(earlier):  # a checkpoint is a descriptor more for a moment
            missed.append(f"{member}: {extent(earlier)} in the first third, {extent(later)} in the last")
    quarters = cpu_ratios(rows, seconds)
    if abs(quarters[3] / quarters[1] - 1) > CPU_SHARE:
        missed.append(f"CPU: {quarters[3]:.2f} times the simulator's in the last quarter, {quarters[1]:.2f} in the second")
    return missed


def losses(soak, holes):
    ledger, missed = soak.ledger, []
    if holes:
        missed.append(f"stored, neither received nor told as lost: {holes}")
    if ledger.total("told") or ledger.unnamed:
        missed.append(f"nothing had to be lost, and {ledger.total('told')} were told and {ledger.unnamed} not named")
    if ledger.total("contradicted"):
        missed.append(f"{ledger.total('contradicted')} received and told as lost")
    if soak.subscriber.lost_sessions:
        missed.append(f"the broker forgot the subscriber {soak.subscriber.lost_sessions} times: holes prove nothing")
    if len(soak.returns_s) < soak.bounces:
        missed.append(f"messages came back {len(soak.returns_s)} times after {soak.bounces} outages")
    return missed


def report(soak, holes):
    rows, seconds, ledger = soak.rows, soak.seconds, soak.ledger
    since = warm_up(seconds)
    kept = [r for r in rows if r["elapsed_s"] >= since]
    print(f"{seconds / 60:g} minutes, {soak.bounces} outages; slopes ± standard error after {since / 60:.3g} minutes")
    for name, member in (("RSS", "rss_kb"), ("RssAnon", "anon_kb")):
        b, error = slope(period_means(rows, member, soak.bounce_s, since))
        values = [r[member] for r in kept]
        print(f"{name:>12}: {b:+.0f} ± {error:.0f} KB/h, {extent(values)} KB")
    for member in ("descriptors", "threads"):
        earlier, later = at_equal_phases(rows, member, since)
        print(f"{member:>12}: {extent(earlier)} before outages of the first third, {extent(later)} of the last; "
              f"{extent([r[member] for r in kept])} at any time")
    quarters = cpu_shares(rows, 0, seconds, 4)
    periods = cpu_shares(rows, since, seconds, max(1, int((seconds - since) / soak.bounce_s)))
    width = (seconds - since) / len(periods) / 3600
    b, error = slope([((i + 0.5) * width, share) for i, share in enumerate(periods)])
    print(f"{'CPU':>12}: {', '.join(f'{q:.1f}' for q in quarters)} % of one core by quarters, "
          f"{b:+.2f} ± {error:.2f} %-points/h; {', '.join(f'{q:.2f}' for q in cpu_ratios(rows, seconds))} times the "
          f"simulator's")
    print(f"{'messages':>12}: {ledger.stored()} stored in the run, {ledger.total('received')} received with the start "
          f"after it, {ledger.total('duplicates')} duplicates, {ledger.replayed} replayed, {ledger.packets} packets, "
          f"{sum(holes.values())} holes, {ledger.total('told')} told as lost")
    returns = sorted(soak.returns_s)
    if returns:
        print(f"{'return':>12}: messages {returns[len(returns) // 2]:.1f} s after the broker is back (median), "
              f"{returns[-1]:.1f} s at most; {len(ledger.sessions)} connections, {soak.log_lines} lines of log")
    missed = losses(soak, holes) + (failures(rows, seconds, soak.bounce_s) if seconds >= JUDGED_S else [])
    for line in missed:
        print(f"MISSED: {line}")
    return 1 if missed else 0
