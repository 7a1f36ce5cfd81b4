"""Shared parts of SMP and UniParser: ResNet, feature pyramid, towers. Shapes are (batch, channels, h, w)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.bilinear import bilinear
from ._blocks import residual_layer

LEVEL_CHANNELS = 256


class ResNet(nn.Module):
    """ResNet "v1.5" with a 7x7 stem and the features of all four stages.

    Args:
        layers: bottlenecks per stage.
        deform: makes the 3x3 convolutions of the last three stages deformable; None leaves them plain.
    """

    def __init__(
        self, layers: tuple[int, ...], deform: Callable[[nn.Conv2d], nn.Module] | None = None
    ) -> None:
        super().__init__()
        norm = nn.BatchNorm2d
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = norm(64)
        self.layer1 = residual_layer(64, 64, layers[0], norm=norm)
        self.layer2 = residual_layer(256, 128, layers[1], stride=2, norm=norm)
        self.layer3 = residual_layer(512, 256, layers[2], stride=2, norm=norm)
        self.layer4 = residual_layer(1024, 512, layers[3], stride=2, norm=norm)
        if deform is not None:
            for block in (*self.layer2, *self.layer3, *self.layer4):
                block.conv2 = deform(block.conv2)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> 256, 512, 1024 and 2048 channels at strides 4, 8, 16 and 32."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)  # (B, 64, H/2, W/2)
        c2 = self.layer1(F.max_pool2d(x, 3, stride=2, padding=1))
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return [c2, c3, c4, self.layer4(c4)]


class FpnConv(nn.Module):
    """A convolution with bias that keeps the size, with the key of mmdetection's wrapper."""

    def __init__(self, inputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, LEVEL_CHANNELS, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, 256, h, w)."""
        y: Tensor = self.conv(x)
        return y


class Fpn(nn.Module):
    """Feature pyramid (Lin et al., arXiv:1612.03144) with every second cell of P5 as P6."""

    def __init__(self) -> None:
        super().__init__()
        self.lateral_convs = nn.ModuleList(FpnConv(inputs, 1) for inputs in (256, 512, 1024, 2048))
        self.fpn_convs = nn.ModuleList(FpnConv(LEVEL_CHANNELS, 3) for _ in range(4))

    def forward(self, stages: Sequence[Tensor]) -> list[Tensor]:
        """Features of four stages -> P2..P6, 256 channels each, at strides 4 to 64."""
        levels: list[Tensor] = [
            lateral(stage) for lateral, stage in zip(self.lateral_convs, stages, strict=True)
        ]
        for fine in (2, 1, 0):
            size = (levels[fine].shape[2], levels[fine].shape[3])
            levels[fine] = levels[fine] + F.interpolate(levels[fine + 1], size=size, mode="nearest")
        pyramid = [conv(level) for conv, level in zip(self.fpn_convs, levels, strict=True)]
        return [*pyramid, pyramid[3][:, :, ::2, ::2]]


class ConvNormRelu(nn.Module):
    """A convolution without bias that keeps the size, group norm with 32 groups, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.gn = nn.GroupNorm(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w), not negative."""
        return F.relu(self.gn(self.conv(x)), inplace=True)


def tower(inputs: int, width: int) -> nn.Sequential:
    """Four 3x3 convolutions with group norm and ReLU."""
    return nn.Sequential(ConvNormRelu(inputs, width), *(ConvNormRelu(width, width) for _ in range(3)))


def with_coordinates(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C + 2, h, w): column, then row, each from -1 to 1 (CoordConv, arXiv:1807.03247)."""
    batch, _, height, width = x.shape
    columns = torch.linspace(-1, 1, width, device=x.device, dtype=x.dtype).expand(batch, 1, height, width)
    rows = torch.linspace(-1, 1, height, device=x.device, dtype=x.dtype)[:, None]
    return torch.cat((x, columns, rows.expand(batch, 1, height, width)), dim=1)


def to_grid(x: Tensor, cells: int) -> Tensor:
    """(B, C, h, w) -> (B, C, cells, cells); the aspect is not kept."""
    return bilinear(x, (cells, cells), align_corners=True)


def fused_levels(pyramid: Sequence[Tensor]) -> Tensor:
    """P2..P6 -> (B, 1280, h, w), all enlarged to P2's size and concatenated."""
    size = (pyramid[0].shape[2], pyramid[0].shape[3])
    enlarged = [bilinear(level, size, align_corners=True) for level in pyramid[1:]]
    return torch.cat([pyramid[0], *enlarged], dim=1)


def peaks(logits: Tensor) -> Tensor:
    """Logits (B, C, h, w) -> probabilities; 0 if the cell above, left or upper left is higher.

    As in SOLOv2's code, the 2x2 window is one-sided: it extends up and to the left only.
    """
    heat = logits.float().sigmoid()
    around = F.max_pool2d(heat, 2, stride=1, padding=1)[:, :, :-1, :-1]
    return heat * (around == heat)
