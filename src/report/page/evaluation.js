"use strict";
// What the model takes for what: confusion matrix, calibration, worst classes with images.

const kNamedClasses = 20;    // of more, names would be too small to read
const kNumberedClasses = 12; // and of more than these the numbers in the cells
const kLevels = 16;

const percent = (part, whole) => (whole > 0 ? `${Number(((100 * part) / whole).toPrecision(3))} %` : "–");

// The share of a label's images, as one of kLevels strengths of colour: the root, so that rare mistakes are seen.
const levelOf = (share) => Math.max(1, Math.ceil(Math.sqrt(share) * kLevels));

class ConfusionMatrix {
  constructor(evaluation) {
    this.names = evaluation.classes.map((one) => one.name);
    this.totals = evaluation.classes.map((one) => one.images);
    this.count = this.names.length;
    this.cells = evaluation.confusion;
    this.byPlace = new Map(this.cells.map(([label, prediction, images]) => [label * this.count + prediction, images]));
    this.readout = el("p", { class: "readout small faint" }, "Point at a cell: rows are the labels, columns what was predicted.");
  }

  get gutter() {
    const longest = Math.max(...this.names.map((name) => name.length));
    return this.count <= kNamedClasses ? Math.min(0.25 * longest + 0.4, 4) : 0;
  }

  // One path for all cells of a strength: a thousand classes are no more elements than ten.
  levels() {
    const paths = new Map();
    for (const [label, prediction, images] of this.cells) {
      const key = `${label === prediction ? "hit" : "miss"} ${levelOf(images / this.totals[label])}`;
      paths.set(key, (paths.get(key) || "") + `M${prediction} ${label}h1v1h-1z`);
    }
    return [...paths].map(([key, d]) => {
      const [kind, level] = key.split(" ");
      return svg("path", { class: kind, d, "fill-opacity": level / kLevels });
    });
  }

  words() {
    const made = [];
    if (this.count <= kNamedClasses) {
      this.names.forEach((name, i) => {
        const size = { style: { "font-size": "0.42px" } };
        made.push(svg("text", { x: -0.2, y: i + 0.64, "text-anchor": "end", ...size }, name),
          svg("text", { transform: `translate(${i + 0.64} -0.2) rotate(-90)`, ...size }, name));
      });
    }
    if (this.count <= kNumberedClasses) {
      for (const [label, prediction, images] of this.cells) {
        const strong = levelOf(images / this.totals[label]) > 0.55 * kLevels;
        made.push(svg("text", { x: prediction + 0.5, y: label + 0.63, "text-anchor": "middle", class: strong ? "on-dark" : null, style: { "font-size": "0.34px" } }, String(images)));
      }
    }
    return made;
  }

  draw() {
    const side = this.count + this.gutter;
    const mark = svg("path", { class: "marked" });
    const picture = svg("svg", { class: "matrix", viewBox: `${-this.gutter} ${-this.gutter} ${side} ${side}`, role: "img", "aria-label": "confusion matrix" },
      svg("rect", { class: "ground", width: this.count, height: this.count }), this.levels(), this.words(), mark);
    const point = (event) => {
      const box = picture.getBoundingClientRect();
      const prediction = Math.floor(((event.clientX - box.left) / box.width) * side - this.gutter);
      const label = Math.floor(((event.clientY - box.top) / box.height) * side - this.gutter);
      if (prediction < 0 || label < 0 || prediction >= this.count || label >= this.count) return;
      mark.setAttribute("d", `M${prediction} ${label}h1v1h-1z`);
      this.tell(label, prediction);
    };
    picture.addEventListener("pointermove", point);
    picture.addEventListener("pointerdown", point);
    return el("div", {}, el("h3", {}, "Confusion matrix"), picture, this.readout);
  }

  tell(label, prediction) {
    const images = this.byPlace.get(label * this.count + prediction) || 0;
    const what = label === prediction ? `${this.names[label]}: recognized in` : `${this.names[label]} taken for ${this.names[prediction]}:`;
    this.readout.textContent = `${what} ${formatCount(images)} of ${formatCount(this.totals[label])} images (${percent(images, this.totals[label])})`;
  }
}

// Accuracy of the images in each bin of confidence; a calibrated model's bars reach the diagonal.
function calibration(evaluation) {
  const bins = evaluation.calibration;
  const size = 240;
  const gap = 34;
  const place = (share) => gap + share * (size - gap - 8);
  const height = (share) => size - gap - share * (size - gap - 8);
  const picture = svg("svg", { viewBox: `0 0 ${size} ${size}`, class: "matrix", style: { "max-width": "340px" }, role: "img", "aria-label": "calibration" });
  for (const tick of [0, 0.5, 1]) {
    picture.append(svg("line", { class: "gridline", x1: place(0), x2: place(1), y1: height(tick), y2: height(tick) }),
      svg("text", { class: "tick", x: gap - 5, y: height(tick) + 3, "text-anchor": "end" }, String(tick)),
      svg("text", { class: "tick", x: place(tick), y: size - gap + 12, "text-anchor": "middle" }, String(tick)));
  }
  bins.forEach(([images, accuracy, confidence], i) => {
    if (images === 0) return;
    const width = place(1 / bins.length) - place(0) - 1;
    picture.append(svg("rect", { class: "hit", "fill-opacity": 0.75, x: place(i / bins.length), y: height(accuracy), width, height: height(0) - height(accuracy) },
      svg("title", {}, `${formatCount(images)} images, mean confidence ${confidence.toFixed(3)}, accuracy ${accuracy.toFixed(3)}`)));
  });
  picture.append(svg("line", { class: "rule", x1: place(0), x2: place(1), y1: height(0), y2: height(1) }),
    svg("text", { class: "tick", x: place(0.5), y: size - 8, "text-anchor": "middle" }, "confidence"),
    svg("text", { class: "tick", transform: `translate(9 ${height(0.5)}) rotate(-90)`, "text-anchor": "middle" }, "accuracy"));
  return el("div", {}, el("h3", {}, `Calibration (expected error ${percent(evaluation.ece, 1)})`), picture);
}

function largestConfusions(evaluation) {
  const name = (index) => evaluation.classes[index].name;
  const cells = evaluation.confusion.filter(([label, prediction]) => label !== prediction).sort((a, b) => b[2] - a[2]).slice(0, 8);
  if (cells.length === 0) return null;
  return el("div", {}, el("h3", {}, "Mistaken most often"), table(["label", "taken for", numeric("images")],
    cells.map(([label, prediction, images]) => [name(label), name(prediction), numeric(formatCount(images))])));
}

function worstClass(evaluation, worst) {
  const result = evaluation.classes[worst.label];
  const thumbs = worst.examples.map((example) => el("figure", {},
    el("img", { src: example.src, alt: `test image ${example.index}`, title: `test image ${example.index}` }),
    el("figcaption", {}, `→ ${evaluation.classes[example.prediction].name}, ${Math.round(100 * example.confidence)} %`)));
  return el("div", { class: "card" },
    el("h3", {}, result.name === String(worst.label) ? `class ${result.name}` : result.name, el("span", { class: "faint" }, ` · ${formatFigure(result.acc1, "%")} of ${formatCount(result.images)}`)),
    el("div", { class: "share" }, el("span", { style: { width: `${result.acc1}%` } })),
    thumbs.length > 0 ? el("div", { class: "thumbs" }, thumbs) : null);
}

function evaluationOf(evaluation) {
  const parts = [el("p", {}, `accuracy ${formatFigure(evaluation.acc1, "%")}, top 5 ${formatFigure(evaluation.acc5, "%")}, `
    + `loss ${formatFigure(evaluation.loss)}, on ${formatCount(evaluation.num_images)} test images`),
    el("div", { class: "evaluation" }, new ConfusionMatrix(evaluation).draw(),
      el("div", { class: "evaluation" }, calibration(evaluation), largestConfusions(evaluation)))];
  if (evaluation.worst.length > 0) {
    parts.push(el("h3", { style: { "margin-top": "18px" } }, "Least accurate classes"),
      el("p", { class: "small faint" }, evaluation.note_on_examples ? `No example images: ${evaluation.note_on_examples}`
        : "With the surest mistakes: what each image was taken for, and how sure the model was."),
      el("div", { class: "classes" }, evaluation.worst.map((worst) => worstClass(evaluation, worst))));
  }
  return parts;
}

function evaluationSection(data, names) {
  return el("section", {}, el("h2", {}, "The newest evaluation"), data.runs.map((run, i) => {
    const body = run.evaluation ? evaluationOf(run.evaluation)
      : [el("p", { class: "faint" }, "There is no evaluation.json in the run's directory: no epoch has ended, or an older version wrote it. "
        + "'tessera report --help' says how to make one.")];
    if (data.runs.length === 1) return el("div", { class: "card" }, body);
    return el("details", { class: "card", open: i < 2 }, el("summary", {},
      el("span", { class: "swatch", style: { "--color": `var(--run-${i})` } }), ` ${names[i]}`), body);
  }));
}
