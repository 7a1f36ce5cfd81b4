"""Lists of pictures: text files, standard input, and tables with a column of paths or URLs."""

from __future__ import annotations

import csv
import io
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from ..addresses import HIDDEN, distinct
from ..errors import BulkError, ImageError
from ..messages import said, shorten
from ..remote import RemoteFile
from .items import Listing
from .naming import key_of_path, key_of_url
from .sources import PhotoSource, found_file

_COLUMNS = ("url", "path", "file", "file_name", "filename", "image", "image_path", "image_url")


@dataclass(frozen=True)
class ListSource(PhotoSource):
    """A list of URLs, or of paths relative to its folder. Pictures not on a disk are assumed never to change.

    With `stdin` the list comes from standard input, one entry per line, with paths relative to the folder of
    `path`. A URL is stored as `addresses.distinct` returns it; only this object knows the secrets in it.
    """

    path: Path | RemoteFile
    column: str | None = None
    keep_suffix: bool = False
    stdin: bool = False
    others: Counter[str] = field(default_factory=Counter, compare=False)
    _addresses: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def listing(self) -> Iterator[Listing]:
        """The entries of the list; duplicates count once.

        Raises:
            BulkError: the list cannot be read, or two URLs differ only in a short secret.
        """
        self.others.clear()
        for entry in self._entries():
            if "://" in entry:
                yield Listing(self._named(entry), key_of_url(entry, self.keep_suffix), fixed=True)
            else:
                key = key_of_path(Path(entry).as_posix(), self.keep_suffix)
                if isinstance(self.path, RemoteFile):
                    yield Listing(entry, key)
                else:
                    yield found_file(entry, self.path.parent / entry, key)

    def photo(self, found: Listing) -> Path | str:
        """The path or address of a picture."""
        if "://" in found.place:
            return self._address(found.place)
        return beside(self.path, found.place)

    def _named(self, address: str) -> str:
        place = distinct(address)
        if HIDDEN in place:
            known = self._addresses.setdefault(place, address)
            if known.rpartition("@")[2] != address.rpartition("@")[2]:
                raise BulkError(
                    f"{self.path}: two URLs differ only in a secret, {place}; label them in two runs"
                )
        return place

    def _address(self, place: str) -> str:
        """The URL of a place; if only the journal knows the place, it is looked up in the list again."""
        if HIDDEN in place and place not in self._addresses and not self.stdin:
            for entry in self._entries():
                if "://" in entry:
                    self._named(entry)
        if HIDDEN in place and place not in self._addresses:
            raise ImageError(f"{place}: this URL is no longer in {self.path}, so its secrets are unknown")
        return self._addresses.get(place, place)

    def _entries(self) -> Iterator[str]:
        suffix = self.path.suffix.lower()
        try:
            if suffix == ".parquet":
                from .tables import strings

                yield from self._filled(strings(self.path, self.column))
                return
            with self._opened() as file:
                if suffix == ".txt" or self.stdin:
                    yield from (line.strip() for line in file if line.strip())
                    return
                rows = csv.reader(file, delimiter="\t" if suffix == ".tsv" else ",")
                header = next(rows, [])
                position = header.index(find_column(self.path, header, self.column))
                yield from self._filled(row[position] if len(row) > position else "" for row in rows if row)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BulkError(f"{self.path}: not a readable list ({said(error)})") from error

    def _filled(self, values: Iterator[str | None]) -> Iterator[str]:
        for value in values:
            entry = value.strip() if value and "://" in value else value
            if entry:
                yield entry
            else:
                self.others["row without a value"] += 1

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        if self.stdin:
            file = io.TextIOWrapper(sys.stdin.buffer, "utf-8-sig", "surrogateescape")
            yield file
            file.detach()  # otherwise it would be closed
            return
        newline = None if self.path.suffix.lower() == ".txt" else ""
        with (
            unchanged(self.path),
            io.TextIOWrapper(self.path.open("rb"), "utf-8-sig", newline=newline) as text,
        ):
            yield text


@contextmanager
def unchanged(path: Path | RemoteFile) -> Iterator[None]:
    """Raise `StorageError` if an object that is read in parts inside the block changed meanwhile."""
    mark = path.info().mark if isinstance(path, RemoteFile) else None
    yield
    if isinstance(path, RemoteFile):
        path.refuse_change(mark)


def beside(path: Path | RemoteFile, name: str) -> Path | str:
    """The path or address of what a list or table names relative to its own folder."""
    return path.beside(name) if isinstance(path, RemoteFile) else path.parent / name


def find_column(path: Path | RemoteFile, header: list[str], column: str | None) -> str:
    """The requested column, or the first one that is named `url`, `path` or the like.

    Raises:
        BulkError: there is no such column.
    """
    wanted = [column] if column else list(_COLUMNS)
    found = [name for name in header if name in wanted or (not column and name.lower() in wanted)]
    if not found:
        raise BulkError(
            f"{path}: no column {' or '.join(wanted)} among {shorten(', '.join(header), 400)}; name it with "
            "`column`"
        )
    return found[0]
