"""WebDataset tars: the pictures in them as inputs, each read from its own place in the file."""

from __future__ import annotations

import tarfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import BulkError, ImageError
from ..suffixes import is_picture, looks_like_picture, suffix_of
from .items import Content, Found
from .naming import key_of_path
from .sources import decoded


@dataclass(frozen=True)
class TarSource:
    """The pictures in one tar or several.

    The key of a sample is all before the first dot of its file name, as WebDataset has it; with several tars
    the name of the tar stands before it.
    """

    paths: tuple[Path, ...]
    others: Counter[str] = field(default_factory=Counter, compare=False)
    in_order = False

    def listing(self) -> Iterator[Found]:
        """The pictures, tar by tar, as they lie in it."""
        self.others.clear()
        for number, path in enumerate(self.paths):
            try:
                modified = path.stat().st_mtime_ns
                with tarfile.open(path, "r:") as archive:
                    for member in archive:
                        if member.isreg() and looks_like_picture(member.name):
                            self.others[suffix_of(member.name)] += 1
                        if member.isreg() and is_picture(member.name):
                            place = f"{number}:{path.name}/{member.name}"
                            yield Found(
                                place, self._key(path, member.name), member.offset_data, member.size, modified
                            )
                        archive.members = []  # type: ignore[attr-defined]  # else every header stays in memory
            except (OSError, tarfile.TarError) as error:
                raise BulkError(f"{path}: not a readable tar ({error})") from error

    def _key(self, path: Path, name: str) -> str:
        folder, _, file = name.rpartition("/")
        sample = "/".join(part for part in (folder, file.partition(".")[0]) if part)
        return key_of_path(f"{path.stem}/{sample}" if len(self.paths) > 1 else sample, keep_suffix=True)

    def read(self, found: Found) -> Content:
        """Decode one of them; raises `ImageError` where the tar ends before, or the picture is bad."""
        number, _, name = found.place.partition(":")
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
