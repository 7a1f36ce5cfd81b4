"""Sapiens2 for segmentation (Khirodkar et al., ICLR 2026, arXiv:2604.21681): a ViT under four deconvolutions.

Original: Meta, Sapiens2 License; its code was not read. Written from the paper and from what the model in
transformers (Apache-2.0) computes. Pre-norm blocks with RMS norms, rotary positions, fewer heads of keys and
values in the middle blocks, gated MLPs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 16


class RmsNorm(nn.Module):
    """Divides by the root mean square over the last axis, in float32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same."""
        whole = x.float()
        normal = whole * torch.rsqrt(whole.square().mean(dim=-1, keepdim=True) + 1e-6)
        return self.weight * normal.to(x.dtype)


class Attention(nn.Module):
    """Self-attention with rotary positions, for patches but not for the tokens before them."""

    def __init__(self, width: int, heads: int, kv_heads: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, depth = heads, kv_heads, width // heads
        self.wq = nn.Linear(width, width)
        self.wk = nn.Linear(width, kv_heads * depth)
        self.wv = nn.Linear(width, kv_heads * depth)
        self.proj = nn.Linear(width, width)
        self.q_norm = RmsNorm(depth)
        self.k_norm = RmsNorm(depth)
        self.gamma = nn.ParameterDict({"weight": torch.ones(width)})

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """(B, n, width) -> the same."""
        query = rotated(self.q_norm(by_head(self.wq(x), self.heads)), rotation)  # (B, heads, n, depth)
        key = rotated(self.k_norm(by_head(self.wk(x), self.kv_heads)), rotation)
        value = by_head(self.wv(x), self.kv_heads)
        shared = self.heads // self.kv_heads  # query heads per head of keys
        key, value = (each.repeat_interleave(shared, dim=1) for each in (key, value))
        seen = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        mixed: Tensor = self.proj(seen) * self.gamma["weight"]
        return mixed


class GatedMlp(nn.Module):
    """An MLP where one half of the inner channels, after SiLU, is multiplied by the other half."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.w12 = nn.Linear(width, 2 * inner)
        self.w3 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, n, width) -> the same."""
        gate, up = self.w12(x).chunk(2, dim=-1)
        mixed: Tensor = self.w3(F.silu(gate) * up)
        return mixed


class Block(nn.Module):
    """Attention and a gated MLP, each after a norm and with a shortcut."""

    def __init__(self, width: int, heads: int, kv_heads: int, inner: int) -> None:
        super().__init__()
        self.ln1 = RmsNorm(width)
        self.attn = Attention(width, heads, kv_heads)
        self.ln2 = RmsNorm(width)
        self.ffn = GatedMlp(width, inner)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
        """(B, n, width) -> the same."""
        x = x + self.attn(self.ln1(x), rotation)
        mixed: Tensor = x + self.ffn(self.ln2(x))
        return mixed


class Backbone(nn.Module):
    """The ViT: (B, 3, H, W) -> (B, width, H / 16, W / 16)."""

    def __init__(self, width: int, heads: int, kv_heads: Sequence[int], inner: int, registers: int) -> None:
        super().__init__()
        self.depth = width // heads
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.storage_tokens = nn.Parameter(torch.zeros(1, registers, width))
        self.patch_embed = nn.ModuleDict({"projection": nn.Conv2d(3, width, PATCH, PATCH)})
        self.blocks = nn.ModuleList(Block(width, heads, number, inner) for number in kv_heads)
        self.ln1 = RmsNorm(width)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        patches = self.patch_embed["projection"](image)  # (B, width, h, w)
        batch, _, height, width = patches.shape
        before = torch.cat((self.cls_token, self.storage_tokens), dim=1).expand(batch, -1, -1)
        x = torch.cat((before, patches.flatten(2).transpose(1, 2)), dim=1)  # (B, tokens, width)
        rotation = rotations(height, width, self.depth, image)
        for block in self.blocks:
            x = block(x, rotation)
        x = self.ln1(x)[:, before.shape[1] :]
        found: Tensor = x.transpose(1, 2).reshape(batch, -1, height, width)
        return found


class InstanceNorm(nn.Module):
    """Normalises each channel of each picture to mean 0 and deviation 1. Torch cannot export its own one."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        variance, mean = torch.var_mean(x, dim=(2, 3), unbiased=False, keepdim=True)
        return (x - mean) * torch.rsqrt(variance + 1e-5)


class Head(nn.Module):
    """Deconvolutions that double the grid, then 1x1 convolutions: (B, width, h, w) -> (B, C, 16h, 16w)."""

    def __init__(self, width: int, deconv: Sequence[int], conv: Sequence[int], num_classes: int) -> None:
        super().__init__()
        ups: list[nn.Module] = []
        for inputs, outputs in zip((width, *deconv), deconv, strict=False):
            ups += [
                nn.ConvTranspose2d(inputs, outputs, 4, 2, padding=1, bias=False),
                InstanceNorm(),
                nn.SiLU(),
            ]
        self.deconv_layers = nn.Sequential(*ups)
        convs: list[nn.Module] = []
        for inputs, outputs in zip((deconv[-1], *conv), conv, strict=False):
            convs += [nn.Conv2d(inputs, outputs, 1), InstanceNorm(), nn.SiLU()]
        self.conv_layers = nn.Sequential(*convs)
        self.conv_seg = nn.Conv2d((*deconv, *conv)[-1], num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.conv_seg(self.conv_layers(self.deconv_layers(x)))
        return logits


class Sapiens2(nn.Module):
    """Normalised RGB image (B, 3, H, W), H and W multiples of 16 -> logits (B, C, H, W).

    Args:
        num_classes: C.
        width: channels of the ViT.
        heads: its attention heads.
        kv_heads: heads of keys and values in each block.
        inner: inner channels of the gated MLPs.
        registers: tokens other than the class token that belong to no patch.
        deconv: channels after each deconvolution.
        conv: channels after each 1x1 convolution.
    """

    def __init__(
        self,
        num_classes: int,
        width: int = 1024,
        heads: int = 16,
        kv_heads: Sequence[int] = (16,) * 8 + (8,) * 8 + (16,) * 8,
        inner: int = 4096,
        registers: int = 8,
        deconv: Sequence[int] = (512, 256, 128, 64),
        conv: Sequence[int] = (64, 64),
    ) -> None:
        super().__init__()
        self.backbone = Backbone(width, heads, kv_heads, inner, registers)
        self.decode_head = Head(width, deconv, conv, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.decode_head(self.backbone(image))
        return logits


def read_off(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments that only a checkpoint's shapes tell; those whose keys are missing are left out."""
    depth = state.get("backbone.blocks.0.attn.q_norm.weight")
    keys = _first_sides(state, "backbone.blocks.{}.attn.wk.weight", range(len(state)))
    found: dict[str, Any] = {
        "kv_heads": tuple(side // depth.shape[0] for side in keys) if depth is not None else (),
        "inner": sum(_first_sides(state, "backbone.blocks.{}.ffn.w12.weight", range(1))) // 2,
        "conv": tuple(_first_sides(state, "decode_head.conv_layers.{}.weight", range(0, 99, 3))),
        "deconv": tuple(
            state[key].shape[1]
            for key in (f"decode_head.deconv_layers.{place}.weight" for place in range(0, 99, 3))
            if key in state
        ),
    }
    if (tokens := state.get("backbone.storage_tokens")) is not None:
        found["registers"] = tokens.shape[1]
    return {argument: value for argument, value in found.items() if value}


def _first_sides(state: Mapping[str, Tensor], pattern: str, places: Sequence[int]) -> list[int]:
    return [state[key].shape[0] for key in map(pattern.format, places) if key in state]


def by_head(x: Tensor, heads: int) -> Tensor:
    """(B, n, heads * depth) -> (B, heads, n, depth)."""
    return x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)


def rotations(height: int, width: int, depth: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine, (height * width, depth), of the angles by which pairs of channels are rotated.

    The angles depend on a patch's position, -1 to 1 along each axis for any picture size. Those of the row
    come first.
    """
    rows, columns = (
        (torch.arange(side, dtype=torch.float32, device=like.device) + 0.5) / side * 2 - 1
        for side in (height, width)
    )
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1).flatten(0, 1)  # (h * w, 2)
    steps = torch.arange(0, 1, 4 / depth, dtype=torch.float32, device=like.device)
    angles = (2 * math.pi * places[:, :, None] / 100**steps).flatten(1).tile(2)  # (h * w, depth)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


def rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """(B, heads, n, depth) -> each patch rotated by its position; tokens before the patches are unchanged."""
    cosine, sine = rotation
    before = x.shape[2] - cosine.shape[0]
    patches = x[:, :, before:]
    first, second = patches.chunk(2, dim=-1)
    turned = patches * cosine + torch.cat((-second, first), dim=-1) * sine
    return torch.cat((x[:, :, :before], turned), dim=2)
