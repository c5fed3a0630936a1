// The description of the models: facts, measured numbers, classes, and the model card.

import { request } from "./api.js";
import { fill, find, make } from "./dom.js";
import { classes } from "./finding.js";
import { markdown } from "./markdown.js";
import { className, count, percent } from "./wording.js";

const METRICS = { accuracy: "accuracy", balanced_accuracy: "balanced accuracy", macro_auroc: "macro AUROC", ece: "ECE" };

/** Load the descriptions of all models, the default first. */
export async function load() {
  const list = await (await request("v1/models")).json();
  const names = list.sort((a, b) => Number(b.default) - Number(a.default)).map(({ name }) => name);
  const ask = (name) => request(`v1/model?model=${encodeURIComponent(name)}`).then((response) => response.json());
  return Promise.all(names.map(ask));
}

/** Show the descriptions of models. */
export function show(models) {
  const title = models.length > 1 ? "About the models" : "About the model";
  for (const id of ["models-title", "models-link"]) find(id).textContent = title;
  fill(find("model-list"), models.map((model) => article(model, models.length > 1)));
}

function article(model, several) {
  return make("article", { class: "model", "aria-label": model.name },
    several ? make("h3", {}, model.name) : null,
    make("dl", {}, facts(model).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value)))),
    metrics(model),
    make("h4", {}, "Classes"), classes(model),
    model.card
      ? make("details", { class: "card" }, make("summary", {}, `Model card of ${model.name}`), make("div", { class: "prose" }, markdown(model.card)))
      : make("p", { class: "muted" }, "This bundle has no model card."));
}

function facts(model) {
  const { preprocessing: input, calibrator } = model;
  const versions = Object.entries(model.versions).map(([name, version]) => `${name} ${version}`).join(", ");
  const licences = Object.entries(model.licences).map(([name, licence]) => `${name}: ${licence}`).join("; ");
  return [
    ["Name", model.name],
    ["Recipe", `${model.recipe}, ${count(model.parameters, "parameter")}`],
    ["Input", `one slice, brought to ${input.size} × ${input.size} pixels, ${input.channels}`],
    ["Verdicts", calibrator
      ? `calibrated probabilities (temperature ${calibrator.temperature.toFixed(2)}); ${calibrator.method.toUpperCase()} prediction sets at ${Number((100 * calibrator.level).toPrecision(4))}\u00a0%, calibrated on ${count(calibrator.groups, "patient")}`
      : "none: this bundle has no calibrator, and its findings are unchecked"],
    ["Saliency", model.saliency ? "yes, class activation maps" : "none in this bundle"],
    ["Licences", licences || "none stated"],
    ["Made with", versions || "not stated"],
    ["SHA-256", make("code", {}, model.sha256)],
  ];
}

function metrics({ metrics: measured }) {
  const protocols = Object.entries(measured);
  if (!protocols.length) return make("p", { class: "muted" }, "This bundle comes without measured numbers.");
  const columns = Object.keys(METRICS).filter((key) => protocols.some(([, result]) => result[key]));
  const head = ["Protocol", "Slices", ...columns.map((key) => METRICS[key])];
  const body = protocols.map(([name, result]) => make("tr", {}, make("th", { scope: "row" }, className(name)),
    make("td", {}, result.n?.toLocaleString("en") ?? "–"), columns.map((key) => make("td", {}, number(result[key], key)))));
  return make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Measured on test slices" },
    make("table", {}, make("caption", {}, "Measured on test slices, with 95 % intervals"),
      make("thead", {}, make("tr", {}, head.map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, body)));
}

function number(entry, key) {
  if (!entry) return "–";
  const write = key.includes("accuracy") ? percent : (value) => value.toFixed(3);
  const bounds = entry.low === null || entry.low === undefined ? null : `${write(entry.low)} to ${write(entry.high)}`;
  return [write(entry.value), bounds && make("small", {}, bounds)];
}
