// How far the reading is, one line a model.

import { announce, fill, find, make } from "./dom.js";
import { count } from "./words.js";

const QUARTER = 0.25; // of the way, told to a screen reader
const lines = new Map();

/** Show that `files` files go to these models. */
export function open(models, files) {
  lines.clear();
  find("progress-title").textContent = `Reading ${count(files, "file")}`;
  fill(find("progress-rows"), models.map((model) => line(model, models.length > 1)));
  find("progress").hidden = false;
  find("progress-title").focus();
}

/** Show what `jobs.run` tells of a model's job. */
export function show(model, { sent, files, files_done: read, slices_done: slices }) {
  const { bar, text } = lines.get(model.name);
  if (sent !== undefined) {
    bar.value = sent;
    text.textContent = sent < 1 ? `sending, ${Math.round(100 * sent)}\u00a0%` : "sent";
    return;
  }
  const share = files ? read / files : 0;
  if (files > 1) bar.value = share;
  else bar.removeAttribute("value"); // how many slices one volume holds is not known before
  text.textContent = `${read} of ${count(files, "file")} read, ${count(slices, "slice")} done`;
  tell(model, share);
}

/** Show that a model is through. */
export function done(model) {
  const { bar, text } = lines.get(model.name);
  bar.value = 1;
  text.textContent = "done";
}

/** Put it away. */
export function close() {
  find("progress").hidden = true;
}

function tell(model, share) {
  const place = lines.get(model.name);
  const quarters = Math.floor(share / QUARTER);
  if (quarters > place.told) announce(`${Math.round(100 * share)} % read`);
  place.told = Math.max(place.told, quarters);
}

function line({ name }, named) {
  const bar = make("progress", { max: 1, value: 0, "aria-label": `Progress of ${name}` });
  const text = make("span", { class: "muted" }, "waiting");
  lines.set(name, { bar, text, told: 0 });
  return make("p", { class: "progress" }, named ? make("b", {}, name) : null, bar, text);
}
