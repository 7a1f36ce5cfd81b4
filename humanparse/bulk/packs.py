"""Packs the labels of many inputs from the spool into one file: WebDataset tars and Parquet."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import BulkError, GoneError
from .items import JournalRow, Outcome
from .journal import Journal
from .labeller import SPOOL, spooled
from .stores import FolderStore, Store

Samples: TypeAlias = Iterator[dict[str, Any]]
"""The rows of a pack: `key`, metadata, and `labels`, the label PNG."""


@dataclass(frozen=True)
class Packs:
    """The packs of a run.

    Attributes:
        journal: the run's journal.
        store: the destination.
        state: folder of the run's own files, with the spool.
        kinds: `"tar"`, `"parquet"`.
        size: inputs per pack.
        label: the shard's label, part of their names, so that shards do not collide.
    """

    journal: Journal
    store: Store
    state: Path
    kinds: tuple[str, ...]
    size: int
    label: str = ""

    def name(self, kind: str, number: int) -> str:
        """The name of a pack in the destination."""
        shard = f"-{self.label}" if self.label else ""
        return f"labels{shard}-{number:06d}.{kind}"

    def finish(self, first: int = 0, end: int | None = None) -> None:
        """Write the packs of these inputs that are complete but not written yet.

        Raises:
            BulkError: the disk is full or read-only.
        """
        if not self.kinds:
            return
        stop = self.journal.last() + 1 if end is None else end
        waiting, stale = self._waiting(), self.journal.stale_packs()
        for number in range(first // self.size, -(-stop // self.size)):
            span = (number * self.size, (number + 1) * self.size)
            mine = [position for position in waiting if span[0] <= position < span[1]]
            if (mine or number in stale) and not self.journal.pending(*span):
                self._pack(number, span)
                for position in mine:
                    self._spooled(position).unlink(missing_ok=True)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Put labels that came with their outcome into the spool.

        Raises:
            BulkError: the disk is full or read-only.
        """
        for outcome in outcomes:
            if outcome.labels:
                FolderStore(self.state).put(spooled(outcome.number), outcome.labels)

    def holds(self, item: JournalRow, size: Callable[[str], int]) -> bool:
        """Whether the labels of a finished input are in the spool or in its packs; `size`: see `Store`."""
        if not self.kinds or self._spooled(item.number).is_file():
            return True
        sizes = self.journal.packed(item.number // self.size)
        names = [self.name(kind, item.number // self.size) for kind in self.kinds]
        return all(size(name) == sizes.get(name) for name in names)

    def labels(self, item: JournalRow) -> bytes:
        """The label PNG of a finished input.

        Raises:
            BulkError: it is neither in the spool nor in a pack.
        """
        waiting = self._spooled(item.number)
        if waiting.is_file():
            return waiting.read_bytes()
        for kind in self.kinds:
            with suppress(GoneError), self.store.copy(self.name(kind, item.number // self.size)) as path:
                for key, content in _READERS[kind](path):
                    if key == item.found.key:
                        return content
        raise BulkError(
            f"{self.store}: the labels of {item.found.place} are gone; resume the run with `resume=True`"
        )

    def _waiting(self) -> list[int]:
        folder = self.state / SPOOL
        return sorted(int(path.stem) for path in folder.glob("*.png") if path.stem.isdigit())

    def _pack(self, number: int, span: tuple[int, int]) -> None:
        sizes = {}
        for kind in self.kinds:
            name, before = self.name(kind, number), {}
            with suppress(GoneError), self.store.copy(name) as path:
                before = dict(_READERS[kind](path))
            with self.store.replacing(name) as part:
                _WRITERS[kind](self._samples(span, before), part)
                sizes[name] = part.stat().st_size
        self.store.synchronise(sizes)
        self.journal.record_packs(number, sizes)

    def _spooled(self, number: int) -> Path:
        return self.state / spooled(number)

    def _samples(self, span: tuple[int, int], before: dict[str, bytes]) -> Samples:
        """The finished inputs of a pack, by number; labels missing in the spool come from the old pack."""
        run = self.journal.settings()
        for item in self.journal.items(*span):
            if item.state != "done":
                continue
            waiting = self._spooled(item.number)
            labels = waiting.read_bytes() if waiting.is_file() else before[item.found.key]
            seen = self.journal.statistics(item.number)
            assert seen is not None
            yield {
                "key": item.found.key,
                "source": item.found.place,
                "sha256": item.sha256,
                "model": run["model"],
                "height": seen.height,
                "width": seen.width,
                "parts": seen.parts,
                "confidence": seen.confidence,
                "person_share": seen.person_share,
                "labels": labels,
            }


def import_pyarrow() -> Any:
    """Import `pyarrow.parquet`.

    Raises:
        BulkError: pyarrow is not installed; the message names the extra.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise BulkError(
            f'Parquet needs pyarrow ({error}); install it with pip install "humanparse[parquet]"'
        ) from error
    return pyarrow.parquet


def _write_tar(samples: Samples, path: Path) -> None:
    """`<key>.json` and `<key>.png` of each; owner and time are blank: equal labels give equal tars."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for sample in samples:
            labels = sample.pop("labels")
            for ending, content in ((".json", json.dumps(sample).encode()), (".png", labels)):
                member = tarfile.TarInfo(_sample_name(sample["key"]) + ending)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def _sample_name(key: str) -> str:
    """WebDataset ends a sample's key at the first dot of the file name."""
    folder, slash, file = key.rpartition("/")
    return f"{folder}{slash}{file.replace('.', '%2E')}"


def _read_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    key = ""
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            stream = archive.extractfile(member)
            assert stream is not None
            content = stream.read()
            if member.name.endswith(".json"):
                key = str(json.loads(content)["key"])
            else:
                yield key, content


_ROWS = 256
"""Samples per row group; limits the memory that a pack takes."""


def _write_parquet(samples: Samples, path: Path) -> None:
    parquet = import_pyarrow()
    import pyarrow

    schema = pyarrow.schema(
        {
            **dict.fromkeys(("key", "source", "sha256", "model"), pyarrow.string()),
            **{"height": pyarrow.int32(), "width": pyarrow.int32(), "parts": pyarrow.string()},
            **{"confidence": pyarrow.float64(), "person_share": pyarrow.float64()},
            "labels": pyarrow.binary(),
        }
    )
    with parquet.ParquetWriter(path, schema) as writer:
        while rows := list(islice(samples, _ROWS)):
            for row in rows:
                row["source"] = row["source"].encode("utf-8", "backslashreplace").decode()
                row["parts"] = json.dumps(row["parts"])
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _read_parquet(path: Path) -> Iterator[tuple[str, bytes]]:
    with import_pyarrow().ParquetFile(path) as table:
        for batch in table.iter_batches(batch_size=_ROWS, columns=["key", "labels"]):
            rows = batch.to_pydict()
            yield from zip(rows["key"], rows["labels"], strict=True)


_WRITERS = {"tar": _write_tar, "parquet": _write_parquet}
_READERS = {"tar": _read_tar, "parquet": _read_parquet}
