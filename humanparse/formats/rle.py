"""COCO's run lengths of a mask: columns first, the first run counts zeros."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..arrays import Mask


def encode_rle(mask: Mask) -> dict[str, Any]:
    """COCO's uncompressed run lengths of a mask: columns first, the first run counts zeros."""
    flat = np.concatenate(([False], mask.ravel(order="F"), [False]))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    starts = np.concatenate(([0], edges, [mask.size]))
    counts = np.diff(starts)
    if counts[-1] == 0:
        counts = counts[:-1]
    return {"size": list(mask.shape), "counts": counts.tolist()}


def decode_rle(rle: Mapping[str, Any]) -> Mask:
    """The inverse of `encode_rle`; takes COCO's compressed counts (text) too."""
    counts = rle["counts"]
    if isinstance(counts, str | bytes):
        counts = _uncompressed(counts)
    lengths = np.asarray(counts, dtype=np.int64)
    height, width = rle["size"]
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape((height, width), order="F")


def _uncompressed(text: str | bytes) -> list[int]:
    """Six-bit groups, least first: five bits of the number, one for "more follows"; then differences."""
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
        counts.append(
            value + counts[-2] if len(counts) > 2 else value
        )  # each is relative to the last but one
        value = shift = 0
    return counts
