"""Shows the most doubtful outputs of a run in one picture or page, for a person to check."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

from PIL import Image

from .. import formats, render
from ..durable import replacing
from ..errors import BulkError, FormatError, ImageError
from ..remote import is_remote
from .cards import Card, page, sheet
from .destination import journals
from .integratedpifu import Split, SubjectSource
from .items import JournalRow, Source, Statistics
from .journal import Journal, Order
from .packs import Packs
from .sources import open_source
from .stores import open_store
from .video import VideoSource
from .writers import FORMATS, PACKED

_SOURCE = ("source", "split", "every", "column", "member", "keep_suffix")
"""Settings of a run that say what its source is."""


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
            part.write_text(page(cards, links, side), encoding="utf-8", errors="replace")
        else:
            kind = "PNG" if target.suffix.lower() == ".png" else "JPEG"
            sheet(cards, columns, side).save(part, format=kind, quality=88)
    return len(cards)


def _cards(dest: str | Path, count: int, order: Order, side: int) -> Iterator[Card]:
    """The most doubtful first."""
    with journals(dest) as found, ExitStack() as opened:
        begun = [journal for journal in found if journal.settings()]
        if not begun:  # it was refused before it started
            raise BulkError(f"{dest}: the run there was refused before it labelled anything; start it again")
        source_of = cache(partial(_source, dest, opened))  # one source for all shards
        runs = [Run.of(dest, journal, source_of) for journal in begun]
        doubtful = [
            (_doubt(seen, order), item.number, run, item, seen)
            for run in runs
            for item, seen in run.packs.journal.doubtful(count, order)
        ]
        if not doubtful:
            raise BulkError(
                f"{dest}: nothing to show: there is no output yet, or none with confidence; label with "
                "confidence and a model that has it, or use another `order`"
            )
        worst = sorted(doubtful, key=lambda each: each[:2])[:count]
        made = {}
        for _, number, run, item, seen in sorted(worst, key=lambda each: each[1]):  # as a video is read
            made[run.packs.label, number] = run.card(item, seen, side)
        yield from (made[run.packs.label, number] for _, number, run, _, _ in worst)


def _doubt(seen: Statistics, order: Order) -> float:
    """The lower, the more doubtful."""
    if order == "unsure":
        return -seen.unsure_share
    return seen.person_share if order == "person" else seen.confidence or 0.0


@dataclass(frozen=True)
class Run:
    """A run, or one shard of it.

    Attributes:
        settings: its settings.
        source: its source; None if that is gone.
        packs: its packs, with its journal and its outputs.
    """

    settings: dict[str, Any]
    source: Source | None
    packs: Packs

    @classmethod
    def of(cls, dest: str | Path, journal: Journal, source_of: Callable[..., Source | None]) -> Run:
        """The run of a journal; `source_of` takes the settings named in `_SOURCE`."""
        settings, state = journal.settings(), journal.path.parent
        label = "" if state.name == "all" else state.name
        kinds = tuple(name for name in settings["formats"] if name in PACKED)
        packs = Packs(journal, open_store(dest), state, kinds, settings["pack_size"], label)
        return cls(settings, source_of(**{word: settings.get(word) for word in _SOURCE}), packs)

    def card(self, item: JournalRow, seen: Statistics, side: int) -> Card:
        """The card of an input."""
        outputs = list(self.packs.journal.outputs(item.number))
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
        readable = {kind: one for kind, one in FORMATS.items() if one.reader is not None}
        for kind in self.settings["formats"]:
            if kind in readable and f"{item.found.key}{readable[kind].ending}" in outputs:
                with self.packs.store.copy(f"{item.found.key}{readable[kind].ending}") as path:
                    return readable[kind].read(path)
        if not self.packs.kinds:
            raise BulkError(
                f"{self.packs.store}: a contact sheet needs labels, but this run only wrote "
                f"{', '.join(self.settings['formats'])}; write png, npz, json, tar or parquet, too"
            )
        with TemporaryDirectory() as folder:
            path = Path(folder) / "labels.png"
            path.write_bytes(self.packs.labels(item))
            return formats.read(path)


def _source(
    dest: str | Path, opened: ExitStack, source: str, split: Split | None, **how: Any
) -> Source | None:
    """The source of a run; files that it needs are closed with `opened`."""
    if split is not None:
        return SubjectSource(source, split)
    try:
        found = open_source(source, dest, **how)
        if isinstance(found, VideoSource):
            folder = opened.enter_context(TemporaryDirectory(prefix="humanparse-"))
            return opened.enter_context(found.on_disk(Path(folder), lambda line: None))
    except BulkError:  # the source is gone; labels are shown without their photos, with a note
        return None
    return found
