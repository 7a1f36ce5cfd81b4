// COCO's run lengths of a mask, column by column; the first run counts zeros.

/** Write `value` into `map` wherever the mask is set; `map` has height * width numbers, row by row. */
export function paint(rle, map, value) {
  const [height, width] = rle.size;
  let at = 0;
  let set = false;
  for (const run of rle.counts) {
    if (set) paintRun(map, height, width, at, run, value);
    at += run;
    set = !set;
  }
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
