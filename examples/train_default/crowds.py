"""Canvases of several validation people, and how well a model finds them and their parts.

Two to five people are pasted on another ground; or photos lie side by side, and everybody stays in place.

    python examples/train_default/crowds.py --data CCP --grounds NO_PEOPLE --out FOLDER

writes both kinds, to `pasted/` and `mosaics/`: `NN.jpg`, `NN_labels.png` (ATR, 255 = ignore) and
`NN_people.png` (ids; 0 where nobody is).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from augment import Canvas, empty, log_uniform, mosaic, paste
from numpy.typing import NDArray
from photos import CLASSES, IGNORE, Array, Box, Photo, load, load_grounds
from PIL import Image

SEED, MANY = 11, 60
VISIBLE = 0.4  # of everybody's pixels at least this share shows
SMALLEST = 400  # pixels of a person who counts on a mosaic
Mask = NDArray[np.bool_]


def crowds(photos: list[Photo], grounds: list[Array]) -> Iterator[Canvas]:
    """Canvases of pasted people: RGB uint8 (H, W, 3), labels (H, W), people's ids (H, W)."""
    for number in range(MANY):
        yield crowd(np.random.default_rng((SEED, number)), photos, grounds)


def mosaics(photos: list[Photo], grounds: list[Array]) -> Iterator[Canvas]:
    """Canvases of photos side by side, as `crowds`."""
    for number in range(MANY):
        rng = np.random.default_rng((SEED, MANY + number))
        size = int(rng.integers(480, 901)), int(rng.integers(480, 901))
        image, labels, who = mosaic(
            rng, photos[int(rng.integers(len(photos)))], photos, grounds, size, empties=0.35
        )
        small = np.bincount(who.ravel()) < SMALLEST
        yield image, labels, np.where(small[who], 0, who).astype(np.uint8)


def crowd(rng: np.random.Generator, photos: list[Photo], grounds: list[Array]) -> Canvas:
    """One canvas; people are 15 to 95 % of it tall, may overlap, and may be cut off by the frame."""
    size = int(rng.integers(480, 721)), int(rng.integers(640, 961))
    image = empty(rng, grounds, size)
    labels, who = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    whole: list[int] = []
    wanted = int(rng.integers(2, 6))
    while len(whole) < wanted:
        one = photos[int(rng.integers(len(photos)))]
        x0, y0, x1, y1 = one.boxes["person"]
        tall = size[0] * log_uniform(rng, 0.15, 0.95)
        scale = tall / (y1 - y0)
        flip = bool(rng.random() < 0.5)
        at = rng.uniform(0, size[1]), rng.uniform(0.4 * tall, size[0] - 0.4 * tall)
        linear = np.diag([-scale if flip else scale, scale])
        matrix = np.column_stack([linear, np.array(at) - linear @ np.array([(x0 + x1) / 2, (y0 + y1) / 2])])
        tried = labels.copy(), who.copy()
        pasted = paste(image, *tried, one, matrix, flip, len(whole) + 1, alike=False)
        areas = [*whole, int((one.labels > 0).sum() * scale**2)]
        shown = np.bincount(tried[1].ravel(), minlength=len(areas) + 1)[1:]
        if all(part >= VISIBLE * area for part, area in zip(shown, areas, strict=True)):
            image, (labels, who), whole = pasted, tried, areas
    return image, labels, who


@dataclass
class Found:
    """One person that a model found on a canvas."""

    score: float
    box: Box
    labels: Array  # (H, W), 0 where it is not this person


@dataclass(frozen=True)
class CrowdScores:
    """How well people were found.

    Attributes:
        ap: average precision at box IoU .5, area under the interpolated curve.
        part_iou: mean over matched people of the mean IoU of the parts that they have.
        people: how many there are.
    """

    ap: float
    part_iou: float
    people: int


def found_in(parsing: Any) -> list[Found]:
    """The people of a `humanparse.Parsing`."""
    made = []
    for person in parsing.people:
        labels = np.zeros(parsing.size, np.uint8)
        x0, y0, x1, y1 = person.box
        labels[y0:y1, x0:x1] = person.labels
        made.append(Found(person.score, person.box, labels))
    return made


def score_crowds(pairs: Sequence[tuple[Canvas, list[Found]]]) -> CrowdScores:
    """Scores of what was found on each canvas; each true person is matched once, best score first."""
    ranked: list[tuple[float, bool]] = []
    ious: list[float] = []
    people = 0
    for (_, labels, who), found in pairs:
        truth = {int(n): who == n for n in np.unique(who[who > 0])}
        people += len(truth)
        for one in sorted(found, key=lambda one: -one.score):
            overlaps = {n: box_iou(one.box, tight_box(mask)) for n, mask in truth.items()}
            best = max(overlaps, key=overlaps.__getitem__, default=0)
            hit = bool(overlaps) and overlaps[best] >= 0.5
            ranked.append((one.score, hit))
            if hit:
                ious.append(part_iou(np.where(truth.pop(best), labels, 0), one.labels))
    ranked.sort(key=lambda pair: -pair[0])
    hits = np.cumsum([hit for _, hit in ranked])
    precision = hits / np.arange(1, len(hits) + 1)
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(hits, prepend=0) / max(1, people)
    return CrowdScores(float((highest * gained).sum()), float(np.mean(ious or [0])), people)


def tight_box(mask: Mask) -> Box:
    """x0 y0 x1 y1 (half-open) of the true pixels."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(0, wide) * max(0, tall)
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other)]
    return shared / (sum(areas) - shared)


def part_iou(truth: Array, found: Array) -> float:
    """Mean IoU of the parts that a person has; pixels without a known label are left out."""
    known = truth != IGNORE
    pairs = np.bincount(truth[known].astype(int) * CLASSES + found[known], minlength=CLASSES**2)
    table = pairs.reshape(CLASSES, CLASSES)
    union = table.sum(0) + table.sum(1) - np.diag(table)
    there = (table.sum(1) > 0) & (np.arange(CLASSES) > 0)
    return float((np.diag(table)[there] / union[there]).mean()) if there.any() else 0.0


def main(
    data: Annotated[Path, typer.Option(help="The CCP-ATR folder.")],
    grounds: Annotated[Path, typer.Option(help="Photos without people: places/, garments/.")],
    out: Annotated[Path, typer.Option(help="Where the canvases go.")],
) -> None:
    """Write the validation canvases."""
    photos, nobody = load(data)[1], load_grounds(grounds)[1]
    for folder, canvases in ((out / "pasted", crowds), (out / "mosaics", mosaics)):
        folder.mkdir(parents=True, exist_ok=True)
        for number, (image, labels, who) in enumerate(canvases(photos, nobody)):
            cv2.imwrite(str(folder / f"{number:02}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            Image.fromarray(labels).save(folder / f"{number:02}_labels.png")
            Image.fromarray(who).save(folder / f"{number:02}_people.png")


if __name__ == "__main__":
    typer.run(main)
