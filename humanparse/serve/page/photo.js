// A photo's pixels as the service sees them: upright by its EXIF orientation.

const ORIENTATION = 0x0112;

// By orientation, 2-8: the canvas transform of a photo of width w and height h.
const TURNS = {
  2: (w) => [-1, 0, 0, 1, w, 0],
  3: (w, h) => [-1, 0, 0, -1, w, h],
  4: (w, h) => [1, 0, 0, -1, 0, h],
  5: () => [0, 1, 1, 0, 0, 0],
  6: (w, h) => [0, 1, -1, 0, h, 0],
  7: (w, h) => [0, -1, -1, 0, h, w],
  8: (w) => [0, -1, 1, 0, 0, w],
};

/** An ImageBitmap of the file, or null if the browser cannot read it. */
export async function readPhoto(file) {
  try {
    const exif = await webpExif(file);
    if (exif === null) return await createImageBitmap(file, { imageOrientation: "from-image" });
    return turned(await createImageBitmap(exif.rest), orientation(exif.block));
  } catch {
    return null;
  }
}

// A WebP's EXIF and the file without it, {block, rest}, because browsers differ in how they use it; null if the
// file is not a WebP or has no EXIF.
async function webpExif(file) {
  const start = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  if (text(start, 0) !== "RIFF" || text(start, 8) !== "WEBP") return null;
  const bytes = new Uint8Array(await file.arrayBuffer());
  const view = new DataView(bytes.buffer);
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (text(bytes, at) === "EXIF") {
      const block = bytes.slice(at + 8, at + 8 + size);
      bytes.set([0x6e, 0x6f, 0x6e, 0x65], at); // "none": chunks with unknown names are ignored
      return { block, rest: new Blob([bytes], { type: "image/webp" }) };
    }
    at += 8 + size + (size % 2);
  }
  return null;
}

// The orientation in a TIFF block's first directory; 1 if it has none.
function orientation(block) {
  const from = text(block, 0) === "Exif" ? 6 : 0;
  const view = new DataView(block.buffer, block.byteOffset + from, Math.max(0, block.length - from));
  try {
    const little = view.getUint16(0) === 0x4949;
    const directory = view.getUint32(4, little);
    for (let entry = 0; entry < view.getUint16(directory, little); entry++) {
      const at = directory + 2 + 12 * entry;
      if (view.getUint16(at, little) === ORIENTATION) return view.getUint16(at + 8, little);
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // a truncated block
  }
  return 1;
}

function turned(bitmap, number) {
  if (!(number in TURNS)) return bitmap;
  const { width, height } = bitmap;
  const canvas = number < 5 ? new OffscreenCanvas(width, height) : new OffscreenCanvas(height, width);
  const context = canvas.getContext("2d");
  context.setTransform(...TURNS[number](width, height));
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas.transferToImageBitmap();
}

function text(bytes, at) {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}
