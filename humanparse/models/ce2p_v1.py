"""CE2P: Devil in the Details, Towards Accurate ... Human Parsing (Ruan et al., AAAI 2019, arXiv:1809.05996).

Originals: liutinglt/CE2P before February 2019 and RanTaimu/M-CE2P (several people), no licence. ResNet-101
with a 7x7 stem at stride 16, pyramid pooling, an edge branch and one fusion head; norms are followed by ReLU,
which is leaky only in the pyramid.
Differs from the originals: they ran on PyTorch 0.3, whose bilinear resize aligned corners by default, so
`align_corners` is set here; the auxiliary parsing head and the edge classifiers are loaded but never run.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ._blocks import Edge, InPlaceAbn, Joined, PyramidPooling, conv_abn, residual_layer


class Decoder(nn.Module):
    """Context at stride 16 and details at stride 4 -> parsing features at stride 4."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = conv_abn(512, 256, slope=0.0)
        self.conv2 = conv_abn(256, 48, slope=0.0)
        self.conv3 = Joined(
            *conv_abn(304, 256, slope=None), nn.ReLU(), *conv_abn(256, 256, slope=None), nn.ReLU()
        )
        self.conv4 = nn.Conv2d(256, num_classes, 1)  # auxiliary parsing, only used in training

    def forward(self, context: Tensor, details: Tensor) -> Tensor:
        """(B, 512, h/4, w/4), (B, 256, h, w) -> (B, 256, h, w)."""
        fused: Tensor = self.conv3(self.conv1(context), self.conv2(details))
        return fused


class Ce2pV1(nn.Module):
    """BGR image minus its mean (B, 3, H, W) -> part logits (B, C, h, w), h and w a quarter, rounded up.

    Args:
        num_classes: C.
        layers: bottlenecks per stage; (3, 4, 23, 3) is ResNet-101, the only one published.
    """

    def __init__(self, num_classes: int, layers: tuple[int, ...] = (3, 4, 23, 3)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = InPlaceAbn(64)
        self.layer1 = residual_layer(64, 64, layers[0])
        self.layer2 = residual_layer(256, 128, layers[1], stride=2)
        self.layer3 = residual_layer(512, 256, layers[2], stride=2)
        self.layer4 = residual_layer(1024, 512, layers[3], dilation=2)
        self.layer5 = PyramidPooling(2048, 512)
        self.edgelayer = Edge(slope=0.0)
        self.layer6 = Decoder(num_classes)
        self.layer7 = Joined(*conv_abn(1024, 256, slope=None), nn.ReLU(), nn.Conv2d(256, num_classes, 1))

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w); 473 pixels give 119 cells, 384 give 97."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)  # (B, 64, 2h, 2w)
        x = F.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True)  # (B, 64, h, w)
        x2 = self.layer1(x)  # (B, 256, h, w)
        x3 = self.layer2(x2)  # (B, 512, h/2, w/2)
        x4 = self.layer3(x3)  # (B, 1024, h/4, w/4)
        context = self.layer5(self.layer4(x4))  # (B, 512, h/4, w/4)
        part = self.layer6(context, x2)  # (B, 256, h, w)
        edge = self.edgelayer(x2, x3, x4)  # (B, 256, h, w) (B, 256, h/2, w/2) (B, 256, h/4, w/4)
        logits: Tensor = self.layer7(part, *edge)
        return logits
