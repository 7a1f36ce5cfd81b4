"""The photos that command-line arguments stand for, and the names of their results."""

from __future__ import annotations

import glob
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from ..addresses import distinct
from ..durable import folded, folds_case
from ..errors import FormatError, ImageError
from ..remote import file_system, is_remote, join
from ..suffixes import SUFFIXES, is_picture, left_out, reason_against, told

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STDIN = "-"

_LONGEST = 220
"""Most bytes of a stem; most file systems allow names of 255, and endings and a temporary mark are added."""


@dataclass(frozen=True)
class Job:
    """One photo, and where its results go.

    Attributes:
        source: path, address, or `-` for standard input.
        folder: folder of the results: a path, or an address in remote storage.
        stem: beginning of the names of its results.
    """

    source: str
    folder: Path | str
    stem: str

    def place(self, name: str) -> Path | str:
        """The path or the address of a result."""
        return join(self.folder, name) if isinstance(self.folder, str) else self.folder / name


def find_photos(words: list[str], tell: Callable[[str], None], dest: str = "") -> list[str]:
    """The photos that command-line arguments stand for, in order.

    Args:
        words: files, folders, globs, addresses, `-`.
        tell: called with the picture-like files that were left out of a folder.
        dest: folder of the results; if it lies inside one of the bucket folders in `words`, nothing in it is
            an input.

    Raises:
        ImageError: an argument stands for nothing.
    """
    found: list[str] = []
    for word in words:
        path = Path(word)
        if is_remote(word):
            inside = dest.rstrip("/").startswith(f"{word.rstrip('/')}/")
            found += _objects(word, tell, dest if inside else "")
        elif word == STDIN or _is_url(word) or path.is_file():
            found.append(word)
        elif path.is_dir():
            found += _inside(path, tell)
        elif glob.has_magic(word):
            matches = sorted(file for file in glob.glob(word, recursive=True) if Path(file).is_file())
            if not matches:
                raise ImageError(f"{word}: nothing matches this pattern")
            found += matches
        else:
            raise ImageError(f"{word}: no such file or folder; check the spelling")
    return found


def _objects(address: str, tell: Callable[[str], None], dest: str) -> list[str]:
    from ..bulk.objects import ObjectSource, open_objects

    source = open_objects(address, dest, None, None, keep_suffix=False)
    if not isinstance(source, ObjectSource):
        raise ImageError(f"{address}: neither a picture nor a folder of some; label it with humanparse label")
    inside = [str(source.photo(one)) for one in source.listing()]
    others = told(source.left_out())
    if not inside:
        raise ImageError(f"{address}: no pictures there{others and f'; left out: {others}'}")
    if others:
        tell(f"{address}: left out: {others}")
    return inside


def _inside(folder: Path, tell: Callable[[str], None]) -> list[str]:
    names = sorted(file.name for file in folder.iterdir() if not file.is_dir())
    inside = [str(folder / name) for name in names if is_picture(name) and not reason_against(name)]
    others = left_out(names)
    if not inside:
        why = f"; left out: {others}" if others else ""
        raise ImageError(f"{folder}: no pictures in this folder ({', '.join(sorted(SUFFIXES))}){why}")
    if others:
        tell(f"{folder}: left out: {others}")
    return inside


def read_photo(source: str) -> NDArray[np.uint8]:
    """Read a path, an address or, for `-`, standard input, as RGB uint8 (H, W, 3).

    Raises:
        ImageError: it cannot be read.
    """
    return load_photo(source, content_of(source))


def content_of(source: str) -> str | bytes:
    """The input of `load_photo`: the path or address itself, or the content of standard input."""
    return sys.stdin.buffer.read() if source == STDIN else source


def load_photo(source: str, content: str | bytes) -> NDArray[np.uint8]:
    """Decode a photo as RGB uint8 (H, W, 3); may be called in any thread.

    Raises:
        ImageError: it cannot be read.
    """
    from .. import image

    if is_remote(source):
        from ..bulk.sources import read_object

        return read_object(source, image.describe(source)).pixels
    return image.load(content, name="standard input" if source == STDIN else None)


def named(
    sources: Iterable[str], folder: Path | str, outputs: Callable[[Job], Iterable[Path | str]]
) -> list[Job]:
    """Name the results of photos. Addresses, which nobody can rename, get a hash if names clash.

    Raises:
        FormatError: a result would overwrite an input, or a result of another photo.
    """
    from ..bulk.naming import hash_of

    jobs = [Job(source, folder, _stem(source)) for source in sources]
    paths = [Path(job.source) for job in jobs if job.source != STDIN and not _is_url(job.source)]
    files = {path.resolve() for path in paths if path.is_file()}
    inputs: set[Path | str] = {*files, *(job.source for job in jobs if is_remote(job.source))}
    owners: dict[Path | str, set[str]] = defaultdict(set)
    for job in jobs:
        for path in outputs(job):
            owners[path].add(job.source)
            if _resolved(path) in inputs:
                owners[path].add(str(path))
    met = {source for those in owners.values() if len(those) > 1 for source in those}
    jobs = [
        replace(job, stem=f"{job.stem}-{hash_of(distinct(job.source))}")
        if job.source in met and _is_url(job.source)
        else job
        for job in jobs
    ]
    _refuse_clashes(jobs, inputs, outputs)
    return jobs


def make_folder(folder: Path | str) -> None:
    """Make a folder for results, or check that remote storage takes them.

    Raises:
        FormatError: it cannot be made or written to.
    """
    if isinstance(folder, str):
        file_system(folder)  # raises `StorageError` if nothing can be stored there
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(
            f"cannot make the folder {folder}: {error.strerror}; choose another with -o"
        ) from error
    if not os.access(folder, os.W_OK):
        raise FormatError(f"the folder {folder} cannot be written to; choose another with -o")


def _resolved(path: Path | str) -> Path | str:
    return path if isinstance(path, str) else path.resolve()


def _refuse_clashes(
    jobs: list[Job], inputs: set[Path | str], outputs: Callable[[Job], Iterable[Path | str]]
) -> None:
    owners: dict[Path | str, str] = {}
    for job in jobs:
        for path in outputs(job):
            if _resolved(path) in inputs:
                raise FormatError(f"{path} is itself an input; choose another folder with -o")
            if owners.get(path) == job.source:
                raise FormatError(f"{job.source} is given twice; name it once")
            if path in owners:
                raise FormatError(
                    f"{owners[path]} and {job.source} would both write {path}; rename one or use two folders"
                )
            owners[path] = job.source
    alike: dict[str, Path] = {}
    for path in owners:
        if isinstance(path, str):  # names of objects are case-sensitive
            continue
        twin = alike.setdefault(folded(str(path)), path)
        if twin != path and folds_case(path.parent):
            raise FormatError(
                f"{owners[twin]} and {owners[path]} would both write {path}: names that differ in case only "
                "are one file on this disk; rename one or use two folders"
            )


def _stem(source: str) -> str:
    from ..bulk.naming import key_of_path, shortened

    if source == STDIN:
        return "stdin"
    if _is_url(source):
        return key_of_path(Path(unquote(urlsplit(source).path)).name)
    stem = Path(source).stem
    return stem if len(os.fsencode(stem)) <= _LONGEST else shortened(stem)


def _is_url(source: str) -> bool:
    return "://" in source  # `image.load` refuses unknown kinds
