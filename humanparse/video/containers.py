"""Which files are videos, and whether a file is shorter than its container says.

Decoders take the end of a file for the end of the video. The number of frames in a header is no proof: a clip
that was trimmed without re-encoding keeps frames that no player shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"))
"""Suffixes of video files."""

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_cut_short(path: Path) -> bool:
    """Whether an MP4, MOV, Matroska, WebM or AVI file is cut short; False for open-ended and other files.

    Raises:
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _boxes_end(file) > size
        if head[:4] == b"RIFF":
            return 8 + int.from_bytes(head[4:8], "little") > size
        if head[:4] == _EBML:
            return _segment_end(file) > size
    return False


def _boxes_end(file: BinaryIO) -> int:
    """Offset of the end of the last outermost box (ISO/IEC 14496-12 §4.2)."""
    end = 0
    while True:
        file.seek(end)
        head = file.read(16)
        if len(head) < 8:
            return end
        length = int.from_bytes(head[:4], "big")
        if length == 1:  # the length follows in 64 bits
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: to the end of the file; the rest is no box
            return end
        end += length


def _segment_end(file: BinaryIO) -> int:
    """Offset of the end of the segment by its own length (RFC 8794 §6); 0 if it has none."""
    file.seek(4)
    length, _ = _variable(file)
    file.seek(length, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length, unknown = _variable(file)
    return 0 if unknown else file.tell() + length


def _variable(file: BinaryIO) -> tuple[int, bool]:
    """A number whose leading zeros give its length in bytes, and whether all its bits are 1 (unknown)."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, True
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big")
    mask = (1 << 7 * (more + 1)) - 1
    return value & mask, value & mask == mask
