"""Faster forms of blocks, equal up to rounding; a block returns its own by `fold_into`, `merged` or `split`.

Norms are folded into convolutions. Convolutions of enlarged maps are computed before the maps are enlarged,
on fewer cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.bilinear import bilinear

if TYPE_CHECKING:
    from ._blocks import InPlaceAbn, Joined


def fold(conv: nn.Conv2d, norm: nn.BatchNorm2d | InPlaceAbn, gamma: Tensor) -> None:
    """Fold a norm with the factor `gamma`, float64 (C,), into the convolution before it, in float64."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = gamma / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    before = 0 if conv.bias is None else conv.bias.double() * scale
    weight = conv.weight.double() * scale[:, None, None, None]
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    conv.bias = nn.Parameter((before + shift).to(dtype), requires_grad=False)


class SplitPyramid(nn.Module):
    """The same function, up to rounding, as a pyramid whose norms are folded.

    A 3x3 convolution of an enlarged map is a sum over the cells of the small map and the nine taps. The term
    of a cell and a tap is the cell times the tap's weights, multiplied by the cell's interpolation weight at
    the neighbour that the tap reads. These interpolation weights are one matrix for each grid size. So only
    the features themselves must be convolved on the grid.

    Args:
        stages: each pools (B, inputs, h, w) to (B, outputs, s, s), with its own s.
        bottleneck: the convolution of all maps together, then the layers after it.
        priors_first: whether the pooled maps come before the features in the concatenation.
        align_corners: how pooled maps are enlarged.
    """

    def __init__(
        self, stages: nn.ModuleList, bottleneck: nn.Sequential, priors_first: bool, align_corners: bool
    ) -> None:
        super().__init__()
        conv, *rest = bottleneck
        assert isinstance(conv, nn.Conv2d)
        self.stages, self.rest, self.align_corners = stages, nn.Sequential(*rest), align_corners
        outputs, taps = conv.out_channels, 9
        pooled = outputs * len(stages)
        own = slice(pooled, None) if priors_first else slice(0, conv.in_channels - pooled)
        others = slice(0, pooled) if priors_first else slice(conv.in_channels - pooled, None)
        self.features = nn.Parameter(
            conv.weight[:, own].clone(memory_format=torch.channels_last), requires_grad=False
        )
        self.bias = conv.bias
        by_stage = conv.weight[:, others].reshape(outputs, len(stages), outputs, taps)
        self.priors = nn.Parameter(by_stage.permute(1, 2, 3, 0).contiguous(), requires_grad=False)
        self._spread: dict[tuple[int, int], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        batch, _, height, width = x.shape
        own = F.conv2d(x, self.features, self.bias, padding=1)
        sides, cells = [], []
        for stage, weight in zip(self.stages, self.priors, strict=True):
            prior = stage(x)  # (B, outputs, s, s)
            sides.append(prior.shape[2])
            product = prior.flatten(2).transpose(1, 2) @ weight.flatten(1)  # (B, s * s, 9 * outputs)
            cells.append(product.reshape(batch, -1, own.shape[1]))  # (B, s * s * 9, outputs)
        spread = self._matrix(tuple(sides), height, width, x.device)
        pooled = spread.to(cells[0].dtype) @ torch.cat(cells, dim=1)  # (B, h * w, outputs)
        joined: Tensor = self.rest(own + pooled.view(batch, height, width, -1).permute(0, 3, 1, 2))
        return joined

    def _matrix(self, sides: tuple[int, ...], height: int, width: int, device: torch.device) -> Tensor:
        """(h * w, cells * 9): the weight of each cell and tap at each grid point."""
        kept = self._spread.get((height, width))
        if kept is not None:
            return kept
        parts = []
        for side in sides:
            cells = torch.eye(side * side, dtype=torch.float32, device=device).view(
                1, side * side, side, side
            )
            enlarged = bilinear(cells, (height, width), self.align_corners)
            parts.append(F.unfold(enlarged, 3, padding=1)[0])  # (s * s * 9, h * w)
        matrix = torch.cat(parts).T.contiguous()
        self._spread = {(height, width): matrix}  # only the last size: consecutive pictures often share it
        return matrix


class SplitJoined(nn.Module):
    """The same function, up to rounding, as a `Joined` whose norms are folded.

    A 1x1 convolution treats each cell alone. So it can be divided among the maps and applied before they are
    enlarged. Maps of the same size stay together.
    """

    def __init__(self, joined: Joined) -> None:
        super().__init__()
        conv = joined[0]
        assert isinstance(conv, nn.Conv2d) and conv.kernel_size == (1, 1)
        self.conv, self.joined = conv, joined

    def forward(self, *maps: Tensor) -> Tensor:
        """(B, *, h, w) and smaller ones -> (B, *, h, w)."""
        size = self.joined.largest(maps)
        weights = torch.split(self.conv.weight, [x.shape[1] for x in maps], dim=1)
        alike: dict[tuple[int, int], list[int]] = {size: []}
        for place, x in enumerate(maps):
            alike.setdefault((x.shape[2], x.shape[3]), []).append(place)
        total: Tensor | None = None
        for side, places in alike.items():
            x = torch.cat([maps[place] for place in places], dim=1)
            weight = torch.cat([weights[place] for place in places], dim=1)
            x = F.conv2d(x, weight, self.conv.bias if side == size else None)
            total = x if total is None else total.add_(self.joined.enlarged(x, size))
        assert total is not None
        return self.joined.after(1, total)


class LinearDecoder(nn.Module):
    """The same function, up to rounding, as SegFormer's decoder whose norm is folded.

    Everything between a stage's map and the fused map is linear: the stage's linear layer, the enlargement,
    and the stage's part of the fusing convolution. So each stage gets one merged 1x1 convolution, on its own
    grid, before it is enlarged. The constant terms become one bias. Products of weights are computed in
    float64.

    Args:
        linear: linear layer of each stage, to the decoder's width.
        fuse: 1x1 convolution of all stages together, the last stage first; with the norm folded in.
        classifier: 1x1 convolution after `fuse` and its ReLU.
    """

    def __init__(self, linear: Sequence[nn.Linear], fuse: nn.Conv2d, classifier: nn.Conv2d) -> None:
        super().__init__()
        assert fuse.bias is not None
        shares = fuse.weight[:, :, 0, 0].double().chunk(len(linear), dim=1)[::-1]
        self.weights = nn.ParameterList(
            nn.Parameter((share @ layer.weight.double()).to(fuse.weight.dtype)[:, :, None, None], False)
            for layer, share in zip(linear, shares, strict=True)
        )
        constant = sum(share @ layer.bias.double() for layer, share in zip(linear, shares, strict=True))
        self.bias = nn.Parameter((fuse.bias.double() + constant).to(fuse.bias.dtype), False)
        self.classifier = classifier

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of all stages -> logits (B, C, h, w) on the first one's grid."""
        grid = (maps[0].shape[2], maps[0].shape[3])
        fused = F.conv2d(maps[0], self.weights[0], self.bias)
        for x, weight in zip(maps[1:], list(self.weights)[1:], strict=True):
            fused = fused.add_(bilinear(F.conv2d(x, weight), grid, align_corners=False))
        logits: Tensor = self.classifier(F.relu(fused, inplace=True))
        return logits
