"""From detections to crops: which people are kept, and which rectangle is cut out for each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..detections import Detections
from .canvas import Box
from .rules import Rule


def arrange(people: Detections, rule: Rule) -> npt.NDArray[np.int64]:
    """Indices of the people by descending score or descending mask area, as `rule` says."""
    if rule.sort == "score" or people.masks is None:
        return np.argsort(-people.scores, kind="stable")
    return np.argsort(-people.masks.sum(axis=(1, 2)), kind="stable")


def choose(people: Detections, rule: Rule) -> Detections:
    """Drop weak, empty and duplicate detections.

    Args:
        people: a detector's people, with masks, in the rule's order.
        rule: has the least score, and the share of a mask that earlier people may cover. Under SCHP's rule,
            masks lose the pixels that earlier people have.

    Source: SCHP's `make_crop_and_mask_w_mask_nms.py`; M-CE2P's `get_objs`.
    """
    assert people.masks is not None
    kept, remaining = [], []
    taken = np.zeros(people.masks.shape[1:], dtype=bool)
    for index, mask in enumerate(people.masks):
        if people.scores[index] < rule.min_score or not mask.any():
            continue
        if rule.max_overlap is not None:
            if np.count_nonzero(mask & taken) / np.count_nonzero(mask) > rule.max_overlap:
                continue
            mask, taken = mask & ~taken, taken | mask
        kept.append(index)
        remaining.append(mask)
    chosen = people.take(kept)
    held = np.stack(remaining) if remaining else np.zeros((0, *taken.shape), dtype=bool)
    return Detections(chosen.boxes, chosen.scores, held)


def enlarge(box: tuple[float, float, float, float], size: tuple[int, int], rule: Rule) -> Box:
    """The rectangle to cut out for a person: x0, y0, x1, y1, half-open, inside the picture.

    Args:
        box: float corners in pixels, half-open.
        size: (height, width) of the picture.
        rule: has the enlargement and the rounding. SCHP rounds both corners and includes the last one.
    """
    height, width = size
    x0, x1 = _interval(box[0], box[2], width, rule)
    y0, y1 = _interval(box[1], box[3], height, rule)
    return x0, y0, x1, y1


def _interval(start: float, stop: float, limit: int, rule: Rule) -> tuple[int, int]:
    margin = (stop - start) * ((rule.enlarge - 1) / 2)
    if rule.rounding == "inclusive":
        first = 0 if start - margin < 0 else round(start - margin)
        last = limit - 1 if stop + margin > limit - 1 else round(stop + margin)
    else:
        middle, half = (start + stop) / 2, rule.enlarge * (stop - start) / 2
        first, last = int(max(0.0, middle - half)), int(min(float(limit), middle + half)) - 1
    first = min(first, limit - 1)
    return first, max(first, last) + 1
