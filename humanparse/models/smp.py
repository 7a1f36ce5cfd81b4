"""SMP: Single-stage Multi-human Parsing (Chu et al., arXiv:2304.11356).

Original: cjm-sfw/SMP, no licence; written here from a description, without its code. ResNet with deformable
convolutions, feature pyramid, and branches for part categories, part kernels, people's centres, offsets from
parts to centres, and mask features. Differs from the original: it only returns maps, in which a decoder finds
people. As in the original code, the paper's refinement (RFR) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from ..ops.bilinear import bilinear
from ._fpn import (
    LEVEL_CHANNELS,
    ConvNormRelu,
    Fpn,
    ResNet,
    fused_levels,
    peaks,
    to_grid,
    tower,
    with_coordinates,
)

_FIELD = 22  # channels of the offset branch per part
_TOWER = 512
_KERNEL = 256


class SmpMaps(NamedTuple):
    """The output of `Smp` for a batch; S_l is the grid of level l, S that of level 0, C the number of parts.

    Attributes:
        category: per level float32 (B, S_l, S_l, C), probabilities; 0 except at local peaks.
        kernel: per level (B, 256, S_l, S_l).
        heat: float32 (B, S, S), probability of a person's centre; 0 except at local peaks.
        offset: (B, C, 2, S, S), x then y, in cells: a part lies at the centre minus this.
        mask_features: (B, 256, H/4, W/4), not negative.
    """

    category: list[Tensor]
    kernel: list[Tensor]
    heat: Tensor
    offset: Tensor
    mask_features: Tensor

    def of(self, index: int) -> tuple[list[Tensor], list[Tensor], Tensor, Tensor, Tensor]:
        """The maps of one photo, in the order of the fields."""
        category = [level[index] for level in self.category]
        kernel = [level[index] for level in self.kernel]
        return category, kernel, self.heat[index], self.offset[index], self.mask_features[index]


def deformable(x: Tensor, offset: Tensor, conv: nn.Conv2d, mask: Tensor | None) -> Tensor:
    """Deformable 3x3 convolution, float32 even under autocast: torchvision's CPU kernel has no bf16."""
    strength = None if mask is None else mask.float()
    y: Tensor = deform_conv2d(
        x.float(), offset.float(), conv.weight, conv.bias, conv.stride, padding=(1, 1), mask=strength
    )
    return y


class DeformableConv(nn.Conv2d):
    """Modulated deformable 3x3 convolution (DCNv2, Zhu et al., arXiv:1811.11168) in place of a plain one."""

    def __init__(self, plain: nn.Conv2d) -> None:
        stride = (plain.stride[0], plain.stride[1])
        super().__init__(plain.in_channels, plain.out_channels, 3, stride, padding=1, bias=False)
        self.conv_offset = nn.Conv2d(plain.in_channels, 27, 3, stride, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        where = self.conv_offset(x)  # 9 pairs (dy, dx), then 9 weights before the sigmoid
        return deformable(x, where[:, :18], self, where[:, 18:].sigmoid())


class AdaptBlock(nn.Module):
    """DEKR's adaptive convolution (Geng et al., arXiv:2104.02300): each cell deforms its own window."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.regular_matrix: Tensor
        rows, columns = torch.meshgrid(torch.arange(-1.0, 2.0), torch.arange(-1.0, 2.0), indexing="ij")
        self.register_buffer("regular_matrix", torch.stack((rows.flatten(), columns.flatten())))
        self.transform_matrix_conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.translation_conv = nn.Conv2d(channels, 2, 3, padding=1)
        self.adapt_conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> the same."""
        turn = self.transform_matrix_conv(x).unflatten(1, (2, 2))  # (B, 2, 2, h, w)
        window = torch.einsum("bijhw,jk->bkihw", turn, self.regular_matrix)  # (B, 9, 2, h, w), dy then dx
        moved = window - self.regular_matrix.T[None, :, :, None, None] + self.translation_conv(x)[:, None]
        y = self.bn(deformable(x, moved.flatten(1, 2), self.adapt_conv, mask=None))
        return F.relu(y + x)


class MaskLevel(nn.Module):
    """One pyramid level -> 128 channels at stride 4: one convolution, or one before each doubling."""

    def __init__(self, inputs: int, doublings: int) -> None:
        super().__init__()
        self.doublings = doublings
        for step in range(max(1, doublings)):
            self.add_module(f"conv{step}", ConvNormRelu(inputs if step == 0 else 128, 128))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, 128, h * 2**doublings, w * 2**doublings)."""
        for conv in self.children():
            x = conv(x)
            if self.doublings:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return x


class MaskFeatures(nn.Module):
    """P2..P5 -> the map that part kernels are applied to (SOLOv2, arXiv:2003.10152)."""

    def __init__(self) -> None:
        super().__init__()
        inputs = (LEVEL_CHANNELS, LEVEL_CHANNELS, LEVEL_CHANNELS, LEVEL_CHANNELS + 2)
        self.convs_all_levels = nn.ModuleList(MaskLevel(width, level) for level, width in enumerate(inputs))
        self.conv_pred = ConvNormRelu(128, _KERNEL, kernel=1)

    def forward(self, p2: Tensor, p3: Tensor, p4: Tensor, p5: Tensor) -> Tensor:
        """Strides 4 to 32, 256 channels -> (B, 256, H/4, W/4), not negative."""
        levels = (p2, p3, p4, with_coordinates(p5))
        total: Tensor = sum(conv(level) for conv, level in zip(self.convs_all_levels, levels, strict=True))
        features: Tensor = self.conv_pred(total)
        return features


class SmpHead(nn.Module):
    """P2..P6 -> `SmpMaps`; arguments as `Smp`."""

    def __init__(self, parts: int, grids: tuple[int, ...]) -> None:
        super().__init__()
        self.grids = grids
        self.mask_feature_head = MaskFeatures()
        self.cate_convs = tower(LEVEL_CHANNELS, _TOWER)
        self.solo_cate = nn.Conv2d(_TOWER, parts, 3, padding=1)
        self.kernel_convs = tower(LEVEL_CHANNELS + 2, _TOWER)
        self.solo_kernel = nn.Conv2d(_TOWER, _KERNEL, 3, padding=1)
        self.dekr_convs = nn.Conv2d(5 * LEVEL_CHANNELS, LEVEL_CHANNELS, 3, padding=1)
        self.center_convs = tower(LEVEL_CHANNELS + 2, _TOWER)
        self.center_heatmap = nn.Conv2d(_TOWER, 1, 3, padding=1)
        self.offset_convs = nn.Conv2d(5 * LEVEL_CHANNELS + 2, _FIELD * parts, 3, padding=1)
        self.offset_blocks = nn.ModuleList(AdaptBlock(_FIELD) for _ in range(parts))
        self.offset_final = nn.ModuleList(nn.Conv2d(_FIELD, 2, 1) for _ in range(parts))

    def forward(self, pyramid: Sequence[Tensor]) -> SmpMaps:
        """P2..P6, (B, 256, H/4, W/4) to (B, 256, H/64, W/64) -> the maps."""
        p2, p3, p4, p5, p6 = pyramid
        mask_features = self.mask_feature_head(p2, p3, p4, p5)  # (B, 256, H/4, W/4)
        half = bilinear(p2, (p2.shape[2] // 2, p2.shape[3] // 2), align_corners=True)
        coarse = bilinear(p6, (p5.shape[2], p5.shape[3]), align_corners=True)
        category, kernel = [], []
        for level, cells in zip((half, p3, p4, p5, coarse), self.grids, strict=True):
            found, masks = self._parts(level, cells)
            category.append(found)
            kernel.append(masks)
        fused = fused_levels(pyramid)  # (B, 1280, H/4, W/4)
        return SmpMaps(category, kernel, self._heat(fused), self._offset(fused), mask_features)

    def _parts(self, level: Tensor, cells: int) -> tuple[Tensor, Tensor]:
        """Categories of parts, (B, S, S, C), and kernels of their masks, (B, 256, S, S)."""
        located = to_grid(with_coordinates(level), cells)  # (B, 258, S, S)
        category = peaks(self.solo_cate(self.cate_convs(located[:, :-2])))
        return category.permute(0, 2, 3, 1), self.solo_kernel(self.kernel_convs(located))

    def _heat(self, fused: Tensor) -> Tensor:
        """(B, 1280, h, w) -> (B, S, S)."""
        located = to_grid(with_coordinates(self.dekr_convs(fused)), self.grids[0])  # (B, 258, S, S)
        return peaks(self.center_heatmap(self.center_convs(located)))[:, 0]

    def _offset(self, fused: Tensor) -> Tensor:
        """(B, 1280, h, w) -> (B, C, 2, S, S)."""
        located = with_coordinates(to_grid(fused, self.grids[0]))  # (B, 1282, S, S)
        fields = self.offset_convs(located).split(_FIELD, dim=1)  # one (B, 22, S, S) per part
        branches = zip(fields, self.offset_blocks, self.offset_final, strict=True)
        return torch.stack([final(block(field)) for field, block, final in branches], dim=1)


class Smp(nn.Module):
    """RGB-normalised image (B, 3, H, W), H and W multiples of 32 -> `SmpMaps`.

    Args:
        num_classes: number of labels with background; C, the number of parts, is one less.
        layers: bottlenecks per stage; (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101.
        deformable: whether the last three stages have deformable convolutions.
        grids: cells per side of each level; they do not show in a checkpoint's keys or shapes.
    """

    def __init__(
        self,
        num_classes: int,
        layers: tuple[int, ...] = (3, 4, 6, 3),
        deformable: bool = True,
        grids: tuple[int, ...] = (40, 36, 24, 16, 12),
    ) -> None:
        super().__init__()
        self.backbone = ResNet(layers, DeformableConv if deformable else None)
        self.neck = Fpn()
        self.mask_head = SmpHead(num_classes - 1, grids)

    def forward(self, image: Tensor) -> SmpMaps:
        """See the class."""
        stages = self.backbone(image)  # 256 to 2048 channels at strides 4 to 32
        pyramid = self.neck(stages)  # 256 channels at strides 4 to 64
        maps: SmpMaps = self.mask_head(pyramid)
        return maps
