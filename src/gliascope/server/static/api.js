// Requests to the server: with the key, again where it is busy or out of reach, and errors in its own words.

import { find, pause } from "./dom.js";
import * as key from "./key.js";

const BUSY = { 429: "This key asks faster than the server allows.", 503: "The server is busy." };
const OUT_OF_REACH = "The server cannot be reached.";
const LONGEST = 60; // seconds between two tries, whatever the server says

/** What the server refused: `status` 0 where it could not be reached. */
export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** GET (or DELETE) something; the Response. Goes on trying where the server is busy or out of reach. */
export function request(path, { method = "GET", signal } = {}) {
  const send = () => fetch(path, { method, headers: key.headers(), signal, cache: "no-store" });
  return insist(send, signal, true);
}

/**
 * POST a form; the Response. `onSent(share)` hears how much has gone out, for which fetch has no means.
 * A broken connection is not tried again: the server may have cut it because of what was sent.
 */
export function upload(path, form, { signal, onSent }) {
  return insist(() => post(path, form, signal, onSent), signal, false);
}

async function insist(send, signal, patient) {
  for (let delay = 1; ; delay = Math.min(2 * delay, LONGEST)) {
    const sent = key.headers().Authorization;
    let response;
    try {
      response = await send();
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      if (!patient) throw new ApiError(0, "network", "");
      await wait(OUT_OF_REACH, delay, signal);
      continue;
    }
    say("");
    if (response.ok) return response;
    if (response.status in BUSY) {
      const asked = Number(response.headers.get("Retry-After")) || delay;
      await wait(BUSY[response.status], Math.min(asked, LONGEST), signal);
    } else if (response.status !== 401 || !(await key.ask(sent))) {
      throw await failure(response);
    }
  }
}

async function wait(why, seconds, signal) {
  say(`${why} Trying again in ${seconds} s.`);
  try {
    await pause(1000 * seconds, signal);
  } catch (reason) {
    say("");
    throw reason;
  }
}

// Told once a wait, not once a second: a screen reader would read every tick.
function say(text) {
  const place = find("waiting");
  if (place.textContent !== text) place.textContent = text;
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
