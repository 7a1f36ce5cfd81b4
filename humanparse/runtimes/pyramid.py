"""Pyramid pooling without enlarged maps: half of the widest convolution, on 50 cells, not on the grid."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models import _blocks, _ssseg
from ..ops.bilinear import bilinear


class SplitPyramid(nn.Module):
    """The same function, up to rounding, as a pyramid whose norms are folded.

    A 3x3 convolution of an enlarged map is a sum over cells and taps: each cell of the small map, times the
    tap's weights, counts at a grid point as much as the enlarged cell does at the neighbour that the tap
    reads. How much is one matrix for each grid size. Of the concatenation only the features themselves are
    then convolved on the grid.

    Args:
        stages: each pools (B, inputs, h, w) to (B, outputs, s, s), s by s.
        bottleneck: convolution of all maps together, then what follows it.
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
        """(h * w, cells * 9): how much each tap on each cell counts at each grid point."""
        kept = self._spread.get((height, width))
        if kept is not None:
            return kept
        parts = []
        for side in sides:
            cells = torch.eye(side * side, device=device).view(1, side * side, side, side)
            enlarged = bilinear(cells, (height, width), self.align_corners)
            parts.append(F.unfold(enlarged, 3, padding=1)[0])  # (s * s * 9, h * w)
        matrix = torch.cat(parts).T.contiguous()
        self._spread = {(height, width): matrix}  # pictures of one size come one after the other
        return matrix


def split_pyramids(network: nn.Module) -> None:
    """Replace every pyramid of a network by its `SplitPyramid`; norms must be folded before."""
    for module in network.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, _blocks.PyramidPooling):
                split = SplitPyramid(child.stages, child.bottleneck, priors_first=True, align_corners=True)
            elif isinstance(child, _ssseg.PyramidPooling):
                split = SplitPyramid(
                    child.branches, child.bottleneck, priors_first=False, align_corners=False
                )
            else:
                continue
            setattr(module, name, split)
