// How the slices are looked at: window, level, saliency, and the ways to change them.

import { find } from "./dom.js";

const PLAIN = { level: 128, width: 256 };
const STEP = 40; // of a wheel's travel, to the next slice
const KEYS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

/** What is set now: {level, width, saliency, opacity}. */
export const look = { ...PLAIN, saliency: false, opacity: 0.6 };

/** Slices that a key moves by; undefined where it moves none. */
export const moves = (event) => (event.ctrlKey || event.altKey || event.metaKey ? undefined : KEYS[event.key]);

/** Listen to the controls: `onLook(names)` when those of `look` change, `onMove(slices)` to go on. */
export function start(onLook, onMove) {
  const change = (changes) => {
    Object.assign(look, changes);
    show();
    onLook(Object.keys(changes));
  };
  for (const name of ["level", "width"]) {
    find(name).addEventListener("input", (event) => change({ [name]: Number(event.target.value) }));
  }
  find("opacity").addEventListener("input", (event) => change(look.saliency ? { opacity: event.target.value / 100 } : { opacity: event.target.value / 100, saliency: true }));
  find("saliency").addEventListener("change", (event) => change({ saliency: event.target.checked }));
  find("reset").addEventListener("click", () => change(PLAIN));
  const stages = find("stages");
  listenToKeys(stages, change, onMove);
  listenToWheel(stages, onMove);
  listenToDrags(stages, change);
  show();
}

/** Show the saliency's controls, or hide them where no model has any. */
export function offerSaliency(offered) {
  for (const id of ["saliency-row", "saliency-key", "saliency-hint"]) find(id).hidden = !offered;
}

/** Window and level as they are read. */
export function reset() {
  Object.assign(look, PLAIN);
  show();
}

function show() {
  const shown = { level: look.level, width: look.width, opacity: Math.round(100 * look.opacity) };
  for (const [id, value] of Object.entries(shown)) {
    find(id).value = value;
    find(`${id}-text`).textContent = id === "opacity" ? `${value}\u00a0%` : value;
  }
  find("saliency").checked = look.saliency;
}

function listenToKeys(stages, change, onMove) {
  stages.addEventListener("keydown", (event) => {
    const by = moves(event);
    const key = event.key.toLowerCase();
    if (by !== undefined) onMove(by);
    else if (event.ctrlKey || event.altKey || event.metaKey) return;
    else if (key === "r") change(PLAIN);
    else if (key === "s" && !find("saliency-row").hidden) change({ saliency: !look.saliency });
    else return;
    event.preventDefault();
  });
}

function listenToWheel(stages, onMove) {
  let travel = 0;
  stages.addEventListener("wheel", (event) => {
    if (event.ctrlKey || find("place-row").hidden) return; // zooming, or nowhere to go
    event.preventDefault();
    travel += event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * STEP : event.deltaY;
    const by = Math.trunc(travel / STEP);
    travel -= by * STEP;
    if (by) onMove(Math.sign(by)); // one at a time: a notch of a mouse is several steps on some systems
  }, { passive: false });
}

function listenToDrags(stages, change) {
  let from = null;
  stages.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.tagName !== "CANVAS") return;
    from = { x: event.clientX, y: event.clientY, ...look };
    event.target.setPointerCapture(event.pointerId);
  });
  stages.addEventListener("pointermove", (event) => {
    if (!from) return;
    change({
      width: Math.round(within(2, from.width + (event.clientX - from.x) / 2, 256)),
      level: Math.round(within(0, from.level + (event.clientY - from.y) / 2, 255)),
    });
  });
  for (const end of ["pointerup", "pointercancel"]) stages.addEventListener(end, () => { from = null; });
}

const within = (low, value, high) => Math.min(high, Math.max(low, value));
