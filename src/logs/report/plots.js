// Time plots that share one time axis. A plot draws no more than a few points per pixel: of the rows that fall on one
// pixel the first, the smallest, the largest and the last, so an excursion of one row is seen at every zoom.

const kLane = 32;  // pixels of an alarm's line

// An SVG that is drawn anew when its width, the axis or the printer asks for it.
class Drawing {
  constructor(height, label) {
    this.height = height;
    this.width = 0;
    this.svg = make("svg:svg", {class: "plot", role: "img", "aria-label": label});
    this.stale = true;
    this.near = false;
    Drawing.all.push(this);
    Drawing.sizes.observe(this.svg);
    Drawing.sights.observe(this.svg);
    this.svg.drawing = this;
  }
  update() {
    this.stale = true;
    if (this.near) Drawing.soon();
  }
  drawAt(width) {
    this.width = Math.max(width, 160);
    this.stale = false;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.replaceChildren();
    this.draw();
  }
  static soon() {
    if (Drawing.asked) return;
    Drawing.asked = true;
    requestAnimationFrame(() => {
      Drawing.asked = false;
      for (const one of Drawing.all) if (one.stale && one.near) one.drawAt(one.svg.clientWidth || one.width || 800);
    });
  }
  static print(width) { for (const one of Drawing.all) one.drawAt(one.small ? width / 2.2 : width); }
}
Drawing.all = [];
Drawing.asked = false;
Drawing.sizes = new ResizeObserver((entries) => {
  for (const {target} of entries) {
    if (Math.abs(target.clientWidth - target.drawing.width) > 1) target.drawing.update();
  }
});
Drawing.sights = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries) {
    target.drawing.near = isIntersecting;
    if (isIntersecting && target.drawing.stale) Drawing.soon();
  }
}, {rootMargin: "400px"});

class TimeDrawing extends Drawing {
  constructor(axis, height, label, alarms) {
    super(height, label);
    this.axis = axis;
    this.alarms = alarms;
    this.left = 62;
    this.right = 12;
    this.top = 8;
    this.bottom = 34;
    this.svg.classList.add("zooms");
    this.svg.setAttribute("tabindex", "0");
    this.svg.setAttribute("aria-keyshortcuts", "+ - 0 ArrowLeft ArrowRight");
    this.cursor = undefined;
    axis.listen(() => this.update());
    this.listenToPointer();
    this.svg.addEventListener("keydown", (event) => {
      const acts = {"+": () => axis.zoom(0.5), "=": () => axis.zoom(0.5), "-": () => axis.zoom(2),
        ArrowLeft: () => axis.pan(-0.25), ArrowRight: () => axis.pan(0.25), 0: () => axis.reset(), Escape: () => axis.reset()};
      if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      acts[event.key]();
    });
  }
  x(time) {
    const [from, to] = this.axis.range;
    return this.left + (time - from) / (to - from) * (this.width - this.left - this.right);
  }
  timeAt(event) {
    const box = this.svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * this.width;
    const [from, to] = this.axis.range;
    const part = (x - this.left) / (this.width - this.left - this.right);
    return from + Math.min(Math.max(part, 0), 1) * (to - from);
  }
  listenToPointer() {
    let start, chosen;
    const end = () => {
      chosen?.remove();
      start = chosen = undefined;
    };
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      start = this.timeAt(event);
      this.svg.setPointerCapture(event.pointerId);
      chosen = make("svg:rect", {class: "chosen", y: this.top, height: this.height - this.top - this.bottom, width: 0});
      this.svg.append(chosen);
    });
    this.svg.addEventListener("pointermove", (event) => {
      const time = this.timeAt(event);
      TimeDrawing.point(time);
      if (start === undefined) return;
      const [a, b] = [this.x(Math.min(start, time)), this.x(Math.max(start, time))];
      chosen.setAttribute("x", a);
      chosen.setAttribute("width", b - a);
    });
    this.svg.addEventListener("pointerup", (event) => {
      if (start === undefined) return;
      const [a, b] = [start, this.timeAt(event)].sort((one, other) => one - other);
      end();
      if (this.x(b) - this.x(a) > 5) this.axis.show(a, b);
    });
    this.svg.addEventListener("pointercancel", end);
    this.svg.addEventListener("pointerleave", () => { if (start === undefined) TimeDrawing.point(undefined); });
    this.svg.addEventListener("dblclick", () => this.axis.reset());
    this.svg.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.axis.zoom(event.deltaY > 0 ? 1.25 : 0.8, this.timeAt(event));
    }, {passive: false});
  }
  // The same instant is marked in every plot.
  static point(time) {
    for (const one of Drawing.all) if (one instanceof TimeDrawing && one.near) one.mark(time);
  }
  mark(time) {
    if (time === undefined) {
      this.cursor?.remove();
      this.cursor = undefined;
    } else {
      const index = this.axis.nearest(time);
      const x = this.axis.count > 0 ? this.x(this.axis.times[index]) : this.left;
      if (!this.cursor?.isConnected) {
        this.cursor = make("svg:line", {class: "cursor", y1: this.top, y2: this.height - this.bottom});
        this.svg.append(this.cursor);
      }
      this.cursor.setAttribute("x1", x);
      this.cursor.setAttribute("x2", x);
    }
    this.tell?.(time === undefined ? undefined : this.axis.nearest(time));
  }
  drawFrame() {
    const {svg, left, top, width, height, right, bottom} = this;
    const floor = height - bottom;
    for (const {time, label, day} of this.axis.ticks(Math.max(2, Math.floor(width / 110)))) {
      const x = this.x(time);
      if (x < left - 1 || x > width - right + 1) continue;
      svg.append(drawLine("grid", x, top, x, floor), drawText(x, floor + 14, "middle", label));
      if (day) svg.append(drawText(x, floor + 27, "middle", day));
    }
    if (!this.axis.dates) svg.append(drawText(width - right, height - 6, "end", "time in s"));
  }
  drawAlarms() {
    const [from, to] = this.axis.range;
    for (const {raised, ended} of this.alarms) {
      if (ended < from || raised > to) continue;
      const a = this.x(Math.max(raised, from));
      const b = this.x(Math.min(ended, to));
      this.svg.append(drawBox("alarm", a, this.top, Math.max(b - a, 1.5), this.height - this.bottom - this.top));
    }
  }
}

class TimePlot extends TimeDrawing {
  constructor(axis, plot, columns, alarms) {
    super(axis, plot.tall ? 230 : 140, TimePlot.label(plot, columns), alarms);
    this.plot = plot;
    this.columns = columns;
    this.hidden = new Set();
    this.values = plot.lines.map(() => make("span", {class: "value"}));
    const keys = plot.lines.map((line, i) => {
      const key = make("button", {type: "button", class: "key", "aria-pressed": "true", title: "Show or hide"},
        make("svg:svg", {width: 22, height: 8, "aria-hidden": "true"}, drawLine("line " + line.style, 0, 4, 22, 4)),
        line.name, this.values[i]);
      key.addEventListener("click", () => {
        if (!this.hidden.delete(i)) this.hidden.add(i);
        key.setAttribute("aria-pressed", String(!this.hidden.has(i)));
        this.update();
      });
      return key;
    });
    const unit = plot.unit ? ` in ${plot.unit}` : "";
    this.figure = make("figure", {}, make("figcaption", {}, make("span", {class: "name"}, plot.title + unit), ...keys,
      plot.band_name ? make("span", {}, make("span", {class: "shade of-band"}), plot.band_name) : undefined,
      alarms.length > 0 ? make("span", {}, make("span", {class: "shade"}), "alarm stands") : undefined), this.svg);
  }
  static label(plot, columns) {
    const parts = plot.lines.map(({name, column}) => {
      let low = Infinity, high = -Infinity;
      for (const value of columns[column]) {
        if (value === null) continue;
        if (value < low) low = value;
        if (value > high) high = value;
      }
      return low <= high ? `${name} from ${formatNumber(low)} to ${formatNumber(high)}` : `${name}: no values`;
    });
    return `${plot.title}${plot.unit ? " in " + plot.unit : ""} over time: ${parts.join("; ")}`;
  }
  tell(index) {
    this.plot.lines.forEach((line, i) => {
      this.values[i].textContent = index === undefined ? "" : formatNumber(this.columns[line.column][index]);
    });
  }
  // Rows to be drawn, one more on either side.
  rows() {
    const [from, to] = this.axis.range;
    return [Math.max(this.axis.at(from) - 1, 0), Math.min(this.axis.at(to) + 1, this.axis.count)];
  }
  valueRange() {
    const [from, to] = this.rows();
    let low = Infinity, high = -Infinity;
    const take = (value) => {
      if (value < low) low = value;
      if (value > high) high = value;
    };
    this.plot.lines.forEach(({column}, i) => {
      if (this.hidden.has(i)) return;
      const values = this.columns[column];
      for (let k = from; k < to; k++) if (values[k] !== null) take(values[k]);
    });
    if (this.plot.limit !== undefined) take(this.plot.limit), take(-this.plot.limit);
    if (!(low <= high)) return [0, 1];
    const room = high > low ? 0.06 * (high - low) : Math.max(Math.abs(high) * 0.05, 1e-9);
    return [low - room, high + room];
  }
  draw() {
    const {svg, left, right, top, bottom, width, height} = this;
    const [low, high] = this.valueRange();
    const floor = height - bottom;
    const y = (value) => floor - (value - low) / (high - low) * (floor - top);
    this.drawFrame();
    const nice = niceTicks(low, high, Math.max(3, Math.floor((floor - top) / 26)));
    for (const value of nice.ticks) {
      svg.append(drawLine("grid", left, y(value), width - right, y(value)),
        drawText(left - 6, y(value) + 4, "end", nice.label(value)));
    }
    const inside = make("svg:g", {});
    const clip = "clip" + Drawing.all.indexOf(this);
    const area = (style) => drawBox(style, left, top, width - left - right, floor - top);
    svg.append(make("svg:clipPath", {id: clip}, area()));
    this.drawAlarms();
    inside.setAttribute("clip-path", `url(#${clip})`);
    const predicted = this.plot.lines.find(({style}) => style === "predicted");
    if (this.plot.band !== undefined && predicted) {
      inside.append(make("svg:path", {class: "band", d: this.bandPath(predicted.column, this.plot.band, y)}));
    }
    this.plot.lines.forEach(({style, column}, i) => {
      if (this.hidden.has(i)) return;
      const {path, sparse} = this.linePath(this.columns[column], y, style === "input");
      inside.append(make("svg:path", {class: "line " + style, d: path}));
      if (sparse && style === "measured") inside.append(make("svg:path", {class: "line points " + style, d: sparse}));
    });
    if (this.plot.limit !== undefined) {
      for (const value of [this.plot.limit, -this.plot.limit]) {
        inside.append(drawLine("limit", left, y(value), width - right, y(value)));
      }
    }
    svg.append(inside, area("frame"));
  }
  linePath(values, y, held) {
    const {times, gap} = this.axis;
    const [from, to] = this.rows();
    const parts = [];
    const at = (x, value) => `${x.toFixed(1)} ${y(value).toFixed(1)}`;
    let open = false, before = 0;
    const pixels = this.width - this.left - this.right;
    if (to - from <= 3 * pixels) {
      let sparse = (to - from) * 12 < pixels ? "" : undefined;
      for (let k = from; k < to; k++) {
        if (values[k] === null) {
          open = false;
          continue;
        }
        if (gap[k]) open = false;
        const x = this.x(times[k]);
        if (held && open) parts.push(`H${x.toFixed(1)}`);
        parts.push((open ? "L" : "M") + at(x, values[k]));
        if (!open && (k + 1 >= to || values[k + 1] === null || gap[k + 1])) parts.push("h.1");
        if (sparse !== undefined) sparse += `M${at(x, values[k])}h.01`;
        open = true;
      }
      return {path: parts.join(""), sparse};
    }
    for (let k = from; k < to;) {
      const pixel = Math.floor(this.x(times[k]));
      let first = null, last = null, least = Infinity, most = -Infinity, broken = gap[k];
      for (; k < to && Math.floor(this.x(times[k])) === pixel; k++) {
        const value = values[k];
        if (value === null) continue;
        if (first === null) first = value;
        last = value;
        if (value < least) least = value;
        if (value > most) most = value;
      }
      if (first === null) {
        open = false;
        continue;
      }
      if (broken) open = false;
      if (held && open) parts.push(`V${y(before).toFixed(1)}H${pixel}`);
      parts.push((open ? "L" : "M") + at(pixel, first));
      if (most > least) parts.push(`V${y(least).toFixed(1)}V${y(most).toFixed(1)}V${y(last).toFixed(1)}`);
      else if (!open) parts.push("h.1");
      open = true;
      before = last;
    }
    return {path: parts.join("")};
  }
  bandPath(centre, half, y) {
    const [from, to] = this.rows();
    const middle = this.columns[centre], width = this.columns[half];
    const step = Math.max(1, Math.floor((to - from) / (2 * this.width)));
    const stretches = [];
    let stretch = [];
    for (let k = from; k < to; k += step) {
      let low = Infinity, high = -Infinity;
      for (let i = k; i < Math.min(k + step, to); i++) {
        if (middle[i] === null || width[i] === null) continue;
        low = Math.min(low, middle[i] - width[i]);
        high = Math.max(high, middle[i] + width[i]);
      }
      if (low > high || this.axis.gap[k]) {
        stretches.push(stretch);
        stretch = [];
      }
      if (low <= high) stretch.push([this.x(this.axis.times[k]).toFixed(1), y(low).toFixed(1), y(high).toFixed(1)]);
    }
    stretches.push(stretch);
    return stretches.filter((one) => one.length > 1).map((one) => {
      const above = one.map(([x, , high]) => `${x} ${high}`);
      const below = one.map(([x, low]) => `${x} ${low}`).reverse();
      return `M${[...above, ...below].join("L")}Z`;
    }).join("");
  }
}

// Alarms as bars, one line for each name: from the estimated onset (dashed) through raised to cleared.
class TimelinePlot extends TimeDrawing {
  constructor(axis, timeline) {
    const names = [...new Set(timeline.bars.map(({name}) => name))];
    super(axis, 8 + 34 + kLane * names.length + 4, `${timeline.title}: ` + names.map((name) =>
      `${name} ${timeline.bars.filter((bar) => bar.name === name).length} times`).join(", "), []);
    this.bars = timeline.bars;
    this.names = names;
    const kinds = [...new Set(timeline.bars.map(({kind}) => kind))];
    const keys = kinds.map((kind) => make("span", {}, make("svg:svg", {width: 14, height: 10, "aria-hidden": "true"},
      drawBox(`stands ${kind}`, 0, 0, 14, 10)), ` ${kind}`));
    this.figure = make("figure", {}, make("figcaption", {}, make("span", {class: "name"}, timeline.title), ...keys), this.svg);
  }
  draw() {
    const {svg, width, right, left, height, bottom, top} = this;
    const [from, to] = this.axis.range;
    this.drawFrame();
    for (const bar of this.bars) {
      const y = top + kLane * this.names.indexOf(bar.name) + 17;
      if (bar.ended < from || bar.onset > to) continue;
      const x = (time) => this.x(Math.min(Math.max(time, from), to));
      svg.append(drawLine("onset", x(bar.onset), y + 5.5, x(bar.raised), y + 5.5));
      if (bar.raised > to) continue;
      svg.append(drawBox(`stands ${bar.kind}`, x(bar.raised), y, Math.max(x(bar.ended) - x(bar.raised), 3), 11,
        make("svg:title", {}, `${bar.name}\n${bar.text}`)));
    }
    this.names.forEach((name, i) => {
      svg.append(make("svg:text", {class: "name", x: left + 6, y: top + kLane * i + 13}, name));
    });
    svg.append(drawBox("frame", left, top, width - left - right, height - top - bottom));
  }
}
