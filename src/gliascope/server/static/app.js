// The page: files in, findings out.

import { ApiError } from "./api.js";
import * as desk from "./desk.js";
import { announce, fill, find, make, options } from "./dom.js";
import { chosen, dropped } from "./files.js";
import * as jobs from "./jobs.js";
import * as key from "./key.js";
import * as models from "./models.js";
import * as overview from "./overview.js";
import * as progress from "./progress.js";
import { join } from "./rows.js";
import { save, toCsv, toJson } from "./save.js";

const ALL = "*"; // the choice that compares all models; no bundle can have this name
const FAILED = {
  0: "The connection broke while the files were sent. Check the network, and that they are not more than the server takes.",
  401: "The server needs an API key.",
  403: "This key may not do that.",
  413: "That is more than the server takes.",
  422: "Nothing could be read.",
  504: "It took longer than the server allows.",
  507: "The server has no room left.",
};
let served = []; // what /v1/model says of each
let files = []; // read last: {file, name}
let runs = []; // {model, id, prediction}
let working = null; // AbortController of what goes on

async function start() {
  key.start();
  desk.start();
  listen();
  try {
    served = await models.load();
  } catch (error) {
    return fail(error, () => location.reload());
  }
  models.show(served);
  const pairs = served.map(({ name }) => [name, name]);
  if (served.length > 1) pairs.push([ALL, "compare all models"]);
  options(find("model"), pairs);
  find("model-choice").hidden = served.length < 2;
  document.body.dataset.ready = "";
  return undefined;
}

function listen() {
  for (const [button, input] of [["choose-files", "files"], ["choose-folder", "folder"]]) {
    find(button).addEventListener("click", () => find(input).click());
    find(input).addEventListener("change", (event) => {
      read(chosen(event.target));
      event.target.value = ""; // so that the same choice is a change again
    });
  }
  listenToDrops();
  find("cancel").addEventListener("click", () => working?.abort(new DOMException("cancelled", "AbortError")));
  find("start-over").addEventListener("click", startOver);
  find("save-csv").addEventListener("click", () => save(toCsv(runs), "csv", "text/csv;charset=utf-8"));
  find("save-json").addEventListener("click", () => save(toJson(runs), "json", "application/json"));
  find("model").addEventListener("change", offerAgain);
  find("again").addEventListener("click", () => read(files));
  window.addEventListener("pagehide", () => {
    working?.abort(new DOMException("left", "AbortError"));
    forget(runs);
  });
  // A page that comes back from the browser's memory would show findings whose pictures are gone.
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });
}

function listenToDrops() {
  let inside = 0; // dragenter and dragleave come for every element passed
  const mark = () => find("drop").classList.toggle("over", inside > 0);
  window.addEventListener("dragenter", () => { inside += 1; mark(); });
  window.addEventListener("dragleave", () => { inside -= 1; mark(); });
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", async (event) => {
    event.preventDefault();
    inside = 0;
    mark();
    if (!event.dataTransfer.types.includes("Files")) return;
    try {
      read(await dropped(event.dataTransfer));
    } catch {
      fail(new ApiError(0, "folder", "The folder cannot be read. Choose it by the button instead."));
    }
  });
}

/** Read files with the chosen model, or with each; what was shown before goes, once there is something new. */
async function read(given) {
  if (!given.length) return fail(new ApiError(422, "no_files", "There was no file in it."));
  if (!served.length) return undefined;
  working?.abort(new DOMException("replaced", "AbortError"));
  const mine = new AbortController();
  working = mine;
  files = given;
  fail(null);
  const choice = find("model").value;
  const asked = served.length > 1 && choice === ALL ? served : served.filter(({ name }) => name === choice);
  const done = [];
  progress.open(asked, given.length);
  try {
    for (const model of asked) {
      const onProgress = (state) => progress.show(model, state);
      done.push({ model, ...(await jobs.run(model.name, given, { signal: mine.signal, onProgress })) });
      progress.done(model);
    }
    if (mine === working) show(done);
    else forget(done);
  } catch (error) {
    forget(done);
    if (mine === working) stopped(error, given);
  }
  return undefined;
}

function show(done) {
  finish();
  forget(runs);
  runs = done;
  const rows = join(runs);
  find("results").hidden = false;
  document.body.classList.add("answered");
  overview.show(runs, rows);
  desk.open(runs, rows);
  offerAgain();
  find("results-title").focus();
  announce(`Done. ${overview.sentence(runs)}`);
}

function stopped(error, given) {
  finish();
  find("choose-files").focus();
  if (error.name === "AbortError") announce("Cancelled.");
  else fail(error, () => read(given));
}

function finish() {
  working = null;
  progress.close();
  find("waiting").textContent = "";
}

function startOver() {
  forget(runs);
  overview.close();
  desk.close();
  [runs, files] = [[], []];
  find("results").hidden = true;
  document.body.classList.remove("answered");
  fail(null);
  offerAgain();
  find("choose-files").focus();
  announce("The files are forgotten.");
}

function offerAgain() {
  const shown = runs.length > 1 ? ALL : runs[0]?.model.name;
  find("again").hidden = !runs.length || find("model").value === shown;
}

const forget = (done) => done.forEach(({ id }) => jobs.forget(id));

function fail(error, retry) {
  if (!error) return fill(find("failure"));
  const why = FAILED[error.status] ?? "That did not work.";
  const own = error instanceof ApiError ? sentence(error.message) : `The page itself failed: ${error.message}`;
  return fill(find("failure"), make("p", {}, make("strong", {}, why), own ? ` ${own}` : ""),
    retry ? make("p", {}, make("button", { type: "button", click: retry }, "Try again")) : null);
}

// The server's messages begin as those of a command line do.
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

start();
