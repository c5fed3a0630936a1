// The overview: counts of verdicts, files that could not be read, and studies.

import { openStudy } from "./viewer.js";
import { fill, find, make } from "./dom.js";
import { card } from "./finding.js";
import { disagree, studies } from "./rows.js";
import { VERDICTS, count } from "./wording.js";

const OPEN_REJECTS = 5; // at most so many rejected files are listed without a click

/** Show the overview of runs and their rows. */
export function show(runs, rows) {
  fill(find("counts"), runs.length > 1 ? comparison(runs, rows) : countsList(runs[0].prediction));
  fill(find("rejects"), rejects(runs));
  const shownStudies = studies(runs, rows).filter(({ findings }) => findings.some(Boolean));
  find("studies").hidden = shownStudies.length === 0;
  find("studies-title").textContent = shownStudies.length === 1 ? "The study" : `${shownStudies.length} studies`;
  find("study-list").dataset.several = shownStudies.length > 1 && runs.length === 1;
  fill(find("study-list"), shownStudies.map((study) => ofStudy(study, runs, shownStudies.length > 1)));
}

/** Remove everything that is shown. */
export function close() {
  for (const id of ["counts", "rejects", "study-list"]) fill(find(id));
}

/** The counts of verdicts in a sentence. */
export function sentence(runs) {
  return runs.map(({ model, prediction }) => {
    const verdicts = verdictCounts(prediction).map(([verdict, number]) => `${number} ${verdict}`);
    const rejected = prediction.rejects.length ? [`${count(prediction.rejects.length, "file")} not read`] : [];
    return `${model.name}: ${count(prediction.slices.length, "slice")}, ${[...verdicts, ...rejected].join(", ")}.`;
  }).join(" ");
}

const verdictCounts = ({ slices }) =>
  VERDICTS.map((verdict) => [verdict, slices.filter((one) => one.verdict === verdict).length]).filter(([, number]) => number);

function countsList(prediction) {
  const files = new Set(prediction.slices.map(({ file }) => file)).size;
  const countItem = (number, text) => make("li", { class: "count" }, number.toLocaleString("en"), make("small", {}, text));
  return make("ul", { class: "counts" },
    countItem(prediction.slices.length, files === 1 ? "slices of one file" : `slices of ${count(files, "file")}`),
    verdictCounts(prediction).map(([verdict, number]) => countItem(number, verdict)),
    prediction.rejects.length ? countItem(prediction.rejects.length, prediction.rejects.length === 1 ? "file not read" : "files not read") : null);
}

function comparison(runs, rows) {
  const verdicts = VERDICTS.filter((verdict) => runs.some(({ prediction }) => prediction.slices.some((one) => one.verdict === verdict)));
  const head = ["Model", "Slices", ...verdicts].map((name) => make("th", { scope: "col" }, name));
  const body = runs.map(({ model, prediction }) => make("tr", {}, make("th", { scope: "row" }, model.name),
    make("td", {}, prediction.slices.length),
    verdicts.map((verdict) => make("td", {}, prediction.slices.filter((one) => one.verdict === verdict).length))));
  const different = rows.filter(disagree).length;
  return [
    make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Models side by side" },
      make("table", { class: "narrow" }, make("caption", { class: "hidden" }, "Verdicts of each model"), make("thead", {}, make("tr", {}, head)), make("tbody", {}, body))),
    make("p", {}, different ? `The models name different classes on ${different} of ${count(rows.length, "slice")}.` : "The models name the same class on every slice."),
  ];
}

// All models read the same files, so each rejected file is listed once.
function rejects(runs) {
  const all = new Map(runs.flatMap(({ prediction }) => prediction.rejects.map((one) => [`${one.file}\n${one.reason}`, one])));
  if (!all.size) return null;
  const items = [...all.values()].map(({ file, reason, detail }) =>
    make("li", {}, make("b", {}, file), ` ${reason}`, detail ? make("span", { class: "muted" }, ` (${detail})`) : null));
  return make("details", { class: "rejects", open: items.length <= OPEN_REJECTS },
    make("summary", {}, `${count(items.length, "file")} could not be read`), make("ul", {}, items));
}

function ofStudy({ key, name, rows, findings }, runs, several) {
  const one = findings.find(Boolean);
  const facts = [count(rows.length, "slice"), one.modality, rows[0].plane].filter(Boolean).join(" · ");
  return make("article", { class: "study", "aria-label": name },
    make("div", { class: "margin" }, make("h3", {}, name), make("p", {}, facts),
      make("p", { class: "small" }, `Combined by ${one.aggregation}.`)),
    make("div", { class: "findings" }, findings.map((finding, column) =>
      make("div", {}, runs.length > 1 ? make("h4", {}, runs[column].model.name) : null, card(finding, runs[column].model, true)))),
    several && make("p", { class: "see" }, make("button", { type: "button", click: () => openStudy(key) }, "See its slices")));
}
