// Charts that have an axis of their own: correlograms, step responses, poles.

class Chart extends Drawing {
  constructor(height, label, small) {
    super(height, label);
    this.small = small;
    this.left = 52;
    this.right = 10;
    this.top = 6;
    this.bottom = 32;
  }
  // Grid, labels and frame for x in [x0, x1] and y in [y0, y1]; returns what places a point.
  drawAxes([x0, x1], [y0, y1], title) {
    const {svg, left, right, top, bottom, width, height} = this;
    const floor = height - bottom;
    const x = (value) => left + (value - x0) / (x1 - x0) * (width - left - right);
    const y = (value) => floor - (value - y0) / (y1 - y0) * (floor - top);
    const across = niceTicks(x0, x1, Math.max(2, Math.floor(width / 80)));
    for (const value of across.ticks) {
      svg.append(drawLine("grid", x(value), top, x(value), floor),
        drawText(x(value), floor + 14, "middle", across.label(value)));
    }
    const up = niceTicks(y0, y1, Math.max(4, Math.floor((floor - top) / 34)));
    for (const value of up.ticks) {
      svg.append(drawLine("grid", left, y(value), width - right, y(value)),
        drawText(left - 5, y(value) + 4, "end", up.label(value)));
    }
    svg.append(drawText(width - right, height - 4, "end", title),
      drawBox("frame", left, top, width - left - right, floor - top));
    return {x, y};
  }
  across(style, y) { this.svg.append(drawLine(style, this.left, y, this.width - this.right, y)); }
}

const caption = (title, ...more) => make("figcaption", {}, make("span", {class: "name"}, title), ...more);

class CorrelogramChart extends Chart {
  constructor(plot) {
    const out = plot.values.filter((value) => value !== null && Math.abs(value) > plot.band).length;
    super(150, `${plot.title}: ${out} of ${plot.values.length} lags outside of ± ${formatNumber(plot.band, 3)}`, true);
    this.plot = plot;
    this.figure = make("figure", {}, caption(plot.title), this.svg);
  }
  draw() {
    const {values, band, first_lag: first} = this.plot;
    const known = values.filter((value) => value !== null);
    const low = Math.min(-band * 1.6, ...known), high = Math.max(band * 1.6, ...known);
    const room = 0.06 * (high - low);
    const lags = [first - 0.8, first + values.length - 0.2];
    const {x, y} = this.drawAxes(lags, [low - room, high + room], "lag in samples");
    for (const limit of [band, -band]) this.across("limit", y(limit));
    this.across("zero", y(0));
    values.forEach((value, i) => {
      if (value === null) return;
      const at = x(first + i);
      this.svg.append(drawLine(Math.abs(value) > band ? "bar out" : "bar", at, y(0), at, y(value),
        make("svg:title", {}, `lag ${first + i}: ${formatNumber(value, 3)}`)));
    });
  }
}

class ResponseChart extends Chart {
  constructor(plot) {
    const last = plot.values.at(-1);
    const final = plot.final === undefined ? "" : `, settles at ${formatNumber(plot.final, 4)}`;
    const end = plot.period * (plot.values.length - 1);
    super(150, `${plot.title}: ${formatNumber(last, 4)} after ${formatNumber(end, 4)} s${final}`, true);
    this.plot = plot;
    const std = plot.final_std === undefined ? "" : ` ± ${formatNumber(plot.final_std, 2)}`;
    const gain = plot.final === undefined ? "does not settle"
      : `gain ${formatNumber(plot.final, 4)}${std}${plot.unit ? " " + plot.unit : ""}`;
    this.figure = make("figure", {}, caption(plot.title, make("span", {class: "more"}, gain)), this.svg);
  }
  draw() {
    const {values, period, final} = this.plot;
    const all = [0, ...values, ...(final === undefined ? [] : [final])];
    let [low, high] = [Math.min(...all), Math.max(...all)];
    if (!(high > low)) [low, high] = [low - 1, high + 1];
    const room = 0.07 * (high - low);
    const {x, y} = this.drawAxes([0, period * Math.max(values.length - 1, 1)], [low - room, high + room], "time in s");
    if (final !== undefined) this.across("cursor", y(final));
    const points = values.map((value, i) => `${x(i * period).toFixed(1)} ${y(value).toFixed(1)}`);
    this.svg.append(make("svg:path", {class: "line predicted", d: "M" + points.join("L")}));
  }
}

class PoleChart extends Chart {
  constructor(plot) {
    super(260, `${plot.title}: ${plot.poles.length} poles, the largest magnitude ` +
      formatNumber(Math.max(0, ...plot.poles.map(([re, im]) => Math.hypot(re, im))), 5), true);
    this.plot = plot;
    this.figure = make("figure", {class: "poles"}, caption(plot.title), this.svg);
  }
  draw() {
    const {poles} = this.plot;
    const size = Math.max(1, ...poles.map(([re, im]) => Math.max(Math.abs(re), Math.abs(im)))) * 1.12;
    // One scale for both axes: the wider one shows more.
    const wide = size * Math.max(1, (this.width - this.left - this.right) / (this.height - this.top - this.bottom));
    const {x, y} = this.drawAxes([-wide, wide], [-size, size], "real part");
    this.svg.append(make("svg:circle", {class: "circle", cx: x(0), cy: y(0), r: x(1) - x(0)}));
    for (const [re, im] of poles) {
      const [a, b] = [x(re), y(im)];
      const style = Math.hypot(re, im) >= 1 ? "pole out" : "pole";
      this.svg.append(make("svg:path", {class: style, d: `M${a - 4} ${b - 4}l8 8m0 -8l-8 8`},
        make("svg:title", {}, `${formatNumber(re)} ${im < 0 ? "−" : "+"} ${formatNumber(Math.abs(im))}i`)));
    }
  }
}
