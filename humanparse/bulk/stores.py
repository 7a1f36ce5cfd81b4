"""Where the outputs of a run go: a folder on a disk or in a bucket. Files there are complete or missing."""

from __future__ import annotations

import glob
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from .. import remote
from ..durable import replacing, sync_folder
from ..errors import BulkError, FormatError, GoneError
from .disk import writing

STATE = ".humanparse"
"""Folder of a run's own files below its destination."""


Store: TypeAlias = "FolderStore | BucketStore"
"""A destination. Names are paths below it, with `/` between folders."""


def open_store(dest: str | Path) -> Store:
    """The store of a destination.

    Raises:
        BulkError: an address was given as a `Path`, which drops one of its slashes.
        StorageError: its protocol is not known, or fsspec is not installed.
    """
    if isinstance(dest, Path) and re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/(?!/)", str(dest)):
        raise BulkError(f"{dest} is a Path, which cannot hold an address; give it as text")
    if remote.is_remote(str(dest)):
        return BucketStore(str(dest).rstrip("/"))
    return FolderStore(Path(dest))


class FolderStore:
    """A folder on a disk.

    Args:
        root: the folder; it is made if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def put(self, name: str, content: bytes) -> None:
        """Write a file; raises `BulkError`."""
        with self.replacing(name) as part:
            part.write_bytes(content)

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A path to write to, which becomes the file when the block succeeds; raises `BulkError`."""
        path = self.root / name
        with writing(self.root):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                yield part

    @contextmanager
    def copy(self, name: str) -> Iterator[Path]:
        """The file itself; raises `GoneError` if there is none."""
        path = self.root / name
        if not path.is_file():
            raise GoneError(f"{path}: there is no such file")
        yield path

    def size(self, name: str) -> int:
        """Bytes of a file; -1 if there is none."""
        try:
            return (self.root / name).stat().st_size
        except FileNotFoundError:
            return -1

    @contextmanager
    def sizes(self) -> Iterator[Callable[[str], int]]:
        """A function that returns the size of a file; -1 if there is none. Here, `size` itself."""
        yield self.size

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; those that do not exist are skipped."""
        for name in names:
            (self.root / name).unlink(missing_ok=True)

    def remove_parts(self, name: str) -> None:
        """Remove what a killed process left of a file that it was writing."""
        path = self.root / name
        for part in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
            part.unlink(missing_ok=True)

    def synchronise(self, names: Iterable[str]) -> None:
        """Make files survive a power cut: their content is on the disk already, their names may not be."""
        with writing(self.root):
            for folder in {(self.root / name).parent for name in names}:
                sync_folder(folder)

    def folder(self, name: str) -> Path:
        """The folder of a file."""
        return (self.root / name).parent

    def labels(self) -> list[str]:
        """Labels of the shards that have a journal here; `"all"` for a run without shards."""
        return sorted(path.parent.name for path in self.root.glob(f"{STATE}/*/journal.sqlite"))

    @property
    def folds_case(self) -> bool:
        """Whether names that differ only in case are one file; the run's own files must be there.

        It writes nothing: a file for a trial would remain beside the outputs of a run that is killed then.
        """
        return (self.root / STATE.upper()).exists()


class BucketStore:
    """A folder in a bucket, or in another remote storage.

    Args:
        root: its address, without `/` at its end.

    Raises:
        StorageError: its protocol is not known, or fsspec is not installed.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        remote.file_system(root)

    def __str__(self) -> str:
        return self.root

    def put(self, name: str, content: bytes) -> None:
        """Write an object; raises `StorageError`."""
        remote.write(self._address(name), content)

    @contextmanager
    def replacing(self, name: str) -> Iterator[Path]:
        """A file on the disk, which becomes the object when the block succeeds; raises `BulkError`."""
        with TemporaryDirectory(prefix="humanparse-") as folder:
            path = Path(folder) / name.rpartition("/")[2]
            try:
                yield path
            except (OSError, FormatError) as error:
                raise BulkError(
                    f"{folder} cannot be written to ({error}); check that the disk is neither full nor "
                    "read-only, or set TMPDIR to another folder, and resume with `resume=True`"
                ) from error
            remote.write(self._address(name), path)

    @contextmanager
    def copy(self, name: str) -> Iterator[Path]:
        """A copy of the object on the disk; raises `GoneError` if there is none."""
        content = remote.read(self._address(name))
        with TemporaryDirectory(prefix="humanparse-") as folder:
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            yield path

    def size(self, name: str) -> int:
        """Bytes of an object; -1 if there is none."""
        found = remote.info(self._address(name))
        return -1 if found is None else found.size

    @contextmanager
    def sizes(self) -> Iterator[Callable[[str], int]]:
        """`size` from one listing, kept in a temporary file: a request per object would take too long."""
        with closing(sqlite3.connect("")) as database:
            database.execute("CREATE TABLE objects (name TEXT PRIMARY KEY, size INTEGER) WITHOUT ROWID")
            found = ((one.name, one.size) for one in remote.listed(self.root, optional=True))
            database.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?)", found)

            def size(name: str) -> int:
                row = database.execute("SELECT size FROM objects WHERE name = ?", (name,)).fetchone()
                return -1 if row is None else int(row[0])

            yield size

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; those that do not exist are skipped."""
        remote.remove(map(self._address, names))

    def remove_parts(self, name: str) -> None:
        """Do nothing: an unfinished object does not appear. See `abort_uploads`."""

    def synchronise(self, names: Iterable[str]) -> None:
        """Do nothing: the storage keeps what it has confirmed."""

    def folder(self, name: str) -> str:
        """The address of the folder of an object."""
        return self._address(name).rpartition("/")[0]

    def labels(self) -> list[str]:
        """Labels of the shards that have a copy of their journal here."""
        found = [one.name.split("/") for one in remote.listed(self._address(STATE), optional=True)]
        return sorted(name[0] for name in found if name[1:] == ["journal.sqlite"])

    @property
    def folds_case(self) -> bool:
        """False: names that differ only in case are different objects."""
        return False

    def _address(self, name: str) -> str:
        return remote.join(self.root, name)
