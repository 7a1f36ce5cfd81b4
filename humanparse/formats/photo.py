"""How a file of labels names the photo that it is about."""

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
    """A photo as readers look for it.

    Attributes:
        file: path with its suffix, relative to the file that names it, `/` between folders. The last part of
            the path where the photo was downloaded.
        url: where it was downloaded, without its secrets (see `addresses`); "" for files.
    """

    file: str
    url: str = ""

    @property
    def stem(self) -> str:
        """The last part of the path, without suffix."""
        return Path(self.file).stem or "image"


def photo_name(photo: Place, folder: Place) -> PhotoName:
    """Name a photo in a file that lies in `folder`.

    Args:
        photo: path or address.
        folder: where the file lies that names it.
    """
    text = os.fspath(photo)
    there = os.fspath(folder)
    if "://" in text and text.split("/")[:3] == there.split("/")[:3]:  # in one bucket
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
