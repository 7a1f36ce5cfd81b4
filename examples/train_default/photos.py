"""The training data in memory: labelled photos, photos without people, the fixed splits, what is rare."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

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
OTHERS = 254  # not of the photo's person, but perhaps of somebody else: neither a part nor background
FACE = 11
PLACES = 3  # drawn for each photo of clothes that shows nobody
SKIN = 41  # in CCP's own labels
PARTS = {"head": (1, 2, 3, 11), "torso": (4, 7, 8, 14, 15), "legs": (5, 6, 9, 10, 12, 13), "feet": (9, 10)}

Array = NDArray[np.uint8]
Box = tuple[int, int, int, int]
Item = TypeVar("Item")


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


def read(image: Path, labels: Path) -> Photo:
    """A photo and its label PNG."""
    return Photo(np.asarray(Image.open(image).convert("RGB")), np.asarray(Image.open(labels)))


def split(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """(for training, held out): every tenth, from the first, is held out."""
    return [item for number, item in enumerate(items) if number % 10], items[::10]


def split_ids(folder: Path) -> tuple[list[str], list[str]]:
    """The labelled photos' ids, sorted: for training, for validation."""
    ids = sorted(path.stem for path in (folder / "labels_atr").glob("*.png"))
    if not ids:
        raise SystemExit(f"{folder} holds no labels_atr/*.png: pass the CCP-ATR folder as --data")
    return split(ids)


def load(folder: Path, others: Path | None = None) -> tuple[list[Photo], list[Photo]]:
    """(training photos, validation photos).

    In training photos the neck is face, as in ATR, and passers-by, whom CCP labels background, are `OTHERS`
    where `others` holds the masks that `pseudo.py` wrote. Validation keeps the labels as they are.
    """

    def as_labelled(name: str) -> Photo:
        return read(folder / "images" / f"{name}.jpg", folder / "labels_atr" / f"{name}.png")

    def to_learn(name: str) -> Photo:
        photo = as_labelled(name)
        garments = np.asarray(Image.open(folder / "labels_ccp" / f"{name}.png"))
        labels = with_neck(photo.labels, garments == SKIN)
        if others:
            seen = np.asarray(Image.open(others / f"{name}.png")) > 0
            labels = np.where(seen & (labels == 0), OTHERS, labels).astype(np.uint8)
        return Photo(photo.image, labels)

    training, validation = split_ids(folder)
    with ThreadPoolExecutor() as pool:
        return list(pool.map(to_learn, training)), list(pool.map(as_labelled, validation))


def load_tagged(images: Path, labels: Path) -> list[Photo]:
    """Photos that `pseudo.py` labelled: those of which `labels` holds a PNG."""
    paths = sorted(labels.glob("*.png"))
    if not paths:
        raise SystemExit(f"{labels} holds no *.png: run pseudo.py first")
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda path: read(images / f"{path.stem}.jpg", path), paths))


def with_neck(labels: Array, skin: NDArray[np.bool_]) -> Array:
    """Labels in which unlabelled skin beside and below the face is face, as ATR's annotators drew it."""
    face = box_of(labels == FACE)
    if face is None:
        return labels
    x0, y0, x1, y1 = face
    tall, wide = y1 - y0, x1 - x0
    near = np.zeros(labels.shape, bool)
    near[y0 : y1 + round(0.8 * tall), max(0, x0 - wide // 2) : x1 + wide // 2] = True
    neck = near & skin & (labels == IGNORE)
    _, regions = cv2.connectedComponents((neck | (labels == FACE)).astype(np.uint8))
    joined = np.isin(regions, np.unique(regions[labels == FACE]))
    return np.where(neck & joined, FACE, labels).astype(np.uint8)


def load_grounds(folder: Path) -> tuple[list[Array], list[Array]]:
    """(for training, held out) of the photos without people: every tenth by sorted name is held out.

    Some are in the first list several times, so that `PLACES` places are drawn for each photo of clothes.
    """
    paths = sorted(path.relative_to(folder) for path in folder.glob("*/*.jpg"))
    if not paths:
        raise SystemExit(f"{folder} holds no */*.jpg: pass the folder of photos without people as --grounds")
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(lambda path: np.asarray(Image.open(folder / path).convert("RGB")), paths))
    training, held_out = split(images)
    kinds: dict[str, list[Array]] = {}
    for path, image in zip(split(paths)[0], training, strict=True):
        kinds.setdefault(path.parts[0], []).append(image)
    odds = {name: PLACES if name == "places" else 1 for name in kinds}
    most = max(len(kind) / odds[name] for name, kind in kinds.items())
    return [
        image for name, kind in kinds.items() for image in kind * round(odds[name] * most / len(kind))
    ], held_out


def counts(photos: list[Photo]) -> NDArray[np.int64]:
    """Pixels per photo and class, (N, 18)."""
    return np.stack([np.bincount(p.labels.ravel(), minlength=256)[:CLASSES] for p in photos])


def class_weights(counted: NDArray[np.int64]) -> NDArray[np.float32]:
    """Cross-entropy weights: frequency to the power -0.35, background 1, at most 5."""
    share = np.maximum(counted.sum(0), 1) / counted.sum()
    return np.clip((share / share[0]) ** -0.35, 1, 5).astype(np.float32)


def shown(counted: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each photo shows each class, (N, 18): more than 100 pixels."""
    return counted > 100


def frequency(counted: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of photos that show each class, (18,), at least a thousandth."""
    return np.maximum(shown(counted).mean(0), 1e-3)


def photo_odds(counted: NDArray[np.int64], threshold: float = 0.3) -> NDArray[np.float64]:
    """How often each photo is drawn: its rarest label decides (repeat factors of LVIS, arXiv:1908.03195)."""
    factors = np.where(shown(counted), np.maximum(1, np.sqrt(threshold / frequency(counted))), 1).max(1)
    return np.asarray(factors / factors.sum())
