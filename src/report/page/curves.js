"use strict";
// The runs' curves over each other, by step or by time.

// Where less than the whole height would mislead.
const kFromZero = new Set(["Learning rate", "Throughput", "Model FLOPs utilization", "Peak memory of a rank"]);

// Seconds of training at a step of a run, between the marks of its clock.
function secondsAt(clock, step) {
  if (clock.length === 0) return null;
  let before = [-1, 0];
  for (const mark of clock) {
    if (mark[0] >= step) return before[1] + ((mark[1] - before[1]) * (step - before[0])) / (mark[0] - before[0]);
    before = mark;
  }
  return before[1];
}

class Curves {
  constructor(data, names) {
    this.data = data;
    this.names = names;
    this.shown = data.runs.map(() => true);
    this.byTime = false;
    this.panels = data.curves
      .filter((curve) => curve.series.some((series) => series.points.some((point) => isNumber(point[1]))))
      .map((curve) => ({ curve, chart: new LineChart(curve.title, this.format(curve), this.ticks(curve), kFromZero.has(curve.title)) }));
  }

  format(curve) {
    return {
      x: (x) => (this.byTime ? formatSeconds(x) : `step ${formatFigure(Math.round(x * 10) / 10)}`),
      y: (y) => formatFigure(y, curve.unit),
      xTick: (x) => (this.byTime ? (x === 0 ? "0" : formatSeconds(x)) : formatCount(x)),
      yTick: (y) => (curve.unit === "bytes" ? formatBytes(y) : y !== 0 && Math.abs(y) < 1e-3 ? y.toExponential().replace("e-", "e−")
        : y >= 1e6 ? `${Number((y / 1e6).toPrecision(4))} M` : y >= 1e4 ? `${Number((y / 1e3).toPrecision(4))} k` : String(Number(y.toPrecision(6)))),
    };
  }

  ticks(curve) {
    return {
      x: (low, high, count) => (this.byTime ? timeTicks(high, count) : ticks(low, high, count).filter(Number.isInteger)),
      y: (low, high, count) => ticks(low, high, count, curve.unit === "bytes" ? 1024 : 10),
    };
  }

  lines(curve) {
    return curve.series.filter((series) => this.shown[series.run]).map((series) => {
      const moved = (points) => (this.byTime ? points.map(([x, y]) => [secondsAt(this.data.runs[series.run].clock, x), y]) : points);
      const name = this.data.runs.length > 1 ? this.names[series.run] : "";
      return {
        name: [name, curve.series.some((other) => other.kind === "test") ? series.kind : ""].filter(Boolean).join(" · "),
        color: `var(--run-${series.run})`,
        kind: series.kind,
        // The later run is drawn over the earlier, whose line is wider, so that both are seen where they are the same.
        width: 2 + (this.data.runs.length > 1 ? (2.4 * (this.data.runs.length - 1 - series.run)) / (this.data.runs.length - 1) : 0),
        points: moved(series.points),
        trend: series.trend ? moved(series.trend) : null,
      };
    });
  }

  draw() {
    for (const { curve, chart } of this.panels) chart.show(this.lines(curve));
  }

  toolbar() {
    const runs = this.data.runs.length < 2 ? [] : this.names.map((name, i) => el("button", {
      "aria-pressed": "true",
      onclick: (event) => {
        this.shown[i] = !this.shown[i];
        event.currentTarget.setAttribute("aria-pressed", String(this.shown[i]));
        this.draw();
      },
    }, el("span", { class: "swatch", style: { "--color": `var(--run-${i})` } }), name));
    const choose = (byTime) => (event) => {
      this.byTime = byTime;
      for (const button of event.currentTarget.parentNode.children) button.setAttribute("aria-pressed", String(button === event.currentTarget));
      this.draw();
    };
    return el("div", { class: "toolbar sticky" }, runs,
      el("span", { class: "faint small" }, "solid: training · dashed: test"),
      el("span", { class: "choice" },
        el("button", { "aria-pressed": "true", onclick: choose(false) }, "by step"),
        el("button", { "aria-pressed": "false", onclick: choose(true) }, "by time of training")));
  }

  section() {
    return el("section", {}, el("h2", {}, "Curves"), this.toolbar(), el("div", { class: "grid" },
      this.panels.map(({ curve, chart }) => el("div", { class: "card" },
        el("h3", {}, curve.title, curve.unit && curve.unit !== "bytes" ? el("span", { class: "faint" }, `, ${curve.unit}`) : null), chart.frame))));
  }
}
