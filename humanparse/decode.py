"""Encoded pictures and PIL images to RGB: the pixels of `cv2.imread(path, IMREAD_COLOR)`, in RGB order.

Pillow decodes, because it says what is wrong with a file and raises an error for a truncated one; OpenCV
fills the missing part with grey or prints on stderr. The result is that of OpenCV: the EXIF orientation is
applied, alpha is dropped without blending, grey becomes three equal channels, 16 bits become 8 by `>> 8`,
colour profiles are ignored, and the first of several frames is taken. Equal byte for byte to OpenCV 4.11 and
5.0 are JPEG (baseline, progressive, every subsampling, grey, CMYK, YCCK), MPO, PNG of every kind, APNG, WebP,
BMP, PPM, PGM, PBM, JPEG 2000, AVIF, opaque GIF, and TIFF, with these exceptions:

- TIFF with 16-bit colour, uncompressed YCbCr or premultiplied alpha: off by one level; CIELab TIFF: by more.
- GIF with transparent pixels: they keep their palette colour here; OpenCV 4.11 cannot read GIF at all.
- APNG with a still image outside the animation: that image here and in 4.11, the first frame in 5.0.
- AVIF with an orientation, and in 4.11 WebP: turned upright here, not by OpenCV.
- Float TIFF with values in 0-1, ICO, and HEIC once pillow-heif is registered: read here, not by OpenCV.
- Radiance HDR and PFM: read by OpenCV, refused here.

Pillow gets files without their metadata (`humanparse.metadata`), so damaged metadata is harmless.
Nothing here prints, but for a corrupt TIFF the libtiff inside Pillow may print, and Pillow may warn.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from . import metadata
from .errors import ImageError, ImageKindError, ImageSizeError
from .reduction import reduce

# Pixel formats only: EPS, for example, would run Ghostscript on a stranger's upload. HEIF and JXL need their
# plugins. The formats of `Image.preinit` come first, so that a JPEG does not load other plugins.
FORMATS = (
    *("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM"),
    *("WEBP", "TIFF", "AVIF", "JPEG2000", "SUN", "ICO", "HEIF", "JXL"),
)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_ORIENTATION = 0x0112  # EXIF's tag

_HALF_LEVEL = 0.5 / 255  # float pixels so far outside 0-1 are still rounded to 0 or 255
_OVERSHOOT = 0.25  # how far bicubic and Lanczos filters may leave 0-1


def stream_to_rgb(stream: IO[bytes], name: str, max_pixels: int) -> NDArray[np.uint8]:
    """Decode the first frame of an encoded picture; at a reduced size if `reduction.reducing` allows it.

    Args:
        stream: seekable binary stream that starts with the picture's first byte; it is left open.
        name: the picture's name in error messages.
        max_pixels: largest height x width; checked against the header, before anything is decoded.

    Returns:
        RGB uint8 (H, W, 3), C-contiguous, upright.

    Raises:
        ImageError: empty, not a picture, damaged, truncated or too large.
    """
    picture = _identify(stream, name)
    _refuse_size(picture, name, max_pixels)
    reduce(picture, _orientation)
    _load(picture, name)
    return _upright(picture, name)


def pixel_count(content: bytes, name: str) -> int:
    """Height x width that the header of an encoded picture declares; nothing is decoded.

    Raises:
        ImageKindError: not a picture that can be read.
        ImageError: empty, or its header is damaged.
    """
    width, height = _identify(io.BytesIO(content), name).size
    return width * height


def picture_to_rgb(picture: Image.Image, name: str, max_pixels: int) -> NDArray[np.uint8]:
    """`stream_to_rgb` for a PIL image of any mode, decoded or not; of several frames, the current one.

    The image is loaded if needed, otherwise unchanged; the result is a new array.

    Raises:
        ImageError: truncated, damaged, too large, without pixels, or in a mode without a known value range.
    """
    _refuse_size(picture, name, max_pixels)
    try:
        _load(picture, name)
    except ImageError as error:
        file = getattr(picture, "fp", None)
        if file is None or file.closed or picture.tell():
            raise
        file.seek(0)
        try:  # again without its metadata
            return stream_to_rgb(file, name, max_pixels)
        except ImageError:
            raise error from error.__cause__
    return _upright(picture, name)


def copied(picture: Image.Image, name: str, max_pixels: int) -> Image.Image:
    """Copy a PIL image, so that `picture_to_rgb` gives the same pixels even if the original changes.

    Of several frames, the current one is copied. If possible, a picture that is not decoded yet is not
    decoded here: its file is read, and decoded when the copy is used. Raises errors like `picture_to_rgb`.
    """
    own = _reopened(picture, name)
    if own is None:
        _refuse_size(picture, name, max_pixels)
        try:
            _load(picture, name)
        except ImageError:  # perhaps only because of its metadata
            return Image.fromarray(picture_to_rgb(picture, name, max_pixels))
        own = picture.copy()
        own.format = picture.format
    own.info.clear()  # keep this dict: PNG's decoder adds to it
    own.info.update(picture.info)
    if getattr(picture, "_exif", None) is not None and "exif" in own.info:
        exif = Image.Exif()
        exif[_ORIENTATION] = _orientation(picture)
        own.info["exif"] = exif.tobytes()
    return own


def _reopened(picture: Image.Image, name: str) -> Image.Image | None:
    """A second picture from the content of its file; None if the picture may differ from its file."""
    file = getattr(picture, "fp", None)
    tile = getattr(picture, "tile", None)  # empty once it is decoded
    if picture.format not in ("JPEG", "MPO", "PNG") or not (file and tile) or picture.tell():
        return None
    try:
        position = file.tell()
        file.seek(0)
        content = file.read()
        file.seek(position)
        own = _identify(io.BytesIO(content), name)
    except (OSError, ValueError):  # closed, or no such file: decoding it raises the error
        return None
    same = (own.format, own.size, own.mode, own.tile) == (picture.format, picture.size, picture.mode, tile)
    return own if same else None  # `draft` changes them


def _refuse_size(picture: Image.Image, name: str, max_pixels: int) -> None:
    width, height = picture.size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: the picture has no pixels ({width} x {height}, width x height)")
    if width * height > max_pixels:
        raise ImageSizeError(
            f"{name}: {width} x {height} (width x height) is more than {max_pixels} pixels; shrink the"
            " picture, or raise humanparse.image.MAX_PIXELS if you trust it"
        )


def _load(picture: Image.Image, name: str) -> None:
    try:
        picture.load()
    except MemoryError:
        raise
    except Exception as error:  # Pillow's plugins raise many kinds of errors for a damaged file
        raise _damaged(name, picture.format or "", error) from error


def _upright(picture: Image.Image, name: str) -> NDArray[np.uint8]:
    container, turn = picture.format or "", _UPRIGHT.get(_orientation(picture))
    return _to_rgb(picture if turn is None else picture.transpose(turn), container, name)


def floats_to_bytes(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Scale floats in 0-1 to 0-255, rounded to the nearest; up to half a level outside is clipped.

    Raises:
        ImageError: a value is NaN, infinite or further outside 0-1.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(f"{name}: float pixels hold NaN or infinity; replace them first")
    if low < -_HALF_LEVEL or high > 1 + _HALF_LEVEL:
        if low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT:
            repair = "if resizing made them overshoot, clip them first: pixels.clip(0, 1)"
        elif low < 0:
            repair = "undo the normalisation (pixels * std + mean) first"
        else:
            repair = "divide them by their full scale, or convert them to uint8 if they are 0-255"
        raise ImageError(f"{name}: float pixels run from {low:.4g} to {high:.4g}, not from 0 to 1; {repair}")
    if low < 0 or high > 1:
        values = values.clip(0, 1)
    scaled: NDArray[np.uint8] = np.rint(values.astype(np.float32) * np.float32(255)).astype(np.uint8)
    return scaled


def _identify(stream: IO[bytes], name: str) -> ImageFile.ImageFile:
    """Find the plugin that reads this header.

    `Image.open` does the same, but it applies PIL's own size limit and warns on stderr at half of it.
    """
    try:
        head = stream.read(256)
        pixels = metadata.pixels_of(stream)
    except OSError as error:
        raise ImageError(f"{name}: reading failed: {error}") from error
    if not head:
        raise ImageError(f"{name}: it is empty (0 bytes)")
    file = stream if pixels is None else pixels.open(stream)
    damage: tuple[str, Exception] | None = None
    Image.preinit()
    for container in FORMATS:
        if container not in Image.OPEN:
            Image.init()
        if container not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[container]
        if not _accepts(accept, head[:16]):
            continue
        try:
            file.seek(0)
            picture = factory(file, "")
        except MemoryError:
            raise
        except Exception as error:  # as above
            damage = damage or (container, error)
            continue
        if pixels is not None and pixels.exif:
            picture.info["exif"] = b"Exif\0\0" + pixels.exif
        return picture
    foreign = _foreign(head)
    if damage is None or foreign:
        raise ImageKindError(f"{name}: not a picture that can be read" + (f"; {foreign}" if foreign else ""))
    raise _damaged(name, *damage) from damage[1]


def _accepts(accept: Callable[[bytes], bool | str] | None, head: bytes) -> bool:
    try:
        return accept is None or accept(head) is True  # a string names what this build of Pillow lacks
    except (IndexError, struct.error):  # too short for this plugin
        return False


def _damaged(name: str, container: str, error: Exception) -> ImageError:
    kind = f"{container} picture" if container else "picture"
    reason = str(error) or type(error).__name__
    return ImageError(f"{name}: the {kind} is damaged or truncated ({reason}); get a fresh copy of it")


def _foreign(head: bytes) -> str:
    """For files that people often pass as a picture: what it is, and what to do; "" for others."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "it is a web page (HTML); pass the address or the file of the picture itself"
    if text.startswith((b"<svg", b"<?xml")):
        return "it is XML or SVG; render it to PNG first"
    if text.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; run `git lfs pull` first"
    if head.startswith(b"\x93NUMPY"):
        return "it is a NumPy file; pass numpy.load(path)"
    if head.startswith(b"%PDF"):
        return "it is a PDF; render a page to PNG first"
    if head[4:8] == b"ftyp":
        if head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
            return "it is HEIC; `pip install pillow-heif` and call pillow_heif.register_heif_opener() first"
        if head[8:12] in (b"avif", b"avis"):
            return "it is AVIF; `pip install --upgrade pillow` (11.3 or newer reads it)"
        return "it is a video; Parser.predict_video parses its frames"
    return ""


def _orientation(picture: Image.Image) -> int:
    """EXIF orientation, 1 if there is none.

    `picture.getexif()` is not used, because it falls back to XMP, which OpenCV ignores. But changes to its
    result count: if the tag was deleted there, the picture is upright. A TIFF is turned when it is loaded.
    """
    block = picture.info.get("exif")
    value = metadata.orientation_of(block.removeprefix(b"Exif\0\0")) if isinstance(block, bytes) else 1
    edited = getattr(picture, "_exif", None)
    return value if value == 1 or edited is None else int(edited.get(_ORIENTATION, 1))


def _to_rgb(picture: Image.Image, container: str, name: str) -> NDArray[np.uint8]:
    mode = picture.mode
    if mode == "CMYK" and container in ("JPEG", "MPO", "TIFF"):
        return _cmyk_to_rgb(np.asarray(picture), container)
    if mode == "RGBA" and container == "TIFF":
        return _premultiplied(np.asarray(picture))
    if mode.startswith("I;16") or (
        mode == "I" and container in ("PNG", "PPM")
    ):  # Pillow's "I" of 16-bit files
        return np.repeat((np.asarray(picture) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if mode == "I":
        raise ImageError(
            f"{name}: 32-bit integer pixels have no known range; convert the picture to 8 bits first"
        )
    if mode == "F":
        return np.repeat(floats_to_bytes(np.asarray(picture), name)[..., None], 3, axis=2)
    if mode in ("La", "RGBa"):  # premultiplied modes only convert to their plain form
        picture = picture.convert(mode.upper())
    if "transparency" in picture.info:  # Pillow would warn on stderr, or refuse an unknown value
        picture = picture.copy()
        del picture.info["transparency"]
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def _cmyk_to_rgb(cmyk: NDArray[np.uint8], container: str) -> NDArray[np.uint8]:
    """Multiply the light that each ink and black let through, rounded like OpenCV (JPEG) or libtiff."""
    light = (255 - cmyk).astype(np.uint16)
    if container == "TIFF":
        return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
    black = light[..., 3:]
    return (black - (cmyk[..., :3] * black >> 8)).astype(np.uint8)


def _premultiplied(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Multiply colour by alpha, like libtiff and so OpenCV; other formats just drop their alpha."""
    return ((rgba[..., :3].astype(np.uint16) * rgba[..., 3:] + 127) // 255).astype(np.uint8)
