"""WebDataset tars: the pictures in them as inputs, each read from its own place in the file."""

from __future__ import annotations

import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from posixpath import dirname, join, normpath

from ..errors import BulkError, ImageError, StorageError
from ..messages import said
from ..remote import RemoteFile
from ..suffixes import is_picture, reason_against, suffix_of
from .items import Content, Listing, Source
from .naming import key_of_path
from .sources import decoded, size_and_mark

_FIRST = ("jpg", "jpeg", "jpe", "jfif", "webp", "avif", "heic", "png")
"""Extensions of a sample's photo, the likeliest first: a mask is seldom a JPEG."""

_CALLED = frozenset(("image", "img", "photo", "picture", "rgb", "color", "colour", "input"))
"""Names of a sample's photo if its other pictures are named, too: `0.rgb.png`."""

_HOPS = 40  # most links to follow in a row, as in Linux

_BESIDE = (
    "beside the picture of their sample; name another one with `member`, or take all with `keep_suffix=True`"
)


@dataclass(frozen=True)
class _Picture:
    """A picture in a tar: its name, where its bytes are, and the name of its outputs."""

    name: str
    start: int = -1
    size: int = 0
    key: str = ""

    @property
    def sample(self) -> str:
        """Everything before the first dot of the file name, as in WebDataset."""
        folder, slash, file = self.name.rpartition("/")
        return f"{folder}{slash}{file.partition('.')[0]}"

    @property
    def extension(self) -> str:
        """Everything after that dot, in lower case."""
        return self.name.rpartition("/")[2].partition(".")[2].lower()


@dataclass(frozen=True)
class TarSource(Source):
    """The pictures in one tar or several.

    A sample is all files whose names are equal before the first dot, as in WebDataset. Its outputs have that
    name; with several tars, the name of the tar precedes it. One picture of each sample is labelled: that of
    `member`; else the one with nothing between its first dot and its suffix, a JPEG before others; else the
    one that is called image, rgb or the like. If none of these applies, dots are part of the names, and all
    pictures are labelled, each under its own name.

    Attributes:
        paths: the tars, on a disk or in remote storage.
        member: the text after the first dot of a sample's picture (`"jpg"`, `"rgb.png"`); several in order of
            preference.
        keep_suffix: every picture is labelled, under its whole name.
        beside: number of other pictures that are left out, by reason.
    """

    paths: tuple[Path | RemoteFile, ...]
    member: tuple[str, ...] = ()
    keep_suffix: bool = False
    beside: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter, compare=False)

    def listing(self) -> Iterator[Listing]:
        """The pictures, tar by tar, in the order of the tar."""
        self.others.clear()
        for number, path in enumerate(self.paths):
            try:
                _, modified = size_and_mark(path)
                pictures = self._pictures(path)
            except (OSError, tarfile.TarError) as error:
                raise BulkError(f"{path}: not a readable tar ({said(error)})") from error
            for one in self._chosen(pictures):
                key = f"{path.stem}/{one.key}" if len(self.paths) > 1 else one.key
                place = f"{number}:{path.name}/{one.name}"
                yield Listing(place, key_of_path(key, keep_suffix=True), one.start, one.size, modified)

    def read(self, found: Listing) -> Content:
        """Decode a picture; raises `ImageError` if the tar is truncated, or the picture is damaged."""
        number, _, name = found.place.partition(":")
        if found.start < 0:
            raise ImageError(f"{name}: a link to what is not in the tar")
        path = self.paths[int(number)]
        try:
            if isinstance(path, RemoteFile):
                content = path.read_part(found.start, found.size or 0, found.modified)
            else:
                with path.open("rb") as file:
                    file.seek(found.start)
                    content = file.read(found.size)
        except StorageError as error:
            raise ImageError(f"{name}: {error}") from error
        except OSError as error:
            raise ImageError(f"{name}: the tar cannot be read: {error.strerror or error}") from error
        if len(content) != found.size:
            raise ImageError(f"{name}: the tar ends within this file; get a fresh copy of it")
        return decoded(content, name)

    def left_out(self) -> Counter[str]:
        """Numbers of picture-like files that are not listed, by reason."""
        return self.beside + self.others

    def photo(self, found: Listing) -> str:
        """The name of a picture in its tar."""
        return found.place.partition("/")[2]

    def _pictures(self, path: Path | RemoteFile) -> list[_Picture]:
        """All pictures of a tar, including links; the last of several with one name, as with `tar -x`."""
        found: dict[str, _Picture] = {}
        links: dict[str, str] = {}
        for member in _members(path):
            if member.islnk() or member.issym():
                folder = dirname(member.name) if member.issym() else ""
                links[normpath(member.name)] = normpath(join(folder, member.linkname))
            if member.isdir():
                continue
            if reason := reason_against(member.name):
                self.others[reason] += 1
            elif is_picture(member.name):
                self._add(found, member)
        return _followed(path, found, links)

    def _add(self, found: dict[str, _Picture], member: tarfile.TarInfo) -> None:
        if member.name in found:
            self.others["replaced by later ones of the same name"] += 1
        if member.issparse():
            self.others["stored as sparse files; pack them again without --sparse"] += 1
        elif member.isreg():
            found[member.name] = _Picture(member.name, member.offset_data, member.size)
        elif member.islnk() or member.issym():
            found[member.name] = _Picture(member.name)
        else:
            self.others["neither a file nor a link"] += 1

    def _chosen(self, pictures: list[_Picture]) -> list[_Picture]:
        """One picture of each sample, with the name of its outputs, in the order of the tar."""
        if self.keep_suffix:
            return [replace(one, key=one.name) for one in pictures]
        samples: dict[str, list[_Picture]] = defaultdict(list)
        for one in pictures:
            samples[one.sample].append(one)
        keys = {one.name: key for sample in samples.values() for one, key in self._of_sample(sample)}
        return [replace(one, key=keys[one.name]) for one in pictures if one.name in keys]

    def _of_sample(self, sample: list[_Picture]) -> list[tuple[_Picture, str]]:
        """The pictures of a sample that are labelled, with the names of their outputs."""
        likely = self._likely(sample)
        if not likely and self.member:
            reason = f"of samples without {' or '.join(self.member)}, which `member` asks for"
            self.others[reason] += len(sample)
            return []
        if not likely:  # names with dots
            return [(one, one.name[: -len(suffix_of(one.name))]) for one in sample]
        order = {extension: place for place, extension in enumerate(self.member or _FIRST)}
        best = min(likely, key=lambda one: order.get(one.extension, len(order)))
        if len(sample) > 1:
            self.others[_BESIDE] += len(sample) - 1
        return [(best, best.sample)]

    def _likely(self, sample: list[_Picture]) -> list[_Picture]:
        if self.member:
            return [one for one in sample if one.extension in self.member]
        if len(sample) == 1:
            return sample
        plain = [one for one in sample if "." not in one.extension]
        called = [one for one in sample if one.extension.partition(".")[0] in _CALLED]
        return plain or (called if len(called) == 1 else [])


def _members(path: Path | RemoteFile) -> Iterator[tarfile.TarInfo]:
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # else all headers stay in memory
            yield member
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes bad bytes for the end
            raise tarfile.ReadError(f"it is damaged at byte {archive.offset}")


def _followed(path: Path | RemoteFile, found: dict[str, _Picture], links: dict[str, str]) -> list[_Picture]:
    """The pictures; links get the bytes of the file that they lead to."""
    goals = {name: _goal(normpath(name), links) for name, one in found.items() if one.start < 0}
    wanted, files = set(goals.values()), {}
    for member in _members(path) if wanted else ():
        if member.isreg() and normpath(member.name) in wanted:
            files[normpath(member.name)] = (member.offset_data, member.size)
    return [
        _Picture(name, *files.get(goals[name], (-1, 0))) if name in goals else one
        for name, one in found.items()
    ]


def _goal(name: str, links: dict[str, str]) -> str:
    """The file that a link leads to; the link, or a folder on the way, may lead to another link."""
    for _ in range(_HOPS):
        on_the_way = (part.as_posix() for part in (PurePosixPath(name), *PurePosixPath(name).parents))
        link = next((part for part in on_the_way if part in links), None)
        if link is None:
            break
        name = normpath(links[link] + name.removeprefix(link))
    return name
