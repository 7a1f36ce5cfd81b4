"""From a photo to a training canvas: crops down to a face or a shoe, dyes, pasted groups, light, JPEG.

Cheap on purpose: one warp per photo puts scale, rotation, flip, stretch and crop together.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from photos import IGNORE, OTHERS, Array, Box, Photo, mirror_table

MIRROR = mirror_table()
MEAN_COLOUR = (124, 116, 104)
Matrix = NDArray[np.float64]
Rng = np.random.Generator
Size = tuple[int, int]
Colour = tuple[int, int, int]
VIEWS = {"whole": 0.30, "upper": 0.40, "lower": 0.06, "head": 0.12, "torso": 0.05, "legs": 0.05, "feet": 0.02}
NOBODY, PASTED, MOSAIC = 0.08, 0.24, 0.29  # shares of canvases: without people, pasted people, several photos
DYED = 0.5  # share of people whose clothes get other colours
GARMENTS = ((1,), (4,), (5,), (6,), (7,), (8,), (9, 10), (16,), (17,))  # what gets one colour
# RGB (h, w, 3), labels (h, w), whose pixel it is (h, w): the person's number, 0 for nobody's, or `OTHERS`.
Canvas = tuple[Array, Array, Array]


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number between `low` and `high`, every octave as likely as the next."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def cut(rng: Rng, photo: Photo, upper: bool) -> Box | None:
    """The person's box from the head down, cut off anywhere from chin to shins; or from the feet up."""
    if "person" not in photo.boxes:
        return None
    x0, y0, x1, y1 = photo.boxes["person"]
    kept = round((y1 - y0) * (log_uniform(rng, 0.15, 0.85) if upper else rng.uniform(0.3, 0.65)))
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
        scale = fit * (log_uniform(rng, 0.13, 1.2) if small else log_uniform(rng, 0.8, 2.0))
        x0, y0, x1, y1 = photo.boxes.get("person", (0, 0, columns, rows)) if small else (0, 0, columns, rows)
        play_x, play_y = (
            max(abs(room - side * scale), 0.3 * side * scale) / 2
            for room, side in ((width, x1 - x0), (height, y1 - y0))
        )  # people at the edge are cut off by it
        to = (width / 2 + rng.uniform(-1, 1) * play_x, height / 2 + rng.uniform(-1, 1) * play_y)
    elif halved:
        x0, y0, x1, y1 = box
        scale = min(height / (y1 - y0), width / (x1 - x0)) * log_uniform(rng, 0.75, 1.3)
        to = (width * rng.uniform(0.35, 0.65), height * rng.uniform(0.45, 0.55))
    else:
        x0, y0, x1, y1 = box
        share = log_uniform(rng, 0.10, 0.40) if part == "feet" else log_uniform(rng, 0.22, 0.95)
        scale = min(share * height / (y1 - y0), 1.3 * width / (x1 - x0))
        to = (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.3, 0.7))
    scale = min(scale, 5.0)
    angle = math.radians(float(np.clip(rng.normal(0, 12), -30, 30))) if rng.random() < 0.6 else 0.0
    flip = bool(rng.random() < 0.5)
    aspect = math.exp(rng.normal(0, 0.16 if rng.random() < 0.2 else 0.06))
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


def look(
    photo: Photo, matrix: Matrix, size: Size, flip: bool, fill: Colour, dye: Rng | None = None
) -> tuple[Array, Array]:
    """The photo and its labels on a canvas; given random numbers to `dye`, sometimes in other colours.

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
    if dye and dye.random() < DYED:
        image = dyed(dye, image, labels)
    return image, MIRROR[labels] if flip else labels


def dyed(rng: Rng, image: Array, labels: Array) -> Array:
    """The person in clothes of other colours and patterns, with the folds and edges of the real ones."""
    image = image.copy()
    shades = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    there = np.bincount(labels.ravel(), minlength=256)
    for ids in GARMENTS:
        if there[list(ids)].sum() < 30 or rng.random() < 0.3:
            continue
        mask = np.isin(labels, ids).astype(np.uint8)
        left, top, wide, tall = cv2.boundingRect(mask)
        here = np.s_[top : top + tall, left : left + wide]
        alpha, shade = cv2.blur(mask[here].astype(np.float32), (3, 3)), shades[here]
        middle = max(25.0, float(shade[mask[here] > 0].mean()))
        if rng.random() < 0.25:
            pattern = 1 + (texture(rng, (tall, wide))[..., 1] / 255 - 0.5) * rng.uniform(0.3, 1.5)
            shade = np.clip(shade * pattern, 0, 255).astype(np.uint8)
        colour = rng.uniform(10, 240) + rng.normal(0, 1, 3) * log_uniform(rng, 3, 60)
        folds = 1 + (np.arange(256) / middle - 1) * rng.uniform(0.5, 1.2)
        ramp = np.clip(folds[:, None] * np.clip(colour, 5, 250), 0, 255).astype(np.uint8)
        new = cv2.LUT(cv2.merge([shade] * 3), ramp[:, None])
        image[here] = cv2.blendLinear(new, np.ascontiguousarray(image[here]), alpha, 1 - alpha)
    return image


def own(labels: Array) -> NDArray[np.bool_]:
    """Where the photo's person is."""
    return (labels > 0) & (labels != OTHERS)


def owner(labels: Array, number: int) -> Array:
    """Whose pixel it is: the person's `number`, 0 or `OTHERS`."""
    return np.where(own(labels), number, labels).astype(np.uint8)


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
    """What a photo shows beside its person, enlarged; None if that is narrow or shows other people."""
    columns = photo.labels.shape[1]
    x0, _, x1, _ = photo.boxes.get("person", (columns, 0, columns, 0))
    beside = np.s_[:, :x0] if x0 > columns - x1 else np.s_[:, x1:]
    strip = photo.image[beside]
    if strip.shape[1] < 60 or bool((photo.labels[beside] == OTHERS).any()):
        return None
    tall = max(40, min(strip.shape[0], int(strip.shape[1] * size[0] / size[1] * rng.uniform(0.7, 1.5))))
    top = int(rng.integers(0, strip.shape[0] - tall + 1))
    image = cv2.resize(strip[top : top + tall], size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(image[:, ::-1] if rng.random() < 0.5 else image, np.uint8)


def empty(rng: Rng, grounds: list[Array], size: Size) -> Array:
    """A window into a photo without people, down to half its side."""
    image = grounds[int(rng.integers(len(grounds)))]
    rows, columns = image.shape[:2]
    scale = max(size[0] / rows, size[1] / columns) * log_uniform(rng, 1, 2)
    tall, wide = (
        min(side, math.ceil(room / scale)) for side, room in zip((rows, columns), size, strict=True)
    )
    top, left = int(rng.integers(rows - tall + 1)), int(rng.integers(columns - wide + 1))
    window = image[top : top + tall, left : left + wide]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = cv2.resize(window, size[::-1], interpolation=how)
    return np.asarray(image[:, ::-1] if rng.random() < 0.5 else image, np.uint8)


def ground(rng: Rng, photos: list[Photo], grounds: list[Array], size: Size) -> Array:
    """Something to paste people on."""
    kind = rng.random()
    if kind < 0.5:
        image = empty(rng, grounds, size)
    else:
        beside = scenery(rng, photos[int(rng.integers(len(photos)))], size) if kind < 0.8 else None
        image = texture(rng, size) if beside is None else beside.copy()
    for _ in range(int(rng.integers(1, 4)) if rng.random() < 0.25 else 0):  # clutter
        tall, wide = (int(side * rng.uniform(0.15, 0.5)) for side in size)
        top, left = int(rng.integers(size[0] - tall + 1)), int(rng.integers(size[1] - wide + 1))
        image[top : top + tall, left : left + wide] = empty(rng, grounds, (tall, wide))
    return image


def crowd_size(rng: Rng) -> int:
    """How many people are pasted on a canvas."""
    return int(rng.choice(7, p=[0, 0.34, 0.24, 0.16, 0.12, 0.08, 0.06]))


def group(rng: Rng, photo: Photo, photos: list[Photo], grounds: list[Array], size: Size) -> Canvas:
    """One to six cut-out people (the first is `photo`'s) on another ground."""
    image = ground(rng, photos, grounds, size)
    labels, who = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    people = crowd_size(rng)
    alike = rng.random() < 0.25  # dark people on a dark ground
    places = rng.permutation(people) if people > 1 and rng.random() < 0.4 else None
    for number in range(1, people + 1):
        one = photo if number == 1 else photos[int(rng.integers(len(photos)))]
        if places is None:
            matrix, flip = view(rng, one, size, small=people > 1 and bool(rng.random() < 0.85))
        else:
            matrix, flip = abreast(rng, one, size, int(places[number - 1]), people)
        image = paste(image, labels, who, one, matrix, flip, number, alike, rng)
    return image, labels, who


def abreast(rng: Rng, photo: Photo, size: Size, place: int, people: int) -> tuple[Matrix, bool]:
    """Like `view`, in a row of `people` who overlap: a few from the chest up, many from head to foot."""
    rows, columns = photo.labels.shape
    x0, y0, x1, y1 = photo.boxes.get("person", (0, 0, columns, rows))
    scale = min(size[1] / people / (x1 - x0) * log_uniform(rng, 0.8, 1.8), 3.5)
    tall = scale * (y1 - y0)
    top = rng.uniform(0.02, 0.3) * size[0] if tall > 0.7 * size[0] else rng.uniform(0.05, 0.6) * size[0]
    middle = size[1] * (place + rng.uniform(0.3, 0.7)) / people
    flip = bool(rng.random() < 0.5)
    across = -scale if flip else scale
    return np.array([[across, 0, middle - across * (x0 + x1) / 2], [0, scale, top - scale * y0]]), flip


def paste(
    image: Array,
    labels: Array,
    who: Array,
    one: Photo,
    matrix: Matrix,
    flip: bool,
    number: int,
    alike: bool,
    dye: Rng | None = None,
) -> Array:
    """`image` with a person over it; `labels` and `who` are changed in place.

    Args:
        number: the person's id in `who`.
        alike: give the person the ground's mean brightness.
        dye: as for `look`.
    """
    size = labels.shape
    colours, parts = look(one, matrix, size, flip, (0, 0, 0), dye)
    solid = warp(own(one.labels).astype(np.uint8) * 255, matrix, size, flags=cv2.INTER_LINEAR)
    alpha = (cv2.blur(solid, (3, 3)).astype(np.float32) / 255)[..., None]
    over = colours.astype(np.float32)
    there = own(parts)
    if alike and there.any():
        over *= np.clip(image.mean() / max(1.0, float(over[there].mean())), 0.35, 1.5)
    labels[there], who[there] = parts[there], number
    blended = image + alpha * (np.minimum(over, 255) - image)
    return np.asarray(blended + 0.5, np.uint8)


def tiles(rng: Rng, size: Size, least: int = 64) -> list[Box]:
    """Divide a canvas into up to seven boxes, none narrower than `least`."""
    found: list[Box] = [(0, 0, size[1], size[0])]
    for _ in range(int(rng.integers(1, 7))):
        x0, y0, x1, y1 = max(found, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        across = bool(rng.random() < (x1 - x0) / (x1 - x0 + y1 - y0))
        side = x1 - x0 if across else y1 - y0
        at = int(side * rng.uniform(0.3, 0.7))
        if min(at, side - at) < least:
            continue
        found.remove((x0, y0, x1, y1))
        found += (
            [(x0, y0, x0 + at, y1), (x0 + at, y0, x1, y1)]
            if across
            else [(x0, y0, x1, y0 + at), (x0, y0 + at, x1, y1)]
        )
    return found


def covering(rng: Rng, photo: Photo, size: Size) -> tuple[Matrix, bool]:
    """Like `view`, with the photo on all of the canvas: as much of it as fits, or its person from near."""
    rows, columns = photo.labels.shape
    scale = max(size[0] / rows, size[1] / columns)
    x0, y0, x1, y1 = photo.boxes.get("person", (0, 0, columns, rows))
    at = columns / 2, rows * rng.uniform(0.4, 0.6)
    if rng.random() < 0.4:  # from near
        scale = max(scale, min(size[1] / (x1 - x0) * log_uniform(rng, 0.5, 1.2), 3.5))
        at = (x0 + x1) / 2, y0 + (y1 - y0) * rng.uniform(0.05, 0.6)
    scale *= log_uniform(rng, 1, 1.3)
    flip = bool(rng.random() < 0.5)
    offset = [
        float(np.clip(room * rng.uniform(0.3, 0.7) - scale * centre, room - scale * side, 0))
        for room, side, centre in ((size[1], columns, at[0]), (size[0], rows, at[1]))
    ]
    if flip:
        return np.array([[-scale, 0, size[1] - offset[0]], [0, scale, offset[1]]]), flip
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]]), flip


def mosaic(
    rng: Rng,
    photo: Photo,
    photos: list[Photo],
    grounds: list[Array],
    size: Size,
    empties: float,
    dye: Rng | None = None,
) -> Canvas:
    """Several photos side by side (the first is `photo`): small people, each in the place they stood in.

    Args:
        empties: the share of the other tiles that show nobody.
        dye: as for `look`.
    """
    image = np.zeros((*size, 3), np.uint8)
    labels, who = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    boxes = tiles(rng, size)
    for number, turn in enumerate(rng.permutation(len(boxes)), start=1):
        x0, y0, x1, y1 = boxes[turn]
        here, room = np.s_[y0:y1, x0:x1], (y1 - y0, x1 - x0)
        if number > 1 and rng.random() < empties:
            image[here] = empty(rng, grounds, room)
            continue
        one = photo if number == 1 else photos[int(rng.integers(len(photos)))]
        matrix, flip = covering(rng, one, room)
        image[here], labels[here] = look(one, matrix, room, flip, (0, 0, 0), dye)
        who[here] = owner(labels[here], number)
    return image, labels, who


def lit(rng: Rng, image: Array) -> Array:
    """Hard light from one side, or hardly any."""
    rows, columns = image.shape[:2]
    if rng.random() < 0.5:
        return np.asarray(image * np.float32(rng.uniform(0.25, 0.6)), np.uint8)
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j].astype(np.float32)
    along = (math.cos(angle) * x + math.sin(angle) * y - rng.uniform(-0.6, 0.6)) * log_uniform(rng, 1, 20)
    bright, dark = rng.uniform(1.0, 1.6), rng.uniform(0.3, 0.8)
    gain = dark + (bright - dark) / (1 + np.exp(-along))
    return np.asarray(np.minimum(image * gain[..., None], 255), np.uint8)


def coarse(rng: Rng, image: Array) -> Array:
    """As if taken at low resolution and enlarged."""
    rows, columns = image.shape[:2]
    share = rng.uniform(0.25, 0.7)
    few = max(8, round(columns * share)), max(8, round(rows * share))
    small = cv2.resize(image, few, interpolation=cv2.INTER_AREA)
    how = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(small, (columns, rows), interpolation=how), np.uint8)


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
    if rng.random() < 0.15:
        image = lit(rng, image)
    if rng.random() < 0.12:
        image = coarse(rng, image)
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), log_uniform(rng, 0.4, 3.0))
    if rng.random() < 0.15:
        noise = rng.standard_normal(image.shape, np.float32) * np.float32(rng.uniform(2, 22))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 90))])[1]
        image = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.asarray(image, np.uint8)


def canvas(rng: Rng, photo: Photo, photos: list[Photo], grounds: list[Array], size: Size) -> Canvas:
    """One training example: RGB uint8 (h, w, 3), labels (h/2, w/2), people's ids (h/4, w/4)."""
    kind = rng.random()
    if kind < NOBODY:
        image = empty(rng, grounds, size)
        labels = who = np.zeros(size, np.uint8)
    elif kind < NOBODY + PASTED:
        image, labels, who = group(rng, photo, photos, grounds, size)
    elif kind < NOBODY + PASTED + MOSAIC:
        image, labels, who = mosaic(rng, photo, photos, grounds, size, empties=0.25, dye=rng)
    else:
        matrix, flip = view(rng, photo, size, small=False)
        red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
        fill = MEAN_COLOUR if rng.random() < 0.5 else (red, green, blue)
        image, labels = look(photo, matrix, size, flip, fill, rng)
        who = owner(labels, 1)
    labels = np.where(labels == OTHERS, IGNORE, labels).astype(np.uint8)
    # `look` samples labels half a pixel further: these are the centres of cells at strides 2 and 4
    made = recolour(rng, image), labels[::2, ::2], who[1::4, 1::4]
    return np.ascontiguousarray(made[0]), np.ascontiguousarray(made[1]), np.ascontiguousarray(made[2])
