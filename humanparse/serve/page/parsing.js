// What the service found in a photo, as maps with a value for each pixel.

import { paint } from "./rle.js";

export class Parsing {
  /**
   * @param text the JSON of POST /v1/parse.
   * @param asked {file, people}: the photo, and the request's `people` parameter.
   */
  constructor(text, asked) {
    const answer = JSON.parse(text);
    const { model, scheme, groups, people, milliseconds } = answer;
    const [height, width] = answer.size;
    Object.assign(this, { height, width, text, asked, model, scheme, groups, people, milliseconds });
    this.classes = new Map(answer.classes.map((one) => [one.label, one]));
    this.parts = answer.parts.sort((one, other) => other.pixels - one.pixels);
    this.byLabel = new Map(this.parts.map((part) => [part.label, part]));
    this.labels = new Uint8Array(height * width); // 0 is the background in every label set that has one
    for (const part of this.parts) paint(part.rle, this.labels, part.label);
    this.owners = owners(this);
  }

  /** Whether the label is a part that was found, not the background. */
  has(label) {
    return this.byLabel.has(label);
  }

  name(label) {
    return this.byLabel.get(label)?.name ?? this.classes.get(label).name;
  }

  /** How much of the picture it covers, 0-1. */
  share(label) {
    if (this.has(label)) return this.byLabel.get(label).share;
    return 1 - this.parts.reduce((sum, part) => sum + part.share, 0);
  }

  /** Red, green and blue, 0-255. */
  colour(label) {
    return this.classes.get(label)?.color ?? [255, 255, 255];
  }

  /** 1 where the person is, 0 elsewhere. */
  silhouette(person) {
    const mask = new Uint8Array(this.height * this.width);
    paint(person.rle, mask, 1);
    return mask;
  }
}

/** A share, 0-1, as text. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "under 0.1%";
  return `${(100 * share).toFixed(1)}%`;
}

// Ids, 0 where nobody is; the first person lies on top.
function owners({ people, height, width }) {
  if (!people.length) return null;
  const ids = new Uint16Array(height * width);
  for (const person of [...people].reverse()) paint(person.rle, ids, person.id);
  return ids;
}
