"""Part maps for IntegratedPIFu, as the label extractor of its authors (a fork of SCHP) writes them.

IntegratedPIFu (Chan et al., ECCV 2022) renders each subject from 36 sides and needs a float32 map of seven
parts for each picture. Names, folders and values are the fork's. Its faults are mended: the test list is
labelled, too; the output folder may exist; a subject may be in both lists; a list may have a single line; and
"image" in a subject's name is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ..errors import BulkError
from ..options import ParserOptions
from .items import Content, Listing
from .job import Job, RunOptions, Summary, run
from .settings import Settings
from .sources import read_picture

Split = Literal["train", "test", "both"]

_PICTURES = Path("rendering_script") / "buffer_fixed_full_mesh"


@dataclass(frozen=True)
class SubjectSource:
    """The rendered pictures of the subjects in IntegratedPIFu's lists: files with "image" in their name.

    Attributes:
        root: IntegratedPIFu's folder, with `train_set_list.txt` and `test_set_list.txt`.
        split: which list of subjects: train, test or both.
    """

    root: Path
    split: Split = "both"
    in_order = False

    def listing(self) -> Iterator[Listing]:
        """The pictures, by path; a subject in both lists counts once."""
        for path in sorted(path for subject in self._subjects() for path in self._pictures(subject)):
            status = path.stat()
            subject = path.parent.name
            key = f"{subject}/{path.stem.replace('image', 'parse')}"
            place = f"{subject}/{path.name}"
            yield Listing(place, key, 0, status.st_size, status.st_mtime_ns)

    def read(self, found: Listing) -> Content:
        """Decode one of them."""
        return read_picture(self.photo(found), found.place)

    def left_out(self) -> Counter[str]:
        """Nothing."""
        return Counter()

    def photo(self, found: Listing) -> Path:
        """The file of one of them."""
        return self.root / _PICTURES / found.place

    def _subjects(self) -> list[str]:
        names: dict[str, None] = {}
        for split in ("train", "test") if self.split == "both" else (self.split,):
            path = self.root / f"{split}_set_list.txt"
            try:
                lines = path.read_text(encoding="utf-8-sig").splitlines()
            except OSError as error:
                raise BulkError(
                    f"{path}: {error.strerror}; `root` must be the folder with the lists of subjects"
                ) from error
            names.update((line.strip(), None) for line in lines if line.strip())
        outside = [name for name in names if "/" in name or "\\" in name or name.startswith(".")]
        if outside:
            raise BulkError(f"{outside[0]!r} in a list of subjects is not a folder name; correct the list")
        return list(names)

    def _pictures(self, subject: str) -> list[Path]:
        folder = self.root / _PICTURES / subject
        try:
            return [path for path in folder.iterdir() if "image" in path.name and path.is_file()]
        except OSError as error:
            raise BulkError(
                f"{folder}: {error.strerror}; render this subject, or remove it from the list"
            ) from error


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
        root: IntegratedPIFu's folder.
        dest: folder of the maps, made if need be, or its address in remote storage.
        model: a model's name, or `ParserOptions`.
        split: which subjects to label; the fork only labels `"train"`.
        approximate: accept models with other labels, which do not tell upper from lower limbs. Visible arms
            count as lower arms, visible legs as lower legs, trousers and skirts as upper legs.
        batch: pictures that go through the network together.
        options: how the run is done: resume, threads, progress.

    Raises:
        BulkError: a list or a subject is missing, or the run cannot start or continue.
        SchemeError: the model has other labels, and `approximate` is False.
    """
    if split not in get_args(Split):
        raise BulkError(f"`split` takes {', '.join(get_args(Split))}, not {split!r}")
    settings = Settings(formats=("integratedpifu",), batch=batch, remap="pascal", approximate=approximate)
    source = Path(root).absolute()
    about = {"source": str(source), "split": split}
    job = Job(SubjectSource(source, split), about, dest, ParserOptions.of(model), settings)
    return run(job, options or RunOptions())
