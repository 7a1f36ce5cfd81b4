"""The back direction: resamples logits to the picture's size and takes the best class of each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import Tensor

from .confidence import Agreed, runs
from .taps import Taps

_STRIP = 2**20
"""Number of resampled floats held at a time."""


View = tuple[Tensor, Taps, Taps]
"""Logits float32 (C, h, w), C at most 255, and the taps of the H rows and W columns of the result."""


def resample_argmax_reference(
    views: Sequence[View], confidence: bool = False
) -> tuple[Tensor, Tensor | None]:
    """`resample_argmax` by its definition, on whole `(C, H, W)` arrays."""
    full = torch.stack([resample_reference(*view) for view in views]).mean(dim=0)
    labels = full.argmax(dim=0).to(torch.uint8)
    return labels, full.softmax(dim=0).amax(dim=0).to(torch.float16) if confidence else None


def resample_reference(logits: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """Bilinear resampling alone: (C, h, w) -> (C, H, W)."""
    weights = [
        (rows.weight_first[:, None] * columns.weight_first, rows.first, columns.first),
        (rows.weight_first[:, None] * columns.weight_second, rows.first, columns.second),
        (rows.weight_second[:, None] * columns.weight_first, rows.second, columns.first),
        (rows.weight_second[:, None] * columns.weight_second, rows.second, columns.second),
    ]
    full = torch.zeros((logits.shape[0], len(rows), len(columns)), dtype=logits.dtype, device=logits.device)
    for weight, row, column in weights:
        full += logits[:, row][:, :, column] * weight
    return full


def resample_argmax(views: Sequence[View], confidence: bool = False) -> tuple[Tensor, Tensor | None]:
    """Resample bilinearly, take the mean over views, then the argmax; strip by strip, to bound the memory.

    Products and sums are taken in OpenCV 4's order, so float32 results equal its `warpAffine` of each
    channel. Where all four input pixels have the same best class, it is also the result's, because no weight
    is negative; so only pixels at the borders of parts are interpolated.

    Args:
        views: logits of the same picture, usually one, each with its taps.
        confidence: also give the softmax probability of the chosen class.

    Returns:
        labels uint8 (H, W), the first of equal maxima; confidence float16 (H, W), 0-1, or None.
    """
    logits, rows, columns = views[0]
    if logits.is_cuda and len(views) == 1 and find_spec("triton") is not None:
        from .resample_argmax_triton import resample_argmax_triton

        return resample_argmax_triton(logits, rows, columns, confidence)
    packed = [view.permute(1, 2, 0).contiguous() for view, _, _ in views]  # (h, w, C): read pixel by pixel
    if len(views) == 1:
        return _one_view(logits, packed[0], rows, columns, confidence)
    height, width = len(rows), len(columns)
    labels = torch.empty((height, width), dtype=torch.uint8, device=logits.device)
    confidences = (
        torch.empty((height, width), dtype=torch.float16, device=logits.device) if confidence else None
    )
    step = max(1, _STRIP // (width * logits.shape[0]))
    for top in range(0, height, step):
        strip = _bilinear(packed[0], rows.span(top, top + step), columns)  # (step, W, C)
        for pixels, (_, down, across) in zip(packed[1:], views[1:], strict=True):
            strip += _bilinear(pixels, down.span(top, top + step), across)
        best = strip.max(dim=2)
        labels[top : top + step] = best.indices.to(torch.uint8)
        if confidences is not None:
            strip /= len(views)
            confidences[top : top + step] = (
                (best.values / len(views) - strip.logsumexp(dim=2)).exp().to(torch.float16)
            )
    return labels, confidences


_MIXED = 255
"""Marks pixels whose class must be interpolated; there are at most 255 classes."""


def _one_view(
    logits: Tensor, packed: Tensor, rows: Taps, columns: Taps, confidence: bool
) -> tuple[Tensor, Tensor | None]:
    """`resample_argmax` of one view, passed as (C, h, w) and as (h, w, C)."""
    best = packed.max(dim=2).indices.to(torch.uint8)  # (h, w)
    down, first, second, inside_rows = _pairs(rows, packed.shape[0])
    across, left, right, inside_columns = _pairs(columns, packed.shape[1])
    upper, lower = best.index_select(0, first), best.index_select(0, second)
    between = upper.index_select(1, left)  # one value per pair of rows and pair of columns
    mixed = between != upper.index_select(1, right)
    mixed |= between != lower.index_select(1, left)
    mixed |= between != lower.index_select(1, right)
    between.masked_fill_(mixed, _MIXED)
    between *= inside_rows[:, None] & inside_columns  # 0 where nothing is read
    labels = between.index_select(1, across).index_select(0, down)  # rows last: they are copied whole
    if not confidence:
        _interpolate(labels, None, labels == _MIXED, packed, rows, columns)
        return labels, None
    height, width = labels.shape
    flat = torch.ones(height * width + 1, device=labels.device)
    lines, places = runs(rows, down, width, flat.numel() - 1), runs(columns, across, 1, flat.numel() - 1)
    agreed = Agreed(logits)
    busy = (between != _MIXED).index_select(0, lines.pair).index_select(1, places.pair)
    busy &= ~agreed.calm(lines, places)
    steep = agreed.fill(flat, lines, places, busy)
    exact, confidences = labels == _MIXED, flat[:-1].view(height, width)
    if steep.any():
        exact |= steep.index_select(1, places.number).index_select(0, lines.number)
    _interpolate(labels, confidences, exact, packed, rows, columns)
    return labels, confidences.to(torch.float16)


def _interpolate(
    labels: Tensor, confidences: Tensor | None, exact: Tensor, packed: Tensor, rows: Taps, columns: Taps
) -> None:
    """From interpolated logits, write labels that are `_MIXED`, and confidences where `exact` is true."""
    cells, width = packed.view(-1, packed.shape[2]), packed.shape[1]  # (h * w, C)
    step = max(1, _STRIP // (4 * len(columns)))
    for top in range(0, len(rows), step):
        strip, span = labels[top : top + step], rows.span(top, top + step)
        y, x = exact[top : top + step].nonzero(as_tuple=True)
        for start in range(0, len(y), _STRIP // 16):
            down, across = y[start : start + _STRIP // 16], x[start : start + _STRIP // 16]
            total = _at(cells, width, span, columns, down, across)  # (n, C)
            best, known = total.max(dim=1), strip[down, across]
            strip[down, across] = torch.where(known == _MIXED, best.indices.to(torch.uint8), known)
            if confidences is not None:
                odds = total.sub_(best.values[:, None]).exp_().sum(dim=1)
                confidences[top : top + step][down, across] = odds.reciprocal_()


def _pairs(taps: Taps, inputs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Group outputs by the two inputs that they read, and by whether any weight is above 0.

    Args:
        taps: the taps of n outputs.
        inputs: length of the input.

    Returns:
        The pair of each output, int64 (n,); then for each pair its first input, its second input, and whether
        any weight is above 0.
    """
    counts = (taps.weight_first + taps.weight_second) > 0
    codes, pair = torch.unique_consecutive(
        (taps.first * inputs + taps.second) * 2 + counts, return_inverse=True
    )
    inside, both = codes % 2 == 1, codes // 2
    return pair, both // inputs, both % inputs, inside


def _at(cells: Tensor, width: int, rows: Taps, columns: Taps, y: Tensor, x: Tensor) -> Tensor:
    """Logits of single output pixels: (h * w, C) and positions (n,) -> (n, C)."""
    upper, lower = rows.first[y] * width, rows.second[y] * width
    left, right = columns.first[x], columns.second[x]
    above, below = rows.weight_first[y, None], rows.weight_second[y, None]
    before, after = columns.weight_first[x, None], columns.weight_second[x, None]
    total = cells.index_select(0, upper + left).mul_(above * before)
    total += cells.index_select(0, upper + right).mul_(above * after)
    total += cells.index_select(0, lower + left).mul_(below * before)
    total += cells.index_select(0, lower + right).mul_(below * after)
    return total


def _bilinear(packed: Tensor, rows: Taps, columns: Taps) -> Tensor:
    upper, lower = packed.index_select(0, rows.first), packed.index_select(0, rows.second)  # (n, w, C)
    above, below = rows.weight_first[:, None, None], rows.weight_second[:, None, None]
    left, right = columns.weight_first[:, None], columns.weight_second[:, None]
    total = upper.index_select(1, columns.first).mul_(above * left)
    total += upper.index_select(1, columns.second).mul_(above * right)
    total += lower.index_select(1, columns.first).mul_(below * left)
    total += lower.index_select(1, columns.second).mul_(below * right)
    return total
