"""Sums logits of the whole picture and of crops, and takes the best class of each pixel, strip by strip.

No array of the size people x classes x height x width is ever held: each source of logits computes a few rows
at the picture's resolution when they are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Box = tuple[int, int, int, int]

_STRIP = 2**19
"""Number of logits held at a time."""


class Grid(Protocol):
    """Logits of one rectangle of the picture, at the picture's resolution."""

    def window(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """The logits of a window, (C, bottom - top, right - left); positions are pixels of the rectangle."""


@dataclass(frozen=True)
class Exact:
    """Logits (C, h, w) at full resolution: one value for each pixel of the rectangle."""

    logits: Tensor

    def window(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """See `Grid`."""
        return self.logits[:, top:bottom, left:right]


class EnlargedLogits:
    """Logits (C, h, w) enlarged to a rectangle like `cv2.resize` in float64, with half-pixel centres.

    OpenCV rounds a pixel's position to float32 before it splits it into an index and a weight; this shows in
    the sixth decimal of the result.
    """

    def __init__(self, logits: Tensor, size: tuple[int, int]) -> None:
        self._logits = logits
        self._rows = _half_pixel(size[0], logits.shape[1])
        self._columns = _half_pixel(size[1], logits.shape[2])

    def window(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """See `Grid`."""
        first, second, across = (part[left:right] for part in self._columns)
        upper, lower, down = (part[top:bottom] for part in self._rows)
        base = int(upper[0])
        lines = self._logits[:, base : int(lower[-1]) + 1].to(torch.float64)
        near, far = lines.index_select(2, first), lines.index_select(2, second)
        near = near.mul_(1 - across).add_(far.mul_(across))  # (C, few, right - left)
        above, below = near.index_select(1, upper - base), near.index_select(1, lower - base)
        down = down[:, None]
        return above.mul_(1 - down).add_(below.mul_(down))


def _half_pixel(outputs: int, inputs: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two neighbouring inputs of each output, and the weight of the second one in float64."""
    position = ((np.arange(outputs) + 0.5) * (inputs / outputs) - 0.5).astype(np.float32).clip(0, inputs - 1)
    first = np.floor(position).astype(np.int64)
    weight = (position - first.astype(np.float32)).astype(np.float64)
    return (
        torch.from_numpy(first),
        torch.from_numpy((first + 1).clip(0, inputs - 1)),
        torch.from_numpy(weight),
    )


@dataclass(frozen=True)
class Fused:
    """The best class of each pixel.

    Attributes:
        labels: uint8 (H, W).
        best: float64 (H, W), the fused logit of that class; +inf outside all boxes, where everything is
            background.
        confidence: float16 (H, W), its softmax probability, or None.
    """

    labels: npt.NDArray[np.uint8]
    best: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float16] | None


def fuse_logits(
    whole: Grid,
    branches: Sequence[Sequence[Grid]],
    boxes: Sequence[Box],
    size: tuple[int, int],
    classes: int,
    confidence: bool = False,
) -> Fused:
    """Add the logits of the whole picture and of each branch's crops, and take the best class.

    For each branch, a part's logit is the mean over the crops that contain the pixel, and background's is
    their minimum. So everything outside all boxes is background. Both SCHP and M-CE2P do this.

    Args:
        whole: logits of the picture.
        branches: for each network that parses crops, the logits of each crop.
        boxes: positions of the crops, inside the picture.
        size: (height, width) of the picture.
        classes: number of classes, background first.
        confidence: also give the softmax probability of the best class.
    """
    labels = torch.zeros(size, dtype=torch.uint8, device="cpu")
    best = torch.full(size, torch.inf, dtype=torch.float64, device="cpu")
    confidences = torch.ones(size, dtype=torch.float16, device="cpu") if confidence else None
    step = max(1, _STRIP // (classes * max(1, size[1])))
    for top in range(0, size[0], step):
        bottom = min(size[0], top + step)
        inside = [number for number, (_, y0, _, y1) in enumerate(boxes) if y0 < bottom and y1 > top]
        if not inside:
            continue
        left, right = min(boxes[number][0] for number in inside), max(boxes[number][2] for number in inside)
        strip = (left, top, right, bottom)
        first, *others = (
            _canvas(strip, [(crops[number], boxes[number]) for number in inside], classes)
            for crops in branches
        )
        total = sum(others, start=first)
        total += whole.window(top, bottom, left, right)  # (C, bottom - top, right - left)
        peak = total.max(dim=0)
        labels[top:bottom, left:right] = peak.indices.to(torch.uint8)
        best[top:bottom, left:right] = peak.values
        if confidences is not None:
            odds = (peak.values - total.logsumexp(dim=0)).exp()
            confidences[top:bottom, left:right] = torch.where(peak.values.isinf(), 1.0, odds).to(
                torch.float16
            )
    return Fused(labels.numpy(), best.numpy(), None if confidences is None else confidences.numpy())


def _canvas(strip: Box, crops: Sequence[tuple[Grid, Box]], classes: int) -> Tensor:
    """The logits of one branch on one strip: float64 (C, bottom - top, right - left)."""
    left, top, right, bottom = strip
    canvas = torch.zeros((classes, bottom - top, right - left), dtype=torch.float64, device="cpu")
    canvas[0] = torch.inf
    count = torch.zeros(canvas.shape[1:], dtype=torch.int32, device="cpu")
    for grid, (x0, y0, x1, y1) in crops:
        first, last = max(y0, top), min(y1, bottom)
        piece = grid.window(first - y0, last - y0, 0, x1 - x0)
        here = np.s_[first - top : last - top, x0 - left : x1 - left]
        canvas[1:, here[0], here[1]] += piece[1:]
        canvas[0, here[0], here[1]] = torch.minimum(canvas[0, here[0], here[1]], piece[0].to(torch.float64))
        count[here] += 1
    if int(count.max()) > 1:
        canvas[1:] /= count.clamp(min=1)
    return canvas
