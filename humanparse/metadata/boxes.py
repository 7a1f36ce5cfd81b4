"""JPEG 2000 and AVIF: files of nested boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from .view import Piece, Pixels, read

_JPX_HEADERS = (b"ihdr", b"bpcc", b"colr", b"pclr", b"cmap", b"cdef")
"""Boxes in JPEG 2000's header that say what the samples mean (ISO/IEC 15444-1 annex I.5.3)."""


def _boxes(file: IO[bytes], at: int, end: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Kind, start, start of the content, and end of each box (ISO/IEC 14496-12 §4.2)."""
    while at + 8 <= end:
        head = read(file, at, 16)
        length, kind, content = int.from_bytes(head[:4], "big"), head[4:8], at + 8
        if length == 1:  # the length follows in 64 bits
            length, content = int.from_bytes(head[8:16], "big"), at + 16
        stop = at + length if length else end  # 0: to the end
        if stop < content or stop > end:
            return
        yield kind, at, content, stop
        at = stop


def jpeg_2000(file: IO[bytes], size: int) -> Pixels:
    """Keep the signature, the file type, the header boxes that describe the samples, and the codestream.

    A truncated codestream is left out, so that Pillow refuses the picture; otherwise Pillow could return
    black pixels for the missing part.
    """
    kept: list[Piece] = []
    for kind, begin, content, end in _boxes(file, 0, size):
        if kind in (b"jP  ", b"ftyp", b"jp2c"):
            kept.append((begin, end))
        elif kind == b"jp2h":
            inside = [box for box in _boxes(file, content, end) if box[0] in _JPX_HEADERS]
            ranges = [(at, stop) for name, at, start, stop in inside if name != b"colr" or stop - start >= 7]
            length = 8 + sum(stop - at for at, stop in ranges)
            kept += [length.to_bytes(4, "big") + kind, *ranges]
        if kind == b"jp2c":
            break
    return Pixels(tuple(kept))


def avif(file: IO[bytes], size: int) -> Pixels | None:
    """Rename the Exif and XMP items, so that libavif skips them (ISO/IEC 14496-12 §8.11.6).

    The picture keeps its orientation: in an AVIF that is a property of the picture, not of the Exif block.
    """
    top = {kind: (content, end) for kind, _, content, end in _boxes(file, 0, size)}
    brands = read(file, top[b"ftyp"][0], 64) if b"ftyp" in top else b""
    if b"meta" not in top or not (b"avif" in brands or b"avis" in brands):
        return None
    meta, end = top[b"meta"]
    items = [(content, stop) for kind, _, content, stop in _boxes(file, meta + 4, end) if kind == b"iinf"]
    kept: list[Piece] = []
    done = 0
    for content, stop in items:
        counted = 4 if read(file, content, 1) > b"\0" else 2
        for kind, _, entry, _ in _boxes(file, content + 4 + counted, stop):
            where = entry + 8 + (2 if read(file, entry, 1) == b"\3" else 0)
            if kind == b"infe" and read(file, where, 4) in (b"Exif", b"mime"):
                kept += [(done, where), b"skip"]
                done = where + 4
    return Pixels((*kept, (done, size)))
