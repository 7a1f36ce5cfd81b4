"""Which files are videos, and whether one ends before its container says that it does.

Decoders take the end of a file for the end of the video, and the number of frames in a header is too large in
good files, too: a clip that was trimmed without encoding it again keeps frames that nobody shows.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"))
"""What counts as a video by its name."""

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def is_cut_short(path: Path) -> bool:
    """Of MP4 and MOV, Matroska and WebM, and AVI; False for what is open-ended or of another kind.

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
    """Where the last of the outermost boxes ends (ISO/IEC 14496-12 §4.2)."""
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
    """Where the segment ends by its own length (RFC 8794 §6); 0 where it has none."""
    file.seek(4)
    length, _ = _variable(file)
    file.seek(length, 1)
    if file.read(4) != _SEGMENT:
        return 0
    length, unknown = _variable(file)
    return 0 if unknown else file.tell() + length


def _variable(file: BinaryIO) -> tuple[int, bool]:
    """A number whose leading zeros say its length in bytes; and whether all its bits are 1: unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return 0, True
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big")
    mask = (1 << 7 * (more + 1)) - 1
    return value & mask, value & mask == mask
