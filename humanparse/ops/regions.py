"""Connected regions of equal labels, and what they touch.

They are built from runs (stretches of equal labels in a row), so after one pass over the pixels the work only
depends on the length of the borders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..arrays import Labels

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Regions:
    """The 8-connected regions of a label map.

    Attributes:
        shape: (height, width) of the map.
        lengths: int64 (R,), pixels of each run, row by row.
        of_run: int64 (R,), the region of each run.
        labels: uint8 (N,), the label of each region.
        areas: int64 (N,), pixels of each region.
        at_border: bool (N,), whether it touches the border of the picture.
        sides: int64 (K, 3): a region, a region that it touches, and the number of pixel edges between them;
            sorted by the first. Each contact is listed twice, once from each side.
    """

    shape: tuple[int, int]
    lengths: Index
    of_run: Index
    labels: Labels
    areas: Index
    at_border: npt.NDArray[np.bool_]
    sides: Index

    def painted(self, labels: Labels) -> Labels:
        """The map with another label for each region, uint8 (H, W)."""
        painted: Labels = np.repeat(labels[self.of_run], self.lengths).reshape(self.shape)
        return painted


def find_regions(labels: Labels) -> Regions:
    """The regions of a label map, uint8 (H, W) with at least one pixel."""
    height, width = labels.shape
    change = np.ones(labels.shape, dtype=np.bool_)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=change[:, 1:])
    starts = np.flatnonzero(change)
    lengths = np.diff(starts, append=labels.size)
    run_labels = labels.reshape(-1)[starts]

    cuts = np.flatnonzero(change[:-1] | change[1:])  # where a run begins in this row or in the one below
    upper = np.searchsorted(starts, cuts, side="right") - 1
    lower = np.searchsorted(starts, cuts + width, side="right") - 1
    overlaps = np.diff(cuts, append=labels.size - width)
    same = run_labels[upper] == run_labels[lower]
    links = [np.stack((upper[same], lower[same]))]
    in_row = np.flatnonzero(cuts[1:] % width != 0)
    for one, other in ((upper[in_row], lower[in_row + 1]), (upper[in_row + 1], lower[in_row])):
        diagonal = run_labels[one] == run_labels[other]
        links.append(np.stack((one[diagonal], other[diagonal])))
    of_run = _components(len(starts), np.concatenate(links, axis=1))

    count = int(of_run.max()) + 1
    beside = np.flatnonzero(starts[1:] % width != 0)
    pairs = np.concatenate((np.stack((beside, beside + 1)), np.stack((upper[~same], lower[~same]))), axis=1)
    edges = np.concatenate((np.ones(len(beside), dtype=np.int64), overlaps[~same]))
    first, last = starts % width == 0, (starts + lengths) % width == 0
    outer = first | last | (starts < width) | (starts >= labels.size - width)
    region_labels = np.empty(count, dtype=np.uint8)
    region_labels[of_run] = run_labels
    return Regions(
        shape=(height, width),
        lengths=lengths,
        of_run=of_run,
        labels=region_labels,
        areas=np.bincount(of_run, weights=lengths, minlength=count).astype(np.int64),
        at_border=np.bincount(of_run[outer], minlength=count) > 0,
        sides=_sides(of_run[pairs], edges, count),
    )


def _components(count: int, links: Index) -> Index:
    """Number the connected components of a graph: int64 (count,), from 0 on."""
    root = np.arange(count)
    one, other = links
    while len(one):
        one, other = root[one], root[other]
        apart = one != other
        one, other = one[apart], other[apart]
        np.minimum.at(root, np.maximum(one, other), np.minimum(one, other))
        while True:
            above = root[root]
            if np.array_equal(above, root):
                break
            root = above
    numbers: Index = np.unique(root, return_inverse=True)[1].reshape(-1)
    return numbers


def _sides(pairs: Index, edges: Index, count: int) -> Index:
    both = np.concatenate((pairs, pairs[::-1]), axis=1)
    keys, place = np.unique(both[0] * count + both[1], return_inverse=True)
    lengths = np.bincount(place.reshape(-1), weights=np.tile(edges, 2), minlength=len(keys))
    return np.stack((keys // max(count, 1), keys % max(count, 1), lengths.astype(np.int64)), axis=1)
