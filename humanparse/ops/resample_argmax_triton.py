"""The back direction on CUDA: one kernel that reads logits (C, h, w) and writes labels (H, W)."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from .taps import Taps

_BLOCK = 256
"""Output pixels per program."""


def resample_argmax_triton(
    logits: Tensor, rows: Taps, columns: Taps, confidence: bool = False
) -> tuple[Tensor, Tensor | None]:
    """`resample_argmax` of one view, on a CUDA device; see there."""
    classes, _, width = logits.shape
    size = (len(rows), len(columns))
    labels = torch.empty(size, dtype=torch.uint8, device=logits.device)
    confidences = torch.empty(size, dtype=torch.float16, device=logits.device) if confidence else None
    programs = (triton.cdiv(size[0] * size[1], _BLOCK),)
    _resample_argmax[programs](
        logits.contiguous(),
        *(rows.first, rows.second, rows.weight_first, rows.weight_second),
        *(columns.first, columns.second, columns.weight_first, columns.weight_second),
        labels,
        labels if confidences is None else confidences,
        classes,
        logits.shape[1] * width,
        width,
        size[1],
        size[0] * size[1],
        CONFIDENCE=confidence,
        BLOCK=_BLOCK,
    )
    return labels, confidences


@triton.jit  # type: ignore[untyped-decorator]
def _resample_argmax(  # type: ignore[no-untyped-def]
    logits,
    top,
    bottom,
    above,
    below,
    left,
    right,
    before,
    after,
    labels,
    confidences,
    classes,
    plane,
    stride,
    width,
    pixels,
    CONFIDENCE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    y, x = pixel // width, pixel % width
    upper = tl.load(top + y, inside, 0) * stride
    lower = tl.load(bottom + y, inside, 0) * stride
    first, second = tl.load(left + x, inside, 0), tl.load(right + x, inside, 0)
    weight_up, weight_down = tl.load(above + y, inside, 0.0), tl.load(below + y, inside, 0.0)
    weight_left, weight_right = tl.load(before + x, inside, 0.0), tl.load(after + x, inside, 0.0)
    best = tl.full((BLOCK,), float("-inf"), tl.float32)
    label = tl.zeros((BLOCK,), tl.int32)
    total = tl.zeros((BLOCK,), tl.float32)  # of exp(value - best), over the classes so far
    for number in range(classes):
        at = logits + number * plane
        value = tl.load(at + upper + first, inside, 0.0) * (weight_up * weight_left)
        value += tl.load(at + upper + second, inside, 0.0) * (weight_up * weight_right)
        value += tl.load(at + lower + first, inside, 0.0) * (weight_down * weight_left)
        value += tl.load(at + lower + second, inside, 0.0) * (weight_down * weight_right)
        higher = tl.maximum(best, value)
        if CONFIDENCE:
            total = total * tl.exp(best - higher) + tl.exp(value - higher)
        label = tl.where(value > best, number, label)
        best = higher
    tl.store(labels + pixel, label.to(tl.uint8), inside)
    if CONFIDENCE:
        tl.store(confidences + pixel, (1 / total).to(tl.float16), inside)
