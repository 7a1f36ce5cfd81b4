"""Label photos that have tags but no masks, and find passers-by: a round of self-training.

    python examples/train_default/pseudo.py --data CCP --tagged TAGGED --weights FILE --out DIR

`DIR/tagged`: a trained network labels each photo, mirrored too and at three scales. The photo's tags count as
evidence: a garment without a tag is impossible; one with a tag is the more likely, the rarer it is. Unsure
parts become 255, unsure background and other people 254. Photos without a pixel of a tagged garment are left
out.

`DIR/others`: a mask for each labelled training photo, of what may be a person there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from imagenet import SIZES, build
from numpy.typing import NDArray
from photos import CLASSES, IGNORE, NAMES, OTHERS, PAIRS, Array, counts, frequency, load, split_ids
from PIL import Image
from rich.console import Console
from rich.progress import track
from safetensors.torch import load_file
from score import LONG, MEAN, MULTIPLE, SHORT, STD
from torch import Tensor, nn

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
def chances(
    net: nn.Module, image: Array, scales: Sequence[float] = (0.8, 1.0, 1.3), mirror: bool = True
) -> NDArray[np.float32]:
    """RGB uint8 (H, W, 3) -> probabilities (18, h, w), the mean over scales and mirror images."""
    height, width = image.shape[:2]
    ratio = min(SHORT / min(height, width), LONG / max(height, width))
    size = round(height * ratio), round(width * ratio)
    found = []
    for scale in scales:
        fitted = round(size[0] * scale), round(size[1] * scale)
        small = cv2.resize(image, fitted[::-1], interpolation=cv2.INTER_AREA)
        plain = ((torch.from_numpy(small).float() - MEAN) / STD).permute(2, 0, 1)[None]
        padding = (0, -fitted[1] % MULTIPLE, 0, -fitted[0] % MULTIPLE)
        found.append(at_size(net(F.pad(plain, padding)), fitted, size))
        if mirror:
            found.append(at_size(net(F.pad(plain.flip(3), padding)), fitted, size).flip(3)[:, ORDER])
    return torch.cat(found).mean(0).numpy()


def at_size(logits: Tensor, fitted: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Logits at half the padded input -> probabilities at `size`."""
    whole = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
    inner = whole[:, :, : fitted[0], : fitted[1]]
    return F.interpolate(inner, size=size, mode="bilinear", align_corners=False).softmax(1)


def label(
    found: NDArray[np.float32], factors: NDArray[np.float32], size: tuple[int, int], sure: float
) -> Array:
    """Probabilities (18, h, w) times factors (18,) -> labels (H, W), 255 or `OTHERS` where not sure."""
    kept = found * factors[:, None, None]
    kept /= kept.sum(0, keepdims=True)
    full = cv2.resize(kept.transpose(1, 2, 0), size[::-1], interpolation=cv2.INTER_LINEAR)
    best = full.argmax(2).astype(np.uint8)
    labels = alone(np.where((full.max(2) < sure) & (best > 0), IGNORE, best).astype(np.uint8))
    return np.where(apart(full[..., 0] < sure, labels), OTHERS, labels).astype(np.uint8)


def alone(labels: Array) -> Array:
    """Labels with the largest connected person and what is above and below; people beside are `OTHERS`."""
    many, regions, stats, _ = cv2.connectedComponentsWithStats((labels > 0).astype(np.uint8))
    if many <= 2:
        return labels
    left, _, wide, *_ = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
    middles = stats[:, cv2.CC_STAT_LEFT] + stats[:, cv2.CC_STAT_WIDTH] / 2
    beside = np.flatnonzero((middles < left) | (middles > left + wide))
    return np.where((labels > 0) & np.isin(regions, beside), OTHERS, labels).astype(np.uint8)


def apart(seen: NDArray[np.bool_], labels: Array, least: int = 300) -> NDArray[np.bool_]:
    """Where `seen` is true in the background, without the edge of the photo's person and small spots."""
    around = np.ones((9, 9), np.uint8)
    beyond = seen & (cv2.dilate((labels > 0).astype(np.uint8), around) == 0)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(beyond.astype(np.uint8))
    large = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= least)
    kept = cv2.dilate(np.isin(regions, large[large > 0]).astype(np.uint8), around) > 0
    return np.asarray(kept & seen & (labels == 0))


def passers_by(net: nn.Module, image: Array, labels: Array, sure: float) -> NDArray[np.bool_]:
    """Where the background of a labelled photo may be a person, also a small one, (H, W)."""
    shares = [chances(net, image, [scale], mirror=False)[0] for scale in (1.0, 1.6)]
    whole = cv2.resize(np.minimum(*shares), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return apart(whole < sure, labels)


def main(
    data: Annotated[Path, typer.Option(help="The CCP-ATR folder.")],
    tagged: Annotated[Path, typer.Option(help="The folder with tags.json and images/.")],
    weights: Annotated[Path, typer.Option(help="A trained lite-atr.safetensors.")],
    out: Annotated[Path, typer.Option(help="Where tagged/NNNN.png and others/NNNN.png go.")],
    size: Annotated[str, typer.Option(help=f"The encoder: {', '.join(SIZES)}.")] = "lite0",
    sure: Annotated[float, typer.Option(help="Pixels less sure than this are not learned.")] = 0.7,
    least: Annotated[int, typer.Option(help="Pixels that a tagged garment must get.")] = 20,
) -> None:
    """Write a label PNG for each photo that the tags confirm, and a mask for each training photo."""
    (out / "tagged").mkdir(parents=True, exist_ok=True)
    (out / "others").mkdir(exist_ok=True)
    net = build(size, pretrained=False)
    net.load_state_dict(load_file(weights), strict=False)
    net.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    photos = load(data)[0]
    known, factors = garments(data), evidence(counts(photos))
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
        Image.fromarray(labels).save(out / "tagged" / f"{name}.png")
        kept += 1
    for name, photo in track(list(zip(split_ids(data)[0], photos, strict=True)), "looking for passers-by"):
        found = passers_by(net, photo.image, photo.labels, sure)
        Image.fromarray(found.astype(np.uint8) * 255).save(out / "others" / f"{name}.png")
    Console().print(f"{kept} of {len(tags)} photos kept; left out for want of: {dict(missing.most_common())}")


if __name__ == "__main__":
    typer.run(main)
