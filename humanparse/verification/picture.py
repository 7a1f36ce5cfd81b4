"""Photo, published labels, ours and the difference, side by side."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .. import render
from ..arrays import Labels, Mask, Picture
from ..schemes import LabelScheme
from .agreement import near_borders

_HEIGHT = 600  # pixels of a panel, unless the photo is smaller
_CAPTION = 26
_BORDER, _AREA = (255, 190, 0), (255, 0, 60)


def side_by_side(
    photo: Picture,
    theirs: Labels,
    ours: Labels,
    scheme: LabelScheme,
    titles: tuple[str, str] = ("published", "humanparse"),
) -> Image.Image:
    """Draw four panels with captions: photo, first labels, second labels, difference.

    In the last panel the photo is grey. Pixels that differ are yellow near the borders of the first labels
    and red elsewhere; they stay visible when the picture is shrunk.
    """
    height = min(_HEIGHT, photo.shape[0])
    size = (max(1, round(photo.shape[1] * height / photo.shape[0])), height)
    differ = theirs != ours
    captions = ("photo", *titles, f"{int(differ.sum())} pixels differ ({differ.mean():.3%})")
    panels = [
        Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS),
        *(
            render.colorize(labels, scheme).resize(size, Image.Resampling.NEAREST)
            for labels in (theirs, ours)
        ),
        _difference(photo, differ, near_borders(theirs), size),
    ]
    return _row(panels, captions)


def below(rows: list[Image.Image]) -> Image.Image:
    """Stack pictures vertically."""
    whole = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        whole.paste(row, (0, top))
        top += row.height
    return whole


def _difference(photo: Picture, differ: Mask, border: Mask, size: tuple[int, int]) -> Image.Image:
    grey = Image.fromarray(photo).convert("L").resize(size, Image.Resampling.LANCZOS)
    pixels = np.asarray(grey.convert("RGB")) // 2 + 96
    for where, colour in ((differ & border, _BORDER), (differ & ~border, _AREA)):
        pixels[_shrunk(where, size)] = colour
    return Image.fromarray(pixels.astype(np.uint8))


def _shrunk(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask at a smaller size; a pixel is set if any of the pixels it covers is set."""
    width, height = size
    rows = np.arange(mask.shape[0]) * height // mask.shape[0]
    columns = np.arange(mask.shape[1]) * width // mask.shape[1]
    shrunk = np.zeros((height, width), bool)
    ys, xs = np.nonzero(mask)
    shrunk[rows[ys], columns[xs]] = True
    return shrunk


def _row(panels: list[Image.Image], captions: tuple[str, ...]) -> Image.Image:
    gap = 4
    width = sum(panel.width for panel in panels) + gap * (len(panels) - 1)
    whole = Image.new("RGB", (width, panels[0].height + _CAPTION), "white")
    draw, left = ImageDraw.Draw(whole), 0
    for panel, caption in zip(panels, captions, strict=True):
        size = 16
        while size > 7 and ImageFont.load_default(size).getlength(caption) > panel.width:
            size -= 1
        font = ImageFont.load_default(size)
        draw.text((left + 2, _CAPTION // 2), caption, fill="black", font=font, anchor="lm")
        whole.paste(panel, (left, _CAPTION))
        left += panel.width + gap
    return whole
