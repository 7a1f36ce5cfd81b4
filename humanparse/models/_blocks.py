"""Blocks that several families share. Shapes are given as (batch, channels, height, width)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.bilinear import bilinear
from ._fast import SplitJoined, SplitPyramid, fold


class InPlaceAbn(nn.Module):
    """InPlaceABN (Rota Bulo et al., CVPR 2018) at inference: batch norm with gamma = |weight| + eps.

    It has the original's four tensors. `slope` is that of the leaky ReLU; None means no activation.
    """

    def __init__(self, channels: int, slope: float | None = None, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.slope, self.eps = slope, eps

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same shape."""
        gamma = self.weight.abs() + self.eps
        y = F.batch_norm(x, self.running_mean, self.running_var, gamma, self.bias, eps=self.eps)
        return y if self.slope is None else F.leaky_relu(y, self.slope, inplace=True)

    def fold_into(self, conv: nn.Conv2d) -> nn.Module:
        """Fold the norm into the convolution before it; returns the activation that remains."""
        fold(conv, self, self.weight.double().abs() + self.eps)
        return nn.Identity() if self.slope is None else nn.LeakyReLU(self.slope, inplace=True)


def conv_abn(inputs: int, outputs: int, kernel: int = 1, slope: float | None = 0.01) -> nn.Sequential:
    """Bias-free convolution that keeps the size, then `InPlaceAbn` with a leaky ReLU of that slope."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, InPlaceAbn(outputs, slope))


class Bottleneck(nn.Module):
    """ResNet bottleneck with the stride on its 3x3 convolution (He et al., arXiv:1512.03385, "v1.5")."""

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        project: bool = False,
        norm: Callable[[int], nn.Module] = InPlaceAbn,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = norm(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = norm(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = norm(4 * planes)
        self.downsample: nn.Module = nn.Identity()
        if project:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * planes, 1, stride, bias=False), norm(4 * planes)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, 4 * planes, h / stride, w / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


def residual_layer(
    inputs: int,
    planes: int,
    blocks: int,
    stride: int = 1,
    dilation: int = 1,
    first_dilation: int | None = None,
    norm: Callable[[int], nn.Module] = InPlaceAbn,
) -> nn.Sequential:
    """One ResNet stage; only its first block projects the shortcut and has the stride.

    `first_dilation` is the dilation of the first block, if it differs from that of the others.
    """
    opening = dilation if first_dilation is None else first_dilation
    first = Bottleneck(inputs, planes, stride, opening, project=True, norm=norm)
    rest = [Bottleneck(4 * planes, planes, dilation=dilation, norm=norm) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class PyramidPooling(nn.Module):
    """PSP (Zhao et al., arXiv:1612.01105): first averages over 1, 4, 9, 36 windows, then the features."""

    def __init__(self, inputs: int, outputs: int, bins: tuple[int, ...] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), *conv_abn(inputs, outputs)) for size in bins
        )
        self.bottleneck = conv_abn(inputs + len(bins) * outputs, outputs, kernel=3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        size = (x.shape[2], x.shape[3])
        priors = [bilinear(stage(x), size, align_corners=True) for stage in self.stages]
        joined: Tensor = self.bottleneck(torch.cat([*priors, x], dim=1))
        return joined

    def split(self) -> SplitPyramid:
        """A faster form of the same function; norms must already be folded."""
        return SplitPyramid(self.stages, self.bottleneck, priors_first=True, align_corners=True)


class Joined(nn.Sequential):
    """Layers on several maps, which are first enlarged to the size of the largest and concatenated.

    Args:
        layers: the first is a 1x1 convolution of all maps.
        align_corners: how maps are enlarged.
        unused: number of layers at the end that are only used in training; they are loaded but never run.
    """

    def __init__(self, *layers: nn.Module, align_corners: bool = True, unused: int = 0) -> None:
        super().__init__(*layers)
        self.align_corners, self.used = align_corners, len(layers) - unused

    def forward(self, *maps: Tensor) -> Tensor:
        """(B, *, h, w) and smaller ones -> (B, *, h, w)."""
        size = self.largest(maps)
        at_one_size = [self.enlarged(x, size) for x in maps]
        return self.after(0, torch.cat(at_one_size, dim=1))

    def enlarged(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C, *, *) -> (B, C, *size)."""
        return x if (x.shape[2], x.shape[3]) == size else bilinear(x, size, self.align_corners)

    def after(self, first: int, x: Tensor) -> Tensor:
        """Apply the layers from number `first` on to x."""
        for layer in list(self)[first : self.used]:
            x = layer(x)
        return x

    def split(self) -> SplitJoined:
        """A faster form of the same function; norms must already be folded."""
        return SplitJoined(self)

    @staticmethod
    def largest(maps: Sequence[Tensor]) -> tuple[int, int]:
        """(height, width) of the map with the most cells."""
        return max((x.shape[2], x.shape[3]) for x in maps)


class Edge(nn.Module):
    """Features of three stages -> edge features of each, for the parsing head."""

    def __init__(self, slope: float = 0.01) -> None:
        super().__init__()
        self.conv1 = conv_abn(256, 256, slope=slope)
        self.conv2 = conv_abn(512, 256, slope=slope)
        self.conv3 = conv_abn(1024, 256, slope=slope)
        self.conv4 = nn.Conv2d(256, 2, 3, padding=1)  # edge maps, only used in training
        self.conv5 = nn.Conv2d(6, 2, 1)

    def forward(self, x2: Tensor, x3: Tensor, x4: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 256, h, w), (B, 512, h/2, w/2), (B, 1024, h/4, w/4) -> 256 channels of each size."""
        return self.conv1(x2), self.conv2(x3), self.conv3(x4)
