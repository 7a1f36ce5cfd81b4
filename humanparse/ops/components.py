"""Region growing: pixels that have a class but no part instance join an instance of that class they touch.

SCHP and M-CE2P both flood from every instance pixel, in raster order, over 8-connected pixels of the same
class that have no instance yet. So each connected component goes, as a whole, to the first instance pixel (in
raster order) that touches it, and no flood is needed.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]
Labels = npt.NDArray[np.uint8]
Instances = npt.NDArray[np.int32]

_NEIGHBOURS = [(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]


def grow_reference(labels: Labels, instances: Instances) -> tuple[Index, Index]:
    """`grow` as the originals do it: a flood from each instance pixel, one after the other."""
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
    """Which pixels join an instance, and the pixel that each takes its instance and its person from.

    Args:
        labels: uint8 (H, W), classes; 0 is background, which never joins anything.
        instances: int32 (H, W), 0 where a pixel has none; all pixels of an instance have one class.

    Returns:
        grown: int64 (n,), ascending indices into the flattened picture.
        seeds: int64 (n,), for each of them the pixel whose instance it takes.

    Source: SCHP's `logits_fusion` and M-CE2P's `refine` do the same.
    """
    free = (instances == 0) & (labels > 0)
    rows, columns = np.flatnonzero(free.any(axis=1)), np.flatnonzero(free.any(axis=0))
    if not len(rows):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    top, left = int(rows[0]), int(columns[0])
    window = np.s_[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    joined = [
        _grow_class(labels, instances, free[window] & (labels[window] == label), label, top, left)
        for label in np.flatnonzero(np.bincount(labels[free])).tolist()
    ]
    grown, seeds = (np.concatenate(parts) for parts in zip(*joined, strict=True))
    order = np.argsort(grown, kind="stable")
    return grown[order], seeds[order]


def _grow_class(
    labels: Labels, instances: Instances, free: npt.NDArray[np.bool_], label: int, top: int, left: int
) -> tuple[Index, Index]:
    """`grow` for one class: `free` is the window at (top, left) of its pixels without an instance."""
    import cv2

    count, components = cv2.connectedComponents(free.astype(np.uint8), connectivity=8)
    height, width = labels.shape
    y, x = np.nonzero(free)
    component = components[y, x]
    y, x = y + top, x + left
    none, holders, classes = height * width, instances.ravel(), labels.ravel()
    first = np.full(count, none, dtype=np.int64)
    for down, across in _NEIGHBOURS:
        row, column = y + down, x + across
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        pixel = row[inside] * width + column[inside]
        seed = (holders[pixel] > 0) & (classes[pixel] == label)
        np.minimum.at(first, component[inside][seed], pixel[seed])
    seeds = first[component]
    touched = seeds < none
    return (y * width + x)[touched], seeds[touched]
