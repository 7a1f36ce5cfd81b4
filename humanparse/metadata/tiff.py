"""TIFF files, and Exif blocks, which have the structure of a TIFF file."""

from __future__ import annotations

from typing import IO, Any

from .view import Pixels, read

_TIFF_TAGS = frozenset(
    (
        *(254, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320),
        *(322, 323, 324, 325, 332, 338, 339, 347, *range(512, 522), 529, 530, 531, 532),
    )
)
"""Tags for size, layout, compression and colour, which a decoder needs (TIFF 6.0)."""

_ORIENTATION = 0x0112
_INTEGERS = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 16: 8, 17: 8}
"""Types in which libtiff accepts an orientation -> bytes of each."""

_EXIF_TEXTS = frozenset((0x010E, 0x010F, 0x0110, 0x0131, 0x0132, 0x8298))
_EXIF_RATIONALS = {0x011A: 1, 0x011B: 1, 0x013E: 2, 0x013F: 6, 0x0211: 3, 0x0214: 6}
"""The other entries whose values OpenCV reads -> number of rationals in each."""


def tiff(file: IO[bytes], size: int) -> Pixels | None:
    """Keep the tags of the first directory that are needed to decode it; drop all other directories.

    See TIFF 6.0 §2; BigTIFF has wider numbers.
    """
    head = read(file, 0, 16)
    order: Any = "little" if head[:2] == b"II" else "big"
    big = b"+" in head[2:4]
    width, counted, length = (8, 8, 20) if big else (4, 2, 12)  # of an offset, a count, an entry
    first = int.from_bytes(head[8:16] if big else head[4:8], order)
    count = int.from_bytes(read(file, first, counted), order)
    content = read(file, first + counted, min(count, 0xFFFF) * length)
    if not content or len(content) < count * length:
        return None
    entries = [content[at : at + length] for at in range(0, len(content), length)]
    kept = []
    for entry in entries:
        tag = int.from_bytes(entry[:2], order)
        if tag == _ORIENTATION:
            kept.append(_plain_orientation(entry, width, order))
        elif tag in _TIFF_TAGS:
            kept.append(entry)
    kept = [entry for entry in kept if entry]
    end = min(size, first + counted + len(content) + width)
    directory = len(kept).to_bytes(counted, order) + b"".join(kept)
    return Pixels(((0, first), directory.ljust(end - first, b"\0"), (end, size)))


def _plain_orientation(entry: bytes, width: int, order: Any) -> bytes:
    """The orientation's entry in the form that every decoder accepts; b"" if libtiff would ignore it."""
    kind, count = int.from_bytes(entry[2:4], order), int.from_bytes(entry[4:-width], order)
    size = _INTEGERS.get(kind, width + 1)
    value = int.from_bytes(entry[-width:][:size], order)
    if size > width or count != 1 or not 1 <= value <= 8:
        return b""
    short = (3).to_bytes(2, order)
    return entry[:2] + short + entry[4:-width] + value.to_bytes(2, order) + bytes(width - 2)


def orientation_of(exif: bytes) -> int:
    """The orientation in an Exif block, 1 to 8; 1 if there is none.

    As in OpenCV, reading stops at the first entry whose value lies outside the block.

    Args:
        exif: a TIFF structure; it begins with the byte order mark.
    """
    order: Any = "little" if exif[:2] == b"II" else "big"

    def number(at: int, width: int) -> int:
        return int.from_bytes(exif[at : at + width], order)

    if number(2, 2) != 42:
        return 1
    first = number(4, 4)
    for at in range(first + 2, min(first + 2 + 12 * number(first, 2), len(exif) - 11), 12):
        tag = number(at, 2)
        if tag == _ORIENTATION:
            return number(at + 8, 2) if 1 <= number(at + 8, 2) <= 8 else 1
        if tag in _EXIF_TEXTS and number(at + 4, 4) > 4:
            end = number(at + 8, 4) + number(at + 4, 4)
        else:
            end = number(at + 8, 4) + 8 * _EXIF_RATIONALS[tag] if tag in _EXIF_RATIONALS else 0
        if end > len(exif):
            return 1
    return 1
