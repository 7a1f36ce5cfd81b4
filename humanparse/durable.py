"""Writes files that appear under their final name only when they are complete."""

from __future__ import annotations

import os
import secrets
import shutil
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import FormatError


@contextmanager
def replacing(path: Path, ending: str = ".part") -> Iterator[Path]:
    """Make a new, empty file beside `path` to write to; it is renamed to `path` if the block succeeds.

    If the block fails, the new file is removed and `path` is left as it was.

    Args:
        path: the final name.
        ending: suffix of the new file's name, for writers that choose a format by it.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}{ending}")
    part.open("xb").close()
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def writing_file(path: Path, make_folder: bool = False) -> Iterator[Path]:
    """`replacing` for a file that a user named.

    Args:
        path: the final name.
        make_folder: create its folder if needed.

    Raises:
        FormatError: the file cannot be written.
    """
    with explained(path):
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            yield part


def write_file(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write a file that a user named; it appears under its name only when it is complete.

    Returns:
        The path.

    Raises:
        FormatError: the file cannot be written.
    """
    with writing_file(Path(path)) as part:
        part.write_bytes(content)
    return Path(path)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Raise an `OSError` of the block, which writes a file that a user named, as a `FormatError`."""
    try:
        yield
    except OSError as error:
        raise FormatError(
            f"cannot write {path}: {error.strerror or error}; check that the folder exists"
        ) from error


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """The same for a folder; the final name must be free or that of an empty folder.

    Raises:
        OSError: the folder around it is missing or read-only, the disk is full, or `path` holds files.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part.mkdir()
    try:
        yield part
        if path.is_dir():
            path.rmdir()
        os.replace(part, path)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def folds_case(folder: Path) -> bool:
    """Whether names that differ only in case mean the same file, as on Windows, macOS, exFAT, many servers.

    Args:
        folder: the folder, which need not exist yet; nothing is left in it.

    Raises:
        OSError: the folder cannot be written to.
    """
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    probe = folder / f".{secrets.token_hex(4)}.case"
    probe.touch()
    try:
        return probe.with_suffix(".CASE").exists()
    finally:
        probe.unlink()


def folded(name: str) -> str:
    """A form of a name that is equal for all names that mean the same file where `folds_case` is true."""
    return unicodedata.normalize("NFC", name).casefold()


def sync_folder(folder: Path) -> None:
    """Make new names in a folder survive a power cut, on systems that support it.

    Raises:
        OSError: the folder is missing or cannot be read.
    """
    if os.name == "nt":  # Windows cannot open folders, and writes names in order by itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
