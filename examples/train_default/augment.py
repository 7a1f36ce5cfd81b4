"""From a photo to a training canvas: crops down to a face or a shoe, flips, pasted groups, colour, JPEG.

Cheap on purpose: one warp per photo puts scale, rotation, flip and crop together.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from photos import Array, Box, Photo, mirror_table

MIRROR = mirror_table()
MEAN_COLOUR = (124, 116, 104)
Matrix = NDArray[np.float64]
Rng = np.random.Generator
Size = tuple[int, int]
Colour = tuple[int, int, int]
VIEWS = {"whole": 0.36, "upper": 0.20, "lower": 0.08, "head": 0.16, "torso": 0.08, "legs": 0.08, "feet": 0.04}


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number between `low` and `high`, every octave as likely as the next."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def cut(rng: Rng, photo: Photo, upper: bool) -> Box | None:
    """The person's box from the head down, or from the feet up, cut off somewhere about the waist."""
    if "person" not in photo.boxes:
        return None
    x0, y0, x1, y1 = photo.boxes["person"]
    kept = round((y1 - y0) * (rng.uniform(0.22, 0.55) if upper else rng.uniform(0.3, 0.65)))
    return (x0, y0, x1, y0 + kept) if upper else (x0, y1 - kept, x1, y1)


def view(rng: Rng, photo: Photo, size: Size, small: bool) -> tuple[Matrix, bool]:
    """(matrix from photo to canvas pixel centres, flipped?): whole people, cut-off ones, heads, feet ..."""
    height, width = size
    rows, columns = photo.labels.shape
    fit = min(height / rows, width / columns)
    part = str(rng.choice(list(VIEWS), p=list(VIEWS.values())))
    halved = part in ("upper", "lower")
    box = cut(rng, photo, part == "upper") if halved else photo.boxes.get(part)
    if small or box is None:  # the whole photo at a random place, or a window into it
        scale = fit * (log_uniform(rng, 0.4, 1.2) if small else log_uniform(rng, 0.8, 2.0))
        x0, y0, x1, y1 = photo.boxes.get("person", (0, 0, columns, rows)) if small else (0, 0, columns, rows)
        play_x, play_y = abs(width - (x1 - x0) * scale) / 2, abs(height - (y1 - y0) * scale) / 2
        to = (width / 2 + rng.uniform(-1, 1) * play_x, height / 2 + rng.uniform(-1, 1) * play_y)
    elif halved:
        x0, y0, x1, y1 = box
        scale = min(height / (y1 - y0), width / (x1 - x0)) * log_uniform(rng, 0.75, 1.3)
        to = (width * rng.uniform(0.4, 0.6), height * rng.uniform(0.45, 0.55))
    else:
        x0, y0, x1, y1 = box
        share = log_uniform(rng, 0.10, 0.40) if part == "feet" else log_uniform(rng, 0.22, 0.95)
        scale = min(share * height / (y1 - y0), 1.3 * width / (x1 - x0), 3.5)
        to = (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.3, 0.7))
    scale = min(scale, 3.5)
    angle = math.radians(float(np.clip(rng.normal(0, 12), -40, 40))) if rng.random() < 0.6 else 0.0
    flip = bool(rng.random() < 0.5)
    aspect = math.exp(rng.normal(0, 0.06))
    stretch = np.diag([(-1 if flip else 1) * scale * aspect, scale / aspect])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turn @ stretch
    offset = np.array(to) - linear @ np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    return np.column_stack([linear, offset]), flip


def warp(image: Array, matrix: Matrix, size: Size, shift: float = 0.0, **how: object) -> Array:
    """`image` through `matrix`, which acts on coordinates where pixel (0, 0) has its centre at (0.5, 0.5).

    `shift` samples that many pixels further right and down.
    """
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5 - shift
    return cv2.warpAffine(image, centred, (size[1], size[0]), **how)  # type: ignore[call-overload, no-any-return]


def look(photo: Photo, matrix: Matrix, size: Size, flip: bool, fill: Colour) -> tuple[Array, Array]:
    """The photo and its labels on a canvas.

    Labels are taken half a pixel further: every second of them is then the centre of a stride-2 logit.
    """
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    source, inner = photo.image, matrix.copy()
    if scale < 0.6:
        source = photo.half
        inner[:, 0] *= photo.labels.shape[1] / source.shape[1]
        inner[:, 1] *= photo.labels.shape[0] / source.shape[0]
    image = warp(source, inner, size, flags=cv2.INTER_LINEAR, borderValue=fill)
    labels = warp(photo.labels, matrix, size, 0.5, flags=cv2.INTER_NEAREST, borderValue=0)
    return image, MIRROR[labels] if flip else labels


def texture(rng: Rng, size: Size) -> Array:
    """A ground without people: smooth noise, blocks, stripes or a plain colour."""
    kind = rng.random()
    if kind < 0.2:
        return np.full((*size, 3), rng.integers(0, 256, 3), np.uint8)
    cells = rng.integers(2, 40, 2)
    if kind < 0.35:
        cells[rng.integers(2)] = 1
    grain = rng.integers(0, 256, (*cells, 3 if rng.random() < 0.7 else 1)).astype(np.float32)
    base = rng.uniform(0, 255, 3).astype(np.float32)
    grain = base + (grain - base) * np.float32(rng.uniform(0.1, 1))
    how = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_CUBIC
    return np.asarray(np.clip(cv2.resize(grain, size[::-1], interpolation=how), 0, 255), np.uint8)


def scenery(rng: Rng, photo: Photo, size: Size) -> Array | None:
    """What a photo shows beside its person, enlarged to the canvas; None where that is too narrow."""
    columns = photo.labels.shape[1]
    x0, _, x1, _ = photo.boxes.get("person", (columns, 0, columns, 0))
    strip = photo.image[:, :x0] if x0 > columns - x1 else photo.image[:, x1:]
    if strip.shape[1] < 60:
        return None
    tall = max(40, min(strip.shape[0], int(strip.shape[1] * size[0] / size[1] * rng.uniform(0.7, 1.5))))
    top = int(rng.integers(0, strip.shape[0] - tall + 1))
    image = cv2.resize(strip[top : top + tall], size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(image[:, ::-1] if rng.random() < 0.5 else image, np.uint8)


def group(rng: Rng, photo: Photo, photos: list[Photo], size: Size) -> tuple[Array, Array]:
    """Nobody, or one to four cut-out people (the first is `photo`'s), on another ground."""
    other = photos[int(rng.integers(len(photos)))]
    image = scenery(rng, other, size) if rng.random() < 0.6 else None
    image = texture(rng, size) if image is None else image.copy()
    labels = np.zeros(size, np.uint8)
    people = int(rng.choice(5, p=[0.07, 0.43, 0.25, 0.15, 0.10]))
    for number in range(people):
        who = photo if number == 0 else photos[int(rng.integers(len(photos)))]
        matrix, flip = view(rng, who, size, small=people > 1 and bool(rng.random() < 0.8))
        colours, parts = look(who, matrix, size, flip, (0, 0, 0))
        solid = warp((who.labels > 0).astype(np.uint8) * 255, matrix, size, flags=cv2.INTER_LINEAR)
        alpha = (cv2.blur(solid, (3, 3)).astype(np.float32) / 255)[..., None]
        image = (image + alpha * (colours.astype(np.float32) - image) + 0.5).astype(np.uint8)
        labels = np.where(parts > 0, parts, labels)
    return image, labels


def recolour(rng: Rng, image: Array) -> Array:
    """Brightness, contrast, gamma, tint, saturation, grey; then sometimes blur, noise, JPEG."""
    if rng.random() < 0.8:
        ramp = np.linspace(0, 1, 256)[:, None] ** log_uniform(rng, 0.6, 1.6)
        ramp = (ramp - 0.5) * rng.uniform(0.65, 1.35) + 0.5 + rng.uniform(-0.15, 0.15)
        tinted = np.clip(ramp * (1 + rng.normal(0, 0.06, 3)) * 255, 0, 255)
        image = cv2.LUT(image, np.ascontiguousarray(tinted.astype(np.uint8)[:, None]))
    grey = rng.random()
    if grey < 0.45:
        plain = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = 0.0 if grey < 0.08 else rng.uniform(0.3, 1.6)
        image = cv2.addWeighted(image, keep, plain, 1 - keep, 0)
    elif grey < 0.6:
        hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(rng.integers(-15, 16))) % 180
        image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.15:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 16))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])[1]
        image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)


def canvas(rng: Rng, photo: Photo, photos: list[Photo], size: Size) -> tuple[Array, Array]:
    """One training example: RGB uint8 (h, w, 3) and labels (h/2, w/2)."""
    if rng.random() < 0.3:
        image, labels = group(rng, photo, photos, size)
    else:
        matrix, flip = view(rng, photo, size, small=False)
        red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
        fill = MEAN_COLOUR if rng.random() < 0.5 else (red, green, blue)
        image, labels = look(photo, matrix, size, flip, fill)
    return recolour(rng, image), np.ascontiguousarray(labels[::2, ::2])
