// The page: it takes files, has them predicted, and shows the findings.

import { ApiError } from "./api.js";
import * as viewer from "./viewer.js";
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
  0: "The connection broke while the files were sent. Check the network, and that the files are not larger than the server allows.",
  401: "The server needs an API key.",
  403: "This API key does not allow that.",
  413: "The files are more than the server allows.",
  422: "No file could be read.",
  504: "Reading took longer than the server allows.",
  507: "The server's disk is full.",
};
let served = []; // all models, as /v1/model describes them
let files = []; // the files read last: {file, name}
let runs = []; // {model, id, prediction}
let working = null; // AbortController of the present reading

async function start() {
  key.start();
  viewer.start();
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
  // The browser may show the page again from its memory, but the server has deleted the job's pictures.
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

/** Read files with the chosen model, or with all models. Earlier findings stay until there are new ones. */
async function read(chosenFiles) {
  if (!chosenFiles.length) return fail(new ApiError(422, "no_files", "No file was chosen."));
  if (!served.length) return undefined;
  working?.abort(new DOMException("replaced", "AbortError"));
  const own = new AbortController();
  working = own;
  files = chosenFiles;
  fail(null);
  const choice = find("model").value;
  const requested = served.length > 1 && choice === ALL ? served : served.filter(({ name }) => name === choice);
  const done = [];
  progress.open(requested, chosenFiles.length);
  try {
    for (const model of requested) {
      const onProgress = (state) => progress.show(model, state);
      done.push({ model, ...(await jobs.run(model.name, chosenFiles, { signal: own.signal, onProgress })) });
      progress.done(model);
    }
    if (own === working) show(done);
    else forget(done);
  } catch (error) {
    forget(done);
    if (own === working) stopped(error, chosenFiles);
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
  viewer.open(runs, rows);
  offerAgain();
  find("results-title").focus();
  announce(`Done. ${overview.sentence(runs)}`);
}

function stopped(error, chosenFiles) {
  finish();
  find("choose-files").focus();
  if (error.name === "AbortError") announce("Cancelled.");
  else fail(error, () => read(chosenFiles));
}

function finish() {
  working = null;
  progress.close();
  find("waiting").textContent = "";
}

function startOver() {
  forget(runs);
  overview.close();
  viewer.close();
  [runs, files] = [[], []];
  find("results").hidden = true;
  document.body.classList.remove("answered");
  fail(null);
  offerAgain();
  find("choose-files").focus();
  announce("The server has deleted the files.");
}

function offerAgain() {
  const shown = runs.length > 1 ? ALL : runs[0]?.model.name;
  find("again").hidden = !runs.length || find("model").value === shown;
}

const forget = (done) => done.forEach(({ id }) => jobs.forget(id));

function fail(error, retry) {
  if (!error) return fill(find("failure"));
  const why = FAILED[error.status] ?? "That did not work.";
  const detail = error instanceof ApiError ? sentence(error.message) : `The page itself failed: ${error.message}`;
  return fill(find("failure"), make("p", {}, make("strong", {}, why), detail ? ` ${detail}` : ""),
    retry ? make("p", {}, make("button", { type: "button", click: retry }, "Try again")) : null);
}

// The server's messages begin with a small letter.
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

start();
