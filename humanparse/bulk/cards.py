"""Draws the cards of a contact sheet, as one picture or as a page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont

from .items import Statistics

_CAPTION = 34
"""Pixels below each picture."""


@dataclass(frozen=True)
class Card:
    """One output on the sheet.

    Attributes:
        place: what the source calls the input.
        seen: statistics of its labels.
        file: one of its output files, relative to the destination; "" if it is in a pack.
        overlay: the photo with its parts tinted; only the parts if the photo is gone.
        photo: the photo; None if it is gone.
        note: what is missing.
    """

    place: str
    seen: Statistics
    file: str
    overlay: Image.Image
    photo: Image.Image | None
    note: str = ""


def _caption(rank: int, card: Card) -> tuple[str, str]:
    confidence = "" if card.seen.confidence is None else f"confidence {card.seen.confidence:.2f}, "
    return f"{rank}. {card.place}", f"{confidence}person {card.seen.person_share:.0%}"


def sheet(cards: Sequence[Card], columns: int, side: int) -> Image.Image:
    """One picture of all cards.

    Args:
        cards: in the order in which they are shown.
        columns: number of columns.
        side: width and height of a cell in pixels.
    """
    columns = min(columns, len(cards))
    rows = -(-len(cards) // columns)
    made = Image.new("RGB", (columns * (side + 8) + 8, rows * (side + 8 + _CAPTION) + 8), "white")
    draw, font = ImageDraw.Draw(made), ImageFont.load_default(13)
    for number, card in enumerate(cards):
        x = 8 + number % columns * (side + 8)
        y = 8 + number // columns * (side + 8 + _CAPTION)
        left, above = (side - card.overlay.width) // 2, (side - card.overlay.height) // 2
        made.paste(card.overlay, (x + left, y + above))
        for line, text in enumerate(_caption(number + 1, card)):
            draw.text((x, y + side + 2 + 15 * line), _shortened(text, side, draw, font), "black", font)
    return made


def _shortened(text: str, width: int, draw: ImageDraw.ImageDraw, font: Any) -> str:
    """The end of a text, as much as fits: file names differ there."""
    shown = text
    while draw.textlength(shown, font) > width and len(shown) > 2:
        shown = "…" + shown[2:]
    return shown


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Contact sheet</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; margin: 1rem; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax({side}px, 1fr)); gap: 1rem; }}
figure {{ margin: 0; }} figcaption {{ overflow-wrap: anywhere; }} small {{ display: block; color: #555; }}
.pair {{ position: relative; display: inline-block; }} .pair img {{ display: block; }}
.pair img + img {{ position: absolute; inset: 0; opacity: 0; }}
.pair:hover img + img, .pair:focus img + img {{ opacity: 1; }}
</style>
<h1>{count} doubtful outputs</h1>
<p>The most doubtful first. Point at a picture, or reach it with Tab, to see the photo alone.</p>
<main>
{figures}
</main>
</html>
"""


def page(cards: Sequence[Card], links: str, side: int) -> str:
    """An HTML page of all cards, with its pictures inside.

    Args:
        cards: in the order in which they are shown.
        links: path from the page to the folder of the outputs; "" links to no files.
        side: least width of a column in pixels.
    """
    figures = "\n".join(_figure(rank, card, links) for rank, card in enumerate(cards, 1))
    return _PAGE.format(side=side, count=len(cards), figures=figures)


def _figure(rank: int, card: Card, links: str) -> str:
    name, numbers = map(html.escape, _caption(rank, card))
    if card.file and links:
        place = Path(links, card.file).as_posix()
        name = f'<a href="{quote(place.encode("utf-8", "surrogateescape"))}">{name}</a>'
    parts = sorted(card.seen.parts.items(), key=lambda part: -part[1])
    shares = html.escape(", ".join(f"{part} {share:.1%}" for part, share in parts))
    pictures = [f'<img src="{_inline(card.overlay)}" alt="parts of {html.escape(card.place)}">']
    if card.photo is not None:
        pictures.append(f'<img src="{_inline(card.photo)}" alt="">')
    note = f"<small>{html.escape(card.note)}</small>" if card.note else ""
    return (
        f'<figure><div class="pair" tabindex="0">{"".join(pictures)}</div>'
        f"<figcaption>{name}<small>{numbers}</small><small>{shares}</small>{note}</figcaption></figure>"
    )


def _inline(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.convert("RGB").save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
