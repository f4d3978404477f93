"""Pages of `--report`, opened in headless Chromium. With TWINKEEPER_PICTURES=FOLDER the pictures are kept there."""
import json
import math
import os
import pathlib
import random
import re
import time
import unittest

from browser import Browser
from command_case import CommandCase

PICTURES = os.environ.get("TWINKEEPER_PICTURES")
# Two tanks, one after the other.
TANKS = {"name": "tanks", "type": "state_space", "time": "discrete", "sample_time": 1.0,
         "states": [{"name": "level_1", "unit": "m", "initial": 1.0, "initial_std": 0.05},
                    {"name": "level_2", "unit": "m", "initial": 0.8, "initial_std": 0.05}],
         "inputs": [{"name": "pump", "unit": "V"}],
         "outputs": [{"name": "level_1", "unit": "m"}, {"name": "level_2", "unit": "m"}],
         "A": [[0.95, 0.0], [0.04, 0.96]], "B": [[0.02], [0.0]], "C": [[1.0, 0.0], [0.0, 1.0]], "D": [[0.0], [0.0]],
         "noise": {"Q": [[1e-6, 0.0], [0.0, 1e-6]], "R": [[1e-5, 0.0], [0.0, 1e-5]]},
         "operating_point": {"x": [1.0, 0.8], "u": [3.0], "y": [1.0, 0.8]}}


def tank_rows(count, seed=1, bias=None):
    """(pump, level_1, level_2): the model above with noise; `bias`: rows A … B−1 in which level_2 reads 0.05 m more."""
    source = random.Random(seed)
    x, pump, left, rows = [0.0, 0.0], 3.0, 0, []
    for k in range(count):
        if left == 0:
            pump, left = 3.0 + source.uniform(-1.0, 1.0), source.randint(20, 80)
        left -= 1
        y = [1.0 + x[0] + source.gauss(0, 0.00316), 0.8 + x[1] + source.gauss(0, 0.00316)]
        if bias and bias[0] <= k < bias[1]:
            y[1] += 0.05
        rows.append((pump, *y))
        x = [0.95 * x[0] + 0.02 * (pump - 3.0) + source.gauss(0, 0.001), 0.04 * x[0] + 0.96 * x[1] + source.gauss(0, 0.001)]
    return rows


class PageCase(CommandCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        super().setUp()
        self.browser.events.clear()

    def tearDown(self):
        self.browser.settle()
        self.assertEqual(self.browser.faults(), [])

    def write_log(self, rows, header="time,pump[V],level_1[m],level_2[m]", start=None):
        lines = [header]
        for k, row in enumerate(rows):
            at = repr(float(k)) if start is None else f"{start} {k // 3600:02}:{k // 60 % 60:02}:{k % 60:02}"
            lines.append(",".join([at] + [f"{value:.5f}" for value in row]))
        return self.write("log.csv", "\n".join(lines) + "\n")

    def write_model(self, diagnosis=None):
        document = {"model": TANKS} | ({"diagnosis": diagnosis} if diagnosis is not None else {})
        return self.write("model.yaml", json.dumps(document))

    def open(self, path="page.html", **how):
        self.browser.open(self.folder / path, **how)
        self.draw_all()
        self.assertEqual(self.browser.faults(), [])

    def draw_all(self):
        """Scrolls through the page, as plots are drawn when they come near."""
        self.browser.value("""(async () => { for (let y = 0; y < document.body.scrollHeight; y += 500) {
            scrollTo(0, y); await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))); }
            scrollTo(0, 0); })()""")
        self.browser.settle()

    def text(self, selector):
        return self.browser.value(f"[...document.querySelectorAll({json.dumps(selector)})].map(one => one.textContent)")

    def table(self, caption):
        """Of the table whose caption begins so: a list of rows, by heading."""
        found = self.browser.value(f"""(() => {{
            const caption = {json.dumps(caption)};
            const table = [...document.querySelectorAll('table')].find(t => t.caption?.textContent.startsWith(caption));
            if (!table) return null;
            const text = cell => {{ const more = [...cell.querySelectorAll('.more')].map(n => n.textContent);
              return [cell.textContent.slice(0, cell.textContent.length - more.join('').length), ...more].join('\\n'); }};
            return [...table.rows].map(row => [...row.cells].map(text)); }})()""")
        self.assertIsNotNone(found, caption)
        return [dict(zip(found[0], row)) for row in found[1:]]

    def data(self):
        data = json.loads(self.browser.value("document.getElementById('data').textContent"))
        for column in data["rows"]["columns"]:
            whole = []
            for value in column:  # "xN": N more of the value before it
                whole.extend([whole[-1]] * int(value[1:]) if isinstance(value, str) else [value])
            column[:] = whole
        return data

    def count(self, selector, condition="true"):
        """Of elements `e` for which the condition holds."""
        return self.browser.value(f"[...document.querySelectorAll({json.dumps(selector)})].filter(e => {condition}).length")

    def sections(self):
        return self.browser.value("[...document.querySelectorAll('main > section')].map(one => one.id)")

    def picture(self, name):
        where = pathlib.Path(PICTURES) if PICTURES else self.folder
        where.mkdir(parents=True, exist_ok=True)
        self.browser.picture(where / f"{name}.png")
        self.assertGreater((where / f"{name}.png").stat().st_size, 20_000, name)


class Identify(PageCase):
    def test_page(self):
        log = self.write_log(tank_rows(1200), start="2026-03-01")
        told = self.run_command("identify", "--input", log, "--inputs", "pump", "--outputs", "level_1,level_2", "--output",
                                "tanks.yaml", "--report", "page.html").stdout
        self.open()
        self.assertEqual(self.text("h1"), ["Model tanks, identified from a log"])
        self.assertIn("Verdict: accept", self.text(".verdict")[0])
        self.assertEqual(self.sections(), ["fits", "rows", "residuals", "dynamics", "log"])
        self.assertEqual(self.text("nav a"), self.text("main > section > h2"))

        # Figures are those that the command prints.
        fits = self.table("Fit on rows that were not fitted")
        self.assertEqual([row["Output"] for row in fits], ["level_1", "level_2"])
        for row in fits:
            line = next(one for one in told.splitlines() if one.startswith(f"  {row['Output']}:"))
            figures = re.findall(r"-?[\d.]+ %", line)
            self.assertEqual([row["Simulation"], row["1 step ahead"], row["persistence"], row["10 steps ahead"],
                              row["persistence 10 steps"], row["ARX(10,10) simulation"], row["ARX(10,10) 1 step"]], figures, line)
        candidates = self.table("Candidates")
        taken = [row for row in candidates if "(taken)" in row["Kind"]]
        self.assertEqual(len(taken), 1)
        self.assertIn(f"order {taken[0]['Order']}", told)

        # The step response ends at the gain of the plant: 0.02 / 0.05, and that times 0.04 / 0.04.
        responses = [part for part in self.data()["sections"][3]["parts"] if part["kind"] == "response"]
        for part, output in zip(responses, ("level_1", "level_2")):
            self.assertEqual((part["title"], part["unit"]), (f"{output} after a step of pump", "m per V"))
            self.assertAlmostEqual(part["final"], 0.4, delta=0.04)
            self.assertTrue(0.0005 < part["final_std"] < 0.05, part["final_std"])
            self.assertAlmostEqual(part["values"][-1], part["final"], delta=0.02)
            self.assertAlmostEqual(part["values"][0], 0.0, delta=0.01)
        poles = self.table("Poles")
        slow = [float(row["Time constant in s"].split()[0]) for row in poles]
        self.assertTrue(any(abs(one + 1 / math.log(0.95)) < 4 for one in slow), poles)
        self.assertEqual(self.count(".pole"), len(self.data()["sections"][3]["parts"][1]["poles"]))

        # The rows of the page are those of the log.
        rows = self.data()["rows"]
        self.assertEqual((rows["ticks"], rows["period"], rows["dates"]), ([[0, 1200, 1]], 1, True))
        self.assertEqual(rows["zero"], 1772323200)
        measured = [float(line.split(",")[2]) for line in log.read_text().splitlines()[1:]]
        self.assertLess(max(abs(a - b) for a, b in zip(rows["columns"][0], measured)), 2e-5)
        spread = math.sqrt(sum(error * error for error in rows["columns"][3] if error is not None) / 1150)
        self.assertLess(abs(spread - 0.0037), 0.0006, "residuals are as large as the plant's noise")
        tests = self.table("Tests of the residuals")
        self.assertEqual([row["Output"] for row in tests], ["level_1", "level_2"])
        self.assertEqual(len(self.text("figure .name")), 2 + 1 + 2 + 4 + 1 + 2)
        self.assertEqual(self.count("svg.plot", "e.childElementCount < 5"), 0)
        self.picture("identify-light")

    def test_time_series_and_rejected_models(self):
        source = random.Random(3)
        value, rows = 0.0, []
        for _ in range(600):
            value = 0.9 * value + source.gauss(0, 1)
            rows.append((value,))
        log = self.write_log(rows, header="time,noise[</script><b>]")
        self.run_command("identify", "--input", log, "--outputs", "noise", "--output", "series.yaml", "--report", "page.html")
        self.open()
        self.assertIn("there is nothing it answers to", self.text("#dynamics")[0])
        self.assertIn("noise in </script><b>", self.text("figure .name"))
        white = [(source.gauss(0, 1), source.gauss(0, 1)) for _ in range(600)]
        log = self.write_log(white, header="time,u,y")
        self.run_command("identify", "--input", log, "--inputs", "u", "--outputs", "y", "--output", "no.yaml", "--report",
                         "rejected.html", code=65)
        self.assertFalse((self.folder / "no.yaml").exists())
        self.open("rejected.html")
        self.assertIn("Verdict: reject: no model was written", self.text(".verdict.bad")[0])


class Replay(PageCase):
    def test_page(self):
        log = self.write_log(tank_rows(3000, bias=(1500, 1900)))
        told = self.run_command("replay", "--model", self.write_model({"isolation": {"enabled": True}}), "--input", log,
                                "--output", "steps.csv", "--report", "page.html").stdout
        self.open()
        self.assertEqual(self.text("h1"), ["Twin tanks, replay of log.csv"])
        self.assertEqual(self.sections(), ["alarms", "rows", "residuals", "states", "dynamics"])
        raised = re.findall(r"^(\S+)  anomaly raised (\S+): (.*)$", told, re.M)
        cleared = re.findall(r"^(\S+)  anomaly cleared (\S+):", told, re.M)
        self.assertTrue(raised, told)
        alarms = self.table("Alarms")
        self.assertEqual([row["Alarm"].split("\n")[0] for row in alarms], [name for _, name, _ in raised])
        said = []  # by alarm: what is known at last
        for event, name, message in re.findall(r"^\S+  anomaly (raised|changed) (\S+): (.*)$", told, re.M):
            if event == "raised":
                said.append([name, message])
            else:
                next(one for one in reversed(said) if one[0] == name)[1] = message
        for row, (at, _, _), (_, message) in zip(alarms, raised, said):
            self.assertAlmostEqual(float(row["Raised"].replace("\u202f", "")), float(at), delta=1.0)
            self.assertEqual(row["What it says"].split("\n")[0], message)
        for row in alarms:
            ends = [at for at, name in cleared if name == row["Alarm"].split("\n")[0]]
            self.assertEqual(row["Cleared"] == "stands", not ends)
        self.assertEqual(self.count("rect.stands title"), len(raised))
        self.assertIn(f"{len(raised)} alarm", self.text(".verdict")[0])

        steps = (self.folder / "steps.csv").read_text().splitlines()
        names = steps[0].split(",")
        page = self.data()["rows"]["columns"]
        for column, name in ((0, "y.level_1"), (1, "yhat.level_1"), (4, "y.level_2")):
            written = [line.split(",")[names.index(name)] for line in steps[1:]]
            for k in (0, 10, 1499, 1600, 2999):
                if written[k] == "":
                    self.assertIsNone(page[column][k], name)
                else:
                    self.assertAlmostEqual(page[column][k], float(written[k]), delta=2e-5, msg=f"{name} {k}")
        fits = self.table("Fit on the second half")
        for row in fits:
            self.assertEqual(set(row), {"Output", "1 step ahead", "persistence", "ARX(10,10) 1 step", "Simulation",
                                        "ARX(10,10) simulation"})
            self.assertTrue(all(re.fullmatch(r"-?[\d.]+ %", value) for key, value in row.items() if key != "Output"), row)
        one = fits[0]
        self.assertGreater(float(one["1 step ahead"][:-2]), float(one["persistence"][:-2]))

        # A button shows the alarm in all plots.
        before = self.text("#tools .range")
        self.browser.value("document.querySelector('table button').click()")
        self.browser.settle()
        self.assertNotEqual(self.text("#tools .range"), before)
        self.draw_all()
        self.picture("replay-alarm-light")

    def test_model_without_diagnosis(self):
        log = self.write_log(tank_rows(300))
        self.run_command("replay", "--model", self.write_model(), "--input", log, "--report", "page.html")
        self.open()
        self.assertIn("nothing is judged", self.text("#alarms")[0])
        self.assertEqual(self.count("rect.alarm"), 0)


class Calibrate(PageCase):
    def test_page(self):
        log = self.write_log(tank_rows(4000))
        told = self.run_command("calibrate", "--model", self.write_model(), "--input", log, "--output", "better.yaml", "--report",
                                "page.html").stdout
        self.open()
        self.assertEqual(self.sections()[0], "limits")
        self.assertIn("regime all", told)
        limits = self.table("Limits by output")
        self.assertEqual([row["Output"] for row in limits], ["level_1", "level_2"])
        for row in limits:
            line = next(one for one in told.splitlines() if one.startswith(f"  {row['Output']}:"))
            self.assertIn(f"scale {row['Scale']},", line)
            self.assertIn(f"cusum {row['CUSUM']} ", line)
        self.picture("calibrate-light")


class LongLog(PageCase):
    ROWS = 100_000

    def test_page(self):
        rows = tank_rows(self.ROWS)
        spike = 61_803
        rows[spike] = (rows[spike][0], rows[spike][1] + 0.9, rows[spike][2])
        self.run_command("replay", "--model", self.write_model({}), "--input", self.write_log(rows), "--report", "page.html")
        begin = time.monotonic()
        self.open()
        self.assertLess(time.monotonic() - begin, 30, "the page opens")
        self.assertLess((self.folder / "page.html").stat().st_size, 16_000_000)
        self.assertEqual(self.data()["rows"]["rows_to_a_point"], 1)
        # One row of a hundred thousand is seen: its line goes to the top of its plot, and no line has many points.
        shown = self.browser.value("""(() => { const paths = [...document.querySelectorAll('#rows svg.plot path.line.measured')];
            return {longest: Math.max(...[...document.querySelectorAll('path')].map(p => p.getAttribute('d').length)),
                    top: paths[0].getBBox().y, height: paths[0].getBBox().height}; })()""")
        self.assertLess(shown["longest"], 150_000)
        self.assertLess(shown["top"], 30)
        self.assertGreater(shown["height"], 100)
        # Every plot is drawn anew within a blink when the range changes.
        drawn = self.browser.value("""(() => { const begin = performance.now();
            for (let i = 0; i < 10; i++) for (const one of Drawing.all) one.drawAt(1200);
            return (performance.now() - begin) / 10 / Drawing.all.length; })()""")
        print(f"{drawn:.1f} ms a plot of {self.ROWS} rows")
        self.assertLess(drawn, 200)
        self.browser.value(f"axis.show({spike - 20}, {spike + 20})")
        self.browser.settle()
        self.draw_all()
        zoomed = self.browser.value("document.querySelector('#rows svg.plot path.line.measured').getAttribute('d')")
        self.assertLess(len(re.findall("[ML]", zoomed)), 60, "rows one by one")
        self.assertGreater(len(re.findall("[ML]", zoomed)), 35)


class Reading(PageCase):
    def setUp(self):
        super().setUp()
        log = self.write_log(tank_rows(3000, bias=(1500, 1900)), start="2026-03-01")
        self.run_command("replay", "--model", self.write_model({"isolation": {"enabled": True}}), "--input", log, "--report",
                         "page.html")

    def test_light_dark_narrow_and_printed(self):
        for scheme in ("light", "dark"):
            for name, width in (("desktop", 1280), ("narrow", 390)):
                self.open(width=width, scheme=scheme)
                ground = self.browser.value("getComputedStyle(document.documentElement).backgroundColor")
                level = sum(map(int, re.findall(r"\d+", ground)[:3])) / 3
                self.assertEqual(level < 80, scheme == "dark", ground)
                self.assertLessEqual(self.browser.value("document.scrollingElement.scrollWidth"), width, f"{scheme} {name}")
                self.assertEqual(self.too_faint(), [], scheme)
                self.picture(f"replay-{name}-{scheme}")
        self.open(scheme="dark")
        where = pathlib.Path(PICTURES) if PICTURES else self.folder
        self.browser.print(where / "replay.pdf")
        pdf = (where / "replay.pdf").read_bytes()
        self.assertEqual(pdf[:5], b"%PDF-")
        self.assertIn(len(re.findall(rb"/Type\s*/Page\b", pdf)), range(3, 15))
        self.browser.call("Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.assertEqual(self.browser.value("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")
        self.assertEqual(self.browser.value("getComputedStyle(document.getElementById('tools')).display"), "none")
        self.browser.call("Emulation.setEmulatedMedia", media="")

    def too_faint(self):
        """Text below a contrast of 4.5 : 1, lines and marks below 3 : 1 against what they stand on (WCAG 2.1)."""
        return self.browser.value("""(() => {
            const style = getComputedStyle(document.documentElement);
            const level = name => { const hex = style.getPropertyValue(name).trim().slice(1);
              const [r, g, b] = [0, 2, 4].map(i => parseInt(hex.slice(i, i + 2), 16) / 255)
                .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
              return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
            const ratio = (a, b) => { const [x, y] = [level(a), level(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
            const faint = [];
            for (const [ink, paper, least] of [['--ink', '--paper', 4.5], ['--ink', '--ground', 4.5], ['--soft', '--paper', 4.5],
                ['--soft', '--ground', 4.5], ['--predicted', '--ground', 4.5], ['--good', '--good-paper', 4.5], ['--warning', '--warning-paper', 4.5],
                ['--bad', '--bad-paper', 4.5], ['--good', '--paper', 4.5], ['--warning', '--paper', 4.5], ['--bad', '--paper', 4.5],
                ['--measured', '--paper', 3], ['--predicted', '--paper', 3], ['--simulated', '--paper', 3], ['--input', '--paper', 3],
                ['--residual', '--paper', 3]]) {
              const is = ratio(ink, paper);
              if (!(is >= least)) faint.push([ink, paper, is]);
            }
            return faint; })()""")

    def test_structure(self):
        self.open()
        self.assertEqual(self.browser.value("document.documentElement.lang"), "en")
        self.assertEqual(self.count("h1"), 1)
        self.assertEqual(self.count("section", "!e.querySelector('h2')"), 0)
        for part in ("caption", "thead th[scope=col]", "tbody th[scope=row]"):
            self.assertEqual(self.count("table", f"!e.querySelector('{part}')"), 0, part)
        self.assertEqual(self.count("svg.plot", "!e.getAttribute('aria-label')"), 0)
        self.assertEqual(self.count("button", "!(e.getAttribute('aria-label') || e.textContent.trim())"), 0)
        labels = self.browser.value("[...document.querySelectorAll('#rows svg.plot')].map(s => s.getAttribute('aria-label'))")
        self.assertRegex(labels[0], r"level_1 in m over time: measured from 0\.\d+ to 1\.\d+; one step ahead from")

    def test_zoom_by_pointer_and_keyboard(self):
        self.open()
        whole = "2026-03-01 00:00:00 – 2026-03-01 00:49:59 (all rows)"
        self.assertEqual(self.text("#tools .range"), [whole])
        self.browser.value("document.querySelector('#rows svg.plot').scrollIntoView({block: 'center'})")
        self.browser.settle()
        x, y, width, height = self.browser.value(
            "(() => { const b = document.querySelector('#rows svg.plot').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()")
        self.browser.drag(x + 0.5 * width, y + 0.4 * height, x + 0.6 * width, y + 0.5 * height)
        zoomed = self.text("#tools .range")[0]
        found = re.fullmatch(r"2026-03-01 00:(\d+):(\d+) – 2026-03-01 00:(\d+):(\d+)", zoomed)
        self.assertIsNotNone(found, zoomed)
        begin, end = (60 * int(found[1]) + int(found[2]), 60 * int(found[3]) + int(found[4]))
        self.assertLess(abs(end - begin - 300), 30, zoomed)
        self.assertIn("level_1", self.text("#rows figcaption")[0])
        self.assertRegex(self.text("#rows .key .value")[0], r"^\d", "the value under the pointer is told")
        self.browser.value("document.querySelector('#rows svg.plot').focus()")
        for key, wider in (("+", False), ("-", True)):
            before = self.browser.value("axis.range[1] - axis.range[0]")
            self.browser.press(key)
            after = self.browser.value("axis.range[1] - axis.range[0]")
            self.assertEqual(after > before, wider, key)
        self.browser.press("0")
        self.assertEqual(self.text("#tools .range"), [whole])
        # A line is put out of sight by its key, also by keyboard.
        lines = "#rows figure:first-of-type path.line.measured"
        self.assertEqual(self.count(lines), 1)
        self.browser.value("document.querySelector('#rows .key').focus()")
        self.browser.press(" ")
        self.assertEqual(self.count("#rows .key[aria-pressed=false]"), 1)
        self.assertEqual(self.count(lines), 0)


class Faults(PageCase):
    def test_faults(self):
        log = self.write_log(tank_rows(300))
        model = self.write_model({})
        done = self.run_command("replay", "--model", model, "--input", log, "--report", "nowhere/page.html", code=74)
        self.assertIn("nowhere/page.html", done.stderr)
        self.run_command("replay", "--config", "x.yaml", "--capture", "x", "--report", "page.html", code=64)


if __name__ == "__main__":
    unittest.main()
