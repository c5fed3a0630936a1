// The list of slices. The tab key stops once at the list; arrow keys move within it.

import { moves } from "./controls.js";
import { fill, find, make } from "./dom.js";
import { chip } from "./finding.js";
import { className, percent, sliceName, summary } from "./wording.js";

let options = [];

/** Start the list: `onMove(slices)` receives the steps of keys, `onPick(position)` the clicks. */
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
  options = rows.map((row, position) => option(row, position, volumes));
  fill(find("list"), options);
  find("no-slices").hidden = rows.length > 0;
  find("list").hidden = rows.length === 0;
}

/** Mark the row that is shown, and scroll the list to it. */
export function mark(position) {
  const list = find("list");
  list.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
  const option = options[position];
  if (!option) return list.removeAttribute("aria-activedescendant");
  option.setAttribute("aria-selected", "true");
  list.setAttribute("aria-activedescendant", option.id);
  // Not scrollIntoView, which would also scroll the page away from the picture.
  if (option.offsetTop < list.scrollTop) list.scrollTop = option.offsetTop;
  const below = option.offsetTop + option.offsetHeight - list.clientHeight;
  if (below > list.scrollTop) list.scrollTop = below;
  return undefined;
}

function option(row, position, volumes) {
  const name = sliceName(row, volumes);
  const findings = row.findings.map((one) => one?.finding);
  const lines = findings.map((finding) =>
    make("span", { class: "summary" }, finding
      ? [make("span", {}, className(finding.label), " ", make("span", { class: "muted" }, percent(finding.probabilities[finding.label]))), chip(finding.verdict)]
      : make("span", { class: "muted" }, "not read")));
  const label = `${name}: ${findings.map(summary).join("; ")}`;
  return make("li", { role: "option", id: `slice-${position}`, "aria-selected": "false", "aria-label": label },
    make("span", { class: "name", title: name }, name), lines);
}
