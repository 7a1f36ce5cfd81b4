"""Part maps for IntegratedPIFu, as the label extractor of its authors (a fork of SCHP) writes them.

IntegratedPIFu (Chan et al., ECCV 2022) renders each subject from 36 sides and needs a float32 map of seven
parts for each picture. Names, folders and values are the fork's. Its bugs are fixed: the test list is
labelled, too; the output folder may exist; a subject may be in both lists; a list may have a single line; and
"image" in a subject's name is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from .. import remote
from ..errors import BulkError, GoneError
from ..options import ParserOptions
from .items import Listing
from .job import Job, RunOptions, Summary, run
from .settings import Settings
from .sources import PhotoSource, below, found_file

Split = Literal["train", "test", "both"]

_PICTURES = "rendering_script/buffer_fixed_full_mesh"

_RENDER = "render this subject, or remove it from the list"


@dataclass(frozen=True)
class SubjectSource(PhotoSource):
    """The rendered pictures of the subjects in IntegratedPIFu's lists: files with "image" in their name.

    Attributes:
        root: path or address of IntegratedPIFu's folder, with `train_set_list.txt` and `test_set_list.txt`.
        split: which list of subjects: train, test or both.
    """

    root: str
    split: Split = "both"
    others: Counter[str] = field(default_factory=Counter, compare=False)

    def listing(self) -> Iterator[Listing]:
        """The pictures, by subject and name; a subject in both lists counts once."""
        for subject in sorted(self._subjects()):
            pictures = self._objects(subject) if remote.is_remote(self.root) else self._files(subject)
            yield from sorted(pictures, key=lambda found: found.place)

    def photo(self, found: Listing) -> Path | str:
        """The path or address of a picture."""
        return below(self.root, f"{_PICTURES}/{found.place}")

    def _subjects(self) -> set[str]:
        names: set[str] = set()
        for split in ("train", "test") if self.split == "both" else (self.split,):
            lines = self._read_list(split).decode("utf-8-sig").splitlines()
            names.update(line.strip() for line in lines if line.strip())
        outside = [name for name in sorted(names) if "/" in name or "\\" in name or name.startswith(".")]
        if outside:
            raise BulkError(f"{outside[0]!r} in a list of subjects is not a folder name; correct the list")
        return names

    def _read_list(self, split: str) -> bytes:
        place = below(self.root, f"{split}_set_list.txt")
        try:
            return place.read_bytes() if isinstance(place, Path) else remote.read(place)
        except (OSError, GoneError) as error:
            why = error.strerror if isinstance(error, OSError) else "there is no such object"
            raise BulkError(
                f"{place}: {why}; `root` must be the folder with the lists of subjects"
            ) from error

    def _files(self, subject: str) -> list[Listing]:
        folder = Path(self.root, _PICTURES, subject)
        try:
            paths = [path for path in folder.iterdir() if "image" in path.name and path.is_file()]
        except OSError as error:
            raise BulkError(f"{folder}: {error.strerror}; {_RENDER}") from error
        return [found_file(f"{subject}/{path.name}", path, _key(subject, path.stem)) for path in paths]

    def _objects(self, subject: str) -> list[Listing]:
        folder = remote.join(self.root, f"{_PICTURES}/{subject}")
        inside = [one for one in remote.listed(folder, optional=True) if "/" not in one.name]
        if not inside:
            raise BulkError(f"{folder}: there is nothing below this address; {_RENDER}")
        return [
            Listing(
                f"{subject}/{one.name}", _key(subject, PurePosixPath(one.name).stem), 0, one.size, one.mark
            )
            for one in inside
            if "image" in one.name
        ]


def _key(subject: str, stem: str) -> str:
    return f"{subject}/{stem.replace('image', 'parse')}"


def label_subjects(
    root: str | Path,
    dest: str | Path,
    *,
    model: str | ParserOptions = "schp-pascal",
    split: Split = "both",
    approximate: bool = False,
    batch: int = 8,
    options: RunOptions | None = None,
) -> Summary:
    """Write `<dest>/<subject>/<name with image -> parse>.npy` for each rendered picture.

    A file holds float32 (H, W): 0 background, 0.5 head, 0.6 torso, 0.7 upper arms, 0.8 lower arms, 0.9 upper
    legs, 1.0 lower legs, each the nearest float32, so that comparing for equality works.

    Args:
        root: IntegratedPIFu's folder, or its address in remote storage.
        dest: folder of the maps, which is made if it does not exist, or its address in remote storage.
        model: a model's name, or `ParserOptions`.
        split: which subjects to label; the fork only labels `"train"`.
        approximate: accept models whose labels do not distinguish upper from lower limbs. Visible arms count
            as lower arms, visible legs as lower legs, trousers and skirts as upper legs.
        batch: pictures that go through the network together.
        options: how the run is done: resume, threads, progress.

    Raises:
        BulkError: a list or a subject is missing, or the run cannot start or continue.
        SchemeError: the model has such labels, and `approximate` is False.
    """
    if split not in get_args(Split):
        raise BulkError(f"`split` takes {', '.join(get_args(Split))}, not {split!r}")
    settings = Settings(formats=("integratedpifu",), batch=batch, remap="pascal", approximate=approximate)
    source = str(root) if remote.is_remote(str(root)) else str(Path(root).absolute())
    about = {"source": source, "split": split}
    job = Job(SubjectSource(source, split), about, dest, ParserOptions.of(model), settings)
    return run(job, options or RunOptions())
