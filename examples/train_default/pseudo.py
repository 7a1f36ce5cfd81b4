"""Label photos that have tags but no masks: a round of self-training.

    python examples/train_default/pseudo.py --data CCP --tagged TAGGED --weights FILE --out DIR

A trained network labels each photo, mirrored too and at three scales. The photo's tags count as evidence: a
garment without a tag is impossible; one with a tag is the more likely, the rarer it is. Unsure pixels become
255. Photos without a pixel of a tagged garment are left out.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from imagenet import SIZES, build
from numpy.typing import NDArray
from photos import CLASSES, IGNORE, NAMES, PAIRS, Array, counts, frequency, load
from PIL import Image
from rich.console import Console
from rich.progress import track
from safetensors.torch import load_file
from score import LONG, MEAN, MULTIPLE, SHORT, STD
from torch import Tensor, nn

SCALES = (0.8, 1.0, 1.3)
BODY = (0, 2, 11, 12, 13, 14, 15)  # background, hair, face, legs, arms: allowed on every photo
ORDER = list(range(CLASSES))
for left, right in PAIRS:
    ORDER[left], ORDER[right] = right, left


def garments(data: Path) -> dict[str, set[int]]:
    """CCP's name -> the ATR labels that at least a tenth of its pixels have in the labelled photos."""
    names = [
        line.split()[-1]
        for line in (data / "ccp_labels.txt").read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    table = np.zeros((len(names), CLASSES), np.int64)
    for path in sorted((data / "labels_ccp").glob("*.png")):
        theirs = np.asarray(Image.open(path)).astype(np.int64)
        ours = np.asarray(Image.open(data / "labels_atr" / path.name))
        known = (ours != IGNORE) & (theirs > 0)
        pairs = np.bincount(theirs[known] * CLASSES + ours[known], minlength=table.size)
        table += pairs[: table.size].reshape(table.shape)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    return {
        name: {int(i) for i in np.flatnonzero(row >= 0.1)} - set(BODY)
        for name, row in zip(names, share, strict=True)
    }


def evidence(counted: NDArray[np.int64]) -> NDArray[np.float32]:
    """By how much a tag raises its label's odds, (18,): 1 / the share of training photos with the label.

    `counted` (N, 18) is the result of `photos.counts`.
    """
    factors = (1 / frequency(counted)).astype(np.float32)
    factors[list(BODY)] = 1
    return factors


@torch.inference_mode()
def chances(net: nn.Module, image: Array) -> NDArray[np.float32]:
    """RGB uint8 (H, W, 3) -> probabilities (18, h, w), the mean over scales and mirror images."""
    height, width = image.shape[:2]
    ratio = min(SHORT / min(height, width), LONG / max(height, width))
    size = round(height * ratio), round(width * ratio)
    total = torch.zeros(1, CLASSES, *size)
    for scale in SCALES:
        fitted = round(size[0] * scale), round(size[1] * scale)
        small = cv2.resize(image, fitted[::-1], interpolation=cv2.INTER_AREA)
        plain = ((torch.from_numpy(small).float() - MEAN) / STD).permute(2, 0, 1)[None]
        padded = F.pad(plain, (0, -fitted[1] % MULTIPLE, 0, -fitted[0] % MULTIPLE))
        total += at_size(net(padded), fitted, size)
        mirrored = F.pad(plain.flip(3), (0, -fitted[1] % MULTIPLE, 0, -fitted[0] % MULTIPLE))
        total += at_size(net(mirrored), fitted, size).flip(3)[:, ORDER]
    return (total / (2 * len(SCALES)))[0].numpy()


def at_size(logits: Tensor, fitted: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Logits at half the padded input -> probabilities at `size`."""
    whole = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
    inner = whole[:, :, : fitted[0], : fitted[1]]
    return F.interpolate(inner, size=size, mode="bilinear", align_corners=False).softmax(1)


def label(
    found: NDArray[np.float32], factors: NDArray[np.float32], size: tuple[int, int], sure: float
) -> Array:
    """Probabilities (18, h, w) times factors (18,) -> labels (H, W), 255 where a part is not sure."""
    kept = found * factors[:, None, None]
    kept /= kept.sum(0, keepdims=True)
    full = cv2.resize(kept.transpose(1, 2, 0), size[::-1], interpolation=cv2.INTER_LINEAR)
    best = full.argmax(2).astype(np.uint8)
    return np.where((full.max(2) < sure) & (best > 0), IGNORE, best).astype(np.uint8)


def main(
    data: Annotated[Path, typer.Option(help="The CCP-ATR folder.")],
    tagged: Annotated[Path, typer.Option(help="The folder with tags.json and images/.")],
    weights: Annotated[Path, typer.Option(help="A trained lite-atr.safetensors.")],
    out: Annotated[Path, typer.Option(help="Where the label PNGs go.")],
    size: Annotated[str, typer.Option(help=f"The encoder: {', '.join(SIZES)}.")] = "lite0",
    sure: Annotated[float, typer.Option(help="Parts less probable than this become 255.")] = 0.7,
    least: Annotated[int, typer.Option(help="Pixels that a tagged garment must get.")] = 20,
) -> None:
    """Write a label PNG for each photo that the tags confirm."""
    out.mkdir(parents=True, exist_ok=True)
    net = build(size, pretrained=False)
    net.load_state_dict(load_file(weights), strict=False)
    net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    known, factors = garments(data), evidence(counts(load(data)[0]))
    missing: Counter[str] = Counter()
    kept = 0
    tags = json.loads((tagged / "tags.json").read_text(encoding="utf-8"))
    for name in track(sorted(tags), "labelling"):
        image = np.asarray(Image.open(tagged / "images" / f"{name}.jpg").convert("RGB"))
        wanted = [known[tag] for tag in tags[name] if known.get(tag)]
        allowed = np.isin(np.arange(CLASSES), list(set(BODY).union(*wanted)))
        labels = label(chances(net, image), factors * allowed, image.shape[:2], sure)
        pixels = np.bincount(labels.ravel(), minlength=256)
        absent = [ids for ids in wanted if not any(pixels[i] >= least for i in ids)]
        if absent:
            missing.update(NAMES[min(ids)] for ids in absent)
            continue
        Image.fromarray(labels).save(out / f"{name}.png")
        kept += 1
    Console().print(f"{kept} of {len(tags)} photos kept; left out for want of: {dict(missing.most_common())}")


if __name__ == "__main__":
    typer.run(main)
