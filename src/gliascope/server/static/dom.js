// Small helpers for the document. Text is always inserted as text, never as markup.

export const find = (id) => document.getElementById(id);

/** An element with attributes and children (nodes or text; null and false are left out). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== false));
}

/** Announce a text to a screen reader, also if it is the same text as before. */
export function announce(text) {
  const element = find("announcer");
  element.textContent = element.textContent === text ? `${text}\u00a0` : text;
}

/** Set the options of a <select>, pairs of value and text. The chosen value stays if it is still an option. */
export function options(select, pairs) {
  const before = select.value;
  fill(select, pairs.map(([value, text]) => make("option", { value }, text)));
  if (pairs.some(([value]) => value === before)) select.value = before;
}

/** Promise that resolves after so many milliseconds, and rejects when `signal` aborts. */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}
