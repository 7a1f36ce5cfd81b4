"""Bilinear resize of feature maps and logits."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def bilinear(x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
    """(B, C, h, w) -> (B, C, *size)."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)
