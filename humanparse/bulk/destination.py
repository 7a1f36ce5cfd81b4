"""The place that a run writes to: its lock, its journal, and the leftovers of an earlier run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .. import remote
from ..errors import BulkError, GoneError, ImageError
from ..hub.environment import cache_dir
from .disk import network_file_system
from .items import JournalRow, Source
from .journal import Counts, Journal
from .labeller import SPOOL
from .naming import hash_of
from .packs import Packs
from .stores import STATE, FolderStore, Store, open_store
from .writers import FORMATS

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.part")
_PACK = re.compile(r"labels(-(?P<label>\d+of\d+))?-\d{6,}\.(tar|parquet)")

Shard = tuple[int, int]


@dataclass(frozen=True)
class Destination:
    """Where a run, or one shard of it, writes.

    Attributes:
        store: the outputs.
        shard: (number from 1 on, count), or None.
        file: the journal; None: beside outputs on a disk, else in humanparse's own folder.
    """

    store: Store
    shard: Shard | None = None
    file: Path | None = None

    @property
    def label(self) -> str:
        """`"3of8"`; empty without shards."""
        return "" if self.shard is None else f"{self.shard[0]}of{self.shard[1]}"

    @property
    def folder(self) -> str:
        """Name of the folder of this run's own files; each shard has its own."""
        return self.label or "all"

    @property
    def beside(self) -> bool:
        """Whether the journal lies beside the outputs, so that no copy is needed there."""
        return self.file is None and isinstance(self.store, FolderStore)

    @property
    def state(self) -> Path:
        """Folder of the run's own files, on a disk; each shard has its own."""
        if self.file is not None:
            return self.file.absolute().parent / f"{self.file.name}.run"
        if isinstance(self.store, FolderStore):
            return self.store.root / STATE / self.folder
        address = str(self.store)
        name = re.sub(r"\W+", "-", address.partition("://")[2])[-60:]
        return cache_dir() / "runs" / f"{name}-{hash_of(address)}" / self.folder

    @property
    def path(self) -> Path:
        """The journal."""
        return self.file or self.state / "journal.sqlite"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and lock it against other runs of this machine, or of its disk.

        Raises:
            BulkError: another run is writing there, or the folder cannot be written to.
        """
        lock = FileLock(self.state / "lock", timeout=0)
        try:
            (self.state / SPOOL).mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise BulkError(
                f"another run is writing to {self.store}; wait for it, or name another folder"
            ) from error
        except OSError as error:
            raise BulkError(
                f"{self.store if self.beside else self.state} cannot be written to "
                f"({error.strerror or error}); check that the disk is neither full nor read-only, or name "
                "another folder"
            ) from error
        try:
            self._refuse_other_shards()
            yield
        finally:
            lock.release()

    def journal(self, tell: Callable[[str], None] = lambda line: None) -> Journal:
        """Open the run's journal; it is made if it does not exist.

        Args:
            tell: called with a message if the journal is safe but slow.

        Raises:
            BulkError: it is on a network file system, and not beside the outputs.
        """
        kind = network_file_system(self.state)
        if kind and not self.beside:
            raise BulkError(
                f"{self.path} is on a network file system ({kind}), which SQLite cannot rely on; name a file "
                "on a disk of this machine with `journal`"
            )
        if kind:
            tell(
                f"{self.store} is on a network file system ({kind}): the journal there does without a "
                "write-ahead log, which is slower; name a file on a disk of this machine with `journal`"
            )
        return Journal(self.path, dest=str(self.store), wal=not kind)

    def _refuse_other_shards(self) -> None:
        count = None if self.shard is None else self.shard[1]
        for label in self.store.labels():
            _, _, other = label.partition("of")
            if (int(other) if other else None) != count:
                raise BulkError(
                    f"{self.store} holds a run {f'of {other} shards' if other else 'without shards'}; "
                    "use the same `shard` count, or name another folder"
                )

    def remove_leftovers(self, journal: Journal) -> None:
        """Remove half-written files of a run that was killed, but not those of other shards or programs."""
        if isinstance(self.store, FolderStore):
            self._remove_parts(self.store.root, journal)
        else:
            remote.abort_uploads(str(self.store), lambda name: self._writes(name, journal))
        for part in (self.state / SPOOL).glob(".*.part"):
            part.unlink(missing_ok=True)

    def _remove_parts(self, root: Path, journal: Journal) -> None:
        for folder, folders, names in os.walk(root):
            if Path(folder) == root and STATE in folders:
                folders.remove(STATE)
            for name in names:
                if found := _LEFTOVER.fullmatch(name):
                    whole = (Path(folder).relative_to(root) / found["name"]).as_posix()
                    if self._writes(whole, journal):
                        (Path(folder) / name).unlink(missing_ok=True)

    def _writes(self, name: str, journal: Journal) -> bool:
        """Whether only this run, or this shard, writes a file: labels of its inputs, a pack, its journal.

        Args:
            name: path below the destination.
            journal: that of this run.
        """
        if pack := _PACK.fullmatch(name):
            return (pack["label"] or "") == self.label
        if name.startswith(f"{STATE}/"):
            return name.startswith(f"{STATE}/{self.folder}/")
        endings = (one.ending for one in FORMATS.values() if name.endswith(one.ending))
        keys = (name.removesuffix(ending) for ending in endings)
        return any(journal.has_key(key) for key in keys)

    def discard(self, journal: Journal) -> None:
        """Delete every output in the journal, finished or not, and clear the journal."""
        self.remove_leftovers(journal)
        for state in ("done", "changed"):
            self.store.remove(
                name for item in journal.in_state(state) for name in journal.outputs(item.number)
            )
        self.store.remove(journal.all_packs())
        shutil.rmtree(self.state / SPOOL)
        (self.state / SPOOL).mkdir()
        journal.clear()


@contextmanager
def journals(dest: str | Path) -> Iterator[list[Journal]]:
    """The journals in a destination, one per shard, opened for reading; in a bucket, their copies.

    Raises:
        BulkError: there is no run.
    """
    store = open_store(dest)
    with ExitStack() as opened:
        found = []
        for label in store.labels():
            try:
                path = opened.enter_context(store.copy(f"{STATE}/{label}/journal.sqlite"))
            except GoneError:  # a run that was deleted just now
                continue
            found.append(opened.enter_context(closing(Journal(path, writable=False))))
        if not found:
            raise BulkError(f"{dest}: no run has written here; pass the destination of a run")
        yield found


def status(dest: str | Path) -> tuple[Counts, Iterator[tuple[str, str]], dict[str, Any]]:
    """Read the journals in a destination: counts, (place, reason) of each failure, settings of the first.

    While a bucket is still being listed, the counts are of what was listed so far, and the settings have
    `"listed": False`. For a destination in remote storage, the copies of the journals are read, which may be
    a minute old.

    Raises:
        BulkError: there is no run in this destination.
    """
    with ExitStack() as entered:
        found = entered.enter_context(journals(dest))
        counts = [journal.counts() for journal in found]
        total = Counts(*map(sum, zip(*map(astuple, counts), strict=True)))
        about = {**found[0].settings(), "listed": all(journal.listed for journal in found)}
        kept = entered.pop_all()

    def errors() -> Iterator[tuple[str, str]]:
        with kept:
            for journal in found:
                yield from journal.errors()

    return total, errors(), about


def check_done(journal: Journal, source: Source, packs: Packs) -> None:
    """Mark inputs to label again: those with changed bytes, or with a missing or truncated output."""
    for item in journal.in_state("changed"):
        if item.found.size is None or _same_bytes(item, source):  # labels of an input that is gone are kept
            journal.mark([item.number], "done")
        else:
            journal.mark([item.number], "todo")
            journal.spoil_packs(item.number // packs.size)
    gone: list[int] = []
    with packs.store.sizes() as size_of:
        for item in journal.in_state("done"):
            outputs = journal.outputs(item.number)
            if not packs.holds(item, size_of) or any(size_of(name) != size for name, size in outputs.items()):
                gone.append(item.number)
    journal.mark(gone, "todo")


def _same_bytes(item: JournalRow, source: Source) -> bool:
    try:
        return item.sha256 != "" and source.read(item.found).sha256 == item.sha256
    except ImageError:  # labelling it will fail, and record why
        return False
