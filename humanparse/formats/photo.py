"""How a label file names its photo."""

from __future__ import annotations

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..addresses import HIDDEN, printable

Place = str | os.PathLike[str]


@dataclass(frozen=True)
class PhotoName:
    """The name of a photo in label files.

    Attributes:
        file: path with its suffix, relative to the label file, with `/` between folders. For a downloaded
            photo, the last part of its address's path.
        url: address of a downloaded photo, without its secrets (see `addresses`); "" for files.
    """

    file: str
    url: str = ""

    @property
    def stem(self) -> str:
        """The last part of the path, without suffix."""
        return Path(self.file).stem or "image"


def photo_name(photo: Place, folder: Place) -> PhotoName:
    """Name a photo in a label file.

    Args:
        photo: path or address.
        folder: folder of the label file.
    """
    text = os.fspath(photo)
    there = os.fspath(folder)
    if "://" in text and text.split("/")[:3] == there.split("/")[:3]:  # in the same bucket
        return PhotoName(posixpath.relpath(text.partition("://")[2], there.partition("://")[2]))
    if "://" in text:
        url = printable(text).replace(f"://{HIDDEN}@", "://", 1)
        return PhotoName(unquote(urlsplit(url).path).rpartition("/")[2] or "image", url)
    path = Path(os.path.realpath(Path(text).parent)) / Path(text).name
    try:
        found = os.path.relpath(path, os.path.realpath(folder))
    except ValueError:  # on another drive
        found = str(path)
    return PhotoName(Path(found).as_posix())
