// The API key: the user is asked for it when the server needs one, and it is stored for this tab only.

import { find } from "./dom.js";

const STORAGE_NAME = "gliascope-key";
let asking = null;

export const headers = () => {
  const key = sessionStorage.getItem(STORAGE_NAME);
  return key ? { Authorization: `Bearer ${key}` } : {};
};

/**
 * Ask for a key, once for all requests that need one. `refused` is the header that the server refused: if the
 * user has given another key since, no question is asked. Resolves to false if the user cancels.
 */
export function ask(refused) {
  if (refused !== headers().Authorization) return Promise.resolve(true);
  asking ??= open(Boolean(refused)).finally(() => {
    asking = null;
  });
  return asking;
}

/** Forget the key. */
export function forget() {
  sessionStorage.removeItem(STORAGE_NAME);
  find("forget-key").hidden = true;
}

/** Show whether there is a key to forget. */
export function start() {
  find("forget-key").hidden = !sessionStorage.getItem(STORAGE_NAME);
  find("forget-key").addEventListener("click", () => {
    forget();
    location.reload();
  });
  find("key-cancel").addEventListener("click", () => find("key").close("cancel"));
}

function open(refused) {
  const dialog = find("key");
  const field = find("key-value");
  find("key-reason").textContent = refused
    ? "The server does not know this key. Check it, or ask whoever runs the server."
    : "This server requires an API key. Ask whoever runs the server for one.";
  if (refused) forget();
  field.value = "";
  field.setAttribute("aria-describedby", "key-reason");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const key = field.value.trim();
        field.value = "";
        if (dialog.returnValue !== "use" || !key) return resolve(false);
        sessionStorage.setItem(STORAGE_NAME, key);
        find("forget-key").hidden = false;
        return resolve(true);
      },
      { once: true },
    );
  });
}
