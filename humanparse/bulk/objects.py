"""Pictures in a bucket as the inputs of a run, and the sources that addresses stand for."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from .. import remote
from ..errors import BulkError
from ..suffixes import is_picture, left_out, reason_against, suffix_of
from ..video.containers import SUFFIXES as VIDEOS
from .items import Listing, Source
from .naming import key_of_path
from .sources import LISTS, PhotoSource, open_list, open_tars
from .video import VideoSource


def open_objects(
    address: str, dest: str | Path, column: str | None, member: str | None, keep_suffix: bool, every: int = 1
) -> Source:
    """The inputs that an address stands for: a folder of a bucket, a glob, a picture, tar, list or video.

    Args:
        address: such as `s3://bucket/photos`; one that ends with `/` is a folder, whatever its name.
        dest: where outputs go; nothing in it is an input.
        column, member, keep_suffix, every: see `open_source`.

    Raises:
        BulkError: there is nothing there, or its kind is unknown.
    """
    suffix = suffix_of(address)
    inside = str(dest) if remote.is_remote(str(dest)) else ""
    if inside and inside.rstrip("/") == address.rstrip("/"):
        raise BulkError(f"{address} would hold its own labels; choose another folder with `dest`")
    if glob.has_magic(address):
        return _matching(address, inside, member, keep_suffix)
    if address.endswith("/"):
        return ObjectSource(address.rstrip("/"), inside, keep_suffix)
    if suffix in LISTS:
        return open_list(remote.RemoteFile(address), column, keep_suffix)
    if suffix == ".tar":
        return open_tars([remote.RemoteFile(address)], member, keep_suffix)
    if is_picture(address):
        folder, _, name = address.rpartition("/")
        return ObjectSource(folder, inside, keep_suffix, glob.escape(name))
    if suffix in VIDEOS:
        return VideoSource(remote.RemoteFile(address), every)
    if unread := left_out([address]):
        raise BulkError(f"{address}: {unread}")
    return ObjectSource(address, inside, keep_suffix)


def _matching(address: str, dest: str, member: str | None, keep_suffix: bool) -> Source:
    """The objects that match a glob: tars if the pattern ends with `.tar`, else pictures."""
    root, pattern = _split(address)
    if not pattern.lower().endswith(".tar"):
        return ObjectSource(root, dest, keep_suffix, pattern)
    match = _matcher(pattern).fullmatch
    names = (one.name for one in remote.listed(root, _fixed(pattern)))
    tars = [remote.RemoteFile(remote.join(root, name)) for name in names if match(name)]
    if not tars:
        raise BulkError(f"{address}: no tars match this pattern")
    return open_tars(tars, member, keep_suffix)


def _split(address: str) -> tuple[str, str]:
    """`"s3://b/photos/2*/a.jpg"` -> `("s3://b/photos", "2*/a.jpg")`."""
    scheme, _, path = address.partition("://")
    parts = path.split("/")
    at = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    if at == 0:
        raise BulkError(f"{address}: name the bucket without a pattern")
    return f"{scheme}://{'/'.join(parts[:at])}", "/".join(parts[at:])


def _fixed(pattern: str) -> str:
    """The common beginning of all names that match a pattern; a listing can skip the others."""
    return re.split(r"[*?[]", pattern, maxsplit=1)[0]


def _matcher(pattern: str) -> re.Pattern[str]:
    """A glob with the rules of `glob.glob(..., recursive=True)`: `*` does not match `/` or hidden names."""
    found = ""
    *folders, last = pattern.split("/")
    for part in folders:
        found += r"(?:(?!\.)[^/]+/)*" if part == "**" else _part(part) + "/"
    return re.compile(found + (r"(?:(?!\.)[^/]+/)*(?!\.)[^/]+" if last == "**" else _part(last)))


def _part(pattern: str) -> str:
    hidden = "" if pattern.startswith(".") else r"(?!\.)"
    inside = "".join(
        {"*": "[^/]*", "?": "[^/]"}.get(piece)
        or (_one_of(piece) if piece.startswith("[") and piece.endswith("]") else re.escape(piece))
        for piece in re.findall(r"\[!?\]?[^\]]*\]|.", pattern)
    )
    return hidden + inside


def _one_of(piece: str) -> str:
    return fnmatch.translate(piece).removeprefix("(?s:").rpartition(")")[0]


@dataclass(frozen=True)
class ObjectSource(PhotoSource):
    """All pictures below an address, sorted by name, or those that match a pattern.

    As in a folder, hidden folders are skipped and hidden pictures are counted. Outputs mirror the folders
    below `root`. A picture that changed since it was listed fails.

    Attributes:
        root: a bucket, or a folder in it, without `/` at its end.
        dest: an address; nothing below it is an input. "" for outputs on a disk.
        keep_suffix: outputs keep the suffix of their input in their name.
        pattern: a glob relative to `root`; "" takes all names.
    """

    root: str
    dest: str = ""
    keep_suffix: bool = False
    pattern: str = ""
    others: Counter[str] = field(default_factory=Counter, compare=False)

    def listing(self) -> Iterator[Listing]:
        """The pictures, page by page."""
        self.others.clear()
        match = _matcher(self.pattern).fullmatch if self.pattern else None
        own = f"{self.dest.rstrip('/')}/" if self.dest else ""
        for one in remote.listed(self.root, _fixed(self.pattern)):
            folder, _, name = one.name.rpartition("/")
            if match is None:
                if any(part.startswith(".") for part in folder.split("/")):
                    continue
            elif match(one.name) is None:
                continue
            if own and remote.join(self.root, one.name).startswith(own):
                continue
            if reason := reason_against(name):
                self.others[reason] += 1
            elif is_picture(name):
                key = key_of_path(one.name, self.keep_suffix)
                yield Listing(one.name, key, 0, one.size, one.mark)
