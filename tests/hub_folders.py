"""SegFormer checkpoints with random weights, written by transformers in the form that the hub has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

transformers = pytest.importorskip(
    "transformers", reason="compares with transformers, which is not installed"
)

SIZES = {
    "b0": ((2, 2, 2, 2), (32, 64, 160, 256), 256),
    "b1": ((2, 2, 2, 2), (64, 128, 320, 512), 256),
    "b2": ((3, 4, 6, 3), (64, 128, 320, 512), 768),
    "b3": ((3, 4, 18, 3), (64, 128, 320, 512), 768),
    "b4": ((3, 8, 27, 3), (64, 128, 320, 512), 768),
    "b5": ((3, 6, 40, 3), (64, 128, 320, 512), 768),
}
NANO = ((1, 2, 1, 1), (8, 16, 40, 64), 32)
"""A size of nobody's, for tests of files."""

MADE_UP = ("backdrop", "left glove", "right glove", "apron", "pocket")


def scrambled(network: Any, seed: int) -> Any:
    """Weights at which every layer counts, and labels differ from place to place."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim > 1:
                value.normal_(0, value[0].numel() ** -0.5)
            elif "norm" in name and name.endswith("weight"):
                value.normal_(1, 0.2)
            else:
                value.normal_(0, 0.1)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
    return network.eval()


def segformer(size: str | tuple[Any, ...], labels: int | Sequence[str], seed: int = 0, **config: Any) -> Any:
    """Transformers' own SegFormer."""
    depths, widths, decoder = SIZES[size] if isinstance(size, str) else size
    names = [f"label {n}" for n in range(labels)] if isinstance(labels, int) else labels
    made = transformers.SegformerConfig(
        depths=list(depths),
        hidden_sizes=list(widths),
        decoder_hidden_size=decoder,
        id2label=dict(enumerate(names)),
        label2id={name: number for number, name in enumerate(names)},
        **config,
    )
    return scrambled(transformers.SegformerForSemanticSegmentation(made), seed)


def processor(height: int = 512, width: int = 512, **options: Any) -> Any:
    """Transformers' image processor, with the back end that computes as it did for years."""
    kind = getattr(transformers, "SegformerImageProcessorPil", transformers.SegformerImageProcessor)
    return kind(size={"height": height, "width": width}, **options)


def save(folder: Path, network: Any, preprocessor: Any | None = None) -> Path:
    """A folder as `save_pretrained` writes it."""
    network.save_pretrained(folder)
    (preprocessor or processor()).save_pretrained(folder)
    return folder


def noise(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A picture of blobs under noise, RGB (height, width, 3)."""
    random = np.random.default_rng(seed)
    blobs = torch.from_numpy(random.random((1, 3, 9, 7), dtype=np.float32))
    large = torch.nn.functional.interpolate(blobs, size=(height, width), mode="bicubic")[0].permute(1, 2, 0)
    return (large.numpy() * 200 + random.random((height, width, 3)) * 55).clip(0, 255).astype(np.uint8)


def assert_same_labels(
    ours: npt.NDArray[np.uint8], logits: torch.Tensor, theirs: npt.NDArray[Any], tie: float = 1e-3
) -> None:
    """Labels equal outside near-ties of the oracle's logits (C, H, W), and at least 99.99 % overall."""
    assert ours.shape == theirs.shape and len(np.unique(theirs)) > 1
    first, second = logits.topk(2, dim=0).values
    clear = (first - second >= tie).numpy()
    assert (ours == theirs)[clear].all()
    assert (ours == theirs).mean() >= 0.9999
