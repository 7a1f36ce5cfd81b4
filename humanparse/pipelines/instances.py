"""Labels and person masks -> part instances, one per part and person, grown into unowned pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..ops.components import grow
from .canvas import Fused
from .rules import Rule

Masks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Fusion:
    """The parts of several people.

    Attributes:
        labels: uint8 (H, W), the class of each pixel.
        instances: int32 (H, W), number of the part instance, 1, 2, ...; 0 for none.
        instance_classes: uint8 (K,), the class of instance k is at k - 1.
        instance_scores: float64 (K,), mean fused logit over the instance's pixels, under SCHP's rules times
            the person's score. It is unbounded, not a probability.
        instance_people: int64 (K,), the instance's person, as an index into the people that were passed.
        person_map: int32 (H, W), tag of the person, 1, 2, ...; 0 for none.
        person_order: int64 (N,), at t - 1 the index of the person with tag t among those passed.
        masks: bool (N, H, W), after growth, in the order in which people were passed.
        confidence: float16 (H, W), softmax probability (0-1) of each pixel's class, or None.
    """

    labels: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.int32]
    instance_classes: npt.NDArray[np.uint8]
    instance_scores: npt.NDArray[np.float64]
    instance_people: npt.NDArray[np.int64]
    person_map: npt.NDArray[np.int32]
    person_order: npt.NDArray[np.int64]
    masks: Masks
    confidence: npt.NDArray[np.float16] | None = None


def find_instances(
    fused: Fused, scores: npt.NDArray[np.float64], masks: Masks, classes: int, rule: Rule
) -> Fusion:
    """Number each part of N people, whose masks (N, H, W) may overlap; grow the parts, and score them."""
    order = np.arange(len(scores)) if rule.order == "given" else np.argsort(-scores, kind="stable")
    labels = fused.labels
    owner = _owner(labels, masks, order, rule)
    held = masks.copy()
    if rule.exclusive:
        for position, index in enumerate(order.tolist(), 1):
            held[index] = owner == position
    instances, parts, people = _numbered(owner, labels, classes, rule)
    grown, seeds = grow(labels, instances)
    instances.reshape(-1)[grown] = instances.reshape(-1)[seeds]
    flat = held.reshape(len(held), labels.size)
    flat[:, grown] = flat[:, seeds]
    people = order[people - 1]
    tags = order if rule.tags == "order" else np.argsort(-flat.sum(axis=1), kind="stable")
    person_map = np.zeros(labels.shape, dtype=np.int32)
    for tag, index in enumerate(tags.tolist(), 1):
        person_map[held[index]] = tag
    pixels = np.bincount(instances.reshape(-1), minlength=len(parts) + 1)[1:]
    logits = np.bincount(instances.reshape(-1), fused.best.reshape(-1), minlength=len(parts) + 1)[1:]
    part_scores = logits / pixels
    if rule.weighted:
        part_scores = part_scores * scores[people]
    return Fusion(labels, instances, parts, part_scores, people, person_map, tags, held, fused.confidence)


def _owner(
    labels: npt.NDArray[np.uint8], masks: Masks, order: npt.NDArray[np.int64], rule: Rule
) -> npt.NDArray[np.int32]:
    """(H, W): position in `order`, from 1, of the person that owns the pixel; 0 on background."""
    owner = np.zeros(labels.shape, dtype=np.int32)
    painted = list(enumerate(order.tolist(), 1))
    for position, index in reversed(painted) if rule.overlap == "first" else painted:
        owner[masks[index]] = position
    owner[labels == 0] = 0
    return owner


def _numbered(
    owner: npt.NDArray[np.int32], labels: npt.NDArray[np.uint8], classes: int, rule: Rule
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Instances (H, W), numbered by person, then class; the class of each; its person's position, from 1."""
    if rule.counts_present:
        owner = np.where(owner < len(np.unique(owner)), owner, 0)
    keys = np.where(owner > 0, owner * classes + labels, 0)
    present = np.flatnonzero(np.bincount(keys.reshape(-1)))
    present = present[present > 0][: rule.max_instances]
    table = np.zeros(int(keys.max(initial=0)) + 1, dtype=np.int32)
    table[present] = np.arange(1, len(present) + 1)
    return table[keys], (present % classes).astype(np.uint8), present // classes
