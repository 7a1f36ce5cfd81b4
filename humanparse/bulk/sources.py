"""Folders and globs of pictures as the inputs of a run, and which source a word on the command line is."""

from __future__ import annotations

import glob
import hashlib
import io
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .. import decode, image
from ..errors import BulkError, ImageError
from ..suffixes import SUFFIXES as SUFFIXES
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
    dest: Path,
    *,
    every: int = 1,
    column: str | None = None,
    member: str | None = None,
    keep_suffix: bool = False,
) -> Source:
    """The inputs that a word on the command line stands for.

    Args:
        text: a folder; a glob of pictures or of tars; a list (`.txt`, a line each; `.csv`, `.tsv`,
            `.parquet`) of paths or URLs, `-` for one on standard input; a `.tar`; a video.
        dest: where outputs go; nothing in it is an input.
        every: of a video every n-th frame is taken.
        column: of a list with columns; None looks for `url`, `path` and the like.
        member: of a tar's samples with several pictures; see `TarSource`. Several with commas.
        keep_suffix: outputs keep the suffix of their input in their name.

    Raises:
        BulkError: there is nothing of that name, or it is of no known kind.
    """
    path, suffix = Path(text), Path(text).suffix.lower()
    if text == STDIN or (path.name == STDIN and not path.exists()):  # as a journal names it
        return _list(path.absolute(), column, keep_suffix, stdin=True)
    if path.is_dir():
        if path.resolve() == dest.resolve():
            raise BulkError(f"{text} would hold its own labels; choose another folder with `dest`")
        return FolderSource(path, dest, keep_suffix)
    if not path.is_file():
        return _matching(text, dest, member, keep_suffix)
    if suffix in LISTS:
        return _list(path, column, keep_suffix)
    if suffix == ".tar":
        return _tars([path], member, keep_suffix)
    if suffix in VIDEOS:
        return _video(path, every)
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


def _matching(text: str, dest: Path, member: str | None, keep_suffix: bool) -> Source:
    """The files of a glob, all tars or all pictures."""
    if "://" in text:
        raise BulkError(f"{text}: write addresses into a text file, a line each, and give that")
    if not glob.has_magic(text):
        raise BulkError(f"{text}: no such file or folder; check the spelling")
    inside = dest.resolve()
    found = sorted(Path(name) for name in glob.glob(text, recursive=True))
    found = [path for path in found if path.is_file() and inside not in path.resolve().parents]
    tars = [path for path in found if path.suffix.lower() == ".tar"]
    pictures = tuple(path for path in found if is_picture(path.name))
    if tars:
        return _tars(tars, member, keep_suffix, Counter({_BESIDE_TARS: len(pictures)} if pictures else {}))
    if not pictures:
        unread = left_out(path.name for path in found)
        raise BulkError(f"{text}: no pictures or tars match this pattern{unread and f'; left out: {unread}'}")
    root = Path(os.path.commonpath([path.parent.absolute() for path in pictures]))
    others = Counter(reason_against(path.name) for path in found if not is_picture(path.name))
    others.pop("", None)
    return PictureSource(pictures, root, keep_suffix, others)


def _video(path: Path, every: int) -> Source:
    from .video import VideoSource

    return VideoSource(path, every)


def _tars(
    paths: list[Path], member: str | None, keep_suffix: bool, beside: Counter[str] | None = None
) -> Source:
    from .tars import TarSource

    members = (word.strip().lstrip(".").lower() for word in (member or "").split(","))
    return TarSource(tuple(paths), tuple(filter(None, members)), keep_suffix, beside or Counter())


def _list(path: Path, column: str | None, keep_suffix: bool, stdin: bool = False) -> Source:
    from .lists import ListSource
    from .tables import open_table

    if path.suffix.lower() == ".parquet" and not stdin:
        return open_table(path, column, keep_suffix)
    return ListSource(path, column, keep_suffix, stdin)


def read_picture(path: Path, name: str) -> Content:
    """Read a file once, so that hash and pixels are of the same bytes.

    Raises:
        ImageError: missing, no regular file, damaged, or written to while it was read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before it is opened: a pipe would wait for ever
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


def decoded(content: bytes, name: str) -> Content:
    """The bytes of a picture -> its pixels and their hash.

    Raises:
        ImageError: no picture, or a damaged one.
    """
    pixels = decode.stream_to_rgb(io.BytesIO(content), name, image.MAX_PIXELS)
    return Content(pixels, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class FolderSource:
    """All pictures in a folder and the folders in it, by name.

    Hidden folders and links to folders are not followed; hidden pictures and such links are counted.
    """

    root: Path
    dest: Path
    keep_suffix: bool = False
    others: Counter[str] = field(default_factory=Counter, compare=False)
    in_order = False

    def listing(self) -> Iterator[Listing]:
        """The pictures, folder by folder."""
        self.others.clear()
        own = self.dest.resolve()
        pending = [""]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(self.root / folder) as entries:
                    inside = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                raise BulkError(
                    f"the folder {self.root / folder} cannot be listed: {error.strerror}; "
                    "make it readable, or name the folders to label one by one"
                ) from error
            below = []
            for entry in inside:
                place = f"{folder}/{entry.name}" if folder else entry.name
                if entry.is_dir():
                    if entry.name.startswith("."):
                        continue
                    if entry.is_symlink():
                        self.others[_LINKED] += 1
                    elif Path(entry.path).resolve() != own:
                        below.append(place)
                elif reason := reason_against(entry.name):
                    self.others[reason] += 1
                elif is_picture(entry.name):
                    yield found_file(place, Path(entry.path), key_of_path(place, self.keep_suffix))
            pending += reversed(below)

    def read(self, found: Listing) -> Content:
        """Decode one of them."""
        return read_picture(self.root / found.place, found.place)

    def left_out(self) -> Counter[str]:
        """What looks like a picture and is not listed."""
        return self.others

    def photo(self, found: Listing) -> Path:
        """The file of one of them."""
        return self.root / found.place


@dataclass(frozen=True)
class PictureSource:
    """Some files; outputs mirror the folder that holds all of them."""

    paths: tuple[Path, ...]
    root: Path
    keep_suffix: bool = False
    others: Counter[str] = field(default_factory=Counter, compare=False)
    in_order = False

    def listing(self) -> Iterator[Listing]:
        """The files as given."""
        root = self.root.absolute()
        for path in self.paths:
            inside = path.absolute().relative_to(root).as_posix()
            yield found_file(inside, path, key_of_path(inside, self.keep_suffix))

    def read(self, found: Listing) -> Content:
        """Decode one of them."""
        return read_picture(self.root / found.place, found.place)

    def left_out(self) -> Counter[str]:
        """What looks like a picture and is not listed."""
        return self.others

    def photo(self, found: Listing) -> Path:
        """The file of one of them."""
        return self.root / found.place


def found_file(place: str, path: Path, key: str) -> Listing:
    """A file with what tells whether it changed; one that is not there is found out when it is read."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return Listing(place, key)
    return Listing(place, key, 0, status.st_size, status.st_mtime_ns)
