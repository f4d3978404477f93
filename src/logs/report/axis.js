// What all plots need: elements, numbers as text, round ticks, and the one time axis of the page.

function make(name, attributes = {}, ...children) {
  const svg = name.startsWith("svg:");
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name.slice(4))
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== undefined));
  return node;
}

const drawLine = (style, x1, y1, x2, y2, ...children) => make("svg:line", {class: style, x1, y1, x2, y2}, ...children);
const drawBox = (style, x, y, width, height, ...children) =>
  make("svg:rect", {class: style, x, y, width, height}, ...children);
const drawText = (x, y, anchor, text) => make("svg:text", {x, y, "text-anchor": anchor}, text);

const kPoint = 1e-9;
const grouped = (text) => text.replace(/^(-?\d+)/, (whole) => whole.replace(/\B(?=(\d{3})+$)/g, "\u202f"));

function formatNumber(value, digits = 5) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(3).replace(/\.?0+e/, "e")
    : grouped(String(Number(value.toPrecision(digits))));
  return text.replace("-", "−");
}

// Round steps within [low, high], about `wanted` of them.
function niceTicks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= raw * (1 - kPoint));
  const ticks = [];
  for (let i = Math.ceil(low / step - kPoint); i * step <= high + kPoint * step; i++) ticks.push(i * step);
  const decimals = Math.max(0, Math.min(12, -Math.floor(Math.log10(step) + kPoint)));
  const far = Math.max(Math.abs(low), Math.abs(high));
  const label = (value) => {
    if (far >= 1e6 || (far < 1e-3 && far > 0)) return formatNumber(Math.abs(value) < step / 2 ? 0 : value);
    return grouped(value.toFixed(decimals)).replace(/^-(?=0(\.0*)?$)/, "").replace("-", "−");
  };
  return {ticks, step, label};
}

// Steps between times: parts of a minute, an hour, a day, and days.
const kSeconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200,
  ...[1, 2, 7, 14, 30, 90, 365].map((days) => 86400 * days)];

class TimeAxis {
  constructor(rows) {
    this.dates = rows.dates;
    this.zero = rows.zero;
    const times = [];
    for (const [first, count, step] of rows.ticks) {
      for (let i = 0; i < count; i++) times.push((first + i * step) * rows.period);
    }
    this.times = Float64Array.from(times);
    this.count = times.length;
    const usual = rows.period * rows.rows_to_a_point;
    this.gap = new Uint8Array(this.count);
    for (let i = 1; i < this.count; i++) this.gap[i] = this.times[i] - this.times[i - 1] > 10.5 * usual ? 1 : 0;
    this.least = 4 * usual;
    const last = this.count > 0 ? this.times[this.count - 1] : 1;
    const first = this.count > 0 ? this.times[0] : 0;
    this.whole = [first, last > first ? last : first + usual];
    this.range = [...this.whole];
    this.listeners = [];
  }
  listen(listener) { this.listeners.push(listener); }
  get zoomed() { return this.range[0] !== this.whole[0] || this.range[1] !== this.whole[1]; }
  show(from, to) {
    const [first, last] = this.whole;
    const length = Math.min(Math.max(to - from, Math.min(this.least, last - first)), last - first);
    const begin = Math.min(Math.max((from + to - length) / 2, first), last - length);
    this.range = length >= last - first ? [first, last] : [begin, begin + length];
    for (const listener of this.listeners) listener();
  }
  reset() { this.show(...this.whole); }
  zoom(factor, centre = (this.range[0] + this.range[1]) / 2) {
    this.show(centre - (centre - this.range[0]) * factor, centre + (this.range[1] - centre) * factor);
  }
  pan(part) {
    const by = part * (this.range[1] - this.range[0]);
    const [first, last] = this.whole;
    const move = by > 0 ? Math.min(by, last - this.range[1]) : Math.max(by, first - this.range[0]);
    this.show(this.range[0] + move, this.range[1] + move);
  }
  // The first row at or after a time.
  at(time) {
    let low = 0, high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < time) low = middle + 1; else high = middle;
    }
    return low;
  }
  nearest(time) {
    const right = Math.min(this.at(time), this.count - 1);
    return right > 0 && time - this.times[right - 1] < this.times[right] - time ? right - 1 : right;
  }
  text(time, step = 0.001) {
    if (!this.dates) {
      const decimals = Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + kPoint)));
      return grouped(String(Number((this.zero + time).toFixed(decimals)))).replace("-", "−") + " s";
    }
    const iso = new Date(Math.round((this.zero + time) * 1000)).toISOString();
    return iso.slice(0, 10) + " " + iso.slice(11, step < 1 ? 23 : 19);
  }
  // {time, label} of each grid line for so many of them.
  ticks(wanted) {
    const [from, to] = this.range;
    const out = [];
    if (!this.dates) {
      const nice = niceTicks(this.zero + from, this.zero + to, wanted);
      return nice.ticks.map((value) => ({time: value - this.zero, label: nice.label(value)}));
    }
    const raw = (to - from) / wanted;
    const step = raw < 1 ? niceTicks(0, raw * wanted, wanted).step
      : kSeconds.find((one) => one >= raw) ?? kSeconds.at(-1);
    let day = "";
    for (let i = Math.ceil((this.zero + from) / step - kPoint); i * step <= this.zero + to + kPoint; i++) {
      const iso = new Date(Math.round(i * step * 1000)).toISOString();
      const date = iso.slice(0, 10);
      const clock = iso.slice(11, step < 1 ? 23 : step < 60 ? 19 : 16);
      const time = i * step - this.zero;
      out.push(step >= 86400 ? {time, label: date} : {time, label: clock, day: date === day ? undefined : date});
      day = date;
    }
    return out;
  }
}

