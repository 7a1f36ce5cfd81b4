"""WebDataset tars: the pictures in them as inputs, each read from its own place in the file."""

from __future__ import annotations

import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from posixpath import dirname, join, normpath

from ..errors import BulkError, ImageError
from ..messages import said
from ..suffixes import is_picture, looks_like_picture, suffix_of
from .items import Content, Found
from .naming import key_of_path
from .sources import decoded

_FIRST = ("jpg", "jpeg", "jpe", "jfif", "webp", "avif", "heic", "png")
"""What the picture of a sample is likely to be: a mask is seldom a JPEG."""

_CALLED = frozenset(("image", "img", "photo", "picture", "rgb", "color", "colour", "input"))
"""How a sample's picture is called where others have names, too: `0.rgb.png`."""

_HOPS = 40  # that links to links may take, as in Linux


@dataclass(frozen=True)
class _Picture:
    """A picture in a tar: its name, where its bytes are, and what its outputs are called."""

    name: str
    start: int = -1
    size: int = 0
    key: str = ""

    @property
    def sample(self) -> str:
        """All before the first dot of the file's name, as WebDataset has it."""
        folder, slash, file = self.name.rpartition("/")
        return f"{folder}{slash}{file.partition('.')[0]}"

    @property
    def extension(self) -> str:
        """All after it, in lower case."""
        return self.name.rpartition("/")[2].partition(".")[2].lower()


@dataclass(frozen=True)
class TarSource:
    """The pictures in one tar or several.

    A sample is all files whose names are alike before their first dot, as WebDataset has it, and gives its
    outputs that name; with several tars the name of the tar stands before it. Of a sample one picture is
    labelled: that of `member`; else the one with nothing between its first dot and its suffix, a JPEG before
    others; else the one that is called image, rgb or the like. Where none of these tells, the names just have
    dots in them, and all are labelled, each under its own name.

    Attributes:
        paths: the tars.
        member: what stands behind the first dot of a sample's picture (`"jpg"`, `"rgb.png"`); several in
            order of preference.
        keep_suffix: every picture is labelled, under its whole name.
    """

    paths: tuple[Path, ...]
    member: tuple[str, ...] = ()
    keep_suffix: bool = False
    others: Counter[str] = field(default_factory=Counter, compare=False)
    in_order = False

    def listing(self) -> Iterator[Found]:
        """The pictures, tar by tar, as they lie in it."""
        self.others.clear()
        for number, path in enumerate(self.paths):
            try:
                modified = path.stat().st_mtime_ns
                pictures = self._pictures(path)
            except (OSError, tarfile.TarError) as error:
                raise BulkError(f"{path}: not a readable tar ({said(error)})") from error
            for one in self._chosen(pictures):
                key = f"{path.stem}/{one.key}" if len(self.paths) > 1 else one.key
                place = f"{number}:{path.name}/{one.name}"
                yield Found(place, key_of_path(key, keep_suffix=True), one.start, one.size, modified)

    def read(self, found: Found) -> Content:
        """Decode one of them; raises `ImageError` where the tar ends before, or the picture is bad."""
        number, _, name = found.place.partition(":")
        if found.start < 0:
            raise ImageError(f"{name}: a link to what is not in the tar")
        try:
            with self.paths[int(number)].open("rb") as file:
                file.seek(found.start)
                content = file.read(found.size)
        except OSError as error:
            raise ImageError(f"{name}: the tar cannot be read: {error.strerror or error}") from error
        if len(content) != found.size:
            raise ImageError(f"{name}: the tar ends within this file; get a fresh copy of it")
        return decoded(content, name)

    def left_out(self) -> Counter[str]:
        """What looks like a picture and is not listed."""
        return self.others

    def photo(self, found: Found) -> str:
        """The name of one of them in its tar."""
        return found.place.partition("/")[2]

    def _pictures(self, path: Path) -> list[_Picture]:
        """All pictures of a tar, links among them."""
        found: list[_Picture] = []
        links: dict[str, str] = {}
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # else every header stays in memory
                if member.isdir():
                    continue
                if member.islnk() or member.issym():
                    folder = dirname(member.name) if member.issym() else ""
                    links[normpath(member.name)] = normpath(join(folder, member.linkname))
                if not (is_picture(member.name) or looks_like_picture(member.name)):
                    continue
                if _is_hidden(member.name):
                    self.others["hidden, such as macOS's ._ files"] += 1
                elif not is_picture(member.name):
                    self.others[suffix_of(member.name)] += 1
                elif member.issparse():
                    self.others["stored as sparse files; pack them again without --sparse"] += 1
                elif member.isreg():
                    found.append(_Picture(member.name, member.offset_data, member.size))
                elif normpath(member.name) in links:
                    found.append(_Picture(member.name))
                else:
                    self.others["neither a file nor a link"] += 1
        return _followed(path, found, links) if any(one.start < 0 for one in found) else found

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
        wanted = self.member or _FIRST
        order = {extension: place for place, extension in enumerate(wanted)}
        likely = [one for one in sample if one.extension in order] if self.member else []
        if not self.member:
            likely = [one for one in sample if "." not in one.extension]
            likely = likely or (sample if len({one.name for one in sample}) == 1 else [])
            named = [one for one in sample if one.extension.partition(".")[0] in _CALLED]
            likely = likely or (named if len(named) == 1 else [])
            if not likely:  # names with dots
                return [(one, one.name[: -len(suffix_of(one.name))]) for one in sample]
        if not likely:
            self.others[f"of samples without {' or '.join(self.member)}, the `member` that is asked for"] += (
                len(sample)
            )
            return []
        best = min(likely, key=lambda one: order.get(one.extension, len(order)))
        beside = sum(one.name != best.name for one in sample)
        if beside:
            self.others[_BESIDE] += beside
        return [(best, best.sample)]


def _is_hidden(name: str) -> bool:
    parts = normpath(name).split("/")
    return any((part.startswith(".") and part != "..") or part == "__MACOSX" for part in parts)


_BESIDE = (
    "beside the picture of their sample; name another one with `member`, or take all with `keep_suffix=True`"
)


def _followed(path: Path, pictures: list[_Picture], links: dict[str, str]) -> list[_Picture]:
    """The pictures, links with the bytes of what they lead to in the end."""

    def goal(name: str) -> str:
        name = normpath(name)
        for _ in range(_HOPS):
            if name not in links:
                break
            name = links[name]
        return name

    goals = {one.name: goal(one.name) for one in pictures if one.start < 0}
    wanted, files = set(goals.values()), {}
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]
            if member.isreg() and normpath(member.name) in wanted:
                files[normpath(member.name)] = (member.offset_data, member.size)
    return [
        _Picture(one.name, *files.get(goals[one.name], (-1, 0))) if one.start < 0 else one for one in pictures
    ]
