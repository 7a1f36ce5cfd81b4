"""Lets JPEGs be decoded at a reduced size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from PIL import Image

Size = tuple[int, int]


@dataclass
class Reduction:
    """The reduced size at which a photo may be decoded.

    Attributes:
        enough: the photo's (height, width) -> the smallest (height, width) that is large enough.
        size: (height, width) of the last photo that was decoded at a reduced size; None if none was.
    """

    enough: Callable[[Size], Size]
    size: Size | None = None


_REDUCTION: ContextVar[Reduction | None] = ContextVar("reduction", default=None)


@contextmanager
def reducing(enough: Callable[[Size], Size]) -> Iterator[Reduction]:
    """Let `decode.stream_to_rgb` decode JPEGs at a reduced size, in this thread, while the block runs."""
    reduction = Reduction(enough)
    token = _REDUCTION.set(reduction)
    try:
        yield reduction
    finally:
        _REDUCTION.reset(token)


def reduce(picture: Image.Image, orientation: Callable[[Image.Image], int]) -> None:
    """Let libjpeg decode a JPEG at 1/2, 1/4 or 1/8 of its size, if that is large enough.

    The picture is not decoded yet; other formats are left unchanged. `orientation` reads the EXIF value.
    """
    reduction = _REDUCTION.get()
    if reduction is None or picture.format not in ("JPEG", "MPO"):
        return
    before, lying = picture.size, orientation(picture) > 4  # columns become rows
    size = before if lying else before[::-1]
    height, width = reduction.enough(size)
    picture.draft(None, (height, width) if lying else (width, height))
    reduction.size = size if picture.size != before else None
