"""replay of logs: the equations, the rows, the times, the faults."""
import copy
import unittest

import oracle
from cases import TANK_DEVICE, LogCase

INTEGRATOR = {"name": "tank", "time": "discrete", "sample_time": 1.0,
              "states": [{"name": "level", "unit": "m", "initial": 1.0, "initial_std": 0.1}],
              "inputs": [{"name": "inflow", "unit": "m/s"}], "outputs": [{"name": "level", "unit": "m", "noise_std": 0.05}],
              "A": [[1.0]], "B": [[1.0]], "C": [[1.0]], "noise": {"Q": [[1e-4]], "R": [[0.0025]]}}


class Replay(LogCase):
    def check_rows(self, model, steps, expected, tolerance):
        rows = self.table(steps)
        self.assertEqual(len(rows), len(expected))
        for k, (row, want) in enumerate(zip(rows, expected)):
            for i in range(model.n):
                self.assert_close(row[f"x.x{i + 1}"], want["x"][i], tolerance, f"row {k} x{i + 1}")
                if row[f"sd.x{i + 1}"]:
                    self.assert_close(row[f"sd.x{i + 1}"], want["sd"][i], 1e-7, f"row {k} sd{i + 1}")
            for i in range(model.p):
                self.assert_close(row[f"yhat.y{i + 1}"], want["yhat"][i], tolerance, f"row {k} yhat{i + 1}")
                self.assert_close(row[f"nu.y{i + 1}"], want["nu"][i], tolerance, f"row {k} nu{i + 1}")
                self.assertEqual(row[f"fused.y{i + 1}"], "0" if want["nu"][i] is None else "1")
            self.assert_close(row["nis"], want["nis"], 1e-9, f"row {k} nis")
            self.assertEqual(row["nis_dof"], str(want["dof"]) if want["dof"] else "")
            self.assertEqual(row["anomaly"], "0")

    def test_equations(self):
        source = oracle.seeded(1)
        for case in range(24):
            n, m, p = source.randint(1, 5), source.randint(0, 3), source.randint(1, 4)
            document = oracle.random_model(source, n, m, p, correlated=case % 2 == 1)
            if case % 6 == 5:  # the innovations form of the same model
                P, K, sigma = oracle.Model(document).steady()
                document["noise"] = {"K": K, "Ry": sigma}
                for state in document["states"]:
                    state["initial_std"] = 0.0
            model = oracle.Model(document)
            # A missing input is held for three periods at most before the rows that it feeds are left out.
            rows = oracle.random_rows(source, model, 120, 0.0 if m else 0.3)
            rows = [(u, [None if source.random() < 0.3 else v for v in y]) for u, y in rows]
            steps = self.replay(self.write_model(document), self.write_log(document, rows))
            with self.subTest(case=case, n=n, m=m, p=p):
                self.check_rows(model, steps, list(oracle.filter_log(model, rows)), 1e-10)

    def test_rows(self):
        model = self.write_model(INTEGRATOR)
        header = "time,step,mode,regime,x.level,sd.level,u.inflow,y.level,yhat.level,nu.level,fused.level,q.level,nis,nis_dof,anomaly"
        text = ("time;inflow[m/s];level[m];other\n# comment\n2024-02-29 23:59:58;0.1;1;7\n2024-02-29 23:59:59.004;;1.1;7\n"
                "2024-03-01 00:00:00;NaN;;x\n").replace(";x", ";")
        steps = self.replay(model, self.write("log.csv", text))
        lines = steps.read_text().splitlines()
        self.assertEqual(lines[0], header)
        rows = self.table(steps)
        self.assertEqual([r["time"] for r in rows],
                         ["2024-02-29 23:59:58", "2024-02-29 23:59:59.004", "2024-03-01 00:00:00"])
        self.assertEqual([r["step"] for r in rows], ["0", "1", "2"])
        self.assertEqual([r["u.inflow"] for r in rows], ["0.1"] * 3, "an input that is missing is held")
        self.assertEqual([r["y.level"] for r in rows], ["1", "1.1", ""])
        self.assertEqual([r["fused.level"] for r in rows], ["1", "1", "0"])
        self.assertEqual(rows[2]["nis"], "")
        without = self.replay(model, self.write("log.csv", "t,inflow\n0,1\n1,1\n2,1\n".replace("inflow", "inflow,level")
                                                .replace("0,1", "0,1,").replace("\n1,1", "\n1,1,").replace("\n2,1", "\n2,1,")))
        self.assertEqual([r["nis_dof"] for r in self.table(without)], [""] * 3)
        spaced = dict(INTEGRATOR, outputs=[{"name": "Level_of_tank_1", "noise_std": 0.05}])
        steps = self.replay(self.write_model(spaced), self.write("log.csv", "t,inflow,Level of tank-1\n0,0,1.25\n"))
        self.assertEqual(self.table(steps)[0]["y.Level_of_tank_1"], "1.25")

    def test_times(self):
        model = self.write_model(INTEGRATOR)

        def steps(times, levels, *more):
            rows = [([0.0], [level]) for level in levels]
            return self.table(self.replay(model, self.write_log(INTEGRATOR, rows, times=times), *more))
        regular = steps([10.0, 11.0, 12.0, 13.0], [1.0, 1.2, 1.1, 1.3])
        jittered = steps([10.0, 11.3, 11.8, 13.499], [1.0, 1.2, 1.1, 1.3])
        for a, b in zip(regular, jittered):
            self.assertEqual({k: v for k, v in a.items() if k != "time"}, {k: v for k, v in b.items() if k != "time"})
        # A gap is stepped through without measurements.
        gap = steps([10.0, 11.0, 12.0, 13.0], [1.0, None, None, 1.3])
        jump = steps([10.0, 13.0], [1.0, 1.3])
        self.assertEqual({k: v for k, v in gap[3].items() if k != "time"}, {k: v for k, v in jump[1].items() if k != "time"})
        every = steps([10.0, 13.0], [1.0, 1.3], "--every-step")
        self.assertEqual([(r["time"], r["step"]) for r in every], [("10.0", "0"), ("11", "1"), ("12", "2"), ("13.0", "3")])
        self.assertEqual(every[3], jump[1])
        # Two rows in one tick: each is told as the last one so far.
        double = steps([10.0, 11.0, 11.2, 12.0], [1.0, 1.5, 1.2, 1.1])
        self.assertEqual([r["step"] for r in double], ["0", "1", "1", "2"])
        self.assertEqual(double[1]["y.level"], "1.5")
        single = steps([10.0, 11.2, 12.0], [1.0, 1.2, 1.1])
        self.assertEqual(double[2:], single[1:])
        # A row that goes back in time changes nothing that was told before, nor after.
        late = steps([10.0, 11.0, 12.0, 10.5, 13.0], [1.0, 1.2, 1.1, 9.0, 1.3])
        self.assertEqual(late[:3] + late[4:], [dict(r, time=t) for r, t in zip(regular, ("10.0", "11.0", "12.0", "13.0"))])
        done = self.run_command("replay", "--model", model, "--input", "log.csv")
        self.assertIn("1 rows go back in time", done.stderr)
        # A gap of years at one step a second is no work of hours.
        log = self.write("log.csv", "t,inflow,level\n2020-01-01 00:00:00,0,1\n2220-01-01 00:00:00,0,1\n")
        self.assertIn("log.csv:3:1", self.run_command("replay", "--model", model, "--input", log, code=65).stderr)

    def test_order(self):
        source = oracle.seeded(5)
        for case in range(12):
            document = oracle.random_model(source, source.randint(1, 4), 1, 2, correlated=case % 2 == 1)
            model = self.write_model(document)
            rows = oracle.random_rows(source, oracle.Model(document), 400, 0.2)
            stamped = [(0.5 * k, row) for k, row in enumerate(rows)]

            def replayed(order):
                log = self.write_log(document, [row for _, row in order], times=[time for time, _ in order])
                return [line.split(",", 1) for line in self.replay(model, log).read_text().splitlines()[1:]]
            straight = replayed(stamped)
            begin, length = source.randint(20, 200), source.randint(2, 90)
            order = stamped[:]
            order[begin:begin + length] = reversed(order[begin:begin + length])
            with self.subTest(case=case, begin=begin, length=length):
                told = replayed(order)
                self.assertNotEqual(told, straight)
                self.assertEqual(told[begin + length:], straight[begin + length:], "what comes after late rows")
                self.assertEqual(told[begin + length - 1], straight[begin], "the latest row, at its own step")
                self.assertEqual(told[:begin], straight[:begin])
            shuffled = stamped[:]
            for start in range(0, 350, 50):
                part = shuffled[start + 1:start + 50]
                source.shuffle(part)
                shuffled[start + 1:start + 50] = part
            with self.subTest(case=case, order="shuffled"):
                self.assertEqual(replayed(shuffled)[350:], straight[350:])

    def test_prefix(self):
        source = oracle.seeded(3)
        document = oracle.random_model(source, 3, 1, 2, True)
        model = self.write_model(document, {"gate": 4, "on_delay": "1s", "off_delay": "2s"})
        rows = [(u, y if source.random() < 0.9 else [v and v + 20 for v in y])
                for u, y in oracle.random_rows(source, oracle.Model(document), 400, 0.1)]
        times = []
        now = 0.0
        for _ in rows:
            times.append(round(now, 3))
            now += source.choice((0.5, 0.5, 0.5, 0.1, 0.62, 2.5, -0.3, 11.0))
        log = self.write_log(document, rows, times=times)
        full = self.replay(model, log).read_bytes().splitlines(keepends=True)
        self.assertEqual(len(full), 401)
        self.assertGreater(sum(line.endswith(b",1\n") for line in full), 10, "some rows with an anomaly")
        lines = log.read_bytes().splitlines(keepends=True)
        for count in source.sample(range(1, 400), 25):
            (self.folder / "part.csv").write_bytes(b"".join(lines[:count + 1]))
            self.assertEqual(self.replay(model, self.folder / "part.csv", output="part-steps.csv").read_bytes(),
                             b"".join(full[:count + 1]), count)

    def test_diagnosis(self):
        rows = [([0.0], [1.0 + 0.01 * (k % 3)]) for k in range(10)] + [([0.0], [1.0 + 3 * (k % 2)]) for k in range(40)]
        log = self.write_log(INTEGRATOR, rows, period=1.0)

        def fused(model, *more):
            return [int(r["fused.level"]) for r in self.table(self.replay(model, log, *more))]
        ungated = self.write_model(INTEGRATOR)
        gated = self.write_model(INTEGRATOR, {"gate": 4, "gate_timeout": "1h", "cusum": {"enabled": False}}, "gated.yaml")
        self.assertEqual(fused(ungated), [1] * 50, "a model without a diagnosis is replayed ungated")
        self.assertIn(0, fused(gated))
        off = self.write("off.yaml", "gate: off\n")
        self.assertEqual(fused(gated, "--diagnosis", off), [1] * 50, "a file is laid over the model's")
        nested = self.write("nested.yaml", "diagnosis: {gate: 4, gate_timeout: 1h}\n")
        self.assertEqual(fused(ungated, "--diagnosis", nested), fused(gated))
        wide = self.write("wide.yaml", "gate: 900\n")
        self.assertEqual(fused(gated, "--diagnosis", wide), [1] * 50)
        wrong = self.write("wrong.yaml", "gate: -1\n")
        done = self.run_command("replay", "--model", gated, "--input", log, "--diagnosis", wrong, code=78)
        self.assertIn("wrong.yaml:1:7", done.stderr)
        self.run_command("replay", "--model", gated, "--input", log, "--diagnosis", "none.yaml", code=66)

    def test_configuration(self):
        document = dict(INTEGRATOR)
        diagnosis = {"gate": 4, "cusum": {"limit": 6}}
        model = self.write_model(document, diagnosis)
        configuration = self.write("config.yaml", TANK_DEVICE + """\
  - {name: a, model: model.yaml, inputs: {inflow: plc.inflow}, outputs: {level: plc.level}}
  - {name: b, model: model.yaml, inputs: {inflow: plc.inflow}, outputs: {level: plc.level}, diagnosis: {gate: off, cusum: {enabled: false}}}
""")
        source = oracle.seeded(5)
        rows = [([0.01 * source.gauss(0, 1)], [1 + 0.05 * source.gauss(0, 1) + (k > 60) * 0.02 * (k - 60)]) for k in range(200)]
        by_model = self.table(self.replay(model, self.write_log(document, rows, period=1.0)))
        text = (self.folder / "log.csv").read_text().replace("inflow", "plc.inflow").replace("level", "plc.level")
        log = self.write("tags.csv", text)
        for twin, same in (("a", True), ("b", False)):
            self.run_command("replay", "--config", configuration, "--twin", twin, "--input", log, "--output", "c.csv")
            self.assertEqual(self.table(self.folder / "c.csv") == by_model, same)
        self.assertIn("1", [r["anomaly"] for r in by_model])
        done = self.run_command("replay", "--config", configuration, "--input", log, code=64)
        self.assertIn("--twin; accepted: a, b", done.stderr)

    def test_regimes(self):
        self.write_model(INTEGRATOR, {"gate": "off", "cusum": {"limit": 6}, "on_delay": "0s", "off_delay": "0s"})

        def replay(regimes, rows):
            configuration = self.write("config.yaml", f"""\
gateway: {{id: gw}}
devices:
  - name: plc
    controller: tcp://127.0.0.1:1502
    poll_interval: 1s
    registers:
      - {{name: inflow, register: holding, address: 0, type: FLOAT64, unit: m/s, stuck_after: off}}
      - {{name: level, register: holding, address: 4, type: FLOAT64, unit: m, stuck_after: off}}
      - {{name: speed, register: holding, address: 8, type: FLOAT64}}
twins:
  - {{name: a, model: model.yaml, inputs: {{inflow: plc.inflow}}, outputs: {{level: plc.level}}{regimes}}}
""")
            text = "t,plc.inflow,plc.level,plc.speed\n" + "".join(f"{k},0,{level!r},{speed}\n" for k, (level, speed) in enumerate(rows))
            self.run_command("replay", "--config", configuration, "--input", self.write("tags.csv", text), "--output", "c.csv")
            return self.table(self.folder / "c.csv")
        source = oracle.seeded(8)
        # A leak from row 100 on; the machine runs in rows 20–59 and from 150 on.
        rows = [(1 + 0.05 * source.gauss(0, 1) - max(0, k - 100) * 0.05, 10 if 20 <= k < 60 or k >= 150 else 0) for k in range(250)]
        always = replay("", rows)
        self.assertEqual({r["regime"] for r in always}, {""})
        flagged = [k for k, r in enumerate(always) if r["anomaly"] == "1"]
        self.assertTrue(100 < flagged[0] < 130, flagged[:1])
        held = replay(", regimes: [{name: fast, when: plc.speed > 50}, {name: running, when: plc.speed > 5, settle: 20s}]", rows)
        self.assertEqual([r["regime"] for r in held], ["running" if speed else "" for _, speed in rows])
        flagged = [k for k, r in enumerate(held) if r["anomaly"] == "1"]
        self.assertTrue(170 <= flagged[0] < 190, flagged[:1])
        keys = [k for k in always[0] if k not in ("regime", "anomaly")]
        self.assertEqual([[r[k] for k in keys] for r in always], [[r[k] for k in keys] for r in held], "the twin runs on")

    def test_validity(self):
        model = INTEGRATOR | {"validity": {"u": {"inflow": [-1, 1]}, "y": {"level": [-2, 3]}}}
        diagnosis = {"gate": "off", "cusum": {"limit": 6}, "on_delay": "0s", "off_delay": "0s"}
        source = oracle.seeded(8)
        # A leak from row 50 on takes the level out of the range near row 110; from row 180 on it is back, and goes on leaking.
        levels = [1 + 0.05 * source.gauss(0, 1) - 0.05 * (max(0, k - 50) if k < 180 else k - 180) for k in range(250)]
        log = self.write_log(model, [([0.0], [level]) for level in levels], period=1.0)
        always = self.table(self.replay(self.write_model(INTEGRATOR, diagnosis), log))
        held = self.table(self.replay(self.write_model(model, diagnosis), log, output="held.csv"))
        keys = [k for k in always[0] if k != "anomaly"]
        self.assertEqual([[r[k] for k in keys] for r in always], [[r[k] for k in keys] for r in held], "the twin runs on")
        self.assertEqual([r["anomaly"] for r in always[:105]], [r["anomaly"] for r in held[:105]])
        flagged = [k for k, r in enumerate(held) if r["anomaly"] == "1"]
        self.assertTrue(50 < flagged[0] < 80, flagged[:1])
        # Another machine that is outside all the time is never judged.
        far = INTEGRATOR | {"validity": {"u": {"inflow": [1, 2]}}}
        rows = self.table(self.replay(self.write_model(far, diagnosis), log, output="far.csv"))
        self.assertEqual({r["anomaly"] for r in rows}, {"0"})
        self.assertEqual({r["anomaly"] for r in always}, {"0", "1"})
        # A regime that holds all the time makes no difference to that.
        for model, expected in ((far, {"0"}), (INTEGRATOR, {"0", "1"})):
            self.write_model(model, diagnosis)
            configuration = self.write("config.yaml", TANK_DEVICE + """\
  - {name: a, model: model.yaml, inputs: {inflow: plc.inflow}, outputs: {level: plc.level}, regimes: [{name: on, when: plc.level > -100}]}
""")
            self.write("tags.csv", "t,plc.inflow,plc.level\n" + "".join(f"{k},0,{level!r}\n" for k, level in enumerate(levels)))
            self.run_command("replay", "--config", configuration, "--input", "tags.csv", "--output", "c.csv")
            rows = self.table(self.folder / "c.csv")
            self.assertEqual({r["regime"] for r in rows}, {"on"})
            self.assertEqual({r["anomaly"] for r in rows}, expected)

    def test_faults(self):
        model = self.write_model(INTEGRATOR)
        log = self.write("log.csv", "t,inflow,level\n0,0,1\n")

        def says(what, *arguments, code):
            self.assertIn(what, self.run_command("replay", *arguments, code=code).stderr)
        says("none.csv: No such file", "--model", model, "--input", "none.csv", code=66)
        says("none.yaml", "--model", "none.yaml", "--input", log, code=66)
        says("bad.csv:2:5: level: \"x\" is no number", "--model", model, "--input",
             self.write("bad.csv", "t,inflow,level\n0,0,x\n".replace("0,0,x", "0,0,x")), code=65)
        says("no column for inflow", "--model", model, "--input", self.write("bad.csv", "t,level\n0,1\n"), code=65)
        says("no column for any output; accepted: at least one of level", "--model", model, "--input",
             self.write("bad.csv", "t,inflow\n0,1\n"), code=65)
        says("column level: unit ft is not the unit m", "--model", model, "--input",
             self.write("bad.csv", "t,inflow,level[ft]\n0,0,1\n"), code=65)
        says("no rows", "--model", model, "--input", self.write("bad.csv", "t,inflow,level\n"), code=65)
        says("wrong.csv", "--model", model, "--input", log, "--output", "absent/wrong.csv", code=74)
        broken = copy.deepcopy(INTEGRATOR)
        broken["noise"]["R"] = [[-1.0]]
        says("model.noise.R", "--model", self.write_model(broken, name="broken.yaml"), "--input", log, code=78)
        continuous = dict(INTEGRATOR, time="continuous")
        del continuous["sample_time"]
        path = self.write_model(continuous, name="continuous.yaml")
        says("--sample-time", "--model", path, "--input", log, code=78)
        self.run_command("replay", "--model", path, "--input", log, "--sample-time", "1s")
        says("--sample-time: fast", "--model", path, "--input", log, "--sample-time", "fast", code=64)
        says("differs from --sample-time", "--model", model, "--input", log, "--sample-time", "2s", code=78)
        for arguments in (("--model", model), ("--input", log), ("--model", model, "--config", model, "--input", log),
                          ("--model", model, "--capture", log), ("--config", model, "--capture", log, "--input", log)):
            self.run_command("replay", *arguments, code=64)


if __name__ == "__main__":
    unittest.main()
