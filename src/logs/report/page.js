// The page: what the data say, section by section.

// "xN" stands for N more of the value before it.
function spreadOut(values) {
  const out = [];
  for (const value of values) {
    if (typeof value !== "string") {
      out.push(value);
      continue;
    }
    const before = out.at(-1);
    for (let left = Number(value.slice(1)); left > 0; left--) out.push(before);
  }
  return out;
}

const report = JSON.parse(document.getElementById("data").textContent);
const axis = new TimeAxis(report.rows);
const columns = report.rows.columns.map(spreadOut);
const alarms = report.sections.flatMap(({parts}) => parts).flatMap(({kind, bars}) => kind === "timeline" ? bars : []);

const toned = (tag, {tone, text}, name) => make(tag, {class: `${name} ${tone}`}, text);
const kNumeric = /^[-−+±~≤≥<>]?\s?\d[\d.,\u202f]*(e[-−+]?\d+)?(\s?±\s?[\d.e−-]+)?(\s?%|\s[A-Za-z°µ/·²³]+)?$|^–$/;

function showHead() {
  const facts = make("dl", {class: "facts"});
  for (const [name, value] of report.facts) {
    const long = value.length > 40 ? "long" : undefined;
    facts.append(make("div", {class: long}, make("dt", {}, name), make("dd", {}, value)));
  }
  document.getElementById("head").append(make("h1", {}, report.title), make("p", {class: "subtitle"}, report.subtitle),
    report.verdict.text ? toned("p", report.verdict, "verdict") : "", ...report.notes.map((note) => toned("p", note, "note")),
    facts);
  const list = make("ul");
  for (const {id, title} of report.sections) list.append(make("li", {}, make("a", {href: "#" + id}, title)));
  document.getElementById("contents").append(list);
  const stride = report.rows.rows_to_a_point;
  const thinned = `Plots hold two points for each ${2 * stride} rows, the smallest and the largest value; ` +
    "figures are of all rows.";
  document.getElementById("foot").append(make("p", {}, stride > 1 ? thinned : "Plots hold every row.",
    report.rows.dates ? " Times are UTC." : " Times are those of the log."));
}

function showCell(cell, tag, numeric) {
  const {text, tone} = typeof cell === "string" ? {text: cell, tone: ""} : cell;
  const [first, ...more] = text.split("\n");
  const attributes = tag === "th" ? {scope: "row"} : {};
  // Names may be broken where they have a joint; numbers and times may not.
  const whole = numeric || /^\d[\d.:]*$/.test(first);
  const width = numeric ? "number" : whole ? "whole" : text.length > 60 ? "wide" : "";
  const joints = whole ? [first] : first.split(/(?<=[._:/])(?=\S)/);
  const pieces = joints.flatMap((piece, i) => i === 0 ? [piece] : [make("wbr"), piece]);
  return make(tag, {...attributes, class: [width, tone].join(" ").trim() || undefined}, ...pieces,
    ...more.map((line) => make("span", {class: "more"}, line)));
}

function showTable(part) {
  const textOf = (cell) => typeof cell === "string" ? cell : cell.text;
  const numeric = part.columns.map((_, i) => i > 0 && part.rows.every((row) => kNumeric.test(textOf(row[i]))));
  const head = make("tr", {}, ...part.columns.map((name, i) =>
    make("th", {scope: "col", class: numeric[i] ? "number" : undefined}, name)));
  const body = make("tbody");
  part.rows.forEach((row, r) => {
    const line = make("tr", {}, ...row.map((cell, i) => showCell(cell, i === 0 ? "th" : "td", numeric[i])));
    if (part.spans) {
      const label = `Show ${textOf(row[0]).split("\n")[0]} in the plots`;
      const show = make("button", {type: "button", "aria-label": label}, "Show");
      show.addEventListener("click", () => {
        const [from, to] = part.spans[r];
        const room = Math.max(0.5 * (to - from), 20 * axis.least);
        axis.show(from - room, to + room);
        document.querySelector("#content .zooms")?.scrollIntoView({block: "center"});
      });
      line.append(make("td", {}, show));
    }
    body.append(line);
  });
  if (part.spans) head.append(make("td"));
  return make("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": part.caption || "Table"},
    make("table", {}, ...(part.caption ? [make("caption", {}, part.caption)] : []), make("thead", {}, head), body));
}

const kParts = {
  text: ({text}) => make("p", {}, text),
  table: showTable,
  time: (part) => new TimePlot(axis, part, columns, alarms).figure,
  timeline: (part) => new TimelinePlot(axis, part).figure,
  correlogram: (part) => new CorrelogramChart(part).figure,
  response: (part) => new ResponseChart(part).figure,
  poles: (part) => new PoleChart(part).figure,
};
const kSmall = ["correlogram", "response", "poles"];

function showSection({id, title, parts}) {
  const section = make("section", {id, "aria-labelledby": id + "-title"}, make("h2", {id: id + "-title"}, title));
  let grid;
  for (const part of parts) {
    const shown = kParts[part.kind](part);
    if (!kSmall.includes(part.kind)) {
      grid = undefined;
      section.append(shown);
      continue;
    }
    if (!grid) section.append(grid = make("div", {class: "small"}));
    grid.append(shown);
  }
  return section;
}

function showTools() {
  const tools = document.getElementById("tools");
  if (!report.sections.some(({parts}) => parts.some(({kind}) => kind === "time" || kind === "timeline"))) return;
  tools.hidden = false;
  const range = make("span", {class: "range", "aria-live": "polite"});
  const button = (text, label, act) => {
    const made = make("button", {type: "button", "aria-label": label, title: label}, text);
    made.addEventListener("click", act);
    return made;
  };
  const earlier = button("◀", "Earlier", () => axis.pan(-0.5)), later = button("▶", "Later", () => axis.pan(0.5));
  const whole = button("All rows", "Show all rows", () => axis.reset());
  const tell = () => {
    const [from, to] = axis.range;
    const step = (to - from) / 60;
    range.textContent = `${axis.text(from, step)} – ${axis.text(to, step)}${axis.zoomed ? "" : " (all rows)"}`;
    earlier.disabled = from <= axis.whole[0];
    later.disabled = to >= axis.whole[1];
    whole.disabled = !axis.zoomed;
  };
  const hint = "Drag across a plot to zoom; double-click or 0 shows all rows; + − ← → with the keyboard, " +
    "Ctrl and wheel at the pointer.";
  tools.append(range, earlier, later, button("+", "Zoom in", () => axis.zoom(0.5)),
    button("−", "Zoom out", () => axis.zoom(2)), whole, make("span", {class: "hint"}, hint));
  axis.listen(tell);
  tell();
}

showHead();
showTools();
document.getElementById("content").append(...report.sections.map(showSection));
addEventListener("beforeprint", () => Drawing.print(700));
addEventListener("afterprint", () => { for (const one of Drawing.all) one.update(); });
