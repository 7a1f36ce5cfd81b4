"""Converts between three representations of people's parts.

They are: a label map for each person (LV-MHP), a label map with a map of people, and part instances (CIHP).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..schemes import IGNORE

LabelMap = npt.NDArray[np.integer[Any]]


def split_people(labels: LabelMap, humans: LabelMap, ids: LabelMap | None = None) -> LabelMap:
    """Make one label map for each person.

    Args:
        labels: integers (H, W).
        humans: integers (H, W), the id of each pixel's person; 0 for none.
        ids: the people to take, in this order; None takes all that have a pixel, in ascending order.

    Returns:
        (N, H, W) of the labels' type, 0 outside the person.
    """
    chosen = np.unique(humans[humans != 0]) if ids is None else ids
    if not len(chosen):
        return np.zeros((0, *labels.shape), labels.dtype)
    return np.where(humans == np.asarray(chosen)[:, None, None], labels, 0).astype(labels.dtype)


def merge_people(maps: LabelMap) -> tuple[LabelMap, LabelMap]:
    """The inverse of `split_people`. People may overlap; the later person lies on top.

    Args:
        maps: integers (N, H, W), 0 outside the person.

    Returns:
        `labels` uint8 (H, W) and `humans` int32 (H, W), 1 to N, like M-CE2P's conversion of LV-MHP to CIHP.
    """
    labels, humans = np.zeros(maps.shape[1:], np.uint8), np.zeros(maps.shape[1:], np.int32)
    for number, person in enumerate(maps, start=1):
        there = person != 0
        labels[there], humans[there] = person[there], number
    return labels, humans


def part_instances(labels: LabelMap, humans: LabelMap) -> tuple[LabelMap, LabelMap, LabelMap]:
    """Number the parts of all people: person by person, label by label.

    Args:
        labels: integers (H, W); 0 and 255 are not parts.
        humans: integers (H, W).

    Returns:
        `instances` int32 (H, W), 0 is none; then the class and the person of each id, int64 (K,), at id - 1.
    """
    part = (labels != 0) & (labels != IGNORE) & (humans != 0)
    codes, number = np.unique(humans[part].astype(np.int64) * 256 + labels[part], return_inverse=True)
    instances = np.zeros(labels.shape, np.int32)
    instances[part] = number.reshape(-1) + 1
    return instances, codes % 256, codes // 256


def describe_instances(
    instances: LabelMap, labels: LabelMap, humans: LabelMap
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Class and person of each instance, by the majority of its pixels.

    Args:
        instances: integers (H, W), 0 is none.
        labels: integers (H, W), 0 to 255.
        humans: integers (H, W), 0 to 255.

    Returns:
        Two int64 arrays (K,), where K is the largest id; 0 for an id without a pixel.
    """
    count = int(instances.max(initial=0))
    there = instances > 0
    owner = instances[there].astype(np.int64) - 1

    def majority(values: LabelMap) -> npt.NDArray[np.int64]:
        votes = np.bincount(owner * 256 + values[there], minlength=count * 256)
        return votes.reshape(count, 256).argmax(axis=1) if count else np.zeros(0, np.int64)

    return majority(labels), majority(humans)
