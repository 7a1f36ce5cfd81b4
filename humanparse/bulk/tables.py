"""Parquet tables as inputs: a column of paths or addresses, or of pictures as on the Hugging Face hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from .. import image
from ..errors import BulkError, ImageError
from ..messages import said, shorten
from ..remote import RemoteFile
from .items import Content, Listing, Source
from .lists import ListSource, beside, find_column, unchanged
from .naming import key_of_path, key_of_url
from .packs import import_pyarrow
from .sources import decoded, read_photo, size_and_mark

_ROWS = 8  # read at a time: each may hold a photo of some megabytes
_BLOCK = 4 << 20  # bytes read at a time: a column of a row group may have gigabytes

_TEXT = re.compile(r"(large_)?string(_view)?")  # pyarrow's names of types
_BINARY = re.compile(r"(large_)?binary(_view)?|fixed_size_binary\[\d+\]")


def open_table(path: Path | RemoteFile, column: str | None, keep_suffix: bool) -> Source:
    """The inputs of a Parquet file, whatever its column holds.

    Raises:
        BulkError: it is not a Parquet file, or has no such column with pictures or their names.
    """
    with _opened(path) as table:
        name, kind = _column(path, table, column)
    if kind == "string":
        return ListSource(path, column, keep_suffix)
    return TableSource(path, name, keep_suffix)


def strings(path: Path | RemoteFile, column: str | None) -> Iterator[str | None]:
    """The values of a column of text, row by row.

    Raises:
        BulkError: as for `open_table`; or the column holds no text.
    """
    with _opened(path) as table:
        name, kind = _column(path, table, column)
        if kind != "string":
            raise BulkError(f"{path}: its column {name} holds no text any more")
        for batch in table.iter_batches(columns=[name]):
            yield from batch.column(0).to_pylist()


class TableSource(Source):
    """Pictures in a column: encoded bytes, or `{"bytes", "path"}`; missing bytes are read from the path.

    Outputs are named by the path, or by the row number if there is none. A table in remote storage is read in
    parts, and never copied.
    """

    in_order = True

    def __init__(self, path: Path | RemoteFile, column: str, keep_suffix: bool = False) -> None:
        self._path, self._column, self._keep_suffix = path, column, keep_suffix
        self._rows: Iterator[tuple[int, Any]] = iter(())
        self._next = self._end = 0

    def __getstate__(self) -> dict[str, Any]:
        """The state for another process, which opens the file itself."""
        return {**self.__dict__, "_rows": None, "_next": 0, "_end": 0}

    def listing(self) -> Iterator[Listing]:
        """One input for each row."""
        size, modified = size_and_mark(self._path)
        for row, name in enumerate(self._names()):
            place = f"{self._path.name} row {row}"
            yield Listing(place, self._key(row, name), row, size, modified, fixed=True)

    def read(self, found: Listing) -> Content:
        """Decode the picture of a row. Going back within a row group reads it again from its start.

        Raises:
            ImageError: there is no picture, or it cannot be read.
        """
        value = picture_in(self._value(found), found.place)
        if isinstance(value, bytes):
            return decoded(value, found.place)
        photo = value if "://" in value else beside(self._path, value)
        called = shorten(value) if isinstance(photo, Path) else image.describe(photo)
        return read_photo(photo, f"{found.place}: {called}")

    def _names(self) -> Iterator[str | None]:
        with _opened(self._path) as table:
            _, kind = _column(self._path, table, self._column)
            if kind != "named":
                yield from (None for _ in range(table.metadata.num_rows))
                return
            for batch in table.iter_batches(columns=[f"{self._column}.path"]):
                yield from (row and row["path"] for row in batch.column(0).to_pylist())

    def _key(self, row: int, name: str | None) -> str:
        if not name:
            return key_of_path(f"{self._path.stem}/{row:06d}", keep_suffix=True)
        return key_of_url(name, self._keep_suffix) if "://" in name else key_of_path(name, self._keep_suffix)

    def _value(self, found: Listing) -> Any:
        row = found.start
        if not self._next <= row < self._end:
            self._rows = self._group_of(row, found.modified)
        try:
            for number, value in self._rows:
                self._next = number + 1
                if number == row:
                    return value
        except (BulkError, OSError, ValueError) as error:
            self._end = 0  # the next read starts again
            raise ImageError(f"{found.place}: the table cannot be read: {said(error)}") from error
        raise ImageError(f"{found.place}: there is no such row any more")

    def _group_of(self, row: int, mark: int | None) -> Iterator[tuple[int, Any]]:
        """The rows of the group that holds a row; a table in remote storage must still have this mark."""
        with _opened(self._path) as table:
            sizes = [table.metadata.row_group(group).num_rows for group in range(table.num_row_groups)]
            ends = list(accumulate(sizes))
            group = next((group for group, end in enumerate(ends) if row < end), None)
            if group is None:
                return
            number, self._end = ends[group] - sizes[group], ends[group]
            for batch in table.iter_batches(_ROWS, row_groups=[group], columns=[self._column]):
                if isinstance(self._path, RemoteFile):
                    self._path.refuse_change(mark)
                for value in batch.column(0):
                    yield number, value.as_py()
                    number += 1


def picture_in(value: Any, place: str) -> Any:
    """The content of a value, see `inside`, which must not be empty.

    Raises:
        ImageError: it is empty.
    """
    found = inside(value)
    if found is None or (isinstance(found, bytes | str) and not found):
        raise ImageError(f"{place}: it holds neither a picture nor the path of one")
    return found


def inside(value: Any) -> Any:
    """The bytes, or else the path, of a struct as on the Hugging Face hub; any other value as it is."""
    if isinstance(value, Mapping) and {"bytes", "path"} & set(value):
        return value["bytes"] if value.get("bytes") is not None else value.get("path")
    return value


@contextmanager
def _opened(path: Path | RemoteFile) -> Iterator[Any]:
    parquet = import_pyarrow()
    with unchanged(path):
        try:
            file = path.open() if isinstance(path, RemoteFile) else path
            table = parquet.ParquetFile(file, buffer_size=_BLOCK, pre_buffer=False)
        except (OSError, ValueError) as error:  # pyarrow's ArrowInvalid is a ValueError
            raise BulkError(f"{path}: not a readable Parquet file ({shorten(str(error))})") from error
        with table:
            yield table


def _column(path: Path | RemoteFile, table: Any, column: str | None) -> tuple[str, str]:
    """The name of a column, and what it holds: `"string"`, `"binary"`, or `"named"`: binary with a path."""
    import pyarrow

    schema = table.schema_arrow
    name = find_column(path, schema.names, column)
    kind = schema.field(name).type
    plain = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    if _TEXT.fullmatch(str(plain)):
        return name, "string"
    if _BINARY.fullmatch(str(plain)):
        return name, "binary"
    if pyarrow.types.is_struct(plain):
        fields = {field.name: str(field.type) for field in plain}
        if "bytes" in fields and _BINARY.fullmatch(fields["bytes"]):
            return name, "named" if "path" in fields and _TEXT.fullmatch(fields["path"]) else "binary"
    raise BulkError(
        f"{path}: its column {name} holds {shorten(str(kind))}; pictures are text (paths or addresses), "
        "binary, or a struct of bytes and path. Name another column with `column`, or write one in each row"
    )
