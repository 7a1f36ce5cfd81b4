"""COCO's run lengths of a mask, column by column; the first run counts zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arrays import Box, Mask


def encode_rle(mask: Mask, box: Box | None = None, size: tuple[int, int] | None = None) -> dict[str, Any]:
    """COCO's uncompressed run lengths of a mask.

    Args:
        mask: bool (H, W); or, with `box` and `size`, only the part in that box of the picture.
        box: x0, y0, x1, y1 in pixels, half-open; the mask is empty outside it.
        size: (height, width) of the picture.
    """
    height, width = mask.shape if size is None else size
    x0, y0, x1, y1 = (0, 0, width, height) if box is None else box
    columns = np.zeros((x1 - x0, height), dtype=np.bool_)
    columns[:, y0:y1] = mask.T
    flat = np.concatenate(([False], columns.ravel(), [False]))
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + x0 * height
    counts = np.diff(np.concatenate(([0], edges, [height * width])))
    if counts[-1] == 0:
        counts = counts[:-1]
    return {"size": [height, width], "counts": counts.tolist()}


def decode_rle(rle: Mapping[str, Any], box: Box | None = None) -> Mask:
    """The inverse of `encode_rle`; also takes COCO's compressed counts (text).

    Args:
        rle: `size` (height, width) and `counts`.
        box: x0, y0, x1, y1 in pixels, half-open: only decode this part; the mask must be empty outside it.

    Returns:
        bool (H, W); with `box` (y1 - y0, x1 - x0).

    Raises:
        ValueError: the counts do not add up to the size, or the mask reaches beyond the box.
    """
    counts = rle["counts"]
    if isinstance(counts, str | bytes):
        counts = _uncompressed(counts)
    lengths = np.asarray(counts, dtype=np.int64)
    height, width = rle["size"]
    x0, y0, x1, y1 = (0, 0, width, height) if box is None else box
    ends = np.cumsum(lengths)
    if lengths.min(initial=0) < 0 or ends[-1:].sum() != height * width:
        raise ValueError(f"run lengths do not make up a mask of {height}x{width}")
    clipped = np.clip(ends, x0 * height, x1 * height)
    inside = clipped - np.concatenate(([x0 * height], clipped[:-1]))
    columns = np.repeat(np.arange(len(inside)) % 2 == 1, inside).reshape((height, x1 - x0), order="F")
    found = columns[y0:y1]
    if np.count_nonzero(found) != lengths[1::2].sum():
        raise ValueError(f"a mask reaches beyond its box {box}")
    return found


def _uncompressed(text: str | bytes) -> list[int]:
    """The counts of COCO's compressed text.

    It has six-bit groups, the least significant first: five bits of the number, one for "more follows".
    """
    symbols = text.encode("ascii") if isinstance(text, str) else text
    counts: list[int] = []
    value = shift = 0
    for symbol in symbols:
        group = symbol - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        if group & 0x10:
            value -= 1 << shift
        # From the fourth on, each is relative to the last but one.
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts
