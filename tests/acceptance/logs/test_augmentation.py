"""Augmented models through the commands: what is generated, what is refused, and that the states are found in a log."""
import json
import random
import unittest

from cases import LogCase
from command_case import ROOT

EXAMPLES = ROOT / "docs" / "models" / "examples"


def discrete_tank(*augment):
    return {"name": "tank", "sample_time": 0.5,
            "states": [{"name": "level_1", "unit": "m", "initial": 0.1, "initial_std": 0.01},
                       {"name": "level_2", "unit": "m", "initial": 0.1, "initial_std": 0.01}],
            "inputs": [{"name": "pump", "unit": "V"}],
            "outputs": [{"name": "level_1", "unit": "m", "noise_std": 0.002},
                        {"name": "level_2", "unit": "m", "noise_std": 0.002}],
            "A": [[0.98, 0.0], [0.02, 0.97]], "B": [[0.01], [0.0]], "C": [[1.0, 0.0], [0.0, 1.0]],
            "D": [[0.0], [0.001]], "noise": {"Q": [[1e-7, 0.0], [0.0, 1e-7]]}, "augment": list(augment)}


BIAS = {"kind": "sensor_bias", "output": "level_2", "noise_density": 1e-5, "initial_std": 0.05}
DISTURBANCE = {"kind": "input_disturbance", "input": "pump", "noise_density": 1e-4, "initial_std": 1.0}


def written_out(document):
    """The same model with the states of BIAS and DISTURBANCE among its own."""
    out = json.loads(json.dumps(document))
    entries = out.pop("augment")
    out["A"] = [row + [0.0, out["B"][i][0]] for i, row in enumerate(out["A"])] + [[0, 0, 1.0, 0], [0, 0, 0, 1.0]]
    out["B"] += [[0.0], [0.0]]
    out["C"] = [row + [float(i == 1), out["D"][i][0]] for i, row in enumerate(out["C"])]
    q = [e["noise_density"] ** 2 * out["sample_time"] for e in entries]
    Q = [row + [0.0, 0.0] for row in out["noise"]["Q"]]
    out["noise"]["Q"] = Q + [[0, 0, q[0], 0], [0, 0, 0, q[1]]]
    out["states"] += [{"name": "bias_level_2", "unit": "m", "initial": 0.0, "initial_std": 0.05},
                      {"name": "disturbance_pump", "unit": "V", "initial": 0.0, "initial_std": 1.0}]
    return out


def configuration(*outputs):
    """The tank's model with these of its outputs measured."""
    registers = [f"      - {{name: {name}, register: holding, address: {2 * i}, type: FLOAT32, unit: m}}" for i, name in enumerate(outputs)]
    return "\n".join(["gateway: {id: gw1}", "devices:", "  - name: plc", "    controller: tcp://127.0.0.1:1502", "    poll_interval: 500ms",
                      "    registers:", *registers, "twins:",
                      "  - {name: tank, model: model.yaml, inputs: {pump: 3}, outputs: {"
                      + ", ".join(f"{name}: plc.{name}" for name in outputs) + "}}", ""])


class Augmentation(LogCase):
    def test_equations(self):
        """show-model and replay are those of the matrices written by hand, and the bias and the disturbance are found."""
        document = discrete_tank(BIAS, DISTURBANCE)
        model, hand = self.write_model(document), self.write_model(written_out(document), name="hand.yaml")
        shown = json.loads(self.run_command("show-model", "--model", model, "--json").stdout)
        expected = json.loads(self.run_command("show-model", "--model", hand, "--json").stdout)
        self.assertEqual(shown["states"], ["level_1", "level_2", "bias_level_2", "disturbance_pump"])
        for key in ("Ad", "Bd", "C", "D", "Qd", "R", "S", "P", "M", "K", "Sigma"):
            worst = max([abs(a - b) for x, y in zip(shown[key], expected[key]) for a, b in zip(x, y)], default=0.0)
            self.assertLessEqual(worst, 1e-14 * max([abs(v) for row in expected[key] for v in row], default=0.0), key)
        self.assertEqual(shown["augment"][0], {"state": "bias_level_2", "kind": "sensor_bias", "of": "level_2", "initial": 0.0,
                                               "initial_std": 0.05, "noise_density": 1e-5, "time_constant_s": None})
        self.assertIn("bias_level_2, sensor_bias of level_2", self.run_command("show-model", "--model", model).stdout)

        source = random.Random(5)
        truth = discrete_tank()
        x, rows = [0.1, 0.1], []
        for k in range(3000):
            u = 5.0 if k // 100 % 2 else 3.0
            acting = u + 0.4
            y = [x[0], x[1] + 0.001 * acting + 0.03]
            rows.append(([u], [v + source.gauss(0, 0.002) for v in y]))
            x = [sum(a * v for a, v in zip(row, x)) + b[0] * acting + source.gauss(0, 3e-4) for row, b in zip(truth["A"], truth["B"])]
        log = self.write_log(document, rows)
        steps = self.table(self.replay(model, log))
        same = self.table(self.replay(hand, log, output="hand.csv"))
        for key, value in same[-1].items():
            if key.startswith(("x.", "sd.", "yhat.")):
                self.assert_close(steps[-1][key], float(value), 1e-10, key)
        for name, true in (("bias_level_2", 0.03), ("disturbance_pump", 0.4)):
            found, sd = float(steps[-1][f"x.{name}"]), float(steps[-1][f"sd.{name}"])
            self.assertLess(abs(found - true), 3 * sd, name)
            self.assertLess(sd, 0.2 * true, name)

    def test_compare(self):
        """compare holds augmented states to their initial values by initial_std, in matrices and in equations."""
        source = random.Random(6)

        def predicted(model, log, *more):
            self.run_command("compare", "--model", model, "--input", log, "--output", "out.csv", *more)
            return self.table(self.folder / "out.csv")

        def assert_same(rows, expected, tolerance, shift=0.0, output="level_2"):
            for row, other in zip(rows, expected):
                for key, value in other.items():
                    if key.startswith("yhat."):
                        self.assert_close(row[key], float(value) + (shift if key == f"yhat.{output}" else 0.0), tolerance, key)

        # Nothing may move what is known; what is known badly may not run away.
        known = [entry | {"initial_std": 0} for entry in (BIAS, DISTURBANCE)]
        plain = self.write_model(discrete_tank(), name="plain.yaml")
        fixed = self.write_model(discrete_tank(*known), name="fixed.yaml")
        nearly = self.write_model(discrete_tank(*(entry | {"initial_std": 1e-9} for entry in known)), name="nearly.yaml")
        shifted = self.write_model(discrete_tank(known[0] | {"initial": 0.3}, known[1]), name="shifted.yaml")
        wide = self.write_model(discrete_tank(BIAS, DISTURBANCE), name="wide.yaml")
        x, rows = [0.1, 0.1], []
        for k in range(1500):
            u = 5.0 if k // 100 % 2 else 3.0
            rows.append(([u], [x[0] + source.gauss(0, 0.002), x[1] + 0.001 * u + source.gauss(0, 0.002)]))
            x = [0.98 * x[0] + 0.01 * u, 0.02 * x[0] + 0.97 * x[1]]
        log = self.write_log(discrete_tank(), rows)
        free = predicted(plain, log)
        assert_same(predicted(fixed, log), free, 1e-5)  # errors are weighed by another Sigma
        assert_same(predicted(nearly, log), free, 1e-5)
        self.assertLess(max(abs(float(row["yhat.level_2"]) - float(row["y.level_2"])) for row in predicted(wide, log)), 0.3)
        zero = predicted(plain, log, "--x0", "zero")
        assert_same(predicted(shifted, log, "--x0", "zero"), zero, 1e-9, 0.3)
        first = predicted(shifted, log, "--x0", "zero", "--horizon", "5")[0]
        self.assert_close(first["yhat.level_2"], float(zero[0]["yhat.level_2"]) + 0.3, 1e-9, "horizon 5")

        text = (EXAMPLES / "fouling.yaml").read_text(encoding="utf-8")
        own = self.write("own.yaml", text[:text.index("  augment:")].replace("UA: 900", "UA: 810"))
        entry = "  augment:\n    - {kind: parameter, name: UA, noise_density: 1.0e-7, max: 1000, initial_std: "
        text = text[:text.index("  augment:")].replace("UA: 900", "UA: 810")
        columns = ["T_hot_in", "T_cold_in", "flow_hot", "flow_cold", "T_hot_out", "T_cold_out"]
        log = self.write("hot.csv", "t," + ",".join(columns) + "\n" + "".join(
            f"{k / 2},{80 if k // 100 % 2 else 75},10,0.2,0.25,{45 + source.gauss(0, 0.1):.6g},{40 + source.gauss(0, 0.1):.6g}\n"
            for k in range(400)))
        free = predicted(own, log)
        assert_same(predicted(self.write("fixed.yaml", text + entry + "0}\n"), log), free, 1e-6)
        assert_same(predicted(self.write("nearly.yaml", text + entry + "1e-6}\n"), log), free, 1e-6)

    def test_indistinguishable(self):
        """Two that nothing tells apart are refused with the place of the later one."""
        lines = json.dumps({"model": discrete_tank(BIAS | {"output": "level_1"}, BIAS, DISTURBANCE)}, indent=1)
        done = self.run_command("show-model", "--model", self.write("bad.yaml", lines), code=78)
        at = [line.strip() for line in lines.splitlines()].index('"kind": "input_disturbance",')  # its brace is a line above
        self.assertIn(f"bad.yaml:{at}:", done.stderr)
        self.assertIn("model.augment[2]: disturbance_pump cannot be told from bias_level_1 and bias_level_2 together",
                      done.stderr)
        # A log without one of the outputs tells less.
        document = discrete_tank(BIAS | {"output": "level_1"}, DISTURBANCE)
        log = self.write("log.csv", "t,pump,level_1\n" + "".join(f"{k / 2},3,0.1\n" for k in range(20)))
        done = self.run_command("replay", "--model", self.write_model(document), "--input", log, code=65)
        self.assertIn("disturbance_pump cannot be told from bias_level_1", done.stderr)
        # So does a twin that does not map it; the fault is told where the model stands.
        self.write_model(document)
        path = self.write("config.yaml", configuration("level_1"))
        done = self.run_command("check", "--config", path, code=78)
        self.assertRegex(done.stderr, r"model\.yaml:1:\d+: model\.augment\[1\]: disturbance_pump cannot be told from bias_level_1")

    def test_check(self):
        """check names augmented states as others, with their standard deviation, and does not call them unstable."""
        self.write_model(discrete_tank(BIAS, DISTURBANCE))
        path = self.write("config.yaml", configuration("level_1", "level_2"))
        done = self.run_command("check", "--config", path, "--json")
        twin = json.loads(done.stdout)["twins"][0]
        self.assertEqual(list(twin["steady_state_std"]), ["level_1", "level_2", "bias_level_2", "disturbance_pump"])
        self.assertTrue(twin["stable"] and twin["detectable"])
        self.assertAlmostEqual(twin["steady_state_gain"]["level_1"]["pump"], 0.5, delta=1e-12)
        self.assertIn("level_2.bias", twin["undetectable_faults"])
        self.assertNotIn("come to rest", done.stderr)

    def test_fouling(self):
        """UA of the example is found in a log of an exchanger that has fouled; compare predicts with it."""
        model = EXAMPLES / "fouling.yaml"
        text = model.read_text(encoding="utf-8")
        own = self.write("own.yaml", text[:text.index("  augment:")].replace("UA: 900", "UA: 810"))
        source = random.Random(8)
        columns = ["T_hot_in", "T_cold_in", "flow_hot", "flow_cold", "T_hot_out", "T_cold_out"]
        inputs = [[80 + source.uniform(-5, 5), 10, 0.2 + source.uniform(-0.05, 0.05), 0.25] for _ in range(30)]
        rows = [f"{k / 2}," + ",".join(f"{v:.6g}" for v in inputs[k // 100]) for k in range(3000)]
        first = self.write("inputs.csv", "t," + ",".join(columns) + "\n" + "".join(row + ",40,40\n" for row in rows))
        self.run_command("compare", "--model", own, "--input", first, "--x0", "zero", "--output", "free.csv")
        free = self.table(self.folder / "free.csv")
        log = self.write("log.csv", "t," + ",".join(columns) + "\n" + "".join(
            f"{row},{float(y['yhat.T_hot_out']) + 0.4 + source.gauss(0, 0.1):.8g},"
            f"{float(y['yhat.T_cold_out']) + source.gauss(0, 0.1):.8g}\n" for row, y in zip(rows, free)))
        last = self.table(self.replay(model, log))[-1]
        self.assertEqual(last["mode"], "tracking")
        for name, true in (("UA", 810.0), ("bias_T_hot_out", 0.4)):
            self.assertLess(abs(float(last[f"x.{name}"]) - true), 3 * float(last[f"sd.{name}"]), name)
        self.assertLess(float(last["sd.UA"]), 20)
        self.run_command("compare", "--model", model, "--input", log, "--horizon", "5")

    def test_alarm(self):
        """A bias that grows below every residual's notice is an alarm; nothing is learnt of it where a sensor is missing."""
        document = discrete_tank(BIAS | {"noise_density": 1e-4, "deviation_limit": 0.02})
        source = random.Random(9)
        x, rows = [0.1, 0.1], []
        for k in range(9000):
            u = 5.0 if k // 100 % 2 else 3.0
            bias = 0.03 * min(max((k - 1000) / 6000, 0.0), 1.0)
            y = [v + source.gauss(0, 0.002) for v in (x[0], x[1] + 0.001 * u + bias)]
            rows.append(([u], [float("nan") if 3000 <= k < 3300 else y[0], y[1]]))
            x = [0.98 * x[0] + 0.01 * u + source.gauss(0, 3e-4), 0.02 * x[0] + 0.97 * x[1] + source.gauss(0, 3e-4)]
        log = self.write_log(document, rows)
        limits = self.write("limits.yaml", "gate: 5\n")
        done = self.run_command("replay", "--model", self.write_model(document), "--input", log, "--diagnosis", limits,
                                "--output", "out.csv")
        raised = [line.split()[3].rstrip(":") for line in done.stdout.splitlines() if "anomaly raised" in line]
        self.assertEqual(raised, ["tank.bias_level_2.deviation"], done.stdout)
        steps = self.table(self.folder / "out.csv")
        first = next(k for k, row in enumerate(steps) if row["anomaly"] == "1")
        self.assertTrue(4500 < first < 7000, first)  # 5000 + what the estimate is behind
        self.assertTrue(all(row["anomaly"] == "1" for row in steps[first:]))

        missing = [row for row in steps[3000:3300] if row["mode"] == "degraded"]
        self.assertGreater(len(missing), 250)
        self.assertEqual(len({row["x.bias_level_2"] for row in missing[1:]}), 1)
        self.assertGreater(float(missing[-1]["sd.bias_level_2"]), float(missing[1]["sd.bias_level_2"]))
        self.assertEqual(steps[3400]["mode"], "tracking")


if __name__ == "__main__":
    unittest.main()
