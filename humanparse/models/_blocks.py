"""Blocks that several families share. Shapes are given as (batch, channels, height, width)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.bilinear import bilinear


class InPlaceAbn(nn.Module):
    """What InPlaceABN (Rota Bulo et al., CVPR 2018) does at inference: batch norm, gamma = |weight| + eps.

    Holds exactly the original's four tensors. `slope` is the leaky ReLU's; None leaves the activation out.
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


def conv_abn(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    """Bias-free convolution that keeps the size, then `InPlaceAbn` with leaky ReLU 0.01."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, InPlaceAbn(outputs, slope=0.01))


class Bottleneck(nn.Module):
    """ResNet bottleneck with the stride on its 3x3 convolution (He et al., arXiv:1512.03385, "v1.5")."""

    def __init__(
        self, inputs: int, planes: int, stride: int = 1, dilation: int = 1, project: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = InPlaceAbn(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = InPlaceAbn(planes)
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = InPlaceAbn(4 * planes)
        self.downsample: nn.Module = nn.Identity()
        if project:
            shortcut = nn.Conv2d(inputs, 4 * planes, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, InPlaceAbn(4 * planes))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, 4 * planes, h / stride, w / stride)."""
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        return F.relu(self.bn3(self.conv3(y)) + self.downsample(x), inplace=True)


def residual_layer(
    inputs: int, planes: int, blocks: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    """One ResNet stage; only its first block projects the shortcut and carries the stride."""
    first = Bottleneck(inputs, planes, stride, dilation, project=True)
    rest = [Bottleneck(4 * planes, planes, dilation=dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


class PyramidPooling(nn.Module):
    """PSP (Zhao et al., arXiv:1612.01105): averages over 1, 4, 9, 36 windows join the features themselves."""

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
