"use strict";
// Elements, and figures as people read them.

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "style") {
      for (const [property, setting] of Object.entries(value)) node.style.setProperty(property, setting);
    } else if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (value !== null && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

function formatBytes(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  while (Math.abs(bytes) >= 1024 && power < units.length - 1) {
    bytes /= 1024;
    power += 1;
  }
  return `${Number(bytes.toPrecision(3))} ${units[power]}`;
}

function formatSeconds(seconds) {
  if (seconds < 1e-3) return `${Number((seconds * 1e6).toPrecision(3))} µs`;
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
  if (seconds < 100) return `${Number(seconds.toPrecision(3))} s`;
  const whole = Math.round(seconds);
  const two = (number) => String(number).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)} h` : `${minutes}:${two(whole % 60)} min`;
}

function formatCount(count) {
  return Math.round(count).toLocaleString("en-US");
}

// A figure with its unit; a dash where there is none.
function formatFigure(value, unit = "") {
  if (!isNumber(value)) return "–";
  if (unit === "bytes") return formatBytes(value);
  if (unit === "s") return formatSeconds(value);
  if (unit === "tokens/s") return formatCount(value) + " tokens/s";
  if (unit === "%") return `${value.toFixed(2)} %`;
  if (Number.isInteger(value)) return formatCount(value);
  return String(Number(value.toPrecision(4)));
}

// Round numbers that divide [low, high]: multiples of 1, 2 or 5 times a power of `base`.
function ticks(low, high, count, base = 10) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = Math.pow(base, Math.floor(Math.log(rough) / Math.log(base)));
  const multiples = base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
  const step = multiples.find((multiple) => multiple * power >= rough * (1 - 1e-9)) * power;
  const places = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) places.push(i * step || 0);
  return places;
}

// Round durations, in seconds.
function timeTicks(high, count) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  const step = steps.find((candidate) => high / candidate <= count);
  if (high < 5) return ticks(0, high, count);
  if (step === undefined) return ticks(0, high / 86400, count).map((days) => days * 86400);
  return ticks(0, high / step, count).map((tick) => tick * step);
}

// The last part of a path, or as many as are needed to tell `paths` apart.
function shortNames(paths) {
  const parts = paths.map((path) => path.split("/").filter((part) => part !== "" && part !== "."));
  for (let count = 1; count < 20; ++count) {
    const names = parts.map((list) => list.slice(-count).join("/"));
    if (new Set(names).size === names.length) return names;
  }
  return paths;
}

function table(head, rows) {
  const cell = (name) => (value) => {
    const [text, kind] = Array.isArray(value) ? value : [value, ""];
    return el(name, kind ? { class: kind } : {}, text);
  };
  return el("div", { class: "scroll" },
    el("table", {}, el("thead", {}, el("tr", {}, head.map(cell("th")))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map(cell("td")))))));
}
const numeric = (text) => [text, "number"];
