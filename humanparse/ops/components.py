"""Region growing: pixels with a class but no part instance join a touching instance of the same class.

SCHP and M-CE2P flood from every instance pixel, in raster order, over 8-connected pixels of the same class
that have no instance yet. So each connected component goes, as a whole, to the first instance pixel in raster
order that touches it, and no flood is needed.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from ..arrays import Labels, Mask, tight_box

Index = npt.NDArray[np.int64]
Instances = npt.NDArray[np.int32]

_NEIGHBOURS = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]


def grow_reference(labels: Labels, instances: Instances) -> tuple[Index, Index]:
    """`grow` as in the originals: a flood from each instance pixel, one after the other."""
    height, width = labels.shape
    taken = instances > 0
    source: dict[int, int] = {}
    for start in np.flatnonzero(instances).tolist():
        queue = deque([divmod(start, width)])
        label = labels.flat[start]
        while queue:
            row, column = queue.popleft()
            for down, across in _NEIGHBOURS:
                y, x = row + down, column + across
                if 0 <= y < height and 0 <= x < width and not taken[y, x] and labels[y, x] == label:
                    taken[y, x] = True
                    source[y * width + x] = start
                    queue.append((y, x))
    grown = np.array(sorted(source), dtype=np.int64)
    return grown, np.array([source[pixel] for pixel in grown.tolist()], dtype=np.int64)


def grow(labels: Labels, instances: Instances) -> tuple[Index, Index]:
    """Find the pixels that join an instance, and the pixel that each takes its instance from.

    Args:
        labels: uint8 (H, W), classes; 0 is background, which never joins an instance.
        instances: int32 (H, W), the instance of each pixel, 0 for none; an instance has a single class.

    Returns:
        grown: int64 (n,), the joining pixels, as ascending indices into the flattened picture.
        seeds: int64 (n,), for each of them the pixel that it takes its instance and person from.

    Source: SCHP's `logits_fusion` and M-CE2P's `refine`.
    """
    free = (instances == 0) & (labels > 0)
    x0, y0, x1, y1 = tight_box(free)
    if x0 == x1:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    top, left = max(y0 - 1, 0), max(x0 - 1, 0)
    window = np.s_[top : y1 + 1, left : x1 + 1]  # one pixel wider: seeds lie around
    near, lacking = labels[window], free[window]
    joined = [
        _grow_class(lacking & (near == label), ~lacking & (near == label))
        for label in np.flatnonzero(np.bincount(near[lacking])).tolist()
    ]
    grown, seeds = (np.concatenate(parts) for parts in zip(*joined, strict=True))
    order = np.argsort(grown, kind="stable")
    down, across = np.divmod(np.stack((grown[order], seeds[order])), near.shape[1])
    whole = (down + top) * labels.shape[1] + across + left
    return whole[0], whole[1]


def _grow_class(free: Mask, taken: Mask) -> tuple[Index, Index]:
    """`grow` for one class, given its pixels without and with an instance."""
    import cv2

    border = free & (cv2.dilate(taken.astype(np.uint8), np.ones((3, 3), dtype=np.uint8)) > 0)
    y, x = np.nonzero(border)
    if not len(y):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    count, components = cv2.connectedComponents(free.astype(np.uint8), connectivity=8)
    height, width = free.shape
    none = height * width
    first = np.full(count, none, dtype=np.int64)
    for down, across in _NEIGHBOURS:
        row, column = y + down, x + across
        seed = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        seed[seed] = taken[row[seed], column[seed]]
        np.minimum.at(first, components[y[seed], x[seed]], (row * width + column)[seed])
    first[0] = none  # component 0 is everything else
    grown = np.flatnonzero(first[components] < none)
    return grown, first[components.ravel()[grown]]
