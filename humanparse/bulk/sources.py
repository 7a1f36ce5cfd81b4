"""Folders and globs of pictures as the inputs of a run, and the sources that arguments stand for."""

from __future__ import annotations

import glob
import hashlib
import io
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .. import decode, image
from ..errors import BulkError, ImageError, StorageError
from ..messages import shorten
from ..remote import RemoteFile, is_remote, join, read
from ..suffixes import is_picture, left_out, reason_against
from ..video.containers import SUFFIXES as VIDEOS
from .items import Content, Listing, Source
from .naming import key_of_path

STDIN = "-"
LISTS = frozenset((".txt", ".csv", ".tsv", ".parquet"))

_LINKED = "linked folder(s), which are not followed; label each in a run of its own"
_BESIDE_TARS = "beside the tars that the pattern matches; label them in a run of their own"


def open_source(
    text: str,
    dest: str | Path,
    *,
    every: int = 1,
    column: str | None = None,
    member: str | None = None,
    keep_suffix: bool = False,
) -> Source:
    """The inputs that a command-line argument stands for.

    Args:
        text: a folder; a glob of pictures or of tars; a list of paths or URLs (`.txt`, one per line; `.csv`,
            `.tsv`, `.parquet`; `-` is a list on standard input); a `.tar`; a video.
        dest: where outputs go; nothing in it is an input.
        every: take every n-th frame of a video.
        column: column of a table; None looks for `url`, `path` and the like.
        member: which picture of a tar's samples, or several separated by commas; see `TarSource`.
        keep_suffix: outputs keep the suffix of their input in their name.

    Raises:
        BulkError: nothing has that name, or its kind is unknown.
    """
    if is_remote(text):
        from .objects import open_objects

        return open_objects(text, dest, column, member, keep_suffix, every)
    path, suffix = Path(text), Path(text).suffix.lower()
    own = None if is_remote(str(dest)) else Path(dest)
    if text == STDIN or (path.name == STDIN and not path.exists()):  # as the journal stores it
        return open_list(path.absolute(), column, keep_suffix, stdin=True)
    if path.is_dir():
        if own is not None and path.resolve() == own.resolve():
            raise BulkError(f"{text} would hold its own labels; choose another folder with `dest`")
        return FolderSource(path, own, keep_suffix)
    if not path.is_file():
        return _matching(text, own, member, keep_suffix)
    if suffix in LISTS:
        return open_list(path, column, keep_suffix)
    if suffix == ".tar":
        return open_tars([path], member, keep_suffix)
    if suffix in VIDEOS:
        from .video import VideoSource

        return VideoSource(path, every)
    if is_picture(path.name):
        return PictureSource((path,), path.parent, keep_suffix)
    if path.name.lower().endswith((".tar.gz", ".tgz")):
        raise BulkError(f"{text}: a compressed tar cannot be read from its middle; unpack it with gunzip")
    if unread := left_out([path.name]):
        raise BulkError(f"{text}: {unread}")
    raise BulkError(
        f"{text}: neither a folder nor a picture, list ({', '.join(sorted(LISTS))}), .tar or video "
        f"({', '.join(sorted(VIDEOS))})"
    )


def _matching(text: str, dest: Path | None, member: str | None, keep_suffix: bool) -> Source:
    """The files that match a glob: its tars, or else its pictures."""
    if "://" in text:
        raise BulkError(f"{text}: write addresses into a text file, a line each, and give that")
    if not glob.has_magic(text):
        raise BulkError(f"{text}: no such file or folder; check the spelling")
    inside = None if dest is None else dest.resolve()
    found = sorted((Path(name) for name in glob.glob(text, recursive=True)), key=Path.as_posix)
    found = [path for path in found if path.is_file() and inside not in path.resolve().parents]
    tars = [path for path in found if path.suffix.lower() == ".tar"]
    pictures = tuple(path for path in found if is_picture(path.name))
    if tars:
        return open_tars(
            tars, member, keep_suffix, Counter({_BESIDE_TARS: len(pictures)} if pictures else {})
        )
    if not pictures:
        unread = left_out(path.name for path in found)
        raise BulkError(f"{text}: no pictures or tars match this pattern{unread and f'; left out: {unread}'}")
    root = Path(os.path.commonpath([path.parent.absolute() for path in pictures]))
    others = Counter(reason_against(path.name) for path in found if not is_picture(path.name))
    others.pop("", None)
    return PictureSource(pictures, root, keep_suffix, others)


def open_tars(
    paths: Sequence[Path | RemoteFile],
    member: str | None,
    keep_suffix: bool,
    beside: Counter[str] | None = None,
) -> Source:
    """The pictures in some tars; `beside` counts what was left out already."""
    from .tars import TarSource

    members = (word.strip().lstrip(".").lower() for word in (member or "").split(","))
    return TarSource(tuple(paths), tuple(filter(None, members)), keep_suffix, beside or Counter())


def open_list(path: Path | RemoteFile, column: str | None, keep_suffix: bool, stdin: bool = False) -> Source:
    """The entries of a list; paths in it are relative to its folder."""
    from .lists import ListSource
    from .tables import open_table

    if path.suffix.lower() == ".parquet" and not stdin:
        return open_table(path, column, keep_suffix)
    return ListSource(path, column, keep_suffix, stdin)


def read_picture(path: Path, name: str) -> Content:
    """Read a file once, so that hash and pixels come from the same bytes.

    Raises:
        ImageError: it is missing, not a regular file, damaged, or changed while it was read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # checked before opening: a pipe would block
            raise ImageError(f"{name}: not a regular file")
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            content = file.read()
            after = os.fstat(file.fileno())
    except FileNotFoundError as error:
        raise ImageError(f"{name}: there is no such file") from error
    except OSError as error:
        raise ImageError(f"{name}: the file cannot be read: {error.strerror or error}") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or (
        len(content) != before.st_size
    ):
        raise ImageError(f"{name}: it changed while it was read; label it again when it is whole")
    return decoded(content, name)


def read_object(address: str, name: str, size: int | None = None, mark: int | None = None) -> Content:
    """Decode a picture in remote storage.

    Raises:
        ImageError: it cannot be read, has changed, or is not a picture.
    """
    try:
        content = read(address, size, mark)
    except StorageError as error:
        raise ImageError(str(error)) from error
    return decoded(content, name)


def decoded(content: bytes, name: str) -> Content:
    """Decode the bytes of a picture, and hash them.

    Raises:
        ImageError: they are not a picture, or a damaged one.
    """
    pixels = decode.stream_to_rgb(io.BytesIO(content), name, image.MAX_PIXELS)
    return Content(pixels, hashlib.sha256(content).hexdigest())


def read_photo(photo: Path | str, name: str, size: int | None = None, mark: int | None = None) -> Content:
    """Decode a file, an object in remote storage, or what a URL leads to; raises `ImageError`."""
    if isinstance(photo, Path):
        return read_picture(photo, name)
    if is_remote(photo):
        return read_object(photo, name, size, mark)
    return Content(image.load(photo, name=name))


def below(root: Path | str, name: str) -> Path | str:
    """The path or address of what lies below a folder or an address."""
    return join(root, name) if isinstance(root, str) and is_remote(root) else Path(root, name)


class PhotoSource(Source):
    """Pictures that are files, objects or URLs: `photo` says where each of them is."""

    root: Path | str
    others: Counter[str]

    def read(self, found: Listing) -> Content:
        """Decode a picture."""
        return read_photo(self.photo(found), shorten(found.place, 300), found.size, found.modified)

    def left_out(self) -> Counter[str]:
        """Numbers of picture-like files that are not listed, by reason."""
        return self.others

    def photo(self, found: Listing) -> Path | str:
        """The path or address of a picture."""
        return below(self.root, found.place)


@dataclass(frozen=True)
class FolderSource(PhotoSource):
    """All pictures in a folder and its subfolders, sorted by path, as a bucket lists them.

    Hidden folders and links to folders are not followed; hidden pictures and such links are counted.
    """

    root: Path
    dest: Path | None
    keep_suffix: bool = False
    others: Counter[str] = field(default_factory=Counter, compare=False)

    def listing(self) -> Iterator[Listing]:
        """The pictures."""
        self.others.clear()
        own = None if self.dest is None else self.dest.resolve()
        pending = self._entries("")
        while pending:
            place, entry = pending.pop()
            if entry.is_dir():
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    self.others[_LINKED] += 1
                elif Path(entry.path).resolve() != own:
                    pending += self._entries(place)
            elif reason := reason_against(entry.name):
                self.others[reason] += 1
            elif is_picture(entry.name):
                yield found_file(place, Path(entry.path), key_of_path(place, self.keep_suffix))

    def _entries(self, folder: str) -> list[tuple[str, os.DirEntry[str]]]:
        """The entries of a folder, sorted in reverse, as if names of folders ended with `/`."""
        try:
            with os.scandir(self.root / folder) as entries:
                inside = sorted(entries, key=lambda entry: entry.name + "/" * entry.is_dir(), reverse=True)
        except OSError as error:
            raise BulkError(
                f"the folder {self.root / folder} cannot be listed: {error.strerror}; "
                "make it readable, or name the folders to label one by one"
            ) from error
        return [(f"{folder}/{entry.name}" if folder else entry.name, entry) for entry in inside]


@dataclass(frozen=True)
class PictureSource(PhotoSource):
    """Some files; outputs mirror the folders below the one that contains all of them."""

    paths: tuple[Path, ...]
    root: Path
    keep_suffix: bool = False
    others: Counter[str] = field(default_factory=Counter, compare=False)

    def listing(self) -> Iterator[Listing]:
        """The files as given."""
        root = self.root.absolute()
        for path in self.paths:
            inside = path.absolute().relative_to(root).as_posix()
            yield found_file(inside, path, key_of_path(inside, self.keep_suffix))


def size_and_mark(path: Path | RemoteFile) -> tuple[int, int]:
    """A file's size in bytes and time of its last change in nanoseconds; or an object's size and mark.

    Raises:
        OSError: there is no such file.
        StorageError: there is no such object, or the storage cannot be asked.
    """
    if isinstance(path, RemoteFile):
        found = path.info()
        return found.size, found.mark
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def found_file(place: str, path: Path, key: str) -> Listing:
    """A file with its size and time; a missing file is reported when it is read."""
    try:
        return Listing(place, key, 0, *size_and_mark(path))
    except (OSError, ValueError):
        return Listing(place, key)
