"use strict";
// Draws the charts, keeps them in step with filters and the colour scheme, opens a trial's page.
const data = JSON.parse(document.getElementById("data").textContent);
const dialog = document.getElementById("trial");
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const onPaper = { "--ground": "#ffffff", "--ink": "#000000", "--line": "#999999" };
let printing = false; // the style sheet's colours of paper come too late for the charts

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => printing ? onPaper[name] : style.getPropertyValue(name).trim();
  return {
    paper_bgcolor: of("--ground"), plot_bgcolor: of("--ground"), "font.color": of("--ink"),
    "xaxis.gridcolor": of("--line"), "yaxis.gridcolor": of("--line"),
  };
}

function draw(place, chart) {
  const { "font.color": ink, "xaxis.gridcolor": line, ...grounds } = colours();
  const layout = {
    height: 460, margin: { t: 20, r: 20, b: 60, l: 70 }, hoverlabel: { align: "left" }, ...grounds,
    ...chart.layout, font: { color: ink },
  };
  layout.xaxis = { automargin: true, gridcolor: line, ...layout.xaxis };
  layout.yaxis = { automargin: true, gridcolor: line, ...layout.yaxis };
  Plotly.newPlot(place, chart.data, layout, { displaylogo: false, responsive: true });
  place.on("plotly_click", (event) => {
    const trial = event.points[0].customdata;
    if (trial) location.hash = "trial=" + encodeURIComponent(trial);
  });
}

// What is to be hidden of each kind (architecture, sweep, status), by the boxes without a tick.
function hiddenValues() {
  const boxes = [...document.querySelectorAll("#filters input:not(:checked)")];
  return new Set(boxes.map((box) => `${box.name}=${box.value}`));
}

function filter() {
  const hidden = hiddenValues();
  const shows = (facts) =>
    ["architecture", "sweep", "status"].every((kind) => !hidden.has(`${kind}=${facts[kind]}`));
  for (const place of document.querySelectorAll("#content .chart")) {
    const visible = place.data.map((trace) => shows({ architecture: trace.legendgroup }));
    const ofTrials = [...place.data.keys()].filter((n) => place.data[n].customdata);
    const x = ofTrials.map((n) => place.data[n].customdata.map(
      (trial, point) => shows(data.trials[trial] ?? {}) ? places.get(place)[n][point] : null));
    Plotly.restyle(place, { visible });
    if (ofTrials.length) Plotly.restyle(place, { x }, ofTrials);
  }
  for (const part of document.querySelectorAll("[data-architecture]")) {
    part.hidden = !shows({ ...part.dataset, ...data.trials[part.dataset.trial] });
  }
}

function trialInAddress() {
  const [, name] = location.hash.match(/^#trial=(.*)$/) || [];
  try {
    return decodeURIComponent(name ?? "");
  } catch {
    return ""; // not what this page writes
  }
}

function openTrial() {
  const name = trialInAddress();
  const facts = data.trials[name];
  if (!facts) {
    dialog.close();
    return;
  }
  document.getElementById("trial-heading").textContent = name;
  const list = document.getElementById("trial-facts");
  list.replaceChildren(...Object.entries(facts).flatMap(([term, value]) => {
    const dt = document.createElement("dt"), dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = value;
    return [dt, dd];
  }));
  if (!dialog.open) dialog.showModal();
  const place = document.getElementById("trial-curve");
  const curve = data.curves[name];
  place.hidden = !curve;
  if (curve) draw(place, curve);
}

const places = new Map(); // each chart's points along x, those that a filter hides among them
for (const place of document.querySelectorAll("#content .chart")) {
  const chart = data.charts[place.dataset.chart];
  places.set(place, chart.data.map((trace) => trace.x));
  draw(place, chart);
}
document.getElementById("filters").addEventListener("change", filter);
dialog.addEventListener("close", () => {
  if (trialInAddress()) history.replaceState(null, "", "#");
});
window.addEventListener("hashchange", openTrial);
function recolour() {
  for (const place of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(place, colours());
}

dark.addEventListener("change", recolour);
for (const [event, begins] of [["beforeprint", true], ["afterprint", false]]) {
  window.addEventListener(event, () => {
    printing = begins;
    recolour();
  });
}
openTrial();
document.documentElement.dataset.ready = "yes";
