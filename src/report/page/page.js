"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const names = shortNames(data.runs.map((run) => run.directory));
  document.title = `${names.join(", ")} – Tessera report`;
  document.getElementById("subtitle").textContent = data.runs.length === 1 ? names[0] : `${data.runs.length} runs`;
  const curves = new Curves(data, names);
  document.getElementById("main").append(...[
    el("div", { class: "grid" }, data.runs.map((run, i) => runCard(run, i, names[i]))),
    curves.section(),
    evaluationSection(data, names),
    timeSection(data, names),
    memorySection(data, names),
    settingsSection(data, names),
    checkpointsSection(data, names),
    epochsSection(data, names),
  ].filter((section) => section !== null));
  curves.draw();
  document.documentElement.dataset.drawn = "yes";
}
