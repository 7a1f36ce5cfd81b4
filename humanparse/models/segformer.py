"""SegFormer (Xie et al., NeurIPS 2021, arXiv:2105.15203): a Mix Transformer under a decoder of linear layers.

Original: NVlabs/SegFormer, NVIDIA's licence (non-commercial). Published models have the keys of transformers
(Apache-2.0); details that the paper leaves open follow transformers. Only difference: fused attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..ops.bilinear import bilinear
from ._fast import LinearDecoder


class PatchEmbedding(nn.Module):
    """Overlapping patches -> tokens: a strided convolution and a norm."""

    def __init__(self, inputs: int, width: int, patch: int, stride: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, width, patch, stride, padding=patch // 2)
        self.layer_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """(B, inputs, H, W) -> tokens (B, h * w, width) and their grid (h, w)."""
        x = self.proj(x)
        return self.layer_norm(tokens_of(x)), (x.shape[2], x.shape[3])


class ReducedAttention(nn.Module):
    """Attention of all tokens to keys and values on a grid that is coarser by `reduction`."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        if reduction > 1:
            self.sr = nn.Conv2d(width, width, reduction, reduction)
            self.layer_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, h * w, width) -> the same."""
        context = tokens  # or (B, h * w / reduction², width)
        if hasattr(self, "sr"):
            context = self.layer_norm(tokens_of(self.sr(map_of(tokens, grid))))
        query, key, value = map(self._by_head, (self.query(tokens), self.key(context), self.value(context)))
        seen = F.scaled_dot_product_attention(query, key, value)
        return seen.transpose(1, 2).flatten(2)

    def _by_head(self, tokens: Tensor) -> Tensor:
        """(B, n, width) -> (B, heads, n, width / heads)."""
        return tokens.view(tokens.shape[0], tokens.shape[1], self.heads, -1).transpose(1, 2)


class Attention(nn.Module):
    """`ReducedAttention`, then a linear layer."""

    def __init__(self, width: int, heads: int, reduction: int) -> None:
        super().__init__()
        self.self = ReducedAttention(width, heads, reduction)
        self.output = nn.ModuleDict({"dense": nn.Linear(width, width)})

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, h * w, width) -> the same."""
        mixed: Tensor = self.output["dense"](self.self(tokens, grid))
        return mixed


class MixFfn(nn.Module):
    """An MLP with a depthwise 3x3 convolution inside, which gives tokens their position."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense1 = nn.Linear(width, inner)
        self.dwconv = nn.ModuleDict({"dwconv": nn.Conv2d(inner, inner, 3, padding=1, groups=inner)})
        self.dense2 = nn.Linear(inner, width)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, h * w, width) -> the same."""
        placed = self.dwconv["dwconv"](map_of(self.dense1(tokens), grid))  # (B, inner, h, w)
        mixed: Tensor = self.dense2(F.gelu(tokens_of(placed)))
        return mixed


class Block(nn.Module):
    """Attention and a Mix-FFN, each after a norm and with a shortcut."""

    def __init__(self, width: int, heads: int, reduction: int, inner: int) -> None:
        super().__init__()
        self.layer_norm_1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, reduction)
        self.layer_norm_2 = nn.LayerNorm(width)
        self.mlp = MixFfn(width, inner)

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        """(B, h * w, width) -> the same."""
        tokens = tokens + self.attention(self.layer_norm_1(tokens), grid)
        mixed: Tensor = tokens + self.mlp(self.layer_norm_2(tokens), grid)
        return mixed


class Encoder(nn.Module):
    """The Mix Transformer: (B, 3, H, W) -> a map of each stage, at strides 4, 8, 16 and 32 as published."""

    def __init__(
        self,
        depths: Sequence[int],
        widths: Sequence[int],
        heads: Sequence[int],
        reductions: Sequence[int],
        patches: Sequence[int],
        strides: Sequence[int],
        mlp_ratios: Sequence[float],
    ) -> None:
        super().__init__()
        inputs = (3, *widths[:-1])
        self.patch_embeddings = nn.ModuleList(map(PatchEmbedding, inputs, widths, patches, strides))
        self.block = nn.ModuleList(
            nn.ModuleList(Block(width, head, reduction, int(width * ratio)) for _ in range(depth))
            for depth, width, head, reduction, ratio in zip(
                depths, widths, heads, reductions, mlp_ratios, strict=True
            )
        )
        self.layer_norm = nn.ModuleList(map(nn.LayerNorm, widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        """See the class."""
        maps = []
        for embed, blocks, norm in zip(self.patch_embeddings, self.block, self.layer_norm, strict=True):
            tokens, grid = embed(x)
            for block in blocks:  # type: ignore[attr-defined]
                tokens = block(tokens, grid)
            x = map_of(norm(tokens), grid)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """A linear layer for each stage, enlarged to the first one's grid; then fusion and classification."""

    def __init__(self, widths: Sequence[int], width: int, num_classes: int) -> None:
        super().__init__()
        self.linear_c = nn.ModuleList(nn.ModuleDict({"proj": nn.Linear(inputs, width)}) for inputs in widths)
        self.linear_fuse = nn.Conv2d(len(widths) * width, width, 1, bias=False)
        self.batch_norm = nn.BatchNorm2d(width)
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of all stages -> logits (B, C, h, w) on the first one's grid."""
        grid = (maps[0].shape[2], maps[0].shape[3])
        enlarged = []
        for linear, x in zip(self.linear_c, maps, strict=True):
            tokens = linear["proj"](tokens_of(x))  # type: ignore[index]
            enlarged.append(bilinear(map_of(tokens, (x.shape[2], x.shape[3])), grid, align_corners=False))
        fused = self.linear_fuse(torch.cat(enlarged[::-1], dim=1))  # the last stage comes first
        logits: Tensor = self.classifier(F.relu(self.batch_norm(fused)))
        return logits

    def merged(self) -> LinearDecoder:
        """A faster form of the same function; the norm must already be folded."""
        assert isinstance(self.batch_norm, nn.Identity)
        linear = [layer["proj"] for layer in self.linear_c]  # type: ignore[index]
        return LinearDecoder(linear, self.linear_fuse, self.classifier)


class Segformer(nn.Module):
    """Normalised RGB image (B, 3, H, W) -> logits (B, C, ceil(H / 4), ceil(W / 4)).

    Args:
        num_classes: number of labels.
        depths: blocks of each stage.
        widths: channels of each stage.
        decoder: channels of the decoder.
        heads: attention heads of each stage.
        reductions: how much coarser the grid of keys and values is, for each stage.
        patches, strides: kernel size and stride of the convolution before each stage.
        mlp_ratios: inner width of each stage's MLPs, as a multiple of the stage's width.
    """

    def __init__(
        self,
        num_classes: int,
        depths: Sequence[int] = (2, 2, 2, 2),
        widths: Sequence[int] = (32, 64, 160, 256),
        decoder: int = 256,
        heads: Sequence[int] = (1, 2, 5, 8),
        reductions: Sequence[int] = (8, 4, 2, 1),
        patches: Sequence[int] = (7, 3, 3, 3),
        strides: Sequence[int] = (4, 2, 2, 2),
        mlp_ratios: Sequence[float] = (4, 4, 4, 4),
    ) -> None:
        super().__init__()
        encoder = Encoder(depths, widths, heads, reductions, patches, strides, mlp_ratios)
        self.segformer = nn.ModuleDict({"encoder": encoder})
        self.decode_head = Decoder(widths, decoder, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.decode_head(self.segformer["encoder"](image))
        return logits


def tokens_of(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, h * w, C); a view of a channels-last map."""
    return x.flatten(2).transpose(1, 2)


def map_of(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
    """(B, h * w, C) -> a channels-last view (B, C, h, w)."""
    return tokens.transpose(1, 2).view(tokens.shape[0], tokens.shape[2], *grid)
