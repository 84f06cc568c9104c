"use strict";
// Everything but curves and evaluations: what the runs are, time, memory, settings, checkpoints, epochs.

const swatch = (color) => el("span", { class: "swatch", style: { "--color": color } });
const runColor = (i) => `var(--run-${i})`;

function bestOf(run) {
  const tested = run.epochs.filter((epoch) => isNumber(epoch.test_acc1));
  return tested.reduce((best, epoch) => (best === null || epoch.test_acc1 > best.test_acc1 ? epoch : best), null);
}

function describeRun(run) {
  const setting = (name) => run.settings[name];
  const words = [];
  if (setting("model_shape.hidden_size")) words.push(`Qwen3 ${setting("model_shape.num_hidden_layers")} × ${setting("model_shape.hidden_size")}`);
  if (setting("dataset")) words.push(setting("dataset"));
  if (setting("world_size")) words.push(`${setting("world_size")} rank${setting("world_size") === "1" ? "" : "s"}`);
  if (setting("zero_stage") !== undefined) words.push(`ZeRO ${setting("zero_stage")}`);
  if (setting("effective_batch")) words.push(`batch ${setting("effective_batch")}`);
  return words.join(" · ");
}

function runCard(run, i, name) {
  const figures = run.figures;
  const best = bestOf(run);
  const last = run.epochs[run.epochs.length - 1];
  const stat = (term, value) => el("div", {}, el("dt", {}, term), el("dd", {}, value));
  return el("div", { class: "card run" }, el("h3", {}, swatch(runColor(i)), name),
    el("p", { class: "small faint path" }, run.directory), el("p", { class: "small" }, describeRun(run)),
    el("dl", { class: "stats" },
      stat(best ? `best test accuracy, epoch ${best.epoch}` : "best test accuracy", best ? formatFigure(best.test_acc1, "%") : "–"),
      stat("last training loss", last ? formatFigure(last.train_loss) : "–"),
      stat("steps", formatFigure(figures.steps)), stat("training", formatFigure(figures.training_seconds, "s")),
      stat("tokens/s", isNumber(figures.tokens_per_s) ? formatCount(figures.tokens_per_s) : "–"),
      stat("MFU", formatFigure(figures.mfu_percent, "%")), stat("peak memory", formatFigure(figures.peak_memory_bytes, "bytes"))));
}

// Parts that add up, as one bar of which `whole` is the full width.
function bar(parts, whole, marks = []) {
  return el("div", { class: "bar-frame" }, el("div", { class: "bar" }, parts.map((part) => el("span", {
    style: { "--color": part.color, width: `${(100 * part.value) / whole}%` }, title: `${part.name}: ${part.text}` }))), marks);
}

function barRow(i, name, note, content) {
  return el("div", { class: "bar-row" }, el("div", { class: "bar-head" },
    el("span", { class: "name" }, swatch(runColor(i)), name), el("span", { class: "faint small" }, note)), content);
}

const legend = (entries) => el("ul", { class: "legend" }, entries.map(([color, text]) => el("li", {}, swatch(color), text)));

function timeSection(data, names) {
  const partsOf = (run) => Object.entries(run.parts).filter(([, seconds]) => isNumber(seconds));
  if (!data.runs.some((run) => partsOf(run).length > 0)) return null;
  const sum = (run) => partsOf(run).reduce((total, [, seconds]) => total + seconds, 0);
  const longest = Math.max(...data.runs.map(sum));
  const partNames = Object.keys(data.runs[0].parts);
  const rows = data.runs.map((run, i) => barRow(i, names[i], `a step takes ${formatFigure(run.figures.step_seconds, "s")}`,
    bar(partsOf(run).map(([name, seconds]) => ({ name, value: seconds, text: formatSeconds(seconds), color: `var(--part-${partNames.indexOf(name)})` })), longest)));
  return el("section", {}, el("h2", {}, "Time of a step"), el("div", { class: "card" },
    el("p", { class: "small faint" }, "Seconds of the device at each part, means over all steps but the first; the whole step is a median."), rows,
    legend(partNames.map((name, p) => [`var(--part-${p})`, name])),
    el("details", {}, el("summary", { class: "small" }, "Numbers"), table(["run", ...partNames.map(numeric)],
      data.runs.map((run, i) => [names[i], ...partNames.map((name) => numeric(formatFigure(run.parts[name], "s")))])))));
}

function memoryRow(run, i, name, widest, colors) {
  const peak = run.figures.peak_memory_bytes;
  if (!run.plan) return barRow(i, name, `measured peak ${formatBytes(peak)}`, el("p", { class: "small faint" }, "There is no memory_plan.json in the run's directory: an older version wrote it."));
  const total = run.plan.items.reduce((sum, item) => sum + item.bytes, 0);
  const parts = run.plan.items.map((item) => ({ name: item.name, value: item.bytes, text: formatBytes(item.bytes), color: colors.get(item.name) }));
  const off = peak > 0 && run.plan.device !== "cpu" ? `, the plan is ${Math.abs((100 * (total - peak)) / peak).toFixed(1)} % ${total < peak ? "below" : "above"}` : "";
  const mark = peak > 0 ? [el("span", { class: "peak", style: { left: `calc(${(100 * peak) / widest}% - 3px)` }, title: `measured peak: ${formatBytes(peak)}` })] : [];
  return barRow(i, name, `planned ${formatBytes(total)}, measured peak ${formatBytes(peak)}${off}`, bar(parts, widest, mark));
}

function memorySection(data, names) {
  const items = data.runs.flatMap((run) => (run.plan ? run.plan.items : []));
  const colors = new Map([...new Set(items.map((item) => item.name))].map((name, p) => [name, `var(--part-${p % 10})`]));
  const widest = Math.max(1, ...data.runs.map((run) => Math.max(run.figures.peak_memory_bytes,
    run.plan ? run.plan.items.reduce((sum, item) => sum + item.bytes, 0) : 0)));
  const onCpu = data.runs.some((run) => run.plan && run.plan.device === "cpu");
  return el("section", {}, el("h2", {}, "Memory of a rank"), el("div", { class: "card" },
    el("p", { class: "small faint" }, "What was planned before the run began, by category; the upright mark is the peak that was measured."
      + (onCpu ? " On a CPU that peak is of the whole process, with its libraries and the data set, which the plan does not count." : "")),
    data.runs.map((run, i) => memoryRow(run, i, names[i], widest, colors)),
    legend([...colors].map(([name, color]) => [color, name])),
    el("details", {}, el("summary", { class: "small" }, "Numbers"), data.runs.map((run, i) => (run.plan
      ? table([names[i], numeric("bytes"), ""], [...run.plan.items.map((item) => [item.name, numeric(formatBytes(item.bytes)), [item.what, "words"]]),
        ...run.plan.host_items.map((item) => [item.name, numeric(formatBytes(item.bytes)), [`${item.what}; host memory, besides`, "words"]])]) : null)))));
}

function settingsSection(data, names) {
  const all = [...new Set(data.runs.flatMap((run) => Object.keys(run.settings)))];
  const shown = (value) => [value === undefined || value === "" || value === "null" ? "–" : value, "value"];
  const parts = [];
  if (data.runs.length > 1) {
    parts.push(data.differences.length === 0 ? el("p", {}, "No setting differs.")
      : table(["setting", ...names], data.differences.map((one) => [one.name, ...one.values.map(shown)])));
  }
  if (all.length === 0) parts.push(el("p", { class: "faint" }, "There is no args.json in the run's directory."));
  else parts.push(el("details", {}, el("summary", { class: "small" }, `All ${all.length} settings`),
    table(["setting", ...names], all.map((name) => [name, ...data.runs.map((run) => shown(run.settings[name]))]))));
  return el("section", {}, el("h2", {}, data.runs.length > 1 ? "Settings that differ" : "Settings"), el("div", { class: "card" }, parts));
}

function checkpointsSection(data, names) {
  const rows = data.runs.flatMap((run, i) => run.checkpoints.map((save) => [names[i], save.name, numeric(formatCount(save.step)),
    numeric(formatBytes(save.bytes)), numeric(formatFigure(save.seconds, "s")),
    numeric(save.seconds > 0 ? `${formatBytes(save.bytes / save.seconds)}/s` : "–"), numeric(formatFigure(save.stall_seconds, "s")),
    save.async ? "beside the training" : "training waited", save.kept ? "yes" : "no"]));
  return el("section", {}, el("h2", {}, "Checkpoints"), el("div", { class: "card" }, rows.length === 0 ? el("p", { class: "faint" }, "None was written.")
    : table(["run", "name", numeric("step"), numeric("size"), numeric("written in"), numeric("rate"), numeric("training stood still"), "how", "still there"], rows)));
}

function epochsSection(data, names) {
  const rowsOf = (run) => run.epochs.map((epoch) => [numeric(formatCount(epoch.epoch)), numeric(formatFigure(epoch.train_loss)),
    numeric(formatFigure(epoch.train_acc1, "%")), numeric(formatFigure(epoch.test_loss)), numeric(formatFigure(epoch.test_acc1, "%")),
    numeric(formatFigure(epoch.test_acc5, "%")), numeric(formatFigure(epoch.seconds, "s")), numeric(formatCount(epoch.skipped_steps))]);
  const head = ["epoch", "train loss", "train accuracy", "test loss", "test accuracy", "top 5", "training", "skipped steps so far"].map(numeric);
  return el("section", {}, el("h2", {}, "Epochs"), el("div", { class: "card" }, data.runs.map((run, i) => el("details", {},
    el("summary", {}, swatch(runColor(i)), ` ${names[i]}: ${run.epochs.length} epoch${run.epochs.length === 1 ? "" : "s"}`), table(head, rowsOf(run))))));
}
