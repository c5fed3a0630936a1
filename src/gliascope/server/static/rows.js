// The predictions of one or several models, joined by slice.

import { VERDICTS, className } from "./wording.js";

/**
 * Join runs to rows, one for each slice: {file, slice, study, plane, modality, kind, width, height, findings}; `findings` has one
 * {finding, number} a run, or null where that model has none. Runs are {model, id, prediction}.
 */
export function join(runs) {
  const rows = new Map();
  runs.forEach(({ prediction }, column) => {
    const seen = new Map(); // files may have the same name: the first is joined with the first
    prediction.slices.forEach((finding, number) => {
      const slice = JSON.stringify([finding.file, finding.slice]);
      const copy = seen.get(slice) ?? 0;
      seen.set(slice, copy + 1);
      const key = `${copy} ${slice}`;
      if (!rows.has(key)) rows.set(key, { ...facts(finding), findings: runs.map(() => null) });
      const row = rows.get(key);
      row.study ??= finding.study;
      row.findings[column] = { finding, number };
    });
  });
  return [...rows.values()];
}

const facts = ({ file, slice, study, plane, modality, kind, width, height }) => ({
  file, slice, study, plane, modality, kind, width, height,
});

/** Names of files that hold several slices. */
export function volumes(rows) {
  const counts = new Map();
  for (const { file } of rows) counts.set(file, (counts.get(file) ?? 0) + 1);
  return new Set([...counts].filter(([, number]) => number > 1).map(([file]) => file));
}

/**
 * Studies of several slices, in order of appearance: {key, name, rows, findings}, as `join` has them.
 * `key` is the study's pseudonym in the first run that has the slice.
 */
export function studies(runs, rows) {
  const byStudy = new Map();
  for (const row of rows) {
    if (!row.study) continue;
    if (!byStudy.has(row.study)) byStudy.set(row.study, []);
    byStudy.get(row.study).push(row);
  }
  const several = [...byStudy].filter(([, inside]) => inside.length > 1);
  return several.map(([key, inside], number) => ({
    key,
    name: `Study ${number + 1}: ${folder(inside)}`,
    rows: inside,
    findings: runs.map((run, column) => ofStudy(run, inside, column)),
  }));
}

function ofStudy({ prediction }, rows, column) {
  const key = rows.find((row) => row.findings[column])?.findings[column].finding.study;
  return prediction.studies.find(({ study }) => study === key) ?? null;
}

// Name of a study: its only file, or the folder of all its files, or its first file.
function folder(rows) {
  const names = [...new Set(rows.map(({ file }) => file))];
  if (names.length === 1) return names[0];
  const folders = new Set(names.map((name) => name.slice(0, name.lastIndexOf("/") + 1)));
  const [path] = folders;
  return folders.size === 1 && path ? path.slice(0, -1) : `${names[0]} and ${names.length - 1} more`;
}

/** Whether models name different classes. */
export function disagree({ findings }) {
  return new Set(findings.map((one) => one?.finding.label)).size > 1;
}

/** What the verdict filter offers, with counts: pairs of value and text. */
export function choices(rows) {
  const having = (verdict) => rows.filter((row) => has(row, verdict)).length;
  const pairs = [["", `any verdict (${rows.length})`]];
  for (const verdict of VERDICTS) {
    const number = having(verdict);
    if (number) pairs.push([verdict, `${verdict} (${number})`]);
  }
  if (rows.some(({ findings }) => findings.length > 1)) {
    pairs.push(["disagree", `models disagree (${rows.filter(disagree).length})`]);
  }
  const labels = new Set(rows.flatMap(({ findings }) => findings.map((one) => one?.finding.label)));
  labels.delete(undefined);
  for (const label of [...labels].sort()) pairs.push([`is ${label}`, `class ${className(label)} (${rows.filter((row) => has(row, `is ${label}`)).length})`]);
  return pairs;
}

/** Whether a row passes the filter `choice`, one of the values that `choices` gives. */
export function has(row, choice) {
  if (!choice) return true;
  if (choice === "disagree") return disagree(row);
  return row.findings.some((one) => one && (one.finding.verdict === choice || `is ${one.finding.label}` === choice));
}
