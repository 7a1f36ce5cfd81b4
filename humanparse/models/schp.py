"""SCHP: Self-Correction for Human Parsing (Li et al., TPAMI 2020, arXiv:1910.09777).

Original: GoGoDuck912/Self-Correction-Human-Parsing, MIT. ResNet-101 at stride 16, pyramid pooling, an edge
branch and one fusion head.
Differs from the original: InPlaceABN is plain torch, with its inference formula only; the auxiliary parsing
head and the edge classifiers are loaded but never run.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ._blocks import Edge, InPlaceAbn, Joined, PyramidPooling, conv_abn, residual_layer


class Backbone(nn.Module):
    """ResNet with a stem of three 3x3 convolutions; layer4 is dilated instead of strided."""

    def __init__(self, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = InPlaceAbn(64)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.bn2 = InPlaceAbn(64)
        self.conv3 = nn.Conv2d(64, 128, 3, padding=1, bias=False)
        self.bn3 = InPlaceAbn(128)
        self.layer1 = residual_layer(128, 64, layers[0])
        self.layer2 = residual_layer(256, 128, layers[1], stride=2)
        self.layer3 = residual_layer(512, 256, layers[2], stride=2)
        self.layer4 = residual_layer(1024, 512, layers[3], dilation=2)

    def stages(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> features of the four stages; h = ceil(H/4), w = ceil(W/4)."""
        x = F.relu(self.bn1(self.conv1(image)), inplace=True)  # (B, 64, 2h, 2w)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = F.relu(self.bn3(self.conv3(x)), inplace=True)  # (B, 128, 2h, 2w)
        x = F.max_pool2d(x, 3, stride=2, padding=1)  # (B, 128, h, w)
        x2 = self.layer1(x)  # (B, 256, h, w)
        x3 = self.layer2(x2)  # (B, 512, h/2, w/2)
        x4 = self.layer3(x3)  # (B, 1024, h/4, w/4)
        return x2, x3, x4, self.layer4(x4)  # (B, 2048, h/4, w/4)


class Decoder(nn.Module):
    """Context at stride 16 and details at stride 4 -> parsing features at stride 4."""

    def __init__(self, num_classes: int, align_corners: bool = True) -> None:
        super().__init__()
        self.conv1 = conv_abn(512, 256)
        self.conv2 = conv_abn(256, 48)
        self.conv3 = Joined(*conv_abn(304, 256), *conv_abn(256, 256), align_corners=align_corners)
        self.conv4 = nn.Conv2d(256, num_classes, 1)  # auxiliary parsing, only used in training

    def forward(self, context: Tensor, details: Tensor) -> Tensor:
        """(B, 512, h/4, w/4), (B, 256, h, w) -> (B, 256, h, w)."""
        fused: Tensor = self.conv3(self.conv1(context), self.conv2(details))
        return fused


def fusion_head(num_classes: int) -> Joined:
    """Parsing and edge features together -> logits."""
    return Joined(*conv_abn(1024, 256), nn.Dropout2d(0.1), nn.Conv2d(256, num_classes, 1))


class Schp(Backbone):
    """BGR-normalised image (B, 3, H, W) -> part logits (B, C, ceil(H/4), ceil(W/4)).

    Args:
        num_classes: C.
        layers: bottlenecks per stage; (3, 4, 23, 3) is ResNet-101, the only one published.
    """

    def __init__(self, num_classes: int, layers: tuple[int, ...] = (3, 4, 23, 3)) -> None:
        super().__init__(layers)
        self.context_encoding = PyramidPooling(2048, 512)
        self.edge = Edge()
        self.decoder = Decoder(num_classes)
        self.fushion = fusion_head(num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w) with h = ceil(H/4), w = ceil(W/4)."""
        x2, x3, x4, x5 = self.stages(image)
        context = self.context_encoding(x5)  # (B, 512, h/4, w/4)
        part = self.decoder(context, x2)  # (B, 256, h, w)
        edge = self.edge(x2, x3, x4)  # (B, 256, h, w) (B, 256, h/2, w/2) (B, 256, h/4, w/4)
        logits: Tensor = self.fushion(part, *edge)
        return logits
