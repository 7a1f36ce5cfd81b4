"""Parts of a file, read as one file."""

from __future__ import annotations

import io
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import IO, Any

Piece = bytes | tuple[int, int]
"""Bytes that are inserted, or the start and end of a range of the file."""

MOST = 10_000
"""Most pieces per file; the rest is passed on unchanged, because no valid picture has so many."""

_SMALL = 1 << 20
"""Files up to this many bytes are copied, which is faster than a view."""


@dataclass(frozen=True)
class Pixels:
    """The parts of a file that affect its pixels.

    Attributes:
        pieces: parts of the file, in order.
        exif: TIFF structure of its Exif block; b"" if there is none.
    """

    pieces: tuple[Piece, ...]
    exif: bytes = b""

    def open(self, file: IO[bytes]) -> IO[bytes]:
        """A seekable file made of the pieces; the file itself if nothing is left out."""
        size = file.seek(0, io.SEEK_END)
        if self.pieces == ((0, size),):
            return file
        joined = _Joined(file, self.pieces)
        return io.BytesIO(joined.readall()) if size <= _SMALL else io.BufferedReader(joined, 1 << 16)


class _Joined(io.RawIOBase):
    """Pieces of a file as one file."""

    def __init__(self, file: IO[bytes], pieces: tuple[Piece, ...]) -> None:
        self._file, self._pieces = file, pieces
        lengths = (len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)
        self._starts = [0, *accumulate(lengths)]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        content = self._next(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:
        return b"".join(iter(lambda: self._next(self._starts[-1]), b""))

    def _next(self, limit: int) -> bytes:
        """Up to `limit` bytes, from one piece; b"" at the end."""
        number = bisect_right(self._starts, self._at) - 1
        if number >= len(self._pieces):
            return b""
        piece, skipped = self._pieces[number], self._at - self._starts[number]
        wanted = min(limit, self._starts[number + 1] - self._at)
        if isinstance(piece, bytes):
            content = piece[skipped : skipped + wanted]
        else:
            content = read(self._file, piece[0] + skipped, wanted)
        self._at += len(content)
        return content


def read(file: IO[bytes], at: int, count: int) -> bytes:
    """Up to `count` bytes, from offset `at` on."""
    file.seek(at)
    return file.read(count)


def keep(kept: list[Piece], begin: int, end: int) -> None:
    """Add a range of the file; if it touches the last range, extend that one."""
    last = kept[-1] if kept else b""
    if isinstance(last, tuple) and last[1] == begin:
        kept[-1] = (last[0], end)
    else:
        kept.append((begin, end))
