// What came of it all: counts, files set aside, studies.

import { openStudy } from "./desk.js";
import { fill, find, make } from "./dom.js";
import { card } from "./finding.js";
import { disagree, studies } from "./rows.js";
import { VERDICTS, count } from "./words.js";

const FEW = 5; // rejected files that are shown without asking

/** Show what runs and their rows come to. */
export function show(runs, rows) {
  fill(find("tallies"), runs.length > 1 ? comparison(runs, rows) : tallies(runs[0].prediction));
  fill(find("rejects"), rejects(runs));
  const found = studies(runs, rows).filter(({ findings }) => findings.some(Boolean));
  find("studies").hidden = found.length === 0;
  find("studies-title").textContent = found.length === 1 ? "The study" : `${found.length} studies`;
  find("study-list").dataset.several = found.length > 1 && runs.length === 1;
  fill(find("study-list"), found.map((study) => ofStudy(study, runs, found.length > 1)));
}

/** Let go of all that is shown. */
export function close() {
  for (const id of ["tallies", "rejects", "study-list"]) fill(find(id));
}

/** The same in a sentence. */
export function sentence(runs) {
  return runs.map(({ model, prediction }) => {
    const verdicts = counts(prediction).map(([verdict, number]) => `${number} ${verdict}`);
    const aside = prediction.rejects.length ? [`${count(prediction.rejects.length, "file")} not read`] : [];
    return `${model.name}: ${count(prediction.slices.length, "slice")}, ${[...verdicts, ...aside].join(", ")}.`;
  }).join(" ");
}

const counts = ({ slices }) =>
  VERDICTS.map((verdict) => [verdict, slices.filter((one) => one.verdict === verdict).length]).filter(([, number]) => number);

function tallies(prediction) {
  const files = new Set(prediction.slices.map(({ file }) => file)).size;
  const tally = (number, text) => make("li", { class: "tally" }, number.toLocaleString("en"), make("small", {}, text));
  return make("ul", { class: "tallies" },
    tally(prediction.slices.length, files === 1 ? "slices of one file" : `slices of ${count(files, "file")}`),
    counts(prediction).map(([verdict, number]) => tally(number, verdict)),
    prediction.rejects.length ? tally(prediction.rejects.length, prediction.rejects.length === 1 ? "file not read" : "files not read") : null);
}

function comparison(runs, rows) {
  const verdicts = VERDICTS.filter((verdict) => runs.some(({ prediction }) => prediction.slices.some((one) => one.verdict === verdict)));
  const head = ["Model", "Slices", ...verdicts].map((name) => make("th", { scope: "col" }, name));
  const body = runs.map(({ model, prediction }) => make("tr", {}, make("th", { scope: "row" }, model.name),
    make("td", {}, prediction.slices.length),
    verdicts.map((verdict) => make("td", {}, prediction.slices.filter((one) => one.verdict === verdict).length))));
  const apart = rows.filter(disagree).length;
  return [
    make("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Models side by side" },
      make("table", { class: "narrow" }, make("caption", { class: "hidden" }, "Verdicts of each model"), make("thead", {}, make("tr", {}, head)), make("tbody", {}, body))),
    make("p", {}, apart ? `The models name different classes on ${apart} of ${count(rows.length, "slice")}.` : "The models name the same class on every slice."),
  ];
}

// Each model reads the same files; what one could not decode, the others could not either.
function rejects(runs) {
  const all = new Map(runs.flatMap(({ prediction }) => prediction.rejects.map((one) => [`${one.file}\n${one.reason}`, one])));
  if (!all.size) return null;
  const items = [...all.values()].map(({ file, reason, detail }) =>
    make("li", {}, make("b", {}, file), ` ${reason}`, detail ? make("span", { class: "muted" }, ` (${detail})`) : null));
  return make("details", { class: "rejects", open: items.length <= FEW },
    make("summary", {}, `${count(items.length, "file")} could not be read`), make("ul", {}, items));
}

function ofStudy({ key, name, rows, findings }, runs, several) {
  const one = findings.find(Boolean);
  const facts = [count(rows.length, "slice"), one.modality, rows[0].plane].filter(Boolean).join(" · ");
  return make("article", { class: "study", "aria-label": name },
    make("div", { class: "margin" }, make("h3", {}, name), make("p", {}, facts),
      make("p", { class: "small" }, `Told by ${one.aggregation}.`)),
    make("div", { class: "findings" }, findings.map((finding, column) =>
      make("div", {}, runs.length > 1 ? make("h4", {}, runs[column].model.name) : null, card(finding, runs[column].model, true)))),
    several && make("p", { class: "see" }, make("button", { type: "button", click: () => openStudy(key) }, "See its slices")));
}
