// The progress of reading, one line for each model.

import { announce, fill, find, make } from "./dom.js";
import { count } from "./wording.js";

const ANNOUNCED_STEP = 0.25; // share of the files after which the progress is announced again
const lines = new Map();

/** Show that this many files are read by these models. */
export function open(models, files) {
  lines.clear();
  find("progress-title").textContent = `Reading ${count(files, "file")}`;
  fill(find("progress-rows"), models.map((model) => line(model, models.length > 1)));
  find("progress").hidden = false;
  find("progress-title").focus();
}

/** Show the progress of a model's job, as `jobs.run` reports it. */
export function show(model, { sent, files, files_done: read, slices_done: slices }) {
  const { bar, text } = lines.get(model.name);
  if (sent !== undefined) {
    bar.value = sent;
    text.textContent = sent < 1 ? `sending, ${Math.round(100 * sent)}\u00a0%` : "sent";
    return;
  }
  const share = files ? read / files : 0;
  if (files > 1) bar.value = share;
  else bar.removeAttribute("value"); // the number of slices of a volume is not known before
  text.textContent = `${read} of ${count(files, "file")} read, ${count(slices, "slice")} done`;
  announceProgress(model, share);
}

/** Show that a model is done. */
export function done(model) {
  const { bar, text } = lines.get(model.name);
  bar.value = 1;
  text.textContent = "done";
}

/** Hide the progress. */
export function close() {
  find("progress").hidden = true;
}

function announceProgress(model, share) {
  const line = lines.get(model.name);
  const steps = Math.floor(share / ANNOUNCED_STEP);
  if (steps > line.announced) announce(`${Math.round(100 * share)} % read`);
  line.announced = Math.max(line.announced, steps);
}

function line({ name }, named) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": `Progress of ${name}` });
  const text = make("span", { class: "muted" }, "waiting");
  lines.set(name, { bar, text, announced: 0 });
  return make("p", { class: "progress" }, named ? make("b", {}, name) : null, bar, text);
}
