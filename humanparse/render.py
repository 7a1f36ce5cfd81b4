"""Arrays and a label scheme -> pictures: colours, overlay, outlines of people, legend."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .arrays import Labels, Mask, Picture
from .errors import SchemeError
from .people import Person
from .schemes import LabelScheme, Rgb

DISPLAY = "display"


def colorize(labels: Labels, scheme: LabelScheme, palette: str | tuple[Rgb, ...] = DISPLAY) -> Image.Image:
    """Paint each label, uint8 (H, W), in its colour: an RGB picture of the same size.

    Args:
        labels, scheme: the labels, and what they mean.
        palette: `"display"`, bright and distinct; `"voc"`, the palette of label PNGs; another palette of the
            scheme; or RGB triples (0-255), one per label.

    Raises:
        SchemeError: unknown palette, or one with too few colours.
    """
    return Image.fromarray(_table(labels, scheme, palette)[labels])


def overlay(
    image: Picture,
    labels: Labels,
    scheme: LabelScheme,
    alpha: float = 0.6,
    legend: bool = False,
    palette: str | tuple[Rgb, ...] = DISPLAY,
    people: Sequence[Person] = (),
) -> Image.Image:
    """The photo with its parts tinted and its people outlined and numbered; see `Parsing.overlay`.

    Background and ignored pixels stay as they are. With the display palette each part has a thin, lighter
    contour. Each person is outlined in their own colour, with their number at the top.
    """
    if image.shape[:2] != labels.shape:
        raise SchemeError(
            f"the picture is {image.shape[:2]} but the labels are {labels.shape}; pass the same photo"
        )
    if not 0 <= alpha <= 1:
        raise SchemeError(f"alpha must lie between 0 and 1, not {alpha}")
    table = _table(labels, scheme, palette)
    tint = labels < len(scheme)
    if scheme.background is not None:
        tint &= labels != scheme.background
    mixed = image.copy()
    mixed[tint] = _mixed(image[tint], table[labels[tint]], alpha)
    if palette == DISPLAY:
        edge = tint & _edges(labels, max(1, round(min(labels.shape) / 700)))
        lighter = (table[labels[edge]] // 2 + 128).astype(np.uint8)  # half and half with white
        mixed[edge] = _mixed(image[edge], lighter, alpha**0.5)
    thickness = max(1, round(min(labels.shape) / 250))
    for person in reversed(people):  # the first is drawn last, so it is on top, as in `labels`
        _outline(mixed, person, thickness)
    picture = Image.fromarray(mixed)
    for person in reversed(people):
        _badge(picture, person)
    if not legend:
        return picture
    return _beside(picture, _legend(labels, scheme, table, picture.height, people))


def _mixed(pixels: Picture, colours: Picture, alpha: float) -> Picture:
    return np.rint(pixels * (1 - alpha) + colours * alpha).astype(np.uint8)


def _edges(labels: Labels, reach: int) -> Mask:
    """Where a pixel with another label is at most `reach` steps up, down, left or right; bool (H, W)."""
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (2 * reach + 1, 2 * reach + 1))
    edges: Mask = cv2.dilate(labels, cross) != cv2.erode(labels, cross)
    return edges


def person_colour(id: int) -> Rgb:
    """A bright colour for a person's number; consecutive numbers get very different colours."""
    hue = (0.08 + 0.618034 * (id - 1)) % 1  # the golden ratio spreads any count of hues evenly
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.9, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _outline(picture: Picture, person: Person, thickness: int) -> None:
    """Draw the edge of a person's silhouette into the picture, inside the silhouette."""
    inner = np.pad(person.silhouette, 1)
    for _ in range(thickness):
        core = inner[1:-1, 1:-1] & inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        inner = np.pad(core, 1)
    x0, y0, x1, y1 = person.box
    picture[y0:y1, x0:x1][person.silhouette & ~inner[1:-1, 1:-1]] = person_colour(person.id)


def _badge(picture: Image.Image, person: Person) -> None:
    """Draw the person's number on a disc of their colour, at the top of their middle column."""
    columns = np.nonzero(person.silhouette)[1]
    if not len(columns):
        return
    radius = max(7, min(24, min(picture.size) // 28))
    middle = int(np.partition(columns, len(columns) // 2)[len(columns) // 2])
    x, y = person.box[0] + middle, person.box[1] + int(np.argmax(person.silhouette[:, middle]))
    x = min(max(x, radius), max(radius, picture.width - radius - 1))
    y = min(max(y, radius), max(radius, picture.height - radius - 1))
    draw = ImageDraw.Draw(picture)
    disc = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(disc, fill=person_colour(person.id), outline="black", width=max(1, radius // 8))
    font = ImageFont.load_default(round(1.2 * radius))
    red, green, blue = person_colour(person.id)
    ink = "black" if 3 * red + 6 * green + blue > 1000 else "white"
    draw.text((x, y), str(person.id), fill=ink, font=font, anchor="mm")


def _table(labels: Labels, scheme: LabelScheme, palette: str | tuple[Rgb, ...]) -> Picture:
    colours = scheme.palette(palette) if isinstance(palette, str) else palette
    table = np.asarray(colours, dtype=np.uint8).reshape(-1, 3)
    if labels.size and int(labels.max()) >= len(table):
        raise SchemeError(f"the palette has {len(table)} colours, but a label is {int(labels.max())}")
    return table


def _legend(
    labels: Labels, scheme: LabelScheme, table: Picture, height: int, people: Sequence[Person]
) -> Image.Image:
    """A white panel, at least `height` pixels high, with a line for each part found and for each person."""
    counts = np.bincount(labels.ravel(), minlength=256)
    lines: list[tuple[Rgb, str]] = []
    for label in range(len(scheme)):
        if counts[label] and label != scheme.background:
            share = 100 * counts[label] / labels.size
            red, green, blue = (int(value) for value in table[label])
            text = f"{share:.1f}%" if share >= 0.05 else "<0.1%"
            lines.append(((red, green, blue), f"{scheme.name(label)}  {text}"))
    lines += [(person_colour(person.id), f"Person {person.id}  {person.score:.2f}") for person in people]
    size = max(11, min(28, height // 30))
    font = ImageFont.load_default(size)
    row, swatch = round(size * 1.6), size
    width = 3 * swatch + int(max((font.getlength(text) for _, text in lines), default=0))
    panel = Image.new("RGB", (width, max(height, row * len(lines) + swatch)), "white")
    draw = ImageDraw.Draw(panel)
    for number, (colour, text) in enumerate(lines):
        top = swatch // 2 + number * row
        box = (swatch // 2, top, swatch // 2 + swatch, top + swatch)
        draw.rectangle(box, fill=colour, outline="black")
        draw.text((2 * swatch, top + swatch // 2), text, fill="black", font=font, anchor="lm")
    return panel


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    joined = Image.new("RGB", (left.width + right.width, max(left.height, right.height)), "white")
    joined.paste(left, (0, 0))
    joined.paste(right, (left.width, 0))
    return joined
