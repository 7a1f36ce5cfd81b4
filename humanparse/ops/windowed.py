"""Logits at the picture's resolution, a window at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from .taps import Taps


class WindowedLogits:
    """Logits (C, h, w) that are resampled to a picture of H x W pixels, one window at a time.

    Products and sums are taken in OpenCV 4's order, so float32 values equal its `warpAffine` of each channel.

    Args:
        logits: float (C, h, w), on the CPU.
        rows, columns: taps of the picture's H rows and W columns.
    """

    def __init__(self, logits: Tensor, rows: Taps, columns: Taps) -> None:
        self._logits, self._rows, self._columns = logits, rows, columns

    def window(self, top: int, bottom: int, left: int, right: int) -> Tensor:
        """The logits of a window of the picture: (C, bottom - top, right - left)."""
        down, across = self._rows.span(top, bottom), self._columns.span(left, right)
        base = int(torch.minimum(down.first, down.second).min())
        lines = self._logits[:, base : int(torch.maximum(down.first, down.second).max()) + 1]
        near, far = lines.index_select(2, across.first), lines.index_select(2, across.second)
        upper, lower = down.first - base, down.second - base
        above, below = down.weight_first[:, None], down.weight_second[:, None]
        total = near.index_select(1, upper).mul_(above * across.weight_first)  # (C, n, right - left)
        total += far.index_select(1, upper).mul_(above * across.weight_second)
        total += near.index_select(1, lower).mul_(below * across.weight_first)
        total += far.index_select(1, lower).mul_(below * across.weight_second)
        return total
