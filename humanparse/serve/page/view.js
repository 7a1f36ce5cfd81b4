// The photo and the colours over it, on canvases; `light` highlights one part or person.

const LONGEST = 1600; // side of a canvas; larger photos are drawn smaller, so that highlighting is fast
const DIMMED = 0.3;
const LIT = 0.75;
const EDGE = 0xffffffff;

export class View {
  #plain = document.getElementById("plain-photo").getContext("2d");
  #photo = document.getElementById("photo").getContext("2d");
  #overlay = document.getElementById("overlay").getContext("2d", { willReadFrequently: true });
  #panes = document.getElementById("panes");
  #parsing = null;
  #labels = null;
  #contours = null;
  #owners = null;
  #silhouettes = new Map();
  #lit = { label: null, person: null };
  #hidden = new Set();
  #opacity = 0.6;
  #waiting = false;

  /** Show a photo (an ImageBitmap) without parts. */
  showPhoto(bitmap) {
    this.#parsing = null;
    this.#resize(bitmap);
    this.#drawPhoto(bitmap);
  }

  /** Show the parts of the photo; `bitmap` is null if the browser cannot show the photo itself. */
  showParts(parsing, bitmap) {
    this.#resize(parsing);
    if (bitmap) this.#drawPhoto(bitmap);
    const { width, height } = this.#overlay.canvas;
    this.#parsing = parsing;
    this.#labels = sampled(parsing.labels, parsing, width, height);
    this.#contours = contours(this.#labels, width, height);
    this.#owners = parsing.owners && sampled(parsing.owners, parsing, width, height);
    this.#silhouettes.clear();
    this.#hidden.clear();
    this.#lit = { label: null, person: null };
    this.#draw();
  }

  /** What is at a point of a pane, given in the browser's pixels: {label, person} or null. */
  at(pane, clientX, clientY) {
    if (!this.#parsing) return null;
    const { width, height } = this.#overlay.canvas;
    const box = pane.getBoundingClientRect();
    const x = Math.floor(((clientX - box.left) / box.width) * width);
    const y = Math.floor(((clientY - box.top) / box.height) * height);
    if (x < 0 || y < 0 || x >= width || y >= height) return null;
    return { label: this.#labels[y * width + x], person: this.#owners?.[y * width + x] ?? 0 };
  }

  /** Highlight a part (by label) or a person (by id); without either, show all alike. */
  light({ label = null, person = null }) {
    if (label === this.#lit.label && person === this.#lit.person) return;
    this.#lit = { label, person };
    this.#redraw();
  }

  setHidden(labels) {
    this.#hidden = new Set(labels);
    this.#redraw();
  }

  setOpacity(opacity) {
    this.#opacity = opacity;
    this.#redraw();
  }

  #resize({ width, height }) {
    const scale = Math.min(1, LONGEST / Math.max(width, height));
    for (const { canvas } of [this.#plain, this.#photo, this.#overlay]) {
      canvas.width = Math.max(1, Math.round(width * scale)); // setting it clears the canvas, too
      canvas.height = Math.max(1, Math.round(height * scale));
    }
    this.#panes.style.setProperty("--aspect", width / height);
  }

  #drawPhoto(bitmap) {
    for (const context of [this.#plain, this.#photo]) {
      context.drawImage(bitmap, 0, 0, context.canvas.width, context.canvas.height);
    }
  }

  #redraw() {
    if (this.#waiting || !this.#parsing) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      if (this.#parsing) this.#draw();
    });
  }

  #draw() {
    const { width, height } = this.#overlay.canvas;
    const image = this.#overlay.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const mask = this.#litPerson();
    const bright = this.#colours(mask !== null);
    const dimmed = mask ? this.#colours(true, DIMMED) : bright;
    for (let at = 0; at < pixels.length; at++) {
      const { plain, light } = mask && !mask[at] ? dimmed : bright;
      pixels[at] = (this.#contours[at] ? light : plain)[this.#labels[at]];
    }
    const reach = Math.max(1, Math.round(Math.max(width, height) / 600));
    const { label } = this.#lit;
    if (mask) outline(pixels, mask, 1, width, height, reach);
    else if (this.#shown(label)) outline(pixels, this.#labels, label, width, height, reach);
    this.#overlay.putImageData(image, 0, 0);
  }

  // The colour of each label as a pixel of ImageData, and a lighter one for contours. While a person is
  // highlighted, all parts have the same strength.
  #colours(even, factor = 1) {
    const { label } = this.#lit;
    const one = !even && this.#shown(label) ? label : null;
    const plain = new Uint8ClampedArray(4 * 256);
    const light = new Uint8ClampedArray(4 * 256);
    for (let at = 0; at < 256; at++) {
      if (!this.#shown(at)) continue;
      const colour = this.#parsing.colour(at);
      const strength = one === null ? factor * this.#opacity : this.#strength(at === one);
      plain.set([...colour, 255 * strength], 4 * at);
      light.set([...colour.map((value) => 128 + value / 2), 255 * strength], 4 * at);
    }
    return { plain: new Uint32Array(plain.buffer), light: new Uint32Array(light.buffer) };
  }

  #shown(label) {
    return this.#parsing.has(label) && !this.#hidden.has(label);
  }

  #strength(lit) {
    return lit ? Math.max(this.#opacity, LIT) : DIMMED * this.#opacity;
  }

  #litPerson() {
    const person = this.#parsing.people.find((one) => one.id === this.#lit.person);
    if (!person) return null;
    if (!this.#silhouettes.has(person.id)) {
      const { width, height } = this.#overlay.canvas;
      const whole = this.#parsing.silhouette(person);
      this.#silhouettes.set(person.id, sampled(whole, this.#parsing, width, height));
    }
    return this.#silhouettes.get(person.id);
  }
}

// The map at another size; each pixel has the value at its centre.
function sampled(map, { width, height }, toWidth, toHeight) {
  if (toWidth === width && toHeight === height) return map;
  const small = new map.constructor(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    const row = Math.floor(((y + 0.5) * height) / toHeight) * width;
    for (let x = 0; x < toWidth; x++) {
      small[y * toWidth + x] = map[row + Math.floor(((x + 0.5) * width) / toWidth)];
    }
  }
  return small;
}

// 1 where a neighbour above, below, left or right has another label.
function contours(labels, width, height) {
  const found = new Uint8Array(labels.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (x + 1 < width && labels[at] !== labels[at + 1]) found[at] = found[at + 1] = 1;
      if (y + 1 < height && labels[at] !== labels[at + width]) found[at] = found[at + width] = 1;
    }
  }
  return found;
}

function outline(pixels, map, value, width, height, reach) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && map[y * width + x] === value;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (map[y * width + x] !== value) continue;
      const core =
        inside(x - reach, y) && inside(x + reach, y) && inside(x, y - reach) && inside(x, y + reach);
      if (!core) pixels[y * width + x] = EDGE;
    }
  }
}
