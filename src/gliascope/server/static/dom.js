// Small helpers around the document. Text always goes in as text, never as markup.

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

/** Replace what `element` holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== false));
}

/** Say something to a screen reader. The same words twice are said twice. */
export function announce(text) {
  const place = find("announcer");
  place.textContent = place.textContent === text ? `${text}\u00a0` : text;
}

/** Options of a <select>: pairs of value and text. Keeps what was chosen where it is still there. */
export function options(select, pairs) {
  const before = select.value;
  fill(select, pairs.map(([value, text]) => make("option", { value }, text)));
  if (pairs.some(([value]) => value === before)) select.value = before;
}

/** A promise that is kept after so many milliseconds, and broken where `signal` aborts. */
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
