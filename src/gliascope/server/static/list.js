// The list of slices: one stop of the tab key, arrows within it.

import { moves } from "./controls.js";
import { fill, find, make } from "./dom.js";
import { chip } from "./finding.js";
import { className, percent, sliceName, summary } from "./words.js";

let options = [];

/** Listen to the list: `onMove(slices)` by keys, `onPick(place)` by a click. */
export function start(onMove, onPick) {
  const list = find("list");
  list.addEventListener("keydown", (event) => {
    const by = moves(event);
    if (by === undefined) return;
    event.preventDefault();
    onMove(by);
  });
  list.addEventListener("click", (event) => {
    const option = event.target.closest("[role=option]");
    if (option) onPick(options.indexOf(option));
  });
}

/** Show these rows. */
export function show(rows, volumes) {
  options = rows.map((row, place) => option(row, place, volumes));
  fill(find("list"), options);
  find("nothing").hidden = rows.length > 0;
  find("list").hidden = rows.length === 0;
}

/** Mark the row at `place` as the one that is shown, and bring it into sight within the list. */
export function mark(place) {
  const list = find("list");
  list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
  const option = options[place];
  if (!option) return list.removeAttribute("aria-activedescendant");
  option.setAttribute("aria-selected", "true");
  list.setAttribute("aria-activedescendant", option.id);
  // Not scrollIntoView, which would also scroll the page away from the picture.
  if (option.offsetTop < list.scrollTop) list.scrollTop = option.offsetTop;
  const below = option.offsetTop + option.offsetHeight - list.clientHeight;
  if (below > list.scrollTop) list.scrollTop = below;
  return undefined;
}

function option(row, place, volumes) {
  const name = sliceName(row, volumes);
  const said = row.findings.map((one) => one?.finding);
  const lines = said.map((finding) =>
    make("span", { class: "said" }, finding
      ? [make("span", {}, className(finding.label), " ", make("span", { class: "muted" }, percent(finding.probabilities[finding.label]))), chip(finding.verdict)]
      : make("span", { class: "muted" }, "not read")));
  const label = `${name}: ${said.map(summary).join("; ")}`;
  return make("li", { role: "option", id: `slice-${place}`, "aria-selected": "false", "aria-label": label },
    make("span", { class: "name", title: name }, name), lines);
}
