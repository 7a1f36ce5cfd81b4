"""Arrays and a label scheme -> pictures: colours, overlay, legend."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from .errors import SchemeError
from .schemes import LabelScheme, Rgb

Labels = npt.NDArray[np.uint8]
Picture = npt.NDArray[np.uint8]


def colorize(labels: Labels, scheme: LabelScheme, palette: str | tuple[Rgb, ...] = "voc") -> Image.Image:
    """Paint each label in its colour.

    Args:
        labels: uint8 (H, W).
        scheme: names the palettes it knows.
        palette: `"voc"`, another palette of the scheme, or RGB triples (0-255), one per label.

    Returns:
        RGB picture of the same size.

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
    palette: str | tuple[Rgb, ...] = "voc",
) -> Image.Image:
    """The photo with its parts tinted; background and ignored pixels stay as they are.

    Args:
        image: RGB uint8 (H, W, 3).
        labels: uint8 (H, W).
        scheme: gives names and colours.
        alpha: 0 (photo only) to 1 (colour only).
        legend: add a panel at the right with colour, name and share of each part.
        palette: see `colorize`.

    Raises:
        SchemeError: the sizes differ, `alpha` is out of range, or the palette is unknown.
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
    mixed[tint] = np.rint(image[tint] * (1 - alpha) + table[labels[tint]] * alpha).astype(np.uint8)
    picture = Image.fromarray(mixed)
    return _beside(picture, _legend(labels, scheme, table, picture.height)) if legend else picture


def _table(labels: Labels, scheme: LabelScheme, palette: str | tuple[Rgb, ...]) -> npt.NDArray[np.uint8]:
    colours = scheme.palette(palette) if isinstance(palette, str) else palette
    table = np.asarray(colours, dtype=np.uint8).reshape(-1, 3)
    if labels.size and int(labels.max()) >= len(table):
        raise SchemeError(f"the palette has {len(table)} colours, but a label is {int(labels.max())}")
    return table


def _legend(labels: Labels, scheme: LabelScheme, table: npt.NDArray[np.uint8], height: int) -> Image.Image:
    """White panel, at least `height` high, with one line per part that is there."""
    counts = np.bincount(labels.ravel(), minlength=256)
    present = [label for label in range(len(scheme)) if counts[label] and label != scheme.background]
    shares = [100 * counts[label] / labels.size for label in present]
    texts = [f"{share:.1f}%" if share >= 0.05 else "<0.1%" for share in shares]
    lines = [f"{scheme.name(label)}  {text}" for label, text in zip(present, texts, strict=True)]
    size = max(11, min(28, height // 30))
    font = ImageFont.load_default(size)
    row, swatch = round(size * 1.6), size
    width = 3 * swatch + int(max((font.getlength(line) for line in lines), default=0))
    panel = Image.new("RGB", (width, max(height, row * len(lines) + swatch)), "white")
    draw = ImageDraw.Draw(panel)
    for number, (label, line) in enumerate(zip(present, lines, strict=True)):
        top = swatch // 2 + number * row
        box = (swatch // 2, top, swatch // 2 + swatch, top + swatch)
        draw.rectangle(box, fill=tuple(int(value) for value in table[label]), outline="black")
        draw.text((2 * swatch, top + swatch // 2), line, fill="black", font=font, anchor="lm")
    return panel


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    joined = Image.new("RGB", (left.width + right.width, max(left.height, right.height)), "white")
    joined.paste(left, (0, 0))
    joined.paste(right, (left.width, 0))
    return joined
