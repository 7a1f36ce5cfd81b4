"""Shared parts of SSSegmentation's CE2P and UPerNet. Shapes are (batch, channels, height, width)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.bilinear import bilinear
from ._blocks import residual_layer
from ._fast import SplitPyramid

# Output stride: (stride, dilation of the first block, of the others) of layer3 and of layer4.
_STRIDES = {8: ((1, 1, 2), (1, 2, 4)), 16: ((2, 1, 1), (1, 1, 2))}


def conv_norm(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, slope: float = 0.0
) -> nn.Sequential:
    """Bias-free convolution, batch norm, and ReLU with that slope for negative values."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(slope, inplace=True))


class ResNet(nn.Module):
    """ResNet "V1c": a stem of three 3x3 convolutions; after the output stride, dilated instead of strided.

    Args:
        layers: bottlenecks per stage.
        output_stride: 8 or 16; it does not show in a checkpoint's keys or shapes.
    """

    def __init__(self, layers: tuple[int, ...], output_stride: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *conv_norm(3, 32, 3, stride=2), *conv_norm(32, 32, 3), *conv_norm(32, 64, 3)
        )
        (stride3, first3, rest3), (stride4, first4, rest4) = _STRIDES[output_stride]
        norm = nn.BatchNorm2d
        self.layer1 = residual_layer(64, 64, layers[0], norm=norm)
        self.layer2 = residual_layer(256, 128, layers[1], stride=2, norm=norm)
        self.layer3 = residual_layer(512, 256, layers[2], stride3, rest3, first3, norm)
        self.layer4 = residual_layer(1024, 512, layers[3], stride4, rest4, first4, norm)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> (B, 256, H/4, W/4), (B, 512, H/8, W/8), and 1024 and 2048 at the output stride."""
        x = F.max_pool2d(self.stem(image), 3, stride=2, padding=1)  # (B, 64, H/4, W/4)
        x1 = self.layer1(x)
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        return x1, x2, x3, self.layer4(x3)


class PyramidPooling(nn.Module):
    """PSP (Zhao et al., arXiv:1612.01105): first the features, then averages over 1, 4, 9, 36 windows."""

    def __init__(self, inputs: int, outputs: int, slope: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), *conv_norm(inputs, outputs, slope=slope))
            for size in (1, 2, 3, 6)
        )
        self.bottleneck = conv_norm(inputs + 4 * outputs, outputs, 3, slope=slope)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        size = (x.shape[2], x.shape[3])
        priors = [bilinear(branch(x), size, align_corners=False) for branch in self.branches]
        joined: Tensor = self.bottleneck(torch.cat([x, *priors], dim=1))
        return joined

    def split(self) -> SplitPyramid:
        """A faster form of the same function; norms must already be folded."""
        return SplitPyramid(self.branches, self.bottleneck, priors_first=False, align_corners=False)
