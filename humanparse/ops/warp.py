"""The forward direction: warps a picture to the network's input, as uint8."""

from __future__ import annotations

import torch
from torch import Tensor

from .taps import Taps


def warp_uint8_reference(image: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """`warp_uint8` by its definition: four products with 15-bit weights, then one rounding."""
    total = torch.zeros((len(rows), len(columns), image.shape[2]), dtype=torch.int64, device=image.device)
    for row, row_weight in ((rows.first, rows.weight_first), (rows.second, rows.weight_second)):
        for column, weight in (
            (columns.first, columns.weight_first),
            (columns.second, columns.weight_second),
        ):
            fixed = (row_weight[:, None] * weight[None, :] * 2**15).to(torch.int64)
            total += image[row][:, column].to(torch.int64) * fixed[:, :, None]
    return ((total + 2**14) >> 15).to(torch.uint8)


def warp_uint8(image: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Resample a picture exactly as OpenCV 4's uint8 `warpAffine` does.

    Args:
        image: uint8 (H, W, channels).
        rows, columns: taps with weights in multiples of 1/32, as `warp_taps` gives them.

    Returns:
        uint8 (len(rows), len(columns), channels).
    """
    down = (rows.weight_first * 32).to(torch.int32), (rows.weight_second * 32).to(torch.int32)
    across = (columns.weight_first * 32).to(torch.int32), (columns.weight_second * 32).to(torch.int32)
    lines = image[rows.first] * down[0][:, None, None] + image[rows.second] * down[1][:, None, None]
    total = lines[:, columns.first] * across[0][:, None] + lines[:, columns.second] * across[1][:, None]
    return ((total * 32 + 2**14) >> 15).to(torch.uint8)
