"""UPerNet: Unified Perceptual Parsing for Scene Understanding (Xiao et al., ECCV 2018, arXiv:1807.10221).

Original: SegmentationBLWX/sssegmentation, Apache-2.0. ResNet-50 or -101 at stride 8 or 16, pyramid pooling,
a feature pyramid of 512 channels.
Differs from the original: the auxiliary head, which is only used in training, is loaded but never run; the
decoder's convolution over four concatenated levels is computed as a sum of one per level, to save memory.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.bilinear import bilinear
from ._ssseg import PyramidPooling, ResNet, conv_norm

WIDTH = 512


class UperNet(nn.Module):
    """RGB-normalised image (B, 3, H, W) -> logits (B, C, ceil(H/4), ceil(W/4)).

    Args:
        num_classes: C.
        layers: bottlenecks per stage: (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101.
        output_stride: 8 or 16.
    """

    def __init__(self, num_classes: int, layers: tuple[int, ...], output_stride: int) -> None:
        super().__init__()
        self.backbone_net = ResNet(layers, output_stride)
        self.ppm_net = PyramidPooling(2048, WIDTH, slope=0.0)
        self.lateral_convs = nn.ModuleList(conv_norm(width, WIDTH) for width in (256, 512, 1024))
        self.fpn_convs = nn.ModuleList(conv_norm(WIDTH, WIDTH, 3) for _ in range(3))
        self.decoder = _head(4 * WIDTH, num_classes)
        self.auxiliary_decoder = _head(1024, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w) with h = ceil(H/4), w = ceil(W/4)."""
        *features, x4 = self.backbone_net(image)  # (B, 256, h, w), (B, 512, h/2, w/2), (B, 1024, ...)
        top = self.ppm_net(x4)  # (B, 512, ...)
        levels = [conv(x) for conv, x in zip(self.lateral_convs, features, strict=True)]
        above = top
        for i in (2, 1, 0):
            levels[i] = levels[i] + bilinear(above, _size(levels[i]), align_corners=False)
            above = levels[i]
        size = _size(levels[0])  # (h, w)
        for i in (2, 1, 0):
            levels[i] = self.fpn_convs[i](levels[i])  # (B, 512, ...)
        levels.append(top)
        conv, norm, act, _, classifier = self.decoder
        assert isinstance(conv, nn.Conv2d)
        weights = conv.weight.chunk(4, dim=1)  # (512, 512, 3, 3) each
        fused = F.conv2d(levels.pop(0), weights[0], conv.bias, padding=1)  # (B, 512, h, w)
        for weight in weights[1:]:
            fused += F.conv2d(bilinear(levels.pop(0), size, align_corners=False), weight, padding=1)
        logits: Tensor = classifier(act(norm(fused)))
        return logits


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[2], x.shape[3]


def _head(inputs: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(*conv_norm(inputs, WIDTH, 3), nn.Dropout2d(0.1), nn.Conv2d(WIDTH, num_classes, 1))
