"""Three ways to write down who owns which part, and the ways between them.

One label map for each person (LV-MHP), a label map with a map of people, and part instances (both CIHP).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..schemes import IGNORE

LabelMap = npt.NDArray[np.integer[Any]]


def split_people(labels: LabelMap, humans: LabelMap, ids: LabelMap | None = None) -> LabelMap:
    """One label map for each person.

    Args:
        labels: integers (H, W).
        humans: integers (H, W), whose pixel it is; 0 is nobody's.
        ids: which people, in this order; None takes all that own a pixel, ascending.

    Returns:
        (N, H, W) of the labels' type, 0 outside the person.
    """
    chosen = np.unique(humans[humans != 0]) if ids is None else ids
    if not len(chosen):
        return np.zeros((0, *labels.shape), labels.dtype)
    return np.where(humans == np.asarray(chosen)[:, None, None], labels, 0).astype(labels.dtype)


def merge_people(maps: LabelMap) -> tuple[LabelMap, LabelMap]:
    """The inverse of `split_people`, where people may overlap: the later person lies on top.

    Args:
        maps: integers (N, H, W), 0 outside the person.

    Returns:
        `labels` uint8 (H, W) and `humans` int32 (H, W), 1 to N; as M-CE2P converts LV-MHP to CIHP.
    """
    labels, humans = np.zeros(maps.shape[1:], np.uint8), np.zeros(maps.shape[1:], np.int32)
    for number, person in enumerate(maps, start=1):
        there = person != 0
        labels[there], humans[there] = person[there], number
    return labels, humans


def part_instances(labels: LabelMap, humans: LabelMap) -> tuple[LabelMap, LabelMap, LabelMap]:
    """Number the parts of all people: person by person, label by label.

    Args:
        labels: integers (H, W); 0 and 255 are no part.
        humans: integers (H, W).

    Returns:
        `instances` int32 (H, W), 0 is none; and for each id the class and the person, int64 (K,), at id - 1.
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
        Two int64 arrays (K,), K the largest id; 0 where an id owns no pixel.
    """
    count = int(instances.max(initial=0))
    there = instances > 0
    owner = instances[there].astype(np.int64) - 1

    def majority(values: LabelMap) -> npt.NDArray[np.int64]:
        votes = np.bincount(owner * 256 + values[there], minlength=count * 256)
        return votes.reshape(count, 256).argmax(axis=1) if count else np.zeros(0, np.int64)

    return majority(labels), majority(humans)
