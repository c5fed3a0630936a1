// A slice on a canvas, with window and level, and with the saliency map over it.

import { ApiError, request } from "./api.js";
import { make } from "./dom.js";

const CACHE_SIZE = 80; // pictures, as the server sent them

/** A cache of pictures by address; the least recently used are removed. */
export class PictureCache {
  #blobs = new Map();

  /** Promise of a picture as Blob; null if the slice has no saliency map. */
  get(path) {
    const blob = this.#blobs.get(path) ?? this.#fetch(path);
    this.#blobs.delete(path);
    this.#blobs.set(path, blob);
    for (const oldest of this.#blobs.keys()) {
      if (this.#blobs.size <= CACHE_SIZE) break;
      this.#blobs.delete(oldest);
    }
    return blob;
  }

  clear() {
    this.#blobs.clear();
  }

  #fetch(path) {
    const blob = request(path).then((response) => response.blob()).catch((error) => {
      this.#blobs.delete(path);
      if (error instanceof ApiError && error.code === "no_saliency") return null;
      throw error;
    });
    return blob;
  }
}

/** A canvas that shows one slice. */
export class SliceCanvas {
  #context;
  #pixels = null; // as the server sent them: ImageData
  #overlay = null; // ImageBitmap
  #lastCall = 0;

  constructor(pictures, title) {
    this.pictures = pictures;
    this.canvas = make("canvas", { role: "img", width: 1, height: 1 });
    this.message = make("p", { class: "canvas-message", hidden: true });
    this.element = make("figure", {},
      title ? make("figcaption", {}, title) : null, make("div", { class: "canvas" }, this.canvas, this.message));
    this.#context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  /** Show a picture with its saliency map, by their addresses; `overlay` may be null. The last call wins. */
  async show(picture, overlay, display, name) {
    const call = ++this.#lastCall;
    this.canvas.setAttribute("aria-busy", "true");
    try {
      const blobs = await Promise.all([picture && this.pictures.get(picture), overlay && this.pictures.get(overlay)]);
      if (call !== this.#lastCall) return;
      const bitmaps = await Promise.all(blobs.map((blob) => blob && decode(blob)));
      if (call !== this.#lastCall) return bitmaps.forEach((bitmap) => bitmap?.close());
      this.#take(bitmaps);
      this.#showMessage(picture ? "" : "Not read by this model.");
      this.canvas.setAttribute("aria-label", name);
      this.draw(display);
    } catch (error) {
      if (call === this.#lastCall) this.#showMessage(explain(error));
    } finally {
      if (call === this.#lastCall) this.canvas.removeAttribute("aria-busy");
    }
  }

  /** Draw again with other settings: {level, width, saliency, opacity}. */
  draw({ level, width, saliency, opacity }) {
    if (!this.#pixels) return;
    const image = new ImageData(applyWindow(this.#pixels.data, level, width), this.#pixels.width);
    this.#context.putImageData(image, 0, 0);
    if (!saliency || !this.#overlay) return;
    this.#context.globalAlpha = opacity;
    this.#context.drawImage(this.#overlay, 0, 0, image.width, image.height);
    this.#context.globalAlpha = 1;
  }

  /** Remove the picture. */
  close() {
    this.#lastCall++;
    this.#take([null, null]);
  }

  #take([bitmap, overlay]) {
    this.#overlay?.close();
    this.#overlay = overlay || null;
    this.#pixels = null;
    if (!bitmap) return this.#context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.canvas.width = bitmap.width;
    this.canvas.height = bitmap.height;
    this.#context.drawImage(bitmap, 0, 0);
    bitmap.close();
    this.#pixels = this.#context.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  #showMessage(text) {
    this.message.textContent = text;
    this.message.hidden = !text;
    this.canvas.classList.toggle("gone", Boolean(text));
  }
}

const decode = (blob) => createImageBitmap(blob, { colorSpaceConversion: "none" });

const explain = (error) =>
  error.status === 404
    ? "The server has deleted this picture, as it does after some time. Read the files again to see it."
    : `The picture cannot be windowed: ${error.message}`;

/** Apply a window to pixels (RGBA), by DICOM PS3.3 C.11.2.1.2: level 128 and width 256 change nothing. */
function applyWindow(pixels, level, width) {
  const table = new Uint8ClampedArray(256);
  for (let value = 0; value < 256; value++) table[value] = 255 * ((value - level + 0.5) / (width - 1) + 0.5);
  const windowed = new Uint8ClampedArray(pixels);
  for (let index = 0; index < windowed.length; index += 4) {
    windowed[index] = table[windowed[index]];
    windowed[index + 1] = table[windowed[index + 1]];
    windowed[index + 2] = table[windowed[index + 2]];
  }
  return windowed;
}
