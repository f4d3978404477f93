"""Logs whose rows come faster than the model steps; what `--check` says of a log; memory that a long log does not need."""
import gzip
import json
import math
import os
import re
import subprocess
import unittest

from cases import IdentifyCase, first_order, seeded, staircase

TIME_CONSTANT = 20.0
GAIN = 2.0


def fast_rows(source, times, hum=0.0, noise=0.02):
    """u and y of a first-order plant at these times; u jumps at any of them, `hum` stands on y about twice a second."""
    rows, x, u, left, phase = [], 0.0, 0.0, 0.0, 0.0
    for k, t in enumerate(times):
        step = times[k + 1] - t if k + 1 < len(times) else 0.0
        if left <= 0.0:
            u, left = source.uniform(0.0, 1.0), source.uniform(3.0, 60.0)
        rows.append([u, x + hum * math.sin(phase) + source.gauss(0.0, noise)])
        phase += 2.0 * math.pi * step / 0.53 + source.gauss(0.0, 0.3)
        share = math.exp(-step / TIME_CONSTANT)
        x = share * x + (1.0 - share) * GAIN * u
        left -= step
    return rows


class Resampled(IdentifyCase):
    def plant_is_found(self, told):
        self.assertIn("verdict: accept", told)
        constant, gain = (float(re.search(pattern, told).group(1))
                          for pattern in (r"time constants: (\S+)", r"u → y: (\S+)"))
        self.assertAlmostEqual(constant, TIME_CONSTANT, delta=0.04 * TIME_CONSTANT)
        self.assertAlmostEqual(gain, GAIN, delta=0.01 * GAIN)
        self.assertNotIn("dead time", told)
        self.assertIn("order 1,", told)

    def test_fast_rows(self):
        times = [0.1 * k for k in range(12000)]
        rows = fast_rows(seeded(31), times, hum=0.3)
        log = self.write_rows(rows, ["u[V]", "y[m]"], times=times)
        told = self.identify(log, ["u"], ["y"], "--sample-time", "1").stdout
        self.plant_is_found(told)
        self.assertRegex(told, r"12000 rows became 1199 samples, one each 1 s, of about 10 rows each")
        # On single samples the hum would stand as it is, and no more than two thirds could be told; of means a tenth is left.
        one_step = float(re.search(r"y: simulation \S+ %, 1 step (\S+) %", told).group(1))
        self.assertGreater(one_step, 92.0)

    def test_fast_and_irregular_rows(self):
        source = seeded(32)
        times = [0.0]
        while times[-1] < 1200.0:
            times.append(round(times[-1] + source.uniform(0.03, 0.5), 4))
        log = self.write_rows(fast_rows(source, times), ["u", "y"], times=times)
        told = self.identify(log, ["u"], ["y"], "--sample-time", "1s").stdout
        self.plant_is_found(told)
        self.assertRegex(told, rf"{len(times)} rows became 1[12]\d\d samples")

    def test_calibrated_on_the_rows_that_made_it(self):
        times = [0.25 * k for k in range(8000)]
        log = self.write_rows(fast_rows(seeded(33), times), ["u", "y"], times=times)
        self.identify(log, ["u"], ["y"], "--sample-time", "1")
        told = self.run_command("calibrate", "--model", "model.yaml", "--input", log, "--output", "calibrated.yaml").stdout
        self.assertIn("limits are from 4 cross-refits", told)


class Check(IdentifyCase):
    def log(self):
        source = seeded(41)
        u = staircase(source, 600)
        y = first_order(u, noise=0.02, source=source)
        times = [float(k) for k in range(600)]
        for k in range(300, 600):
            times[k] += 100.0
        times[400] = times[399]
        rows = [[a, b if k % 50 else None, 7.5, None] for k, (a, b) in enumerate(zip(u, y))]
        return self.write_rows(rows, ["u[V]", "y[m]", "mode", "spare"], times=times)

    def test_text(self):
        told = self.run_command("identify", "--check", "--input", self.log()).stdout
        for part in ("600 rows from 0 s to 699 s", "usual step 1 s",
                     "2 gaps of more than 1.5 steps, 103 s together; the longest 101 s before row 300, from 299 s",
                     "1 row repeats the time before", "u [V]: ", "y [m]: ", "missing 2 %, at most 1 row on end",
                     "mode: 7.5, constant; no unit", "spare: empty; no unit; missing 100 %, at most 600 rows on end"):
            self.assertIn(part, told)
        self.assertEqual(list(self.folder.glob("*.yaml")), [])

    def test_loop(self):
        """What --closed-loop refuses --check --closed-loop refuses."""
        source = seeded(43)
        rows, y = [], 0.0
        for _ in range(600):
            u = -0.5 * y
            rows.append([u, y])
            y = 0.9 * y + 0.1 * u + source.gauss(0.0, 0.1)
        signals = ("--input", self.write_rows(rows, ["u", "y"]), "--inputs", "u", "--outputs", "y", "--closed-loop")
        checked = self.run_command("identify", "--check", *signals, code=65).stderr
        refused = self.run_command("identify", *signals, "--output", "model.yaml", code=65).stderr
        self.assertIn("nothing but the controller moves it", refused)
        self.assertIn("nothing but the controller moves it", checked)

    def test_json(self):
        log = self.log()
        oven = self.write("oven.yaml", json.dumps({"model": {
            "name": "oven", "type": "first_order_thermal", "sample_time": 1, "parameters": {"C": "100 J/K", "R": "1 K/W"},
            "outputs": [{"name": "T", "noise_std": 0.1}], "noise": {"Q": [[1e-6]]}}}))
        told = json.loads(self.run_command("identify", "--check", "--json", "--input", log, "--inputs", "u,mode", "--outputs",
                                           "spare", "--method", "template", "--template", oven, code=65).stdout)
        self.assertEqual(told["samples"]["count"], 0)
        told = json.loads(self.run_command("identify", "--check", "--json", "--input", log, "--inputs", "u", "--outputs",
                                           "y").stdout)
        self.assertEqual((told["rows"], told["begin"], told["end"], told["step"]["usual"]), (600, 0, 699, 1))
        self.assertEqual(told["gaps"]["longest"][0], {"row": 300, "begin": 299, "end": 400, "seconds": 101})
        self.assertEqual([(one["name"], one["unit"]) for one in told["columns"]],
                         [("u", "V"), ("y", "m"), ("mode", None), ("spare", None)])
        self.assertEqual([one["constant"] for one in told["columns"]], [False, False, True, False])
        self.assertEqual(told["columns"][1]["missing_percent"], 2)
        self.assertEqual(told["samples"]["experiments"], 2)
        self.assertEqual((told["errors"], told["repeated_times"], told["times_back"]), ([], 1, 0))

    def test_what_speaks_against_a_model(self):
        done = self.run_command("identify", "--check", "--input", self.log(), "--inputs", "mode", "--outputs", "y", code=65)
        self.assertIn("input mode never changes", done.stderr)
        done = self.run_command("identify", "--check", "--input", self.log(), "--outputs", "spare", code=65)
        self.assertRegex(done.stderr, r"log\.csv: .*spare|no stretch")

    def test_dates(self):
        text = "time;a\n" + "".join(f"2026-03-01 00:{k // 60:02}:{k % 60:02};{k % 5}\n" for k in range(300))
        told = self.run_command("identify", "--check", "--input", self.write("log.csv", text)).stdout
        self.assertIn("300 rows from 2026-03-01T00:00:00.000Z to 2026-03-01T00:04:59.000Z", told)

    def test_options(self):
        log = self.log()
        self.run_command("identify", "--json", "--input", log, "--outputs", "y", "--output", "m.yaml", code=64)
        self.run_command("identify", "--check", "--input", log, "--output", "m.yaml", code=64)
        self.assertIn("--outputs", self.run_command("identify", "--input", log, "--output", "m.yaml", code=64).stderr)
        self.assertIn("--output", self.run_command("identify", "--input", log, "--outputs", "y", code=64).stderr)


class Memory(IdentifyCase):
    """What a command holds does not grow with the rows of a log."""

    def write_log(self, name, rows, step):
        source = seeded(51)
        noise = [f"{source.gauss(0.0, 0.02):.6f}" for _ in range(997)]
        x, u, lines = 0.0, 0.0, ["time[s],u,y," + ",".join(f"other_{i}" for i in range(8))]
        for k in range(rows):
            if k * step % 30.0 < step:
                u = source.uniform(0.0, 1.0)
            x += step / TIME_CONSTANT * (GAIN * u - x)
            more = noise[k % 997]
            lines.append(f"{k * step:.3f},{u:.4f},{x + float(more):.6f}" + f",{more}" * 8)
        text = "\n".join(lines) + "\n"
        path = self.folder / name
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode(), compresslevel=1))
        else:
            path.write_text(text, encoding="utf-8")
        return path

    def peak(self, *arguments):
        """Largest resident set of a command, in MB."""
        with open(self.folder / "told.txt", "w", encoding="utf-8") as told:
            process = subprocess.Popen([os.environ["TWINKEEPER_EXECUTABLE"], *map(str, arguments)], stdout=told, stderr=told,
                                       cwd=self.folder)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, (self.folder / "told.txt").read_text(encoding="utf-8"))
        return usage.ru_maxrss / 1024.0

    def test_long_logs(self):
        few = self.write_log("few.csv", 30_000, 0.1)
        fast = self.write_log("fast.csv.gz", 300_000, 0.01)  # as many seconds
        long = self.write_log("long.csv", 300_000, 0.1)
        self.assertGreater(long.stat().st_size, 25_000_000)
        self.identify(few, ["u"], ["y"], "--rows", "0:2000", "--method", "arx", "--order", "2")
        signals = ("--inputs", "u", "--outputs", "y", "--sample-time", "1")
        for log, command in (
                (fast, ("identify", *signals, "--method", "arx", "--order", "2", "--output", "slow.yaml")),
                (fast, ("identify", "--check", *signals)),
                (long, ("compare", "--model", "model.yaml", "--horizon", "3", "--output", "out.csv")),
                (long, ("replay", "--model", "model.yaml", "--output", "out.csv"))):
            small = self.peak(*command, "--input", few)
            self.assertLess(self.peak(*command, "--input", log), small + 6.0, command[0])


if __name__ == "__main__":
    unittest.main()
