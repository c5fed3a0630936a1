// Findings as files: CSV and JSON.

import { make } from "./dom.js";

const SLICE_COLUMNS = ["model", "of", "file", "slice", "study", "slices", "plane", "modality", "kind", "width", "height"];
const FINDING_COLUMNS = ["label", "verdict", "prediction_set", "outlier_score", "note", "research_use"];

/** The predictions of all models, as the server sent them. */
export function toJson(runs) {
  return `${JSON.stringify({ created: new Date().toISOString(), findings: runs.map(({ prediction }) => prediction) }, null, 2)}\n`;
}

/** One line for each slice, study and rejected file, with a column for each class. */
export function toCsv(runs) {
  const classes = [...new Set(runs.flatMap(({ model }) => Object.keys(model.classes)))];
  const lines = [[...SLICE_COLUMNS, ...classes.map((name) => `p_${name}`), ...FINDING_COLUMNS]];
  for (const { prediction } of runs) {
    const line = (of, finding) => {
      const entry = { ...finding, model: prediction.model.name, of, research_use: prediction.research_use };
      entry.prediction_set &&= entry.prediction_set.join("|");
      const shares = classes.map((name) => finding.probabilities?.[name]);
      lines.push([...SLICE_COLUMNS.map((name) => entry[name]), ...shares, ...FINDING_COLUMNS.map((name) => entry[name])]);
    };
    for (const slice of prediction.slices) line("slice", { ...slice, note: slice.notes?.join("; ") });
    for (const study of prediction.studies) line("study", { ...study, note: study.aggregation });
    for (const { file, reason, detail } of prediction.rejects) line("reject", { file, note: detail ? `${reason} (${detail})` : reason });
  }
  // By the byte order mark at the start, Excel recognises UTF-8.
  return `\ufeff${lines.map((cells) => cells.map(cell).join(",")).join("\r\n")}\r\n`;
}

// Characters by which a spreadsheet takes a text for a formula (OWASP, CSV Injection), at the start of a cell, also
// for spreadsheets with other separators. Numbers are not checked: none of ours starts like this.
const FORMULA = /(^|[;,|\t\r\n])([\s\ufeff"']*)([=+\-@\uff1d\uff0b\uff0d\uff20])/g;

/** A cell by RFC 4180. A text that might be a formula gets an apostrophe, which makes it text. */
function cell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = value.replace(FORMULA, "$1$2'$3");
  return /[",;|\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Let the browser save a text as a file. */
export function save(text, suffix, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const day = new Date().toISOString().slice(0, 10);
  make("a", { href: address, download: `gliascope-findings-${day}.${suffix}` }).click();
  URL.revokeObjectURL(address);
}
