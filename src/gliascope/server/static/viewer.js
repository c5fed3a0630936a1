// The viewer: the slice on a canvas for each model, its findings, and the list of slices with its filters.

import * as controls from "./controls.js";
import { announce, fill, find, make, options } from "./dom.js";
import { card } from "./finding.js";
import * as jobs from "./jobs.js";
import * as list from "./list.js";
import { choices, has, studies, volumes } from "./rows.js";
import { PictureCache, SliceCanvas } from "./canvas.js";
import { sliceName, summary } from "./wording.js";

const ANNOUNCE_DELAY = 350; // milliseconds until the slice is announced to a screen reader
const pictures = new PictureCache();
let runs = [];
let rows = [];
let canvases = [];
let shown = []; // rows that pass the filters
let position = 0;
let volumeNames = new Set();
let announcing = 0;

/** Start the viewer's controls. */
export function start() {
  controls.start(redraw, move);
  list.start(move, go);
  find("slice").addEventListener("input", (event) => go(Number(event.target.value)));
  for (const id of ["group", "verdict"]) find(id).addEventListener("change", filter);
}

/** Show the rows of runs, as `rows.join` makes them. */
export function open(newRuns, newRows) {
  close();
  [runs, rows, volumeNames] = [newRuns, newRows, volumes(newRows)];
  canvases = runs.map(({ model }) => new SliceCanvas(pictures, runs.length > 1 ? model.name : null));
  fill(find("canvases"), canvases.map(({ element }) => element));
  find("viewer").dataset.models = Math.min(runs.length, 2);
  controls.reset();
  controls.offerSaliency(runs.some(({ model }) => model.saliency));
  const groups = studies(runs, rows).map(({ key, name, rows: inside }) => [key, `${name} (${inside.length})`]);
  options(find("group"), [["", `everything (${rows.length})`], ...groups]);
  find("group").value = "";
  find("verdict").value = "";
  find("group-row").hidden = groups.length === 0 || (groups.length === 1 && rows.every(({ study }) => study));
  filter();
}

/** Remove everything that is shown. */
export function close() {
  canvases.forEach((canvas) => canvas.close());
  list.show([], volumeNames);
  for (const id of ["canvases", "caption", "findings", "group", "verdict"]) fill(find(id));
  find("slice").removeAttribute("aria-valuetext");
  pictures.clear();
  [runs, rows, canvases, shown, position] = [[], [], [], [], 0];
}

/** Show only the slices of a study. */
export function openStudy(key) {
  find("group").value = key;
  find("verdict").value = "";
  filter();
  find("canvases").focus();
  find("slices").scrollIntoView();
}

function filter() {
  const group = find("group").value;
  const inside = group ? rows.filter(({ study }) => study === group) : rows;
  options(find("verdict"), choices(inside));
  const now = shown[position];
  shown = inside.filter((row) => has(row, find("verdict").value));
  list.show(shown, volumeNames);
  find("slice").max = Math.max(0, shown.length - 1);
  find("slice-row").hidden = shown.length < 2;
  go(Math.max(0, shown.indexOf(now)));
}

function redraw(changed) {
  if (changed.includes("saliency") && shown[position]) draw(shown[position]);
  else canvases.forEach((canvas) => canvas.draw(controls.display));
}

const move = (by) => go(position + by);

function go(wanted) {
  position = Math.min(Math.max(0, wanted), Math.max(0, shown.length - 1));
  const row = shown[position];
  list.mark(position);
  find("viewer").classList.toggle("empty", !row);
  if (!row) return fill(find("findings"));
  const name = sliceName(row, volumeNames);
  caption(row, name);
  find("slice").value = position;
  find("slice-text").textContent = `${position + 1} of ${shown.length}`;
  const text = `${name}: ${row.findings.map((one) => summary(one?.finding)).join("; ")}`;
  find("slice").setAttribute("aria-valuetext", `${position + 1} of ${shown.length}, ${text}`);
  show(row);
  clearTimeout(announcing);
  if (document.activeElement === find("canvases")) announcing = setTimeout(announce, ANNOUNCE_DELAY, text);
  return undefined;
}

function caption(row, name) {
  const facts = [row.kind, row.modality, row.plane, `${row.width}\u00a0×\u00a0${row.height}`].filter(Boolean).join(" · ");
  fill(find("caption"), make("b", {}, name), " ", make("span", { class: "muted" }, facts));
}

function show(row) {
  draw(row);
  fill(find("findings"), row.findings.map((one, column) => {
    const { model } = runs[column];
    const title = runs.length > 1 ? model.name : "Finding";
    return make("section", { "aria-label": title }, make("h3", {}, title), card(one?.finding, model));
  }));
  // Load the pictures of the neighbouring slices, so that scrolling does not wait.
  for (const near of [shown[position + 1], shown[position - 1]]) {
    near?.findings.forEach((one, column) => {
      for (const address of addresses(one, column)) if (address) pictures.get(address).catch(() => {});
    });
  }
}

function draw(row) {
  const name = sliceName(row, volumeNames);
  row.findings.forEach((one, column) => canvases[column].show(...addresses(one, column), controls.display, name));
}

function addresses(one, column) {
  const { id, model } = runs[column];
  if (!one) return [null, null];
  return [jobs.image(id, one.number), model.saliency && controls.display.saliency ? jobs.saliency(id, one.number) : null];
}
