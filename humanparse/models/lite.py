"""Lite: the network of the bundled model `lite-atr`, a decoder for parts and people on EfficientNet-Lite.

Encoder: EfficientNet-Lite (Tan & Le, arXiv:1905.11946, Apache-2.0): ReLU6, no squeeze-excite, SAME padding.
Decoder: this project, Apache-2.0. Attention at stride 32, which can tell left from right; skips to stride 4;
sub-pixel logits. A second head finds people: a map of centres, and each pixel's offset to its person's centre
(as in Panoptic-DeepLab, arXiv:1911.10194).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# repeats, kernel, stride, expansion, width of each stage of EfficientNet-B0
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32
OFFSET_UNIT = 32.0
"""Input pixels per unit of an offset."""


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, and ReLU6 unless `act` is False.

    The padding is TensorFlow's "SAME" for sides that are multiples of the stride: at stride 2, one pixel less
    at the top and left.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        before, after = (kernel - stride) // 2, (kernel - stride + 1) // 2
        even = before == after
        conv = nn.Conv2d(inputs, outputs, kernel, stride, before if even else 0, groups=groups, bias=False)
        super().__init__()
        if not even:
            self.pad = nn.ZeroPad2d((before, after, before, after))
        self.conv = conv
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)
        if act:
            self.act = nn.ReLU6(inplace=True)


class Inverted(nn.Module):
    """Expand, depthwise, project; with a shortcut if input and output have the same shape."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, expand: int = 6) -> None:
        super().__init__()
        inner = inputs * expand
        if expand > 1:
            self.expand = ConvNorm(inputs, inner)
        self.depthwise = ConvNorm(inner, inner, kernel, stride, groups=inner)
        self.project = ConvNorm(inner, outputs, act=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        inner = self.expand(x) if hasattr(self, "expand") else x
        y: Tensor = self.project(self.depthwise(inner))
        return x + y if self.shortcut else y


class Encoder(nn.Module):
    """EfficientNet-Lite without its head: (B, 3, H, W) -> features at strides 4, 8, 16 and 32."""

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM, 3, 2)
        self.stages = nn.ModuleList()
        self.widths: list[int] = []
        inputs = STEM
        for number, (repeats, kernel, stride, expand, base) in enumerate(STAGES):
            outputs = scaled_width(base, width)
            ends = number in (0, len(STAGES) - 1)
            blocks = repeats if ends else math.ceil(repeats * depth)
            stage = [Inverted(inputs, outputs, kernel, stride, expand)]
            stage += [Inverted(outputs, outputs, kernel, 1, expand) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(*stage))
            self.widths.append(outputs)
            inputs = outputs

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See the class; H and W are multiples of 32."""
        maps = []
        x = self.stem(image)  # (B, 32, H/2, W/2)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[1], maps[2], maps[4], maps[6]


def scaled_width(base: int, factor: float) -> int:
    """The multiple of 8 nearest to `base * factor`, and at least nine tenths of it."""
    wanted = base * factor
    width = max(8, int(wanted + 4) // 8 * 8)
    return width + 8 if width < 0.9 * wanted else width


class Attention(nn.Module):
    """A transformer block on a map: position by a depthwise convolution, global self-attention, MLP."""

    def __init__(self, width: int, expand: int = 2) -> None:
        super().__init__()
        self.heads = width // 32
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm_attention = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, expand * width), nn.GELU(), nn.Linear(expand * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same."""
        batch, width, h, w = x.shape
        tokens: Tensor = (x + self.position(x)).flatten(2).transpose(1, 2)  # (B, hw, width)
        qkv = self.qkv(self.norm_attention(tokens))  # (B, hw, 3 width)
        q, k, v = qkv.view(batch, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # each (B, heads, hw, d)
        seen = F.scaled_dot_product_attention(q, k, v)  # (B, heads, hw, d)
        tokens = tokens + self.merge(seen.transpose(1, 2).flatten(2))
        tokens = tokens + self.mlp(self.norm_mlp(tokens))
        return tokens.transpose(1, 2).reshape(batch, width, h, w)


class Residual(nn.Module):
    """Two dense 3x3 convolutions around a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width, 3)
        self.second = ConvNorm(width, width, 3, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same."""
        return F.relu(x + self.second(self.first(x)))


class Lite(nn.Module):
    """RGB image (B, 3, H, W) as (x - 127) / 128, H and W multiples of 32 -> logits (B, C, H/2, W/2).

    Args:
        num_classes: number of labels.
        width, depth: factors of the encoder: 1.0 and 1.0 for Lite0, 1.0 and 1.1 for Lite1, 1.1 and 1.2 for
            Lite2.
        widths: channels of the decoder at strides 4, 8, 16 and 32.
        attention: number of transformer blocks at stride 32.
    """

    def __init__(
        self,
        num_classes: int = 18,
        width: float = 1.0,
        depth: float = 1.0,
        widths: tuple[int, int, int, int] = (64, 96, 160, 224),
        attention: int = 2,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(width, depth)
        _, c4, c8, _, c16, _, c32 = self.encoder.widths
        w4, w8, w16, w32 = widths
        self.stage32 = nn.Sequential(
            ConvNorm(c32, w32, act=False), *(Attention(w32) for _ in range(attention))
        )
        self.context = nn.Sequential(nn.GroupNorm(1, w32), ConvNorm(w32, w16, act=False))
        self.skip16 = ConvNorm(c16, w16, act=False)
        self.fuse16 = Inverted(w16, w16, 5, expand=2)
        self.down16 = ConvNorm(w16, w8, act=False)
        self.skip8 = ConvNorm(c8, w8, act=False)
        self.fuse8 = Residual(w8)
        self.down8 = ConvNorm(w8, w4 // 2)
        self.skip4 = ConvNorm(c4, w4 // 2)
        self.fuse4 = ConvNorm(w4, w4, 3)
        self.head = nn.Conv2d(w4, 4 * num_classes, 3, padding=1)
        self.people8 = ConvNorm(w8, w4 // 2, 3)
        self.people4 = nn.Sequential(ConvNorm(w4 + w4 // 2, w4 // 2), ConvNorm(w4 // 2, w4 // 2, 3))
        self.people_head = nn.Conv2d(w4 // 2, 3, 1)
        assert self.people_head.bias is not None
        nn.init.constant_(self.people_head.bias[:1], -4.6)  # few cells are centres: start at 1 %

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> the decoder's maps at strides 8 and 4: (B, w8, H/8, W/8), (B, w4, H/4, W/4)."""
        c4, c8, c16, c32 = self.encoder(image)
        p32 = self.stage32(c32)  # (B, w32, H/32, W/32)
        p16 = self.fuse16(F.relu(self.skip16(c16) + twice(self.context(p32))))  # (B, w16, H/16, W/16)
        p8 = self.fuse8(F.relu(self.skip8(c8) + twice(self.down16(p16))))  # (B, w8, H/8, W/8)
        p4 = self.fuse4(torch.cat((self.skip4(c4), twice(self.down8(p8))), dim=1))  # (B, w4, H/4, W/4)
        return p8, p4

    def parts(self, p4: Tensor) -> Tensor:
        """(B, w4, h, w) -> logits (B, C, 2h, 2w)."""
        return F.pixel_shuffle(self.head(p4), 2)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return self.parts(self.features(image)[1])

    def with_people(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """`image` (B, 3, H, W) -> part logits (B, C, H/2, W/2), people (B, 3, H/4, W/4).

        Channels of people: the logit that a person's centre is here; then the offsets, down and right, to the
        centre of the person shown here, in units of `OFFSET_UNIT` input pixels.
        """
        p8, p4 = self.features(image)
        people = self.people4(torch.cat((p4, twice(self.people8(p8))), dim=1))  # (B, w4/2, H/4, W/4)
        return self.parts(p4), self.people_head(people)


def twice(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w), bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
