"use strict";
// A panel of lines over a common x, with the values under the pointer.

const kMargin = { left: 58, right: 14, top: 10, bottom: 30 };
const kHeight = 230;

class LineChart {
  // lines: [{name, color, kind: "train" | "test", points: [[x, y], ...], trend}]; format: {x, y} to text;
  // ticks: {x(low, high, count), y(low, high, count)}.
  constructor(title, format, makeTicks, fromZero) {
    this.format = format;
    this.makeTicks = makeTicks;
    this.fromZero = fromZero;
    this.lines = [];
    this.tip = el("div", { class: "tip", hidden: true });
    this.picture = svg("svg", { height: kHeight, role: "img", "aria-label": title });
    this.frame = el("div", { class: "chart" }, this.picture, this.tip);
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerdown", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.draw()).observe(this.frame);
  }

  show(lines) {
    this.lines = lines;
    this.draw();
  }

  get width() {
    return Math.max(200, this.frame.clientWidth);
  }

  range(axis) {
    let low = Infinity;
    let high = -Infinity;
    for (const line of this.lines) {
      for (const point of line.points) {
        if (isNumber(point[0]) && isNumber(point[1])) {
          low = Math.min(low, point[axis]);
          high = Math.max(high, point[axis]);
        }
      }
    }
    if (axis === 1 && this.fromZero) low = Math.min(low, 0);
    if (low === high) return [low - Math.abs(low) / 2 - (low === 0 ? 1 : 0), high + Math.abs(high) / 2 + (high === 0 ? 1 : 0)];
    return [low, high];
  }

  scale() {
    const [x0, x1] = this.range(0);
    const [y0, y1] = this.range(1);
    const inner = { width: this.width - kMargin.left - kMargin.right, height: kHeight - kMargin.top - kMargin.bottom };
    const pad = this.fromZero ? [0, (y1 - y0) * 0.04] : [(y1 - y0) * 0.04, (y1 - y0) * 0.04];
    const [low, high] = [y0 - pad[0], y1 + pad[1]];
    return {
      x: (value) => kMargin.left + (inner.width * (value - x0)) / (x1 - x0),
      y: (value) => kMargin.top + inner.height * (1 - (value - low) / (high - low)),
      valueAt: (pixel) => x0 + ((pixel - kMargin.left) / inner.width) * (x1 - x0),
      x0, x1, low, high,
    };
  }

  draw() {
    this.point(null);
    this.picture.replaceChildren();
    if (this.lines.every((line) => !line.points.some((point) => isNumber(point[1])))) return;
    const scale = this.scale();
    this.picture.append(this.axes(scale));
    for (const line of this.lines) this.picture.append(...this.curves(line, scale));
    this.marks = svg("g");
    this.picture.append(this.marks);
  }

  axes(scale) {
    const bottom = kHeight - kMargin.bottom;
    const right = this.width - kMargin.right;
    const group = svg("g");
    for (const tick of this.makeTicks.y(scale.low, scale.high, 5)) {
      const y = scale.y(tick);
      group.append(svg("line", { class: "gridline", x1: kMargin.left, x2: right, y1: y, y2: y }),
        svg("text", { x: kMargin.left - 6, y: y + 4, "text-anchor": "end" }, this.format.yTick(tick)));
    }
    const count = Math.max(2, Math.floor((right - kMargin.left) / 75));
    for (const tick of this.makeTicks.x(scale.x0, scale.x1, count)) {
      const x = scale.x(tick);
      group.append(svg("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
        svg("text", { x, y: bottom + 17, "text-anchor": "middle" }, this.format.xTick(tick)));
    }
    group.append(svg("line", { class: "axis", x1: kMargin.left, x2: right, y1: bottom, y2: bottom }));
    return group;
  }

  curves(line, scale) {
    const path = (points) => {
      let text = "";
      let open = false;
      for (const [x, y] of points) {
        if (isNumber(x) && isNumber(y)) {
          text += `${open ? "L" : "M"}${scale.x(x).toFixed(1)} ${scale.y(y).toFixed(1)}`;
          open = true;
        } else {
          open = false;
        }
      }
      return text;
    };
    const style = { "--color": line.color, "--width": line.width };
    const made = [];
    if (line.trend) {
      made.push(svg("path", { class: "curve points", d: path(line.points), style }),
        svg("path", { class: "curve trend", d: path(line.trend), style }));
    } else {
      made.push(svg("path", { class: `curve ${line.kind}`, d: path(line.points), style }));
    }
    if (line.points.length <= 30) {
      for (const [x, y] of line.points) {
        if (isNumber(x) && isNumber(y)) made.push(svg("circle", { class: "dot", cx: scale.x(x), cy: scale.y(y), r: 3, style }));
      }
    }
    return made;
  }

  // Marks the points nearest to the pointer, and tells their values.
  point(event) {
    this.tip.hidden = true;
    if (this.marks) this.marks.replaceChildren();
    if (event === null || !this.marks || !this.picture.contains(this.marks)) return;
    const scale = this.scale();
    const pixel = event.clientX - this.picture.getBoundingClientRect().left;
    const at = Math.min(scale.x1, Math.max(scale.x0, scale.valueAt(pixel)));
    const near = this.lines.filter((line) => isWithin(line.points, at, (scale.x1 - scale.x0) / 50))
      .map((line) => ({ line, point: nearest(line.points, at) })).filter((found) => found.point);
    if (near.length === 0) return;
    const x = scale.x(near.reduce((best, one) => (Math.abs(one.point[0] - at) < Math.abs(best.point[0] - at) ? one : best)).point[0]);
    this.marks.append(svg("line", { class: "rule", x1: x, x2: x, y1: kMargin.top, y2: kHeight - kMargin.bottom }));
    for (const { line, point } of near) {
      this.marks.append(svg("circle", { class: "dot", cx: scale.x(point[0]), cy: scale.y(point[1]), r: 4.5, style: { "--color": line.color } }));
    }
    this.tip.replaceChildren(el("table", {}, near.map(({ line, point }) => el("tr", {},
      el("td", {}, el("span", { class: "swatch", style: { "--color": line.color } })),
      el("td", { class: "name" }, line.name), el("td", { class: "number" }, this.format.y(point[1])),
      el("td", { class: "faint" }, this.format.x(point[0]))))));
    this.tip.hidden = false;
    const onLeft = x > this.width / 2;
    this.tip.style.left = onLeft ? "" : `${x + 10}px`;
    this.tip.style.right = onLeft ? `${this.width - x + 10}px` : "";
  }
}

// Whether the line runs past `at`, or ends `margin` before it.
function isWithin(points, at, margin) {
  return points.length > 0 && points[0][0] - margin <= at && at <= points[points.length - 1][0] + margin;
}

// The point with a number whose x is nearest to `at`; points are by x.
function nearest(points, at) {
  let low = 0;
  let high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < at) low = middle + 1;
    else high = middle;
  }
  let best = null;
  for (const i of [low - 1, low]) {
    const point = points[i];
    if (point && isNumber(point[1]) && (best === null || Math.abs(point[0] - at) < Math.abs(best[0] - at))) best = point;
  }
  return best;
}
