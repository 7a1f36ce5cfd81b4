"""Writes labels to files and reads them back; `FORMATS` is the table of all formats."""

from __future__ import annotations

from pathlib import Path

from ..durable import explained, write_file
from ..errors import FormatError
from ..schemes import LabelScheme
from .label_files import described as described
from .label_files import stated_scheme as stated_scheme
from .photo import PhotoName as PhotoName
from .photo import photo_name as photo_name
from .pictures import overlay_jpeg as overlay_jpeg
from .record import Photo as Photo
from .record import Record as Record
from .record import check_labels as check_labels
from .rle import decode_rle as decode_rle
from .rle import encode_rle as encode_rle
from .table import FORMATS as FORMATS
from .table import Format as Format
from .table import find as find


def write(record: Record, path: Path) -> None:
    """Write a file in the format of its suffix, one that `read` takes: `.png`, `.npz` or `.json`.

    The file appears under its name only when it is complete.

    Raises:
        FormatError: unknown suffix, no pixels, or the file cannot be written.
    """
    write_file(path, _of_suffix(path).encode(record, Photo()))


def encode(record: Record, kind: str, photo: Photo | None = None) -> bytes:
    """The content of a photo's file.

    Args:
        record: what to write.
        kind: a format with one file per photo.
        photo: for formats that name or show it.

    Raises:
        FormatError: unknown kind, no pixels, or the photo is needed and missing.
    """
    return find(kind, lambda one: one.one_file).encode(record, photo or Photo())


def read(path: Path, scheme: LabelScheme | None = None) -> Record:
    """Read what `write` wrote, or any 8-bit label PNG if the scheme is given.

    Args:
        path: `.png`, `.npz` or `.json`.
        scheme: the labels' scheme; None takes the one that the file names.

    Raises:
        FormatError: the file is missing, damaged or not a label map; it has labels outside its scheme; or it
            is a PNG that names no scheme.
    """
    return _of_suffix(path).read(path, scheme)


def export(record: Record, kind: str, folder: Path, stem: str, photo: Photo) -> list[Path]:
    """Write a photo's files in any format.

    Each appears under its name only when it is complete.

    Args:
        record: what to write.
        kind: one of `FORMATS`.
        folder: must exist; sub-folders are made.
        stem: name of the files, without the folder and the ending that the format adds.
        photo: for formats that name or show it.

    Returns:
        The files.

    Raises:
        FormatError: unknown kind, no pixels, the photo is needed and missing, or a file cannot be written.
    """
    contents = find(kind).contents(record, stem, photo)
    for name, content in contents.items():
        path = folder / name
        if path.parent != folder:
            with explained(path):
                path.parent.mkdir(exist_ok=True)
        write_file(path, content)
    return [folder / name for name in contents]


def _of_suffix(path: Path) -> Format:
    known = {one.ending: one for one in FORMATS.values() if one.reader is not None}
    if path.suffix.lower() not in known:
        raise FormatError(f"{path}: unknown suffix; use {', '.join(known)}")
    return known[path.suffix.lower()]
