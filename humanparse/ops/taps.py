"""Where each output pixel reads along one axis: two neighbouring input pixels and their weights.

All resampling here is separable, because every map between picture and network only scales and shifts. So a
whole warp is one `Taps` for the rows and one for the columns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_WARP_BITS = 10  # OpenCV keeps warped positions in units of 1/1024 pixel ...
_FRACTION_BITS = 5  # ... and interpolates at multiples of 1/32


@dataclass(frozen=True)
class Taps:
    """The two input pixels and weights of each of n output positions along one axis.

    Attributes:
        first, second: int64 (n,), indices inside the input.
        weight_first, weight_second: float32 (n,), 0-1; 0 for a tap outside the input.
    """

    first: Tensor
    second: Tensor
    weight_first: Tensor
    weight_second: Tensor

    def __len__(self) -> int:
        return len(self.first)

    def to(self, device: torch.device) -> Taps:
        """These taps on another device."""
        parts = (self.first, self.second, self.weight_first, self.weight_second)
        return Taps(*(part.to(device) for part in parts))

    def span(self, start: int, stop: int) -> Taps:
        """The taps of output positions `start` to `stop` (exclusive)."""
        parts = (self.first, self.second, self.weight_first, self.weight_second)
        return Taps(*(part[start:stop] for part in parts))


def warp_taps(scale: float, shift: float, outputs: int, inputs: int, *, is_row: bool) -> Taps:
    """Taps of OpenCV 4's `warpAffine(..., INTER_LINEAR)` with a black border, along one axis.

    OpenCV 5 computes in floating point, with different results. These are always those of 4.x, the version
    that the originals were published with.

    Args:
        scale, shift: input position = `scale` * output position + `shift` (the inverse matrix, in double).
        outputs, inputs: lengths of the axis.
        is_row: whether this is the vertical axis; OpenCV rounds the two axes at different points.
    """
    position = _fixed_point(scale, shift, outputs, is_row, half=1 << (_WARP_BITS - _FRACTION_BITS - 1))
    position >>= _WARP_BITS - _FRACTION_BITS
    first, fraction = position >> _FRACTION_BITS, position & ((1 << _FRACTION_BITS) - 1)
    weight = fraction.astype(np.float32) / np.float32(1 << _FRACTION_BITS)
    return _taps(first, weight, inputs)


def nearest_index(scale: float, shift: float, outputs: int, *, is_row: bool) -> Tensor:
    """Input index per output pixel of `warpAffine(..., INTER_NEAREST)`: int64, may lie outside the input."""
    position = _fixed_point(scale, shift, outputs, is_row, half=1 << (_WARP_BITS - 1))
    return torch.from_numpy(position >> _WARP_BITS)


def resize_taps(scale: float, outputs: int, inputs: int) -> Taps:
    """Taps of a bilinear resize with `align_corners=False`: pixel centres correspond, clamped at the border.

    `scale` is in input pixels per output pixel.
    """
    position = ((np.arange(outputs, dtype=np.float64) + 0.5) * scale - 0.5).clip(0, inputs - 1)
    first = np.floor(position).astype(np.int64)
    return _taps(first, (position - first).astype(np.float32), inputs)


def corner_taps(outputs: int, inputs: int) -> Taps:
    """Taps of a bilinear resize with `align_corners=True`: the outermost pixel centres correspond."""
    position = np.arange(outputs, dtype=np.float64) * ((inputs - 1) / max(1, outputs - 1))
    first = np.floor(position).astype(np.int64)
    return _taps(first, (position - first).astype(np.float32), inputs)


def _fixed_point(scale: float, shift: float, outputs: int, is_row: bool, half: int) -> npt.NDArray[np.int64]:
    steps, unit = np.arange(outputs, dtype=np.float64), 1 << _WARP_BITS
    if is_row:
        position = np.rint((scale * steps + shift) * unit)
    else:
        position = np.rint(scale * steps * unit) + np.rint(shift * unit)
    return position.astype(np.int64) + half


def _taps(first: npt.NDArray[np.int64], weight_second: npt.NDArray[np.float32], inputs: int) -> Taps:
    second = first + 1
    weight_first = np.where((first >= 0) & (first < inputs), np.float32(1) - weight_second, np.float32(0))
    weight_second = np.where((second >= 0) & (second < inputs), weight_second, np.float32(0))
    return Taps(
        torch.from_numpy(first.clip(0, inputs - 1)),
        torch.from_numpy(second.clip(0, inputs - 1)),
        torch.from_numpy(weight_first),
        torch.from_numpy(weight_second),
    )
