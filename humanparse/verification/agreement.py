"""How far two label maps of one photo agree, and where they do not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..arrays import Labels, Mask
from ..ops import clean
from ..people import Person
from ..schemes import LabelScheme

LARGE = 1e-3
"""A class must reach an IoU if it has at least this share of the pixels; smaller ones are mostly border."""

SMALL = 100
"""A class must be found at all if it has at least this many pixels."""

_CONFUSIONS = 3


@dataclass(frozen=True)
class Agreement:
    """How far our labels agree with the published ones.

    Attributes:
        pixels: number of pixels in the photo.
        differing: number of pixels whose labels differ.
        mean_iou: mean of `iou`, 0-1.
        iou: IoU, 0-1, of each class that is in the published answer, by name.
        at_borders: share, 0-1, of the differing pixels that lie `near_borders` of the published labels; 1 if
            no pixel differs.
        confusions: the most frequent differences: published label, our label, number of pixels.
        people: for people, and for their parts if published: how many overlap one of ours with an IoU of 0.5
            or more, and how many were published. None if no people were published.
    """

    pixels: int
    differing: int
    mean_iou: float
    iou: dict[str, float]
    at_borders: float
    confusions: tuple[tuple[str, str, int], ...]
    people: dict[str, tuple[int, int]] | None = None

    @property
    def equal(self) -> float:
        """Share of pixels whose labels are equal, 0-1."""
        return 1 - self.differing / self.pixels


def compare(ours: Labels, theirs: Labels, scheme: LabelScheme) -> Agreement:
    """Compare two label maps of the same size, uint8 (H, W), with labels of `scheme`."""
    differ = ours != theirs
    size = len(scheme)
    counts = np.bincount(theirs.ravel().astype(np.int64) * size + ours.ravel(), minlength=size * size)
    counts = counts.reshape(size, size)  # rows: published labels
    union = counts.sum(axis=0) + counts.sum(axis=1) - np.diag(counts)
    iou = {
        scheme.name(label): float(counts[label, label] / union[label]) for label in np.unique(theirs).tolist()
    }
    wrong = counts - np.diag(np.diag(counts))
    largest = [divmod(int(at), size) for at in np.argsort(-wrong, axis=None)[:_CONFUSIONS]]
    total = int(differ.sum())
    return Agreement(
        pixels=differ.size,
        differing=total,
        mean_iou=sum(iou.values()) / len(iou),
        iou=iou,
        at_borders=float((differ & near_borders(theirs)).sum() / total) if total else 1.0,
        confusions=tuple(
            (scheme.name(row), scheme.name(column), int(wrong[row, column]))
            for row, column in largest
            if wrong[row, column]
        ),
    )


def faults(
    found: Agreement, theirs: Labels, scheme: LabelScheme, least_equal: float, least_iou: float
) -> list[str]:
    """The reasons why the result of `compare` is not good enough; see `KnownAnswer` for the limits."""
    said = []
    if found.equal < least_equal:
        said.append(f"{found.equal:.3%} of the pixels are equal; at least {least_equal:.3%} must be")
    for label, count in zip(*np.unique(theirs, return_counts=True), strict=True):
        name = scheme.name(int(label))
        if count >= LARGE * theirs.size and found.iou[name] < least_iou:
            said.append(f"the IoU of {name} is {found.iou[name]:.3f}; at least {least_iou:g} is needed")
        elif count >= SMALL and found.iou[name] == 0:
            said.append(f"{name} has {count} pixels in the published answer, and none of them here")
    return said


def near_borders(labels: Labels) -> Mask:
    """Pixels near a border between labels, bool (H, W).

    Near means 1/473 of the photo's longer side, about one pixel of a usual network's input, and at least 2
    pixels.
    """
    reach = max(2, math.ceil(max(labels.shape) / 473))
    edge = np.zeros(labels.shape, bool)
    down, across = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    return clean.grow_square(edge, reach - 1)


def compare_people(
    people: tuple[Person, ...], masks: Mask, theirs: Labels, parts: Labels | None
) -> dict[str, tuple[int, int]]:
    """Count the published people (N, H, W), and their numbered parts (H, W), that are among ours.

    The result is (found, published) for each kind. Each part belongs to one person and has one class.
    """
    found = sum(any(_iou(mask, person.mask) >= 0.5 for person in people) for mask in masks)
    counted = {"people": (found, len(masks))}
    if parts is not None:
        numbers = [number for number in np.unique(parts).tolist() if number]
        hits = 0
        for number in numbers:
            mask = parts == number
            label = int(np.bincount(theirs[mask]).argmax())
            hits += any(_iou(mask, person.part(label)) >= 0.5 for person in people)
        counted["parts of people"] = (hits, len(numbers))
    return counted


def _iou(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))
