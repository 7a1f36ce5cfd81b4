"""Tiny: the network of the bundled model `tiny-atr`, a small encoder-decoder trained from scratch on CPU.

Original: this project (examples/train_default), Apache-2.0. ResNet, MBConv and transformer blocks.
Differs from the usual: attention only at stride 32, where left is told from right; sub-pixel logits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvNorm(nn.Sequential):
    """Convolution without bias, batch norm, and ReLU unless `act` is off."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True
    ) -> None:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True) if act else nn.Identity())


class Residual(nn.Module):
    """Two dense 3x3 convolutions around a shortcut: cheapest per gain where maps are large and narrow."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvNorm(width, width, 3)
        self.second = ConvNorm(width, width, 3, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same."""
        return F.relu(x + self.second(self.first(x)))


class Inverted(nn.Module):
    """Expand, depthwise 3x3, squeeze-excite, project: many channels for few weights at stride 16."""

    def __init__(self, width: int, expand: int = 3) -> None:
        super().__init__()
        inner = width * expand
        self.expand = ConvNorm(width, inner)
        self.depthwise = ConvNorm(inner, inner, 3, groups=inner)
        self.squeeze = nn.Conv2d(inner, width // 4, 1)
        self.excite = nn.Conv2d(width // 4, inner, 1)
        self.project = ConvNorm(inner, width, act=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same."""
        y = self.depthwise(self.expand(x))  # (B, inner, h, w)
        gate = self.excite(F.relu(self.squeeze(y.mean((2, 3), keepdim=True))))  # (B, inner, 1, 1)
        update: Tensor = self.project(y * torch.sigmoid(gate))
        return x + update


class Attention(nn.Module):
    """A transformer block on the map: depthwise position, global self-attention, MLP."""

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


class Tiny(nn.Module):
    """RGB image (B, 3, H, W), ImageNet-normalised, H and W multiples of 32 -> logits (B, C, H/2, W/2)."""

    def __init__(
        self,
        num_classes: int = 18,
        widths: tuple[int, int, int, int, int] = (24, 48, 96, 176, 224),
        depths: tuple[int, int, int, int] = (1, 2, 4, 2),
        head: int = 64,
    ) -> None:
        """Take the number of labels; widths at strides 2..32; blocks at strides 4..32; width of the head."""
        super().__init__()
        w2, w4, w8, w16, w32 = widths
        d4, d8, d16, d32 = depths
        self.stem = ConvNorm(3, w2, 3, 2)
        self.stage4 = nn.Sequential(ConvNorm(w2, w4, 3, 2), *(Residual(w4) for _ in range(d4)))
        self.stage8 = nn.Sequential(ConvNorm(w4, w8, 3, 2), *(Residual(w8) for _ in range(d8)))
        self.stage16 = nn.Sequential(ConvNorm(w8, w16, 3, 2), *(Inverted(w16) for _ in range(d16)))
        self.stage32 = nn.Sequential(ConvNorm(w16, w32, 3, 2), *(Attention(w32) for _ in range(d32)))
        self.context = nn.Sequential(nn.GroupNorm(1, w32), ConvNorm(w32, w16))
        self.fuse16 = Inverted(w16, 2)
        self.down16 = ConvNorm(w16, w8)
        self.fuse8 = Residual(w8)
        self.down8 = ConvNorm(w8, w4)
        self.fuse4 = ConvNorm(2 * w4, head, 3)
        self.head = nn.Conv2d(head, 4 * num_classes, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """See the class: `image` (B, 3, H, W) -> logits (B, C, H/2, W/2)."""
        c4 = self.stage4(self.stem(image))  # (B, 48, H/4, W/4)
        c8 = self.stage8(c4)  # (B, 96, H/8, W/8)
        c16 = self.stage16(c8)  # (B, 176, H/16, W/16)
        c32 = self.stage32(c16)  # (B, 224, H/32, W/32)
        p16 = self.fuse16(c16 + twice(self.context(c32)))  # (B, 176, H/16, W/16)
        p8 = self.fuse8(c8 + twice(self.down16(p16)))  # (B, 96, H/8, W/8)
        p4 = self.fuse4(torch.cat((c4, twice(self.down8(p8))), dim=1))  # (B, 64, H/4, W/4)
        return F.pixel_shuffle(self.head(p4), 2)  # (B, C, H/2, W/2)


def twice(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, C, 2h, 2w), bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
