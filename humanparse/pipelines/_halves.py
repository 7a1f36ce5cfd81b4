"""Joins the halves of a person who was found twice.

Somebody who is taller than the people that a network was trained on may get a centre in each half.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from ..arrays import Labels
from ..schemes import LabelScheme

_ABOVE = 0.9
"""Least share of both halves' heads in the upper one."""

_BELOW = 0.6
"""Least share of both halves' legs, feet and lower garments in the lower one."""

_LEAST = 0.005
"""Least share of a half's pixels that its head, or its legs, must have."""

_CONTACT = 0.5
"""Least share of the narrower half's columns in which the upper half lies directly on the lower one."""


def joined(owner: Labels, labels: Labels, scheme: LabelScheme, count: int) -> Labels:
    """Give the lower half of a person to the upper one.

    Two people are halves of one if one has the head, the other the legs, and the first lies on the second.
    `owner` (H, W) says whose pixel it is, from 0 to `count` - 1; other numbers mean nobody. In schemes
    without groups of body parts nobody is joined.
    """
    groups = dict(scheme.groups)
    if count < 2 or not {"head", "legs", "feet", "lower", "upper"} <= groups.keys():
        return owner
    lower = {*groups["legs"], *groups["feet"], *groups["lower"]} - {*groups["upper"]}
    table = np.zeros((count, len(scheme)), np.int64)
    known = (owner < count) & (labels < len(scheme))
    np.add.at(table, (owner[known], labels[known]), 1)
    pixels, heads, legs = table.sum(1), table[:, groups["head"]].sum(1), table[:, sorted(lower)].sum(1)
    for top, low in permutations(range(count), 2):
        both = heads[[top, low]].sum(), legs[[top, low]].sum()
        if (
            heads[top] > max(_LEAST * pixels[top], _ABOVE * both[0])
            and legs[low] > max(_LEAST * pixels[low], _BELOW * both[1])
            and _lies_on(owner == top, owner == low)
        ):
            owner = np.where(owner == low, np.uint8(top), owner)
            pixels[top], heads[top], legs[top] = pixels[[top, low]].sum(), *both
            pixels[low] = heads[low] = legs[low] = 0
    return owner


def _lies_on(top: Labels, low: Labels) -> bool:
    touching = (top[:-1] & low[1:]).any(axis=0).sum()
    return bool(touching >= _CONTACT * min(top.any(axis=0).sum(), low.any(axis=0).sum()))
