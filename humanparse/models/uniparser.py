"""UniParser: multi-human parsing by cosine similarity (Chu et al., arXiv:2310.08984), the successor of SMP.

Original: cjm-sfw/Uniparser, no licence; written here from a description, without its code. SMP's backbone and
pyramid. Each pixel has two embeddings: one is compared with the embedding at a person's centre, the other
with learned class vectors. Differs from the original: it only returns maps, in which a decoder finds people;
a convolution that is only used in training is loaded but never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ._fpn import LEVEL_CHANNELS, Fpn, ResNet, fused_levels, peaks, to_grid, tower, with_coordinates
from .smp import DeformableConv

_EMBEDDING = 128


class UniParserMaps(NamedTuple):
    """The output of `UniParser` for a batch; h = H/4, w = W/4, both two more for the light head.

    Attributes:
        heat: float32 (B, S, S), probability of a person's centre; 0 except at local peaks.
        instance: (B, 128, h, w), embedding that is similar for pixels of one person; not negative.
        semantic: (B, 128, h, w), embedding that is similar for pixels of one part; not negative.
        class_vectors: (C, 128), the vectors that `semantic` is compared with.
    """

    heat: Tensor
    instance: Tensor
    semantic: Tensor
    class_vectors: Tensor

    def of(self, index: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The maps of one photo, in the order of the fields."""
        return self.heat[index], self.instance[index], self.semantic[index], self.class_vectors


class UniParserHead(nn.Module):
    """P2..P6 -> `UniParserMaps`; arguments as `UniParser`."""

    def __init__(self, parts: int, grid: int, light: bool) -> None:
        super().__init__()
        self.grid, self.light = grid, light
        # The light head pads although its kernel is 1x1, so its maps get a border that holds only the bias.
        inputs, kernel = (LEVEL_CHANNELS, 1) if light else (5 * LEVEL_CHANNELS, 3)
        self.dekr_convs = nn.Conv2d(inputs, LEVEL_CHANNELS, kernel, padding=1)
        self.segment_converts = nn.Conv2d(inputs, LEVEL_CHANNELS, kernel, padding=1)
        self.center_convs = tower(LEVEL_CHANNELS + 2, _EMBEDDING)
        self.center_heatmap = nn.Conv2d(_EMBEDDING, 1, 3, padding=1)
        self.instance_convs = tower(LEVEL_CHANNELS + 2, _EMBEDDING)
        self.semantic_convs = tower(LEVEL_CHANNELS + 2, _EMBEDDING)
        self.seg_kernels = nn.Parameter(torch.zeros(parts, _EMBEDDING))
        self.ins_coord_conv = nn.Conv2d(_EMBEDDING, 2, 3, padding=1)  # only used in training

    def forward(self, pyramid: Sequence[Tensor]) -> UniParserMaps:
        """P2..P6, (B, 256, H/4, W/4) to (B, 256, H/64, W/64) -> the maps."""
        fused = pyramid[0] if self.light else fused_levels(pyramid)  # (B, 256 or 1280, H/4, W/4)
        people = with_coordinates(self.dekr_convs(fused))  # (B, 258, h, w)
        parts = with_coordinates(self.segment_converts(fused))  # (B, 258, h, w)
        heat = peaks(self.center_heatmap(self.center_convs(to_grid(people, self.grid))))[:, 0]
        return UniParserMaps(heat, self.instance_convs(people), self.semantic_convs(parts), self.seg_kernels)


class UniParser(nn.Module):
    """RGB-normalised image (B, 3, H, W), H and W multiples of 32 -> `UniParserMaps`.

    Args:
        num_classes: number of labels with background; C, the number of parts, is one less.
        layers: bottlenecks per stage; (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101.
        light: use only the finest pyramid level, and 1x1 instead of 3x3 convolutions.
        grid: cells per side of the centres' map; it does not show in a checkpoint's keys or shapes.
    """

    def __init__(
        self, num_classes: int, layers: tuple[int, ...] = (3, 4, 6, 3), light: bool = False, grid: int = 40
    ) -> None:
        super().__init__()
        self.backbone = ResNet(layers, DeformableConv)
        self.neck = Fpn()
        self.mask_head = UniParserHead(num_classes - 1, grid, light)

    def forward(self, image: Tensor) -> UniParserMaps:
        """See the class."""
        stages = self.backbone(image)  # 256 to 2048 channels at strides 4 to 32
        pyramid = self.neck(stages)  # 256 channels at strides 4 to 64
        maps: UniParserMaps = self.mask_head(pyramid)
        return maps
