"""CE2P as implemented in SSSegmentation (Ruan et al., AAAI 2019, arXiv:1809.05996).

Original: SegmentationBLWX/sssegmentation, Apache-2.0. ResNet-50 or -101 at stride 8 or 16, pyramid pooling,
an edge branch, and a wider second stage than in the authors' CE2P (`ce2p_v1.py`, `ce2p_v2.py`), so
checkpoints of one do not fit the other. Plain batch norm, ReLU in the backbone, leaky ReLU after it.
Differs from the original: the first stage's classifier and the edge maps, which are only used in training,
are loaded but never run.
"""

from __future__ import annotations

from torch import Tensor, nn

from ._blocks import Joined
from ._ssseg import PyramidPooling, ResNet, conv_norm

SLOPE = 0.01


class Edge(nn.Module):
    """Features of three stages -> edge features of each."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(conv_norm(width, 256, slope=SLOPE) for width in (256, 512, 1024))
        self.edge_conv = nn.Conv2d(256, 2, 3, padding=1)  # edge maps, only used in training
        self.fuse_conv = nn.Conv2d(6, 2, 1)

    def forward(self, *stages: Tensor) -> list[Tensor]:
        """(B, 256, h, w) and two of smaller or equal size -> 256 channels of each."""
        return [branch(x) for branch, x in zip(self.branches, stages, strict=True)]


class Ce2p(nn.Module):
    """RGB-normalised image (B, 3, H, W) -> logits (B, C, ceil(H/4), ceil(W/4)).

    Args:
        num_classes: C.
        layers: bottlenecks per stage: (3, 4, 6, 3) is ResNet-50, (3, 4, 23, 3) ResNet-101.
        output_stride: 8 or 16.
    """

    def __init__(self, num_classes: int, layers: tuple[int, ...], output_stride: int) -> None:
        super().__init__()
        self.backbone_net = ResNet(layers, output_stride)
        self.ppm_net = PyramidPooling(2048, 512, SLOPE)
        self.edge_net = Edge()
        self.shortcut = conv_norm(256, 48, slope=SLOPE)
        self.decoder_stage1 = _stage(560, num_classes, unused=1)  # its classifier is not run
        self.decoder_stage2 = _stage(1280, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w) with h = ceil(H/4), w = ceil(W/4)."""
        x1, x2, x3, x4 = self.backbone_net(image)  # x1 (B, 256, h, w)
        context = self.ppm_net(x4)  # (B, 512, h/2, w/2) or (B, 512, h/4, w/4)
        part = self.decoder_stage1(context, self.shortcut(x1))  # (B, 512, h, w)
        edge = self.edge_net(x1, x2, x3)  # (B, 256, h, w) and two of smaller size
        logits: Tensor = self.decoder_stage2(part, *edge)
        return logits


def _stage(inputs: int, num_classes: int, unused: int = 0) -> Joined:
    return Joined(
        *conv_norm(inputs, 512, slope=SLOPE),
        *conv_norm(512, 512, slope=SLOPE),
        nn.Dropout2d(0.1),
        nn.Conv2d(512, num_classes, 1),
        align_corners=False,
        unused=unused,
    )
