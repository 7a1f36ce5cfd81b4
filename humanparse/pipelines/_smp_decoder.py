"""Decodes SMP's maps into people (Chu et al., arXiv:2304.11356), as the released code does.

The released code differs from the paper: it searches each part of a person in all cells and levels, and
prefers near ones. Its matrix NMS suppresses nothing, so there is none here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ..ops.bilinear import bilinear
from ._centres import Canvas, People, Size, centres, float32

Map = Tensor | npt.NDArray[np.generic]

_SMALLEST_AREA = (8, 8, 16, 32, 32)  # pixels at stride 4, per level


class _Candidates(NamedTuple):
    """Cells that may show a part: five tensors (M,), ordered by row, column, part and level."""

    row: Tensor
    column: Tensor
    part: Tensor
    level: Tensor
    score: Tensor


class _Parts(NamedTuple):
    """One person's parts in painting order: candidates (P,), scores (P,), probabilities (P, h, w)."""

    candidate: Tensor
    score: Tensor
    probability: Tensor


def decode_smp(
    category: Sequence[Map],
    kernel: Sequence[Map],
    heat: Map,
    offset: Map,
    mask_features: Map,
    img_shape: Size,
    ori_shape: Size,
    *,
    ctr_score: float = 0.1,
    score_thr: float = 0.1,
    cate_score_thr: float = 0.3,
    mask_thr: float = 0.5,
    max_people: int | None = None,
) -> People:
    """Find people and their parts in the maps of `Smp` for one photo.

    Args:
        category: (S_l, S_l, C) per level, probabilities of parts.
        kernel: (256, S_l, S_l) per level.
        heat: (S, S), probability of a person's centre; S is the grid of level 0.
        offset: (C, 2, S, S), x then y, in cells: a part lies at the centre minus its offset.
        mask_features: (256, h, w) at a quarter of the padded input's size.
        img_shape: (height, width) of the resized photo, without padding.
        ori_shape: (height, width) of the photo.
        ctr_score: a centre's heat is above this. This and the following are named as in the released code.
        score_thr: a candidate's probability is above this.
        cate_score_thr: a chosen part's probability, weighted by distance, is above this.
        mask_thr: the values of a part's pixels are above this.
        max_people: keep at most this many people, those with the highest heat; None keeps all, as in
            the original.

    Returns:
        People by descending score; `merged` has the lowest score on top. Parts are in painting order; a
        candidate that was chosen several times is repeated.

    As in the original, a part without a candidate takes the very first one, even if it is another part's, and
    the least area of a mask is that of another part's level. The original crashes if all parts of a person
    are too small; here such a person is dropped, like one without any part.
    """
    heat, offset, features = float32(heat, offset, mask_features)
    found = _candidates(float32(*category), heat.shape[0], score_thr)
    kernels = torch.stack([bilinear(each[None], (heat.shape[0],) * 2, True)[0] for each in float32(*kernel)])
    rows, columns, warmth = centres(heat, ctr_score)
    order = warmth.argsort(descending=True, stable=True)[:max_people]
    canvas = Canvas(img_shape, ori_shape, align_corners=True)
    labels, scores, parts = [], [], []
    for row, column, score in zip(rows[order], columns[order], warmth[order], strict=True):
        places = torch.stack((column, row)) - offset[:, :, row, column]  # (C, 2), x then y
        chosen, weight = _choose(found, places, heat.shape[0], cate_score_thr)
        if not len(chosen):
            continue
        person = _masks(found, chosen, weight, kernels, features, mask_thr)
        if len(person.candidate):
            labels.append(_paint(person, found.part, canvas, mask_thr))
            scores.append(score)
            parts.append(person)
    return _people(labels, scores, parts, found, ori_shape)


def _candidates(category: Sequence[Tensor], cells: int, threshold: float) -> _Candidates:
    """All cells of the common grid above the threshold; suppressed cells are interpolated as zeros."""
    levels = [bilinear(each.permute(2, 0, 1)[None], (cells, cells), True)[0] for each in category]
    maps = torch.stack(levels).permute(2, 3, 1, 0)  # (S, S, C, L)
    row, column, part, level = torch.nonzero(maps > threshold, as_tuple=True)
    return _Candidates(row, column, part, level, maps[row, column, part, level])


def _choose(found: _Candidates, places: Tensor, cells: int, threshold: float) -> tuple[Tensor, Tensor]:
    """Choose the best candidate of each part for one person; their parts are expected at `places` (C, 2).

    Returns:
        Positions in `found` (P,), in the order of parts, and weighted scores (M,) of all candidates.
    """
    spread = places.amax(dim=0) - places.amin(dim=0)
    radius = int(0.5 * (spread[0] * spread[1]).sqrt())
    if radius == 0 or len(found.score) == 0:
        return found.part[:0], found.score  # the original divides by zero here and finds no part either
    target = places.clamp(0, cells - 1).long()
    away = (found.column - target[found.part, 0]).abs() + (found.row - target[found.part, 1]).abs()
    weight = found.score * torch.exp(-(away * away) / (radius * radius))
    best = weight.new_zeros(len(places)).scatter_reduce(0, found.part, weight, "amax")
    count = torch.arange(len(weight), device=weight.device)
    position = torch.where(weight == best[found.part], count, len(weight))
    first = position.new_full((len(places),), len(weight)).scatter_reduce(0, found.part, position, "amin")
    first = torch.where(best > 0, first, 0)
    return first[weight[first] > threshold], weight


def _masks(
    found: _Candidates, chosen: Tensor, weight: Tensor, kernels: Tensor, features: Tensor, threshold: float
) -> _Parts:
    """Probability maps of the chosen candidates, worst first, without those whose area is too small."""
    ascending = chosen[weight[chosen].argsort(stable=True)]
    distinct, back = torch.unique(ascending, return_inverse=True)
    filters = kernels[found.level[distinct], :, found.row[distinct], found.column[distinct]]  # (Q, 256)
    probability = F.conv2d(features[None], filters[:, :, None, None])[0].sigmoid()  # (Q, h, w)
    mask = probability > threshold
    area = mask.sum(dim=(1, 2))
    sureness = (probability * mask).sum(dim=(1, 2)) / area
    smallest = torch.tensor(_SMALLEST_AREA, device=area.device)[found.level[chosen]]
    keep = area[back] > smallest
    score = (weight[ascending] * sureness[back])[keep]
    order = score.argsort(stable=True)
    return _Parts(ascending[keep][order], score[order], probability[back[keep][order]])


def _paint(person: _Parts, part: Tensor, canvas: Canvas, threshold: float) -> Tensor:
    """One person's labels, uint8 (H, W); better parts lie on top."""
    labels = torch.zeros(canvas.size, dtype=torch.uint8, device=part.device)
    numbers = (part[person.candidate] + 1).to(torch.uint8)
    again = torch.zeros_like(person.candidate, dtype=torch.bool)
    again[:-1] = person.candidate[1:] == person.candidate[:-1]
    for at in torch.nonzero(~again)[:, 0]:  # one by one: no full-size map of all, and faster on a CPU
        mask = canvas.enlarge(person.probability[at][None])[0] > threshold
        labels = torch.where(mask, numbers[at], labels)
    return labels


def _people(
    labels: list[Tensor], scores: list[Tensor], parts: list[_Parts], found: _Candidates, size: Size
) -> People:
    """Convert everything to arrays."""
    merged = torch.zeros(size, dtype=torch.uint8, device=found.part.device)
    for person in labels:
        merged = torch.where(person > 0, person, merged)
    empty = _Parts(found.part[:0], found.score[:0], found.score[:0])
    joined = torch.cat([each.candidate for each in (*parts, empty)])
    counts = [len(each.candidate) for each in parts]
    return People(
        labels=torch.stack(labels).cpu().numpy() if labels else np.zeros((0, *size), np.uint8),
        scores=np.array([float(score) for score in scores], dtype=np.float32),
        merged=merged.cpu().numpy(),
        part_person=np.repeat(np.arange(len(parts)), counts),
        part_label=(found.part[joined] + 1).to(torch.uint8).cpu().numpy(),
        part_score=torch.cat([each.score for each in (*parts, empty)]).cpu().numpy(),
    )
