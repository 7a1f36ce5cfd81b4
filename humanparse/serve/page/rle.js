// COCO's run lengths of a mask, column by column; the first run counts zeros.

/** Write `value` into `map` wherever the mask is set; `map` has height * width numbers, row by row. */
export function paint(rle, map, value) {
  const [height, width] = rle.size;
  let at = 0;
  let set = false;
  for (const run of lengths(rle.counts)) {
    if (set) paintRun(map, height, width, at, run, value);
    at += run;
    set = !set;
  }
}

/** Run lengths as numbers, from a list or from COCO's compressed text. */
export function lengths(counts) {
  return typeof counts === "string" ? uncompressed(counts) : counts;
}

function paintRun(map, height, width, start, run, value) {
  let y = start % height;
  let x = (start - y) / height;
  for (let left = run; left > 0; left--) {
    map[y * width + x] = value;
    if (++y === height) {
      y = 0;
      x++;
    }
  }
}

// Six-bit groups, the least significant first: five bits of the number, one for "more follows". From the fourth
// number on, each is relative to the last but one.
function uncompressed(text) {
  const counts = [];
  let value = 0;
  let shift = 0;
  for (let at = 0; at < text.length; at++) {
    const group = text.charCodeAt(at) - 48;
    value |= (group & 31) << shift;
    shift += 5;
    if (group & 32) continue;
    if (group & 16 && shift < 32) value |= -1 << shift;
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
    value = 0;
    shift = 0;
  }
  return counts;
}
