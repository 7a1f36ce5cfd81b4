"""The CCP-ATR folder in memory: photos, labels, the fixed split, what is rare, where heads and legs are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

NAMES = (
    "background",
    "hat",
    "hair",
    "sunglasses",
    "upper-clothes",
    "skirt",
    "pants",
    "dress",
    "belt",
    "left-shoe",
    "right-shoe",
    "face",
    "left-leg",
    "right-leg",
    "left-arm",
    "right-arm",
    "bag",
    "scarf",
)
CLASSES = len(NAMES)
PAIRS = ((9, 10), (12, 13), (14, 15))  # the person's own left and right
IGNORE = 255
PARTS = {"head": (1, 2, 3, 11), "torso": (4, 7, 8, 14, 15), "legs": (5, 6, 9, 10, 12, 13), "feet": (9, 10)}

Array = NDArray[np.uint8]
Box = tuple[int, int, int, int]


def mirror_table() -> Array:
    """A lookup table of 256 labels that swaps left and right."""
    table = np.arange(256, dtype=np.uint8)
    for left, right in PAIRS:
        table[left], table[right] = right, left
    return table


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """x0 y0 x1 y1 (half-open) of the true pixels, or None where there are fewer than 30."""
    if int(mask.sum()) < 30:
        return None
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@dataclass(frozen=True)
class Photo:
    """One photo (H, W, 3) RGB uint8 and its labels (H, W), with a half-size copy against aliasing."""

    image: Array
    labels: Array
    half: Array = field(init=False)
    boxes: dict[str, Box] = field(init=False)  # of "person" and of each of PARTS that is there

    def __post_init__(self) -> None:
        height, width = self.labels.shape
        half = cv2.resize(self.image, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
        object.__setattr__(self, "half", half)
        masks = {name: np.isin(self.labels, ids) for name, ids in PARTS.items()}
        masks["person"] = (self.labels > 0) & (self.labels < CLASSES)
        boxes = {name: box_of(mask) for name, mask in masks.items()}
        object.__setattr__(self, "boxes", {name: box for name, box in boxes.items() if box})


def load(folder: Path) -> tuple[list[Photo], list[Photo]]:
    """(training photos, validation photos): every tenth by sorted id, from the first, is validation."""
    ids = sorted(path.stem for path in (folder / "labels_atr").glob("*.png"))
    if not ids:
        raise SystemExit(f"{folder} holds no labels_atr/*.png: pass the CCP-ATR folder as --data")

    def read(name: str) -> Photo:
        image = np.asarray(Image.open(folder / "images" / f"{name}.jpg").convert("RGB"))
        return Photo(image, np.asarray(Image.open(folder / "labels_atr" / f"{name}.png")))

    with ThreadPoolExecutor() as pool:
        photos = list(pool.map(read, ids))
    return [p for i, p in enumerate(photos) if i % 10], photos[::10]


def counts(photos: list[Photo]) -> NDArray[np.int64]:
    """Pixels per photo and class, (N, 18)."""
    return np.stack([np.bincount(p.labels.ravel(), minlength=256)[:CLASSES] for p in photos])


def class_weights(counted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Cross-entropy weights: frequency to the power -0.35, background 1, at most 5."""
    share = np.maximum(counted.sum(0), 1) / counted.sum()
    return np.clip((share / share[0]) ** -0.35, 1, 5).astype(np.float32)


def photo_odds(counted: NDArray[np.int64], threshold: float = 0.3) -> NDArray[np.float64]:
    """How often each photo is drawn: its rarest label decides (repeat factors of LVIS, arXiv:1908.03195)."""
    present = counted > 100
    often = np.maximum(present.mean(0), 1e-3)
    factors = np.where(present, np.maximum(1, np.sqrt(threshold / often)), 1).max(1)
    return np.asarray(factors / factors.sum())
