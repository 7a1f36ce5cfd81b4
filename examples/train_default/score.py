"""Scores of a network on whole photos and on crops of them, in the geometry of humanparse's Parser."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from photos import CLASSES, IGNORE, NAMES, Array, Photo
from rich.table import Table
from torch import Tensor, nn

MEAN, STD = 127.0, 128.0
SHORT, LONG, MULTIPLE = 320, 512, 32  # what InputSpec of lite-atr says
LIMBS = {"shoes": (9, 10), "legs": (12, 13), "arms": (14, 15)}
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Confusion counts (truth, prediction), (18, 18): of whole photos and of crops by name."""

    whole: Counts
    crops: dict[str, Counts] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of known pixels that are right."""
        return float(np.trace(self.whole) / self.whole.sum())

    @property
    def iou(self) -> NDArray[np.float64]:
        """IoU per class, nan where a class is neither there nor predicted."""
        return iou_of(self.whole)

    @property
    def precision(self) -> NDArray[np.float64]:
        """Share of the pixels predicted as a class that are of that class."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.diag(self.whole) / self.whole.sum(0))

    @property
    def miou(self) -> float:
        """Mean IoU, background included."""
        return float(np.nanmean(self.iou))

    @property
    def sides(self) -> dict[str, float]:
        """Of limb pixels predicted as that kind of limb: share whose side is right; and of all together."""
        blocks = {name: self.whole[np.ix_(pair, pair)] for name, pair in LIMBS.items()}
        blocks["all limbs"] = np.sum(list(blocks.values()), axis=0)
        return {name: float(np.trace(block) / max(1, block.sum())) for name, block in blocks.items()}


def iou_of(confusion: Counts) -> NDArray[np.float64]:
    """IoU per class of a confusion matrix; nan where a class is not in the truth."""
    right = np.diag(confusion)
    union = confusion.sum(0) + confusion.sum(1) - right
    return np.where(confusion.sum(1) > 0, right / np.maximum(union, 1), np.nan)


def fit(image: Array) -> tuple[Tensor, tuple[int, int]]:
    """(H, W, 3) RGB uint8 -> (normalised (1, 3, h, w) padded to multiples of 32, size before padding)."""
    height, width = image.shape[:2]
    ratio = min(SHORT / min(height, width), LONG / max(height, width))
    new = max(1, int(height * ratio + 0.5)), max(1, int(width * ratio + 0.5))
    how = cv2.INTER_AREA if ratio < 1 else cv2.INTER_LINEAR
    small = torch.from_numpy(cv2.resize(image, new[::-1], interpolation=how))
    tensor = ((small.float() - MEAN) / STD).permute(2, 0, 1)[None]
    return F.pad(tensor, (0, -new[1] % MULTIPLE, 0, -new[0] % MULTIPLE)), new


def back(logits: Tensor, inner: tuple[int, int], stride: float, size: tuple[int, int]) -> Array:
    """(1, C, h, w) logits -> labels (H, W): bilinear at exact pixel centres, clamped at the border."""
    logits = logits[..., : math.ceil(inner[0] / stride), : math.ceil(inner[1] / stride)]
    axes = []
    for whole, fitted, cells in zip(size, inner, logits.shape[2:], strict=True):
        centres = (torch.arange(whole, device=logits.device) + 0.5) * (fitted / whole) / stride
        axes.append(2 * centres / cells - 1)
    grid = torch.stack(torch.meshgrid(axes[1], axes[0], indexing="xy"), -1)[None]
    full = F.grid_sample(logits, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return full[0].argmax(0).to(torch.uint8).cpu().numpy()


@torch.inference_mode()
def parse(net: nn.Module, image: Array, device: str = "cpu") -> Array:
    """RGB uint8 (H, W, 3) -> labels (H, W)."""
    tensor, inner = fit(image)
    tensor = tensor.to(device, memory_format=torch.channels_last)
    logits = net(tensor).float()
    return back(logits, inner, tensor.shape[2] / logits.shape[2], image.shape[:2])


def compare(truth: Array, predicted: Array) -> Counts:
    """Confusion counts (truth, prediction) over the known pixels."""
    known = truth != IGNORE
    pairs = truth[known].astype(np.int64) * CLASSES + predicted[known]
    return np.bincount(pairs, minlength=CLASSES**2).reshape(CLASSES, CLASSES)


def crop_rows(photo: Photo) -> dict[str, tuple[slice, slice]]:
    """The top third and the lower half of the person, a tenth of its width wider on each side."""
    if "person" not in photo.boxes:
        return {}
    x0, y0, x1, y1 = photo.boxes["person"]
    margin = (x1 - x0) // 10
    columns = slice(max(0, x0 - margin), x1 + margin)
    top = slice(max(0, y0 - margin), y0 + (y1 - y0) // 3)
    return {"top third": (top, columns), "lower half": (slice((y0 + y1) // 2, y1 + margin), columns)}


def evaluate(net: nn.Module, photos: list[Photo], device: str = "cpu", crops: bool = False) -> Scores:
    """Scores at the photos' own resolution."""
    net.eval()
    whole = np.zeros((CLASSES, CLASSES), np.int64)
    parts: dict[str, Counts] = {}
    for photo in photos:
        whole += compare(photo.labels, parse(net, photo.image, device))
        for name, window in crop_rows(photo).items() if crops else ():
            crop = np.ascontiguousarray(photo.image[window])
            found = compare(photo.labels[window], parse(net, crop, device))
            parts[name] = parts.get(name, np.zeros_like(whole)) + found
    return Scores(whole, parts)


def rows(scores: Scores) -> list[tuple[str, float, float]]:
    """(class, IoU, precision) per class."""
    return list(zip(NAMES, scores.iou.tolist(), scores.precision.tolist(), strict=True))


def table(scores: Scores) -> Table:
    """The table that the command prints at its end."""
    made = Table("class", "IoU", "precision", title=f"mIoU {scores.miou:.3f}, pixels {scores.accuracy:.3f}")
    for name, iou, precision in rows(scores):
        made.add_row(name, f"{iou:.3f}", f"{precision:.3f}")
    for name, crop in scores.crops.items():
        made.add_row(f"mIoU of {name}", f"{np.nanmean(iou_of(crop)):.3f}", "")
    for name, share in scores.sides.items():
        made.add_row(f"side right: {name}", f"{share:.3f}", "")
    return made


def colours() -> Array:
    """The PASCAL-VOC palette, (256, 3) RGB."""
    ids = np.arange(256)
    made = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            made[:, channel] |= (((ids >> (3 * bit + channel)) & 1) << (7 - bit)).astype(np.uint8)
    return made


def overlay(image: Array, labels: Array) -> Array:
    """Photo and coloured labels side by side, RGB."""
    return np.hstack([image, cv2.addWeighted(image, 0.4, colours()[labels], 0.6, 0)])


def samples(net: nn.Module, photos: list[Photo], folder: Path, device: str = "cpu") -> None:
    """Write overlays to look at."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(photos):
        picture = overlay(photo.image, parse(net, photo.image, device))
        cv2.imwrite(str(folder / f"{number:02}.png"), picture[..., ::-1])
