"""Removes specks, holes and ragged borders from label maps; grows, shrinks and feathers masks.

Everything works on labels or masks alone, in time linear in the number of pixels. Pixels of 255 (no
statement) keep it, and no other pixel gets it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from ..arrays import Labels, Mask
from ..schemes import IGNORE
from .regions import Index, find_regions

_TILE = 128
"""Side of the squares, in pixels, in which `smooth` looks for borders."""


def smooth(labels: Labels, radius: int) -> Labels:
    """Give each pixel the label with the largest weight around it.

    A pixel at (dx, dy) weighs about (radius + 1 - |dx|) * (radius + 1 - |dy|), and 0 beyond `radius` rows or
    columns. Exactly: weights are those of two box filters in a row, of radius `radius // 2` and
    `radius - radius // 2`. The pixel's own label wins a tie, then the lowest label. So no label appears where
    it was not within `radius` rows and columns.
    """
    found: Labels = labels.copy()
    padded = np.pad(labels, radius, constant_values=IGNORE)
    for top in range(0, labels.shape[0], _TILE):
        for left in range(0, labels.shape[1], _TILE):
            near = padded[top : top + _TILE + 2 * radius, left : left + _TILE + 2 * radius]
            tile = found[top : top + _TILE, left : left + _TILE]
            if (near[near != IGNORE] == tile[0, 0]).all():
                continue
            tile[:] = _heaviest(near, radius)[radius:-radius, radius:-radius]
    return found


def _heaviest(labels: Labels, radius: int) -> Labels:
    """`smooth` for one tile with its surroundings."""
    best = np.zeros(labels.shape, dtype=np.float32)
    found: Labels = labels.copy()
    for label in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[:IGNORE]).tolist():
        own = (labels == label).view(np.uint8)
        weight = _boxed(_boxed(own, radius // 2), radius - radius // 2)
        weight += 0.5 * own  # counts are whole numbers
        better = weight > best
        np.copyto(best, weight, where=better)
        found[better] = label
    found[labels == IGNORE] = IGNORE
    return found


def _boxed(mask: npt.NDArray[np.float32] | Labels, radius: int) -> npt.NDArray[np.float32]:
    """Sums over squares with sides of 2 * radius + 1 pixels; pixels outside the picture count as 0."""
    side = (2 * radius + 1, 2 * radius + 1)
    summed = cv2.boxFilter(mask, cv2.CV_32F, side, normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(summed, dtype=np.float32)


def absorb_islands(labels: Labels, area: int) -> Labels:
    """Give each island of fewer than `area` pixels the label that it touches most; see `Cleaning`."""
    found: Labels = labels.copy()
    left = area > 1 and labels.size > 0
    while left:
        regions = find_regions(found)
        small = (regions.areas < area) & (regions.labels != IGNORE)
        after = _spread(regions.labels, regions.sides, small)
        changed = bool((after != regions.labels).any())
        if changed:
            found = regions.painted(after)
        left = changed and bool((small & (after == regions.labels)).any())  # large ones may touch them now
    return found


def _spread(labels: Labels, sides: Index, small: Mask) -> Labels:
    """The labels of regions after small ones took those of neighbours, round by round from large ones."""
    labels = labels.copy()
    first = np.searchsorted(sides[:, 0], np.arange(len(labels) + 1))
    waiting = small.copy()
    front = np.flatnonzero(~small & (labels != IGNORE))
    while len(front):
        counts = first[front + 1] - first[front]
        rows = np.repeat(first[front] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())
        rows = rows[waiting[sides[rows, 1]]]
        votes, place = np.unique(sides[rows, 1] * 256 + labels[sides[rows, 0]], return_inverse=True)
        lengths = np.bincount(place.reshape(-1), weights=sides[rows, 2], minlength=len(votes))
        order = np.lexsort((votes % 256, -lengths, votes // 256))
        front, best = np.unique(votes[order] // 256, return_index=True)
        labels[front] = votes[order[best]] % 256
        waiting[front] = False
    return labels


def fill_holes(labels: Labels, area: int, background: int) -> Labels:
    """Give each hole of at most `area` pixels the label of the part around it; see `cleaning.Cleaning`."""
    if area < 1 or not labels.size:
        unchanged: Labels = labels.copy()
        return unchanged
    regions = find_regions(labels)
    region, other, _ = regions.sides.T
    around = regions.labels[other]
    lowest, highest = (np.full(len(regions.labels), start, dtype=np.int64) for start in (256, -1))
    np.minimum.at(lowest, region, around)
    np.maximum.at(highest, region, around)
    hole = (regions.labels == background) & ~regions.at_border & (regions.areas <= area)
    hole &= (lowest == highest) & (lowest != IGNORE)
    return regions.painted(np.where(hole, lowest, regions.labels).astype(np.uint8))


def grow(mask: Mask, pixels: int) -> Mask:
    """Where a true pixel is at most `pixels` away (Euclidean distance of centres); bool (H, W)."""
    grown: Mask = mask.copy()
    if pixels > 0 and mask.any():
        distance = cv2.distanceTransform((~mask).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        grown = distance <= pixels
    return grown


def grow_square(mask: Mask, pixels: int) -> Mask:
    """True within `pixels` rows and columns of a true pixel, bool (H, W)."""
    side = (2 * pixels + 1, 2 * pixels + 1)
    count = cv2.boxFilter(
        mask.view(np.uint8), cv2.CV_32S, side, normalize=False, borderType=cv2.BORDER_CONSTANT
    )
    return np.asarray(count > 0)


def shrink(mask: Mask, pixels: int) -> Mask:
    """Where every false pixel is more than `pixels` away; the picture's border does not count as an edge."""
    return ~grow(~mask, pixels)


def feather(mask: Mask, pixels: int) -> Labels:
    """Opacity, uint8 (H, W): 0 outside the mask, rising to 255 over `pixels` pixels inwards."""
    solid: Labels = np.where(mask, np.uint8(255), np.uint8(0))
    if pixels == 0:
        return solid
    mean = np.asarray(Image.fromarray(solid).filter(ImageFilter.BoxBlur(pixels)), dtype=np.int16)
    inwards = 2 * mean - 255  # at a straight edge, half of the window is outside
    return (inwards.clip(0, 255) * mask).astype(np.uint8)
