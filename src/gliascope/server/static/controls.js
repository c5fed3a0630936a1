// The viewer's display settings (window, level, saliency), and the controls that change them.

import { find } from "./dom.js";

const PLAIN = { level: 128, width: 256 };
const STEP = 40; // pixels of scrolling to the next slice
const KEYS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity };

/** The present settings: {level, width, saliency, opacity}. */
export const display = { ...PLAIN, saliency: false, opacity: 0.6 };

/** Number of slices that a key moves by; undefined for other keys. */
export const moves = (event) => (event.ctrlKey || event.altKey || event.metaKey ? undefined : KEYS[event.key]);

/** Start the controls: `onDisplay(names)` receives the settings that change, `onMove(slices)` the steps. */
export function start(onDisplay, onMove) {
  const change = (changes) => {
    Object.assign(display, changes);
    show();
    onDisplay(Object.keys(changes));
  };
  for (const name of ["level", "width"]) {
    find(name).addEventListener("input", (event) => change({ [name]: Number(event.target.value) }));
  }
  find("opacity").addEventListener("input", (event) => change(display.saliency ? { opacity: event.target.value / 100 } : { opacity: event.target.value / 100, saliency: true }));
  find("saliency").addEventListener("change", (event) => change({ saliency: event.target.checked }));
  find("reset").addEventListener("click", () => change(PLAIN));
  const canvases = find("canvases");
  listenToKeys(canvases, change, onMove);
  listenToWheel(canvases, onMove);
  listenToDrags(canvases, change);
  show();
}

/** Show the saliency's controls, or hide them if no model has saliency maps. */
export function offerSaliency(offered) {
  for (const id of ["saliency-row", "saliency-key", "saliency-hint"]) find(id).hidden = !offered;
}

/** Reset window and level. */
export function reset() {
  Object.assign(display, PLAIN);
  show();
}

function show() {
  const values = { level: display.level, width: display.width, opacity: Math.round(100 * display.opacity) };
  for (const [id, value] of Object.entries(values)) {
    find(id).value = value;
    find(`${id}-text`).textContent = id === "opacity" ? `${value}\u00a0%` : value;
  }
  find("saliency").checked = display.saliency;
}

function listenToKeys(canvases, change, onMove) {
  canvases.addEventListener("keydown", (event) => {
    const by = moves(event);
    const key = event.key.toLowerCase();
    if (by !== undefined) onMove(by);
    else if (event.ctrlKey || event.altKey || event.metaKey) return;
    else if (key === "r") change(PLAIN);
    else if (key === "s" && !find("saliency-row").hidden) change({ saliency: !display.saliency });
    else return;
    event.preventDefault();
  });
}

function listenToWheel(canvases, onMove) {
  let travel = 0;
  canvases.addEventListener("wheel", (event) => {
    if (event.ctrlKey || find("slice-row").hidden) return; // the browser zooms, or there is one slice only
    event.preventDefault();
    travel += event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * STEP : event.deltaY;
    const by = Math.trunc(travel / STEP);
    travel -= by * STEP;
    if (by) onMove(Math.sign(by)); // one slice for each event: on some systems a notch of the wheel is several steps
  }, { passive: false });
}

function listenToDrags(canvases, change) {
  let from = null;
  canvases.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.tagName !== "CANVAS") return;
    from = { x: event.clientX, y: event.clientY, ...display };
    event.target.setPointerCapture(event.pointerId);
  });
  canvases.addEventListener("pointermove", (event) => {
    if (!from) return;
    change({
      width: Math.round(within(2, from.width + (event.clientX - from.x) / 2, 256)),
      level: Math.round(within(0, from.level + (event.clientY - from.y) / 2, 255)),
    });
  });
  for (const end of ["pointerup", "pointercancel"]) canvases.addEventListener(end, () => { from = null; });
}

const within = (low, value, high) => Math.min(high, Math.max(low, value));
