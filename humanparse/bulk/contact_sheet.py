"""Shows the most doubtful outputs of a run in one picture or page, for a person to check."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont

from .. import formats, render
from ..durable import replacing
from ..errors import BulkError, FormatError, ImageError
from ..remote import is_remote
from ..schemes import get_scheme
from .destination import journals
from .integratedpifu import Split, SubjectSource
from .items import JournalRow, Source, Statistics
from .journal import Journal, Order
from .packs import Packs
from .sources import open_source
from .stores import Store, open_store
from .video import VideoSource
from .writers import ENDINGS, PACKED, integratedpifu_labels

_SOURCE = ("source", "split", "every", "column", "member", "keep_suffix")
"""Settings of a run that say what its source is."""

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


def contact_sheet(
    dest: str | Path,
    path: str | Path,
    *,
    count: int = 100,
    order: Order = "confidence",
    columns: int = 10,
    side: int = 240,
) -> int:
    """Show the most doubtful outputs of a run.

    Args:
        dest: folder of a run, or of several shards, or its address in remote storage; the run may still be in
            progress.
        path: file to write: `.jpg` or `.png` for one picture, `.html` for a page with embedded pictures.
        count: most outputs to show.
        order: what makes an output doubtful: a low mean `"confidence"`; a large share of pixels that
            `min_confidence` turned into 255 (`"unsure"`); or a small share of `"person"`.
        columns: number of columns of the picture.
        side: largest width and height of an output in pixels.

    Returns:
        The number of outputs shown.

    Raises:
        BulkError: there is no run, it has no confidence, or its outputs are not labels.
        FormatError: unknown suffix, or the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() not in (".jpg", ".jpeg", ".png", ".html"):
        raise FormatError(f"{path}: a contact sheet is a .jpg, .png or .html file")
    if order not in get_args(Order):
        raise BulkError(f"`order` takes {', '.join(get_args(Order))}, not {order!r}")
    if min(count, columns) < 1 or side < 16:
        raise BulkError("`count` and `columns` must be at least 1, `side` at least 16")
    cards = list(_cards(dest, count, order, side))
    with replacing(target) as part:
        if target.suffix.lower() == ".html":
            links = "" if is_remote(str(dest)) else os.path.relpath(dest, target.parent)
            part.write_text(_page(cards, links, side), encoding="utf-8", errors="replace")
        else:
            kind = "PNG" if target.suffix.lower() == ".png" else "JPEG"
            _sheet(cards, columns, side).save(part, format=kind, quality=88)
    return len(cards)


def _cards(dest: str | Path, count: int, order: Order, side: int) -> Iterator[Card]:
    """The most doubtful first."""
    with journals(dest) as found, ExitStack() as opened:
        begun = [journal for journal in found if journal.settings()]
        if not begun:  # it was refused before it started
            raise BulkError(f"{dest}: the run there was refused before it labelled anything; start it again")
        source_of = cache(partial(_source, dest, opened))  # shards share it
        runs = [Run.of(dest, journal, source_of) for journal in begun]
        doubtful = [
            (_doubt(seen, order), item.number, run, item, seen)
            for run in runs
            for item, seen in run.journal.doubtful(count, order)
        ]
        if not doubtful:
            raise BulkError(
                f"{dest}: nothing to show: there is no output yet, or none with confidence; label with "
                "confidence and a model that has it, or use another `order`"
            )
        worst = sorted(doubtful, key=lambda each: each[:2])[:count]
        made = {}
        for _, number, run, item, seen in sorted(worst, key=lambda each: each[1]):  # as a video is read
            made[run.label, number] = run.card(item, seen, side)
        yield from (made[run.label, number] for _, number, run, _, _ in worst)


def _doubt(seen: Statistics, order: Order) -> float:
    """The lower, the more doubtful."""
    if order == "unsure":
        return -seen.unsure_share
    return seen.person_share if order == "person" else seen.confidence or 0.0


@dataclass(frozen=True)
class Run:
    """A run, or one shard of it.

    Attributes:
        store: its outputs.
        label: name of the shard; "" without shards.
        journal: its journal.
        settings: its settings.
        source: its source; None if that is gone.
        packs: its packs.
    """

    store: Store
    label: str
    journal: Journal
    settings: dict[str, Any]
    source: Source | None
    packs: Packs

    @classmethod
    def of(cls, dest: str | Path, journal: Journal, source_of: Callable[..., Source | None]) -> Run:
        """The run of a journal; `source_of` takes the settings named in `_SOURCE`."""
        settings, state, store = journal.settings(), journal.path.parent, open_store(dest)
        label = "" if state.name == "all" else state.name
        kinds = tuple(name for name in settings["formats"] if name in PACKED)
        packs = Packs(journal, store, state, kinds, settings["pack_size"], label)
        source = source_of(*map(settings.get, _SOURCE))
        return cls(store, label, journal, settings, source, packs)

    def card(self, item: JournalRow, seen: Statistics, side: int) -> Card:
        """The card of an input."""
        outputs = list(self.journal.outputs(item.number))
        file, notes = outputs[0] if outputs else "", []
        record = self._record(item, outputs)
        try:
            if self.source is None:
                raise ImageError("the source is gone")
            pixels = self.source.read(item.found).pixels
            if pixels.shape[:2] != record.labels.shape:
                raise ImageError("the photo's size has changed")
        except ImageError as error:
            notes.append(f"without its photo: {error}")
            tinted, photo = render.colorize(record.labels, record.scheme), None
        else:
            tinted = render.overlay(pixels, record.labels, record.scheme, people=record.people)
            photo = Image.fromarray(pixels)
            photo.thumbnail((side, side))
        tinted.thumbnail((side, side))
        return Card(item.found.place, seen, file, tinted, photo, "; ".join(notes))

    def _record(self, item: JournalRow, outputs: list[str]) -> formats.Record:
        for name in outputs:
            if name.endswith((ENDINGS["png"], ENDINGS["npz"])):
                with self.store.copy(name) as path:
                    return formats.read(path)
            if name.endswith(ENDINGS["integratedpifu"]):
                with self.store.copy(name) as path:
                    return formats.Record(integratedpifu_labels(path), get_scheme("pascal"), "")
        if not self.packs.kinds:
            raise BulkError(
                f"{self.store}: a contact sheet needs labels, but this run only wrote "
                f"{', '.join(self.settings['formats'])}; write png, npz, tar or parquet, too"
            )
        with TemporaryDirectory() as folder:
            path = Path(folder) / "labels.png"
            path.write_bytes(self.packs.labels(item))
            return formats.read(path)


def _source(
    dest: str | Path,
    opened: ExitStack,
    source: str,
    split: Split | None,
    every: int,
    column: str | None,
    member: str | None,
    keep_suffix: bool,
) -> Source | None:
    """The source of a run; what it needs is closed with `opened`."""
    if split is not None:
        return SubjectSource(source, split)
    try:
        found = open_source(source, dest, every=every, column=column, member=member, keep_suffix=keep_suffix)
        if isinstance(found, VideoSource):
            folder = opened.enter_context(TemporaryDirectory(prefix="humanparse-"))
            return opened.enter_context(found.on_disk(Path(folder), lambda line: None))
    except BulkError:  # the source is gone; labels are shown without their photos, with a note
        return None
    return found


def _caption(rank: int, card: Card) -> tuple[str, str]:
    confidence = "" if card.seen.confidence is None else f"confidence {card.seen.confidence:.2f}, "
    return f"{rank}. {card.place}", f"{confidence}person {card.seen.person_share:.0%}"


def _sheet(cards: list[Card], columns: int, side: int) -> Image.Image:
    columns = min(columns, len(cards))
    rows = -(-len(cards) // columns)
    sheet = Image.new("RGB", (columns * (side + 8) + 8, rows * (side + 8 + _CAPTION) + 8), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, card in enumerate(cards):
        x = 8 + number % columns * (side + 8)
        y = 8 + number // columns * (side + 8 + _CAPTION)
        left, above = (side - card.overlay.width) // 2, (side - card.overlay.height) // 2
        sheet.paste(card.overlay, (x + left, y + above))
        for line, text in enumerate(_caption(number + 1, card)):
            draw.text((x, y + side + 2 + 15 * line), _shortened(text, side, draw, font), "black", font)
    return sheet


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


def _page(cards: list[Card], links: str, side: int) -> str:
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
