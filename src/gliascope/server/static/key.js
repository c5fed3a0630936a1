// The API key: asked for when the server wants one, kept for this tab only.

import { find } from "./dom.js";

const PLACE = "gliascope-key";
let asking = null;

export const headers = () => {
  const key = sessionStorage.getItem(PLACE);
  return key ? { Authorization: `Bearer ${key}` } : {};
};

/**
 * Ask for a key. Many requests may need one at once: all wait for the same answer.
 * `refused` is the header that was sent in vain; where another key came in meanwhile, nobody is asked.
 * Resolves to false where the user cancels.
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
  sessionStorage.removeItem(PLACE);
  find("forget-key").hidden = true;
}

/** Show whether there is a key to forget. */
export function start() {
  find("forget-key").hidden = !sessionStorage.getItem(PLACE);
  find("forget-key").addEventListener("click", () => {
    forget();
    location.reload();
  });
  find("key-cancel").addEventListener("click", () => find("key").close("cancel"));
}

function open(refused) {
  const dialog = find("key");
  const field = find("key-value");
  find("key-why").textContent = refused
    ? "The server does not know this key. Check it, or ask whoever runs the server."
    : "This server asks for a key. Whoever runs it can give you one.";
  if (refused) forget();
  field.value = "";
  field.setAttribute("aria-describedby", "key-why");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => {
        const key = field.value.trim();
        field.value = "";
        if (dialog.returnValue !== "use" || !key) return resolve(false);
        sessionStorage.setItem(PLACE, key);
        find("forget-key").hidden = false;
        return resolve(true);
      },
      { once: true },
    );
  });
}
