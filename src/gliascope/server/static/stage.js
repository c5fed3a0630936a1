// One picture on a canvas, through a window, with the saliency over it.

import { ApiError, request } from "./api.js";
import { make } from "./dom.js";

const KEPT = 80; // pictures, as the server sent them

/** Pictures by address, fetched once; the longest unused are let go. */
export class Pictures {
  #blobs = new Map();

  /** A Blob; null where the server says that there is no such picture. */
  get(path) {
    const blob = this.#blobs.get(path) ?? this.#fetch(path);
    this.#blobs.delete(path);
    this.#blobs.set(path, blob);
    for (const oldest of this.#blobs.keys()) {
      if (this.#blobs.size <= KEPT) break;
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

/** A canvas that shows what it was last asked for. */
export class Stage {
  #context;
  #pixels = null; // as the server sent them: ImageData
  #overlay = null; // ImageBitmap
  #wanted = 0;

  constructor(pictures, title) {
    this.pictures = pictures;
    this.canvas = make("canvas", { role: "img", width: 1, height: 1 });
    this.message = make("p", { class: "stage-message", hidden: true });
    this.element = make("figure", {},
      title ? make("figcaption", {}, title) : null, make("div", { class: "stage" }, this.canvas, this.message));
    this.#context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  /** Show a picture and, if `over`, its saliency. Calls that came meanwhile win. */
  async show(picture, over, look, name) {
    const turn = ++this.#wanted;
    this.canvas.setAttribute("aria-busy", "true");
    try {
      const blobs = await Promise.all([picture && this.pictures.get(picture), over && this.pictures.get(over)]);
      if (turn !== this.#wanted) return;
      const bitmaps = await Promise.all(blobs.map((blob) => blob && decode(blob)));
      if (turn !== this.#wanted) return bitmaps.forEach((bitmap) => bitmap?.close());
      this.#take(bitmaps);
      this.#tell(picture ? "" : "Not read by this model.");
      this.canvas.setAttribute("aria-label", name);
      this.draw(look);
    } catch (error) {
      if (turn === this.#wanted) this.#tell(explain(error));
    } finally {
      if (turn === this.#wanted) this.canvas.removeAttribute("aria-busy");
    }
  }

  /** Draw again through another window: {level, width, saliency, opacity}. */
  draw({ level, width, saliency, opacity }) {
    if (!this.#pixels) return;
    const shown = new ImageData(through(this.#pixels.data, level, width), this.#pixels.width);
    this.#context.putImageData(shown, 0, 0);
    if (!saliency || !this.#overlay) return;
    this.#context.globalAlpha = opacity;
    this.#context.drawImage(this.#overlay, 0, 0, shown.width, shown.height);
    this.#context.globalAlpha = 1;
  }

  /** Let go of what is shown. */
  close() {
    this.#wanted++;
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

  #tell(text) {
    this.message.textContent = text;
    this.message.hidden = !text;
    this.canvas.classList.toggle("gone", Boolean(text));
  }
}

const decode = (blob) => createImageBitmap(blob, { colorSpaceConversion: "none" });

const explain = (error) =>
  error.status === 404
    ? "The server has forgotten this picture, as it does after a while. Read the files again to see it."
    : `The picture cannot be shown: ${error.message}`;

/** Pixels (RGBA) through a window: DICOM PS3.3 C.11.2.1.2, so that level 128 and width 256 change nothing. */
function through(pixels, level, width) {
  const table = new Uint8ClampedArray(256);
  for (let value = 0; value < 256; value++) table[value] = 255 * ((value - level + 0.5) / (width - 1) + 0.5);
  const shown = new Uint8ClampedArray(pixels);
  for (let place = 0; place < shown.length; place += 4) {
    shown[place] = table[shown[place]];
    shown[place + 1] = table[shown[place + 1]];
    shown[place + 2] = table[shown[place + 2]];
  }
  return shown;
}
