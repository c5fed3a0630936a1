// Findings as files to keep.

import { make } from "./dom.js";

const FACTS = ["model", "of", "file", "slice", "study", "slices", "plane", "modality", "kind", "width", "height"];
const SAID = ["label", "verdict", "prediction_set", "outlier_score", "note", "research_use"];

/** The server's own answers, one a model. */
export function toJson(runs) {
  return `${JSON.stringify({ created: new Date().toISOString(), findings: runs.map(({ prediction }) => prediction) }, null, 2)}\n`;
}

/** One line a slice, a study and a rejected file, with a column for each class. */
export function toCsv(runs) {
  const classes = [...new Set(runs.flatMap(({ model }) => Object.keys(model.classes)))];
  const lines = [[...FACTS, ...classes.map((name) => `p_${name}`), ...SAID]];
  for (const { prediction } of runs) {
    const line = (of, found) => {
      const entry = { ...found, model: prediction.model.name, of, research_use: prediction.research_use };
      entry.prediction_set &&= entry.prediction_set.join("|");
      const shares = classes.map((name) => found.probabilities?.[name]);
      lines.push([...FACTS.map((name) => entry[name]), ...shares, ...SAID.map((name) => entry[name])]);
    };
    for (const slice of prediction.slices) line("slice", { ...slice, note: slice.notes?.join("; ") });
    for (const study of prediction.studies) line("study", { ...study, note: study.aggregation });
    for (const { file, reason, detail } of prediction.rejects) line("reject", { file, note: detail ? `${reason} (${detail})` : reason });
  }
  // The mark at the start tells Excel that this is UTF-8.
  return `\ufeff${lines.map((cells) => cells.map(cell).join(",")).join("\r\n")}\r\n`;
}

// What makes a spreadsheet take text for a formula (OWASP, CSV Injection), at the start of a cell or of what a
// spreadsheet with other separators takes for one. Our own numbers never look like it.
const FORMULA = /(^|[;,|\t\r\n])([\s\ufeff"']*)([=+\-@\uff1d\uff0b\uff0d\uff20])/g;

/** A cell of RFC 4180; what might be a formula gets an apostrophe, which makes it text. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = value.replace(FORMULA, "$1$2'$3");
  return /[",;|\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Give the browser a file to save. */
export function save(text, suffix, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const day = new Date().toISOString().slice(0, 10);
  make("a", { href: address, download: `gliascope-findings-${day}.${suffix}` }).click();
  URL.revokeObjectURL(address);
}
