"""A file appears under its final name only when it is whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a new, empty file beside `path` to write to; when the block ends well, it takes the name `path`.

    When the block fails the new file is removed and whatever was at `path` stays as it was.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    part.open("xb").close()
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Let new names in a folder outlive a power cut; on systems that cannot do so, nothing happens.

    Raises:
        OSError: the folder is missing or cannot be read.
    """
    if os.name == "nt":  # Windows opens no folders, and keeps names in order by itself
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
