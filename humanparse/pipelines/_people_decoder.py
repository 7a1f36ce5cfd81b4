"""Groups cells into people by a centre map and offsets, as Panoptic-DeepLab (Cheng et al., arXiv:1911.10194).

A person is a peak of the centre map. A cell's offset points to a centre, and the cell belongs to the person
with the nearest one. Differs from the paper: people of few cells are dropped, background cells have little
influence on the pixels beside them, and a photo that shows somebody without a clear centre shows one person.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Size = tuple[float, float]

_APART = 2
"""Side in cells of the square in which only the highest centre counts."""

_NOBODY = 1e-3
"""Weight of a background cell, relative to a cell of a person."""


class Grouping(NamedTuple):
    """N people, by descending score.

    Attributes:
        scores: float32 (N,), 0-1.
        closeness: float32 (N, h, w), highest for the person that a cell belongs to; undefined on background.
    """

    scores: Tensor
    closeness: Tensor


def decode_people(
    maps: Tensor,
    someone: Tensor,
    stride: Size,
    *,
    offset_unit: float = 32.0,
    min_score: float = 0.3,
    min_cells: float = 6,
    max_people: int = 100,
    lone_share: float = 0.01,
) -> Grouping:
    """Find the people in a people head's maps of one photo.

    Args:
        maps: float32 (3, h, w), without padding: the logit of being a person's centre, and the offsets down
            and right from the cell to the centre of its person.
        someone: float32 (h, w), the probability that the cell shows a person, 0-1.
        stride: (rows, columns) of the network's input that one cell covers.
        offset_unit: input pixels per unit of an offset.
        min_score: least probability of a centre, 0-1.
        min_cells: people of fewer cells are dropped; their cells go to others.
        max_people: keep at most this many people, those with the most probable centres; at most 255.
        lone_share: share (0-1) of the cells that must show a person for a photo without any probable centre
            to have one, at the most probable cell; above 1: never.

    Returns:
        The people; a score is the centre's probability times the mean of `someone` on the person's cells.
    """
    shown = someone > 0.5
    rows, columns = _centres(maps[0], min_score, int(max_people))
    if not len(rows) and shown.any() and shown.float().mean() >= lone_share:
        best = maps[0].masked_fill(~shown, -torch.inf).argmax()
        rows, columns = (best // shown.shape[1])[None], (best % shown.shape[1])[None]
    chance = maps[0, rows, columns].sigmoid()
    distance = _distance(maps[1:], rows, columns, (offset_unit / stride[0], offset_unit / stride[1]))
    cells, _ = _shares(distance, someone, shown)
    large = cells >= min_cells
    distance, chance = distance[large], chance[large]
    cells, sureness = _shares(distance, someone, shown)
    scores = chance * sureness / cells.clamp(min=1)
    order = scores.argsort(descending=True, stable=True)
    return Grouping(scores[order], -distance[order] * (2 * someone - 1).clamp(min=_NOBODY))


def _centres(heat: Tensor, min_score: float, most: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the peaks within `_APART` cells, the highest first; one of equal neighbours."""
    side = 2 * _APART + 1
    peak = F.max_pool2d(heat[None], side, stride=1, padding=_APART)[0] == heat
    least = torch.tensor(float(min_score)).logit().item()
    rows, columns = torch.nonzero(peak & (heat >= least), as_tuple=True)
    order = heat[rows, columns].argsort(descending=True, stable=True)
    kept: list[tuple[int, int]] = []
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if len(kept) == most:
            break
        if all(max(abs(row - y), abs(column - x)) > _APART for y, x in kept):
            kept.append((row, column))
    chosen = torch.tensor(kept, dtype=torch.int64, device=heat.device).view(-1, 2)
    return chosen[:, 0], chosen[:, 1]


def _distance(offsets: Tensor, rows: Tensor, columns: Tensor, unit: Size) -> Tensor:
    """Offsets (2, h, w) -> (N, h, w): distance in cells from each centre to where a cell's offset points."""
    height, width = offsets.shape[1:]
    down = torch.arange(height, device=offsets.device)[:, None] + offsets[0] * unit[0]
    across = torch.arange(width, device=offsets.device) + offsets[1] * unit[1]
    return torch.hypot(down - rows[:, None, None], across - columns[:, None, None])


def _shares(distance: Tensor, someone: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """For each person, float32 (N,): the number of their cells, and the sum of `someone` over them."""
    if not len(distance):
        return distance.new_zeros(0), distance.new_zeros(0)
    owner = distance.argmin(dim=0)[shown]
    cells = torch.bincount(owner, minlength=len(distance)).to(distance.dtype)
    return cells, distance.new_zeros(len(distance)).index_add_(0, owner, someone[shown])
