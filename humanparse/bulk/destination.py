"""The folder that a run writes to: its lock, its journal, and the leftovers of an earlier run."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import BulkError, ImageError
from .items import JournalRow, Source
from .journal import Journal
from .labeller import SPOOL
from .packs import Packs
from .writers import ENDINGS

STATE = ".humanparse"
"""Folder of the run's own files in the destination."""

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{8}\.part")

Shard = tuple[int, int]


@dataclass(frozen=True)
class Destination:
    """Where a run, or one shard of it, writes.

    Attributes:
        dest: folder of the outputs.
        shard: (number from 1 on, count), or None.
    """

    dest: Path
    shard: Shard | None = None

    @property
    def label(self) -> str:
        """`"3of8"`; empty without shards."""
        return "" if self.shard is None else f"{self.shard[0]}of{self.shard[1]}"

    @property
    def state(self) -> Path:
        """Folder of the run's own files; each shard has its own."""
        return self.dest / STATE / (self.label or "all")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder and lock it against other runs.

        Raises:
            BulkError: another run is writing there, or the folder cannot be written to.
        """
        lock = FileLock(self.state / "lock", timeout=0)
        try:
            (self.state / SPOOL).mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise BulkError(
                f"another run is writing to {self.dest}; wait for it, or name another folder"
            ) from error
        except OSError as error:
            raise BulkError(
                f"{self.dest} cannot be written to ({error.strerror or error}); check that the disk is "
                "neither full nor read-only, or name another folder"
            ) from error
        try:
            self._refuse_other_shards()
            yield
        finally:
            lock.release()

    def journal(self) -> Journal:
        """Open the run's journal; make it if need be."""
        return Journal(self.state / "journal.sqlite")

    def _refuse_other_shards(self) -> None:
        count = None if self.shard is None else self.shard[1]
        for path in journals(self.dest):
            _, _, other = path.parent.name.partition("of")
            if (int(other) if other else None) != count:
                raise BulkError(
                    f"{self.dest} holds a run {f'of {other} shards' if other else 'without shards'}; "
                    "use the same `shard` count, or name another folder"
                )

    def remove_leftovers(self, journal: Journal) -> None:
        """Remove half-written files of a run that was killed, but not those of other shards."""
        for folder, folders, names in os.walk(self.dest):
            if Path(folder) == self.dest and STATE in folders:
                folders.remove(STATE)
            for name in names:
                found = _LEFTOVER.fullmatch(name)
                if found and self._mine(Path(folder), found["name"], journal):
                    (Path(folder) / name).unlink(missing_ok=True)
        for part in (self.state / SPOOL).glob(".*.part"):
            part.unlink(missing_ok=True)

    def _mine(self, folder: Path, name: str, journal: Journal) -> bool:
        if name.startswith(f"labels-{self.label}"):
            return True
        below = folder.relative_to(self.dest)
        keys = (name.removesuffix(ending) for ending in ENDINGS.values() if name.endswith(ending))
        return any(journal.has_key((below / key).as_posix()) for key in keys)

    def discard(self, journal: Journal) -> None:
        """Delete every output in the journal, and clear the journal."""
        for state in ("done", "changed"):
            for item in journal.in_state(state):
                for name in journal.outputs(item.number):
                    (self.dest / name).unlink(missing_ok=True)
        for name in journal.all_packs():
            (self.dest / name).unlink(missing_ok=True)
        shutil.rmtree(self.state / SPOOL)
        (self.state / SPOOL).mkdir()
        journal.clear()


def journals(dest: Path) -> list[Path]:
    """The journals of the runs in a folder, one per shard."""
    return sorted(dest.glob(f"{STATE}/*/journal.sqlite"))


def check_done(journal: Journal, source: Source, packs: Packs, dest: Path) -> None:
    """Mark inputs to label again: those with changed bytes, or with a missing or truncated output."""
    for item in journal.in_state("changed"):
        if item.found.size is None or _same_bytes(item, source):  # labels outlive an input that is gone
            journal.mark([item.number], "done")
        else:
            journal.mark([item.number], "todo")
            journal.spoil_packs(item.number // packs.size)
    gone: list[int] = []
    for item in journal.in_state("done"):
        outputs = journal.outputs(item.number)
        if not packs.holds(item) or any(_size(dest / name) != size for name, size in outputs.items()):
            gone.append(item.number)
    journal.mark(gone, "todo")


def _same_bytes(item: JournalRow, source: Source) -> bool:
    try:
        return item.sha256 != "" and source.read(item.found).sha256 == item.sha256
    except ImageError:  # labelling it will fail, and record why
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
