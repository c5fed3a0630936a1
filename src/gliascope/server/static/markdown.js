// Renders the part of Markdown that model cards use. Text is inserted as text, so a card cannot add markup.

import { make } from "./dom.js";

const INLINE = /(\*\*.+?\*\*|`.+?`|\*[^*\s][^*]*\*)/;

/** Make elements of a text with headings, paragraphs, lists and tables. */
export function markdown(text) {
  return text.split(/\n{2,}|(?<=^#.*)\n/m).map((block) => block.trim()).filter(Boolean).map(element);
}

function element(block) {
  const lines = block.split("\n");
  const [, marks, title] = /^(#{1,4}) (.*)/.exec(block) ?? [];
  if (marks) return make(`h${Math.min(marks.length + 2, 6)}`, {}, inline(title));
  if (lines.every((line) => line.startsWith("|"))) return table(lines);
  if (lines[0].startsWith("- ")) {
    return make("ul", {}, block.split(/\n(?=- )/).map((item) => make("li", {}, inline(item.slice(2)))));
  }
  return make("p", {}, inline(lines.join(" ")));
}

function table(lines) {
  const [head, , ...body] = lines.map((line) => line.slice(1).replace(/\|\s*$/, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|")));
  const row = (cells) => make("tr", {}, cells.map((cell, column) =>
    column ? make("td", {}, inline(cell)) : make("th", { scope: "row" }, inline(cell))));
  const named = head.some(Boolean);
  return make("div", { class: "scroll" }, make("table", { class: "plain" },
    named ? make("thead", {}, make("tr", {}, head.map((cell) => (cell ? make("th", { scope: "col" }, inline(cell)) : make("td", {}))))) : null,
    make("tbody", {}, body.map(row))));
}

function inline(text) {
  return text.split(INLINE).filter(Boolean).map((part) => {
    if (/^\*\*.+\*\*$/.test(part)) return make("strong", {}, part.slice(2, -2));
    if (/^`.+`$/.test(part)) return make("code", {}, part.slice(1, -1));
    if (/^\*[^*]+\*$/.test(part)) return make("em", {}, part.slice(1, -1));
    return part;
  });
}
