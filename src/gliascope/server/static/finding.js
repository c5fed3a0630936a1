// The finding of a slice or of a study.

import { make } from "./dom.js";
import { className, percent, promise, setOf, why } from "./wording.js";

let explained = false; // whether the descriptions of the classes are open, also for the next slice

/** A verdict as a coloured label; its text says the same as its colour. */
export const chip = (verdict) => make("span", { class: `chip ${verdict.replaceAll(" ", "-")}` }, verdict);

/** Everything about a finding; `info` describes the model. */
export function card(finding, info, ofStudy = false) {
  if (!finding) return make("p", { class: "muted" }, "This model has not read the slice.");
  const set = promise(finding, info.calibrator?.level);
  const children = [
    make("p", { class: "answer" }, headline(finding)),
    make("p", { class: "why" }, why(finding, ofStudy)),
    bars(finding),
  ];
  if (set) {
    children.push(make("p", { class: "set" }, make("b", {}, "Prediction set: "), setOf(finding), ". ", make("span", { class: "muted" }, set)));
  }
  if (finding.outlier_score !== null) {
    const limit = "above 1 is out of scope";
    children.push(make("p", { class: "set" }, make("b", {}, "Outlier score: "), finding.outlier_score.toFixed(2), ". ",
      make("span", { class: "muted" }, ofStudy ? `The median of its slices; ${limit}.` : `Distance from the training data; ${limit}.`)));
  }
  children.push(...(finding.notes ?? []).map((note) => make("p", { class: "set" }, make("b", {}, "Note: "), note, ".")));
  if (!ofStudy) children.push(descriptions(info));
  return make("div", { class: "finding" }, children);
}

// Out of scope, the class means nothing, so only the verdict is shown.
const headline = ({ label, verdict }) =>
  verdict === "out of scope" ? chip(verdict) : [make("strong", {}, className(label)), " ", chip(verdict)];

/** List of a model's classes with their descriptions. */
export function classes(info) {
  return make("dl", {}, Object.entries(info.classes).map(([name, text]) =>
    make("div", {}, make("dt", {}, className(name)), make("dd", {}, text ?? "No description is known."))));
}

function bars({ probabilities, prediction_set: set, label }) {
  const rows = Object.entries(probabilities).map(([name, share]) => {
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", share);
    const inside = set?.includes(name) ? "in the set" : "";
    return make("tr", { class: name === label ? "chosen" : null },
      make("th", { scope: "row" }, className(name), inside ? make("small", {}, inside) : null),
      make("td", {}, percent(share)), make("td", { class: "bar-cell" }, bar));
  });
  return make("table", { class: "bars" }, make("caption", { class: "hidden" }, "Probabilities of the classes"),
    make("thead", { class: "hidden" }, make("tr", {}, ["Class", "Probability", "As a bar"].map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, rows));
}

function descriptions(info) {
  if (!Object.values(info.classes).some(Boolean)) return null;
  const list = classes(info);
  return make("details", { open: explained, toggle: (event) => { explained = event.target.open; } },
    make("summary", {}, "What the classes are"), list);
}
