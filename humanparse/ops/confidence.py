"""The probability of the best class where all cells that a pixel reads agree on it, without an exp per pixel.

Along a row of pixels that read the same cells, logits change by a constant step, so their exponentials change
by a constant factor. Four exponentials per cell and class are enough; each pixel then needs one product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .taps import Taps

_CERTAIN = 1 / (1 - 2**-12)
"""One over the smallest probability that float16 rounds to 1."""

_STEEPEST = 80.0
"""If logits differ by more than this within a cell, the factors may not fit into float32."""

_CHUNK = 2**17
"""Number of exponentials held at a time, in each of a few arrays."""


@dataclass(frozen=True)
class Runs:
    """The n outputs of one axis, in R runs of at most L outputs with equal inputs and evenly spaced weights.

    Attributes:
        number: int64 (n,), the run of each output.
        pair: int64 (R,), number of the pair of inputs that the run reads.
        first, second: int64 (R,), the two inputs of that pair.
        start: float32 (2, R), both weights at the first output of the run.
        step: float32 (2, R), how much the weights change from output to output.
        whole: bool (R,), whether the weights sum to 1 at all outputs.
        outputs: int64 (L, R), offsets of the outputs in the picture; out of it after the run's last one.
    """

    number: Tensor
    pair: Tensor
    first: Tensor
    second: Tensor
    start: Tensor
    step: Tensor
    whole: Tensor
    outputs: Tensor


def runs(taps: Taps, pair: Tensor, stride: int, pixels: int) -> Runs:
    """Divide the outputs of an axis into runs.

    Args:
        taps: the taps of the n outputs.
        pair: int64 (n,), ascending: which pair of inputs each output reads.
        stride: distance of two outputs in the flattened picture: 1 for columns, its width for rows.
        pixels: number of pixels of the picture.
    """
    weights = torch.stack((taps.weight_first, taps.weight_second))
    output = torch.arange(len(taps), device=pair.device)
    counts = torch.bincount(pair)
    place = output - (counts.cumsum(0) - counts)[pair]
    bend = (weights[:, 2:] - 2 * weights[:, 1:-1] + weights[:, :-2]).abs().amax(dim=0) > 1e-6
    uneven = torch.zeros_like(counts, dtype=torch.bool)
    uneven[pair[2:][bend & (place[2:] >= 2)]] = True
    most = int(torch.where(uneven, 2, counts).max())
    longest = min(most, 2 * -(-len(taps) // len(counts)))  # a border may repeat one output many times
    begins = place % torch.where(uneven, 2, longest)[pair] == 0  # two outputs are always evenly spaced
    first = output[begins]
    number = begins.cumsum(0) - 1
    length = torch.bincount(number)
    last = first + length - 1
    start, end = weights[:, first], weights[:, last]
    slots = torch.arange(longest, device=pair.device)[:, None]
    return Runs(
        number,
        pair[first],
        taps.first[first],
        taps.second[first],
        start,
        (end - start) / (length - 1).clamp(min=1),
        torch.minimum(start.sum(dim=0), end.sum(dim=0)) > 1 - 1e-6,
        torch.where(slots < length, (first + slots) * stride, pixels),
    )


class Agreed:
    """Confidence of the pixels of one view, logits float32 (C, h, w), whose cells agree on the best class."""

    def __init__(self, logits: Tensor) -> None:
        planes = logits.contiguous()
        below = planes - planes.amax(dim=0)
        self._below = below.flatten(1)  # (C, h * w), at most 0
        self._total = below.exp().sum(dim=0)  # (h, w), 1 / probability of the best class
        self._gentle = bool(self._below.amin() >= -_STEEPEST)

    def calm(self, down: Runs, across: Runs) -> Tensor:
        """Runs whose confidence rounds to 1 in float16 if the cells agree: bool (R, R).

        Checking the four cells is enough, because 1 / probability is convex.
        """
        most = torch.maximum(
            self._total.index_select(0, down.first), self._total.index_select(0, down.second)
        )
        most = torch.maximum(most.index_select(1, across.first), most.index_select(1, across.second))
        return (most <= _CERTAIN) & down.whole[:, None] & across.whole

    def fill(self, confidences: Tensor, down: Runs, across: Runs, busy: Tensor) -> Tensor:
        """Write the confidence of pixels whose cells agree.

        Args:
            confidences: float32 (H * W + 1,), the output; its last element is scratch space.
            down, across: runs of the H rows, and of the W columns.
            busy: bool (R, R), the runs to compute.

        Returns:
            bool (R, R), runs that were not computed, because their logits are too steep.
        """
        steep = torch.zeros_like(busy)
        rows, columns = busy.nonzero(as_tuple=True)
        step = max(1, _CHUNK // max(len(self._below), len(across.outputs)))
        for at in range(0, len(rows), step):
            part = rows[at : at + step], columns[at : at + step]
            corners = self._corners(down, across, *part)
            if not self._gentle:
                least, most = torch.minimum(*corners[:2]), torch.maximum(*corners[:2])
                for corner in corners[2:]:
                    least, most = torch.minimum(least, corner), torch.maximum(most, corner)
                steep[part] = (most - least).amax(dim=0) > _STEEPEST
            _fill(confidences, corners, down, across, *part)
        return steep

    def _corners(self, down: Runs, across: Runs, rows: Tensor, columns: Tensor) -> list[Tensor]:
        """The inputs of n runs: (C, n) for upper left, upper right, lower left, lower right."""
        width = self._total.shape[1]
        upper, lower = down.first[rows] * width, down.second[rows] * width
        left, right = across.first[columns], across.second[columns]
        return [
            self._below.index_select(1, line + place) for line in (upper, lower) for place in (left, right)
        ]


def _fill(
    confidences: Tensor, corners: list[Tensor], down: Runs, across: Runs, rows: Tensor, columns: Tensor
) -> None:
    """Write the confidence of n runs; each of their `corners` is (C, n)."""
    upper, lower = corners[:2], corners[2:]
    first, move = across.start[:, columns], across.step[:, columns]
    above, below = _mixed(upper, first), _mixed(lower, first)
    above_move, below_move = _mixed(upper, move), _mixed(lower, move)
    first, move = down.start[:, rows], down.step[:, rows]
    value, factor = _mixed((above, below), first).exp_(), _mixed((above_move, below_move), first).exp_()
    value_down = _mixed((above, below), move).exp_()
    factor_down = _mixed((above_move, below_move), move).exp_()
    place = across.outputs[:, columns]  # (L, n)
    total = torch.empty(place.shape, device=confidences.device)
    for line in down.outputs:
        pixel = value.clone()
        for slot in total[:-1]:
            torch.sum(pixel, dim=0, out=slot)
            pixel *= factor
        torch.sum(pixel, dim=0, out=total[-1])
        where = (place + line[rows]).clamp_(max=len(confidences) - 1)
        confidences.scatter_(0, where.flatten(), total.reciprocal_().flatten())
        value *= value_down
        factor *= factor_down


def _mixed(pair: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Mix two tensors (C, n) with weights (2, n): (C, n)."""
    return (pair[0] * weights[0]).addcmul_(pair[1], weights[1])
