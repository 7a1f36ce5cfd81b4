"""PNG, JPEG, WebP, GIF: files that are a sequence of parts, each with its kind and length."""

from __future__ import annotations

import re
import zlib
from typing import IO

from .view import MOST, Piece, Pixels, keep, read

_MARKER = re.compile(rb"\xff[^\x00\xff]")


def png(file: IO[bytes], size: int) -> Pixels:
    """Keep the signature and the critical chunks, whose names begin with a capital (PNG specification §5)."""
    kept: list[Piece] = [(0, 8)]
    exif, at = b"", 8
    while at < size and len(kept) < MOST:
        head = read(file, at, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8 or not kind.isalpha():
            break
        end = at + 12 + length
        if kind[:1].isupper():
            keep(kept, at, min(end, size))
        elif kind == b"eXIf" and not exif:
            block = read(file, at + 8, length + 4)
            if zlib.crc32(kind + block[:-4]).to_bytes(4, "big") == block[-4:]:
                exif = block[:-4]
        at = size if kind == b"IEND" else end
    if at < size:  # the rest is not a chunk; Pillow decides about it
        keep(kept, at, size)
    return Pixels(tuple(kept), exif)


def jpeg(file: IO[bytes], size: int) -> Pixels:
    """Keep all segments before the first scan except APPn and COM, and all that follows (ITU-T T.81 annex B).

    The APPn segments that say how colours are stored are kept.
    """
    kept: list[Piece] = [(0, 2)]
    exif, at = [], 2
    while (at := _marker(file, at, size)) < size and len(kept) < MOST:
        head = read(file, at, 4)
        marker, end = head[1], at + 2 + max(2, int.from_bytes(head[2:], "big"))
        if marker in (0xD8, 0xD9, 0xDA):  # an unexpected second start, the end, or pixels
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:  # these have no length, and no meaning here
            at += 2
            continue
        about = 0xE0 <= marker <= 0xEF or marker == 0xFE
        content = read(file, at + 4, end - at - 4) if marker in (0xE0, 0xE1, 0xEE) else b""
        if marker == 0xE1 and content.startswith(b"Exif\0\0"):
            exif.append(content[6:])  # one block may be split over several segments
        if not about or _says_colours(marker, content):
            keep(kept, at, min(end, size))
        at = end
    keep(kept, min(at, size), size)
    return Pixels(tuple(kept), b"".join(exif))


def _marker(file: IO[bytes], at: int, size: int) -> int:
    """Where the next marker begins; stray bytes and fill bytes before it are skipped, as in libjpeg."""
    step = 4  # usually the marker is right here
    while block := read(file, at, step):
        if found := _MARKER.search(block):
            return at + found.start()
        at += max(1, len(block) - 1)
        step = 1 << 16
    return size


def _says_colours(marker: int, content: bytes) -> bool:
    """Whether libjpeg reads this application segment: a JFIF or Adobe segment that is long enough."""
    if marker == 0xE0:
        return content.startswith(b"JFIF\0") and len(content) >= 14
    return marker == 0xEE and content.startswith(b"Adobe") and len(content) >= 12


def webp(file: IO[bytes], size: int) -> Pixels:
    """Keep the chunks of the picture and the animation, with corrected size and flags (RFC 9649 §2.7).

    If a size does not fit or a reserved flag is set, libwebp reads no Exif, so OpenCV does not rotate. Then
    the Exif block is ignored here, too.
    """
    stated = 8 + int.from_bytes(read(file, 4, 4), "little")
    stop = min(size, stated)
    kept: list[Piece] = []
    exif, flagged, at = b"", False, 12
    while at + 8 <= stop and len(kept) < MOST:
        head = read(file, at, 8)
        length, kind = int.from_bytes(head[4:], "little"), head[:4]
        end = at + 8 + length + length % 2
        if kind == b"VP8X" and at == 12:
            flags = read(file, at + 8, 1)
            flagged = bool(flags) and flags[0] & 0xC9 == 0x08
            still = bytes(byte & 0x12 for byte in flags) + bytes(3)  # alpha and animation
            kept += [head, still, (at + 12, min(end, stop))]
        elif kind in (b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"):
            keep(kept, at, min(end, stop))
        elif kind == b"EXIF" and flagged and not exif:
            exif = read(file, at + 8, length).removeprefix(b"Exif\0\0")
        at = end
    length = sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in kept)
    header = b"RIFF" + (length + 4).to_bytes(4, "little") + b"WEBP"
    return Pixels((header, *kept), exif if at == stated <= size else b"")


def gif(file: IO[bytes], size: int) -> Pixels | None:
    """Keep the header, the palette and everything from the first image on.

    The graphic control of the first image is kept, too (GIF89a §§17-26).
    """
    head = read(file, 0, 13)
    if len(head) < 13:
        return None
    at = 13 + (3 << (head[10] & 7) + 1 if head[10] & 0x80 else 0)
    start, control = at, b""
    while (block := read(file, at, 8))[:1] == b"!":
        if block[1:3] == b"\xf9\4" and block[7:] == b"\0":
            control = block
        at += 2
        while length := read(file, at, 1):
            at += 1 + length[0]
            if length == b"\0":
                break
    return Pixels(((0, start), control, (min(at, size), size)))
