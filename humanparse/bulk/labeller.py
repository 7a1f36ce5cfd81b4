"""Reads, parses and writes inputs. An error with one input becomes its outcome and does not stop the run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import formats, image
from ..arrays import Picture
from ..errors import BulkError, HumanParseError, ImageError, StorageError
from ..formats import PhotoName, photo_name
from ..messages import presentable, said
from ..pipelines.batches import Start, one_by_one_if_it_fails
from ..schemes import IGNORE
from . import writers
from .items import Content, JournalRow, Outcome, Source, Statistics
from .settings import Settings
from .stores import FolderStore, open_store

if TYPE_CHECKING:
    from ..parser import Parser
    from ..results import Parsing

_PATIENCE = 20
"""If this many inputs in a row fail, the network, its device or the storage is at fault."""

SPOOL = "spool"


@dataclass(frozen=True)
class Photo:
    """An input after reading: `content` and `prepared`, the network's input; or `error`."""

    item: JournalRow
    content: Content | None = None
    prepared: Any = None
    error: str = ""


class Labeller:
    """Labels inputs in one process.

    Args:
        parser: the model.
        source: reads the inputs.
        settings: what is written.
        dest: path or address of the folder of the outputs.
        state: folder on a disk for the run's own files; None if it cannot be reached from here. Then labels
            that are to be packed travel in the outcome.
    """

    def __init__(
        self, parser: Parser, source: Source, settings: Settings, dest: str | Path, state: Path | None
    ) -> None:
        self.parser, self.source, self.settings = parser, source, settings
        self.pipeline = parser.pipeline_for(settings.people)
        start: Start = partial(self.pipeline.start, confidence=bool(settings.confidence))
        self._start = one_by_one_if_it_fails(start)
        self.store, self.state = open_store(dest), state
        self._failed_in_a_row = self._unwritten_in_a_row = 0
        self._packs = any(name in writers.PACKED for name in settings.formats)

    def read(self, item: JournalRow) -> Photo:
        """Read an input; may be called in any thread."""
        content: Content | None = None

        def load() -> Picture:
            nonlocal content
            read = self.source.read(item.found)
            content = replace(read, pixels=image.load(read.pixels, name=item.found.place))
            return content.pixels  # a copy: a source may reuse its array

        try:
            prepared = self.pipeline.read(load)
            assert content is not None
            return Photo(item, content, prepared)
        except ImageError as error:
            return Photo(item, error=str(error))
        except Exception as error:  # decoders raise many kinds of errors; the run continues
            return Photo(item, error=presentable(f"{item.found.place}: {said(error)}"))

    def parse(self, photos: Sequence[Photo]) -> list[Parsing | str]:
        """The parsing of each photo, or the reason why it has none.

        Raises:
            BulkError: the network fails on everything.
        """
        good = [photo.prepared for photo in photos if photo.content is not None]
        outcomes = iter(self._start(good)()) if good else iter(())
        return [photo.error if photo.content is None else self._told(next(outcomes)) for photo in photos]

    def _told(self, outcome: Parsing | Exception) -> Parsing | str:
        """A parsing, or the reason why the network failed; raises `BulkError` if it fails on everything."""
        if not isinstance(outcome, Exception):
            self._failed_in_a_row = 0
            return outcome
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= _PATIENCE:
            raise BulkError(
                f"the network failed on {_PATIENCE} inputs in a row ({said(outcome)}); "
                "fix that, with a smaller `batch` or another `device`, and resume with `resume=True`"
            ) from outcome
        return f"the network failed on it: {said(outcome)}"

    def write(self, photo: Photo, parsing: Parsing | str) -> Outcome:
        """Write an input's files; may be called in any thread.

        Raises:
            BulkError: the destination cannot be written to.
        """
        number = photo.item.number
        if isinstance(parsing, str) or photo.content is None:
            self._remove(photo.item)
            return Outcome(number, "failed", error=str(parsing))
        try:
            final, statistics = finished(parsing, self.settings)
        except HumanParseError as error:
            self._remove(photo.item)
            return Outcome(number, "failed", photo.content.sha256, error=str(error))
        try:
            outputs = self.save(photo.item, photo.content, final)
        except StorageError as error:
            self._remove(photo.item)
            return Outcome(number, "failed", photo.content.sha256, error=self._unwritten(error))
        self._unwritten_in_a_row = 0
        labels = self._to_pack(number, final)
        return Outcome(number, "done", photo.content.sha256, outputs, statistics, labels=labels)

    def _unwritten(self, error: StorageError) -> str:
        """The reason for outputs that cannot be written; raises `BulkError` if none can."""
        self._unwritten_in_a_row += 1
        if self._unwritten_in_a_row >= _PATIENCE:
            raise BulkError(
                f"the outputs of {_PATIENCE} inputs in a row cannot be written ({error}); resume with "
                "`resume=True` and `retry_failed=True`"
            ) from error
        return f"its outputs cannot be written: {error}"

    def _names(self, item: JournalRow) -> list[str]:
        kinds = (kind for kind in self.settings.formats if kind in writers.FORMATS)
        return [name for kind in kinds for name in writers.FORMATS[kind].names(item.found.key)]

    def _remove(self, item: JournalRow) -> None:
        """Remove the outputs of an input that failed while they were written."""
        with suppress(StorageError):  # the journal has none of them, and a retry overwrites them
            self.store.remove(self._names(item))

    def remove_parts(self, item: JournalRow) -> None:
        """Remove an input's half-written files after a process was killed."""
        for name in self._names(item):
            self.store.remove_parts(name)
        if self.state is not None:
            FolderStore(self.state).remove_parts(spooled(item.number))

    def save(self, item: JournalRow, content: Content, parsing: Parsing) -> dict[str, int]:
        """Write the result of `finished`. Returns path below the destination -> size in bytes.

        Raises:
            BulkError: the destination cannot be written to.
        """
        outputs = {}
        for kind in self.settings.formats:
            if kind in writers.FORMATS:
                (name,) = writers.FORMATS[kind].names(item.found.key)
                photo = formats.Photo(self._called(item, self.store.folder(name)), content.pixels)
                written = writers.encoded(kind, parsing, photo)
                self.store.put(name, written)
                outputs[name] = len(written)
        return outputs

    def _to_pack(self, number: int, parsing: Parsing) -> bytes:
        """Put labels into the spool of packs; or return them if it cannot be reached from here."""
        if not self._packs:
            return b""
        labels = writers.encoded("png", parsing)
        if self.state is None:
            return labels
        FolderStore(self.state).put(spooled(number), labels)
        return b""

    def _called(self, item: JournalRow, folder: Path | str) -> PhotoName:
        photo = self.source.photo(item.found)
        if isinstance(photo, Path) or "://" in photo:
            return photo_name(photo, folder)
        return PhotoName(photo)


def spooled(number: int) -> str:
    """Where the labels of an input wait to be packed, below the folder of the run's own files."""
    return f"{SPOOL}/{number:012d}.png"


def finished(parsing: Parsing, settings: Settings) -> tuple[Parsing, Statistics]:
    """Clean, remap and mask a parsing as the settings say, and compute its statistics.

    Raises:
        SchemeError: it cannot be remapped to the requested scheme.
    """
    parsing = parsing.cleaned(settings.min_area, settings.fill, settings.smooth)
    confidence, background = parsing.confidence, parsing.scheme.background
    someone = (
        np.ones(parsing.size, np.bool_)
        if background is None
        else (parsing.labels != background) & (parsing.labels != IGNORE)
    )
    mean = None
    if confidence is not None:
        values = confidence[someone] if someone.any() else confidence
        mean = round(float(values.mean(dtype=np.float64)), 6)
    unsure = 0.0
    if settings.min_confidence is not None:
        assert confidence is not None
        doubtful = confidence < settings.min_confidence
        unsure = float(doubtful.mean())
        parsing = replace(parsing, labels=np.where(doubtful, np.uint8(IGNORE), parsing.labels))
    if settings.remap is not None:
        parsing = parsing.remap(settings.remap, settings.approximate)
    height, width = parsing.size
    parts = {part.name: round(part.share, 6) for part in parsing.parts() if part.label != IGNORE}
    return parsing, Statistics(height, width, parts, mean, float(someone.mean()), unsure)
