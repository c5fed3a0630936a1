// Where slices are looked at: the stages, what each model says, the list and its filters.

import * as controls from "./controls.js";
import { announce, fill, find, make, options } from "./dom.js";
import { card } from "./finding.js";
import * as jobs from "./jobs.js";
import * as list from "./list.js";
import { choices, has, studies, volumes } from "./rows.js";
import { Pictures, Stage } from "./stage.js";
import { sliceName, summary } from "./words.js";

const QUIET = 350; // milliseconds of rest before a slice is told to a screen reader
const pictures = new Pictures();
let runs = [];
let rows = [];
let stages = [];
let shown = []; // rows that pass the filters
let place = 0;
let names = new Set();
let telling = 0;

/** Listen to everything on the desk. */
export function start() {
  controls.start(look, move);
  list.start(move, go);
  find("place").addEventListener("input", (event) => go(Number(event.target.value)));
  for (const id of ["group", "verdict"]) find(id).addEventListener("change", filter);
}

/** Lay out rows of runs, as `rows.join` has them. */
export function open(newRuns, newRows) {
  close();
  [runs, rows, names] = [newRuns, newRows, volumes(newRows)];
  stages = runs.map(({ model }) => new Stage(pictures, runs.length > 1 ? model.name : null));
  fill(find("stages"), stages.map(({ element }) => element));
  find("desk").dataset.models = Math.min(runs.length, 2);
  controls.reset();
  controls.offerSaliency(runs.some(({ model }) => model.saliency));
  const groups = studies(runs, rows).map(({ key, name, rows: inside }) => [key, `${name} (${inside.length})`]);
  options(find("group"), [["", `everything (${rows.length})`], ...groups]);
  find("group").value = "";
  find("verdict").value = "";
  find("group-row").hidden = groups.length === 0 || (groups.length === 1 && rows.every(({ study }) => study));
  filter();
}

/** Let go of all that is shown. */
export function close() {
  stages.forEach((stage) => stage.close());
  list.show([], names);
  for (const id of ["stages", "caption", "findings", "group", "verdict"]) fill(find(id));
  find("place").removeAttribute("aria-valuetext");
  pictures.clear();
  [runs, rows, stages, shown, place] = [[], [], [], [], 0];
}

/** Show the slices of a study alone. */
export function openStudy(key) {
  find("group").value = key;
  find("verdict").value = "";
  filter();
  find("stages").focus();
  find("slices").scrollIntoView();
}

function filter() {
  const group = find("group").value;
  const inside = group ? rows.filter(({ study }) => study === group) : rows;
  options(find("verdict"), choices(inside));
  const now = shown[place];
  shown = inside.filter((row) => has(row, find("verdict").value));
  list.show(shown, names);
  find("place").max = Math.max(0, shown.length - 1);
  find("place-row").hidden = shown.length < 2;
  go(Math.max(0, shown.indexOf(now)));
}

function look(changed) {
  if (changed.includes("saliency") && shown[place]) draw(shown[place]);
  else stages.forEach((stage) => stage.draw(controls.look));
}

const move = (by) => go(place + by);

function go(wanted) {
  place = Math.min(Math.max(0, wanted), Math.max(0, shown.length - 1));
  const row = shown[place];
  list.mark(place);
  find("desk").classList.toggle("empty", !row);
  if (!row) return fill(find("findings"));
  const name = sliceName(row, names);
  caption(row, name);
  find("place").value = place;
  find("place-text").textContent = `${place + 1} of ${shown.length}`;
  const told = `${name}: ${row.findings.map((one) => summary(one?.finding)).join("; ")}`;
  find("place").setAttribute("aria-valuetext", `${place + 1} of ${shown.length}, ${told}`);
  show(row);
  clearTimeout(telling);
  if (document.activeElement === find("stages")) telling = setTimeout(announce, QUIET, told);
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
    const title = runs.length > 1 ? model.name : "What the model says";
    return make("section", { "aria-label": title }, make("h3", {}, title), card(one?.finding, model));
  }));
  // Those on either side, so that scrolling need not wait.
  for (const near of [shown[place + 1], shown[place - 1]]) {
    near?.findings.forEach((one, column) => {
      for (const address of addresses(one, column)) if (address) pictures.get(address).catch(() => {});
    });
  }
}

function draw(row) {
  const name = sliceName(row, names);
  row.findings.forEach((one, column) => stages[column].show(...addresses(one, column), controls.look, name));
}

function addresses(one, column) {
  const { id, model } = runs[column];
  if (!one) return [null, null];
  return [jobs.image(id, one.number), model.saliency && controls.look.saliency ? jobs.saliency(id, one.number) : null];
}
