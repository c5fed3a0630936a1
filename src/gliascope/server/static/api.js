// Requests to the server: they carry the API key, and are repeated while the server is busy or out of reach.

import { find, pause } from "./dom.js";
import * as key from "./key.js";

const BUSY = { 429: "This key asks faster than the server allows.", 503: "The server is busy." };
const OUT_OF_REACH = "The server cannot be reached.";
const MAX_DELAY = 60; // seconds between two attempts, also if the server asks for more

/** An error response of the server; `status` is 0 if the server could not be reached. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Send a request and return its Response. It is repeated while the server is busy or out of reach. */
export function request(path, { method = "GET", signal } = {}) {
  const send = () => fetch(path, { method, headers: key.headers(), signal, cache: "no-store" });
  return sendWithRetry(send, signal, true);
}

/**
 * POST a form and return its Response. `onSent(share)` receives the share that has been sent, which fetch does
 * not report. After a broken connection it is not repeated: the server may have closed it because of the files.
 */
export function upload(path, form, { signal, onSent }) {
  return sendWithRetry(() => post(path, form, signal, onSent), signal, false);
}

async function sendWithRetry(send, signal, retryNetworkErrors) {
  for (let delay = 1; ; delay = Math.min(2 * delay, MAX_DELAY)) {
    const sent = key.headers().Authorization;
    let response;
    try {
      response = await send();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (!retryNetworkErrors) throw new ApiError(0, "network", "");
      await wait(OUT_OF_REACH, delay, signal);
      continue;
    }
    showWaiting("");
    if (response.ok) return response;
    if (response.status in BUSY) {
      const asked = Number(response.headers.get("Retry-After")) || delay;
      await wait(BUSY[response.status], Math.min(asked, MAX_DELAY), signal);
    } else if (response.status !== 401 || !(await key.ask(sent))) {
      throw await failure(response);
    }
  }
}

async function wait(why, seconds, signal) {
  showWaiting(`${why} Trying again in ${seconds} s.`);
  try {
    await pause(1000 * seconds, signal);
  } catch (reason) {
    showWaiting("");
    throw reason;
  }
}

// Once for each wait, and no countdown: a screen reader would read every second.
function showWaiting(text) {
  const element = find("waiting");
  if (element.textContent !== text) element.textContent = text;
}

async function failure(response) {
  try {
    const { code, message } = (await response.json()).error;
    return new ApiError(response.status, code, message);
  } catch {
    return new ApiError(response.status, "unknown", `The server answered with status ${response.status}.`);
  }
}

function post(path, form, signal, onSent) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    const stop = () => sending.abort();
    sending.open("POST", path);
    for (const [name, value] of Object.entries(key.headers())) sending.setRequestHeader(name, value);
    sending.upload.addEventListener("progress", (event) => onSent(event.total ? event.loaded / event.total : 0));
    sending.addEventListener("load", () => {
      const after = sending.getResponseHeader("Retry-After");
      const headers = after ? { "Retry-After": after } : {};
      resolve(new Response(sending.responseText || null, { status: sending.status, headers }));
    });
    sending.addEventListener("error", () => reject(new TypeError("network")));
    sending.addEventListener("abort", () => reject(signal.reason));
    sending.addEventListener("loadend", () => signal?.removeEventListener("abort", stop));
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener("abort", stop);
    return sending.send(form);
  });
}
