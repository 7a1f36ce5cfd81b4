"""Readers of LIP, ATR, Pascal-Person-Part, CIHP and LV-MHP v2; files are read when they are needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ..errors import DatasetError
from ..schemes import LabelScheme, get_scheme
from .instance_maps import LabelMap, describe_instances, merge_people, part_instances
from .layouts import LAYOUTS, Layout
from .masks import read_mask

_PICTURES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Sample:
    """One photo and its ground truth. The files are read when they are needed.

    Attributes:
        stem: the photo's name in the data set.
        image: the photo's path; None only if photos were not requested and this one is missing.
        scheme: the label scheme of the label maps.
        labels: path of the label map; if each person has one, their paths in order.
        humans: path of the map of people, or None.
        instances: path of the map of part instances, or None.
        per_person: whether `labels` has a map for each person.
    """

    stem: str
    image: Path | None
    scheme: LabelScheme
    labels: tuple[Path, ...]
    humans: Path | None = None
    instances: Path | None = None
    per_person: bool = False

    def truth(self) -> dict[str, npt.NDArray[Any]]:
        """Read the ground truth, under the names that `instance_scores` takes.

        Returns:
            `gt_category` uint8 (H, W), and those of the following that the data set has: `gt_human` (H, W),
            `gt_person_map` uint8 (G, H, W), `gt_instance` (H, W), `gt_instance_class` and
            `gt_instance_human` (K,).

        Raises:
            DatasetError: a file is missing or damaged, has labels outside the scheme, or two files differ in
                size.
        """
        if self.per_person:
            return self._of_people()
        labels = self._label_map(self.labels[0])
        truth: dict[str, npt.NDArray[Any]] = {"gt_category": labels}
        if self.humans is not None:
            truth["gt_human"] = _ids(self.humans, labels)
        if self.humans is not None and self.instances is not None:
            instances = _ids(self.instances, labels)
            classes, humans = describe_instances(instances, labels, truth["gt_human"])
            truth |= {"gt_instance": instances, "gt_instance_class": classes, "gt_instance_human": humans}
        return truth

    def _of_people(self) -> dict[str, npt.NDArray[Any]]:
        maps = [self._label_map(path) for path in self.labels]
        for path, person in zip(self.labels, maps, strict=True):
            _refuse_size(path, person, maps[0])
        people = np.stack(maps)
        labels, humans = merge_people(people)
        instances, classes, owners = part_instances(labels, humans)
        return {
            "gt_category": labels,
            "gt_human": humans,
            "gt_person_map": people,
            "gt_instance": instances,
            "gt_instance_class": classes,
            "gt_instance_human": owners,
        }

    def _label_map(self, path: Path) -> LabelMap:
        return read_mask(path, DatasetError, self.scheme, first_channel=self.per_person)


class Dataset(Sequence[Sample]):
    """The samples of one split, in the order of its list.

    Attributes:
        key: `"lip"`, `"atr"`, `"pascal"`, `"cihp"`, `"mhpv2"` or `"own"`.
        split: such as `"val"`.
        scheme: the label scheme of its label maps.
    """

    def __init__(self, key: str, split: str, scheme: LabelScheme, samples: tuple[Sample, ...]) -> None:
        self.key, self.split, self.scheme = key, split, scheme
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, place: int) -> Sample: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, place: int | slice) -> Sample | tuple[Sample, ...]:
        return self._samples[place]

    def __repr__(self) -> str:
        return f"Dataset({self.key} {self.split}, {len(self)} photos, {len(self.scheme)} labels)"


def read_dataset(
    key: str, root: Path, split: str | None = None, *, photos: bool = True, scheme: LabelScheme | None = None
) -> Dataset:
    """Find the files of a data set. Each is opened when it is needed.

    Args:
        key: one of `LAYOUTS`.
        root: the folder in which the archives were unpacked, or a folder inside it.
        split: name of the split; None takes the one that papers score on. ATR's archive has no lists: put
            `test_id.txt`, with one stem per line, into the folder, or pass `"all"`.
        photos: whether the photos are needed, too; labels are enough to score predictions.
        scheme: for `"own"` only: the label scheme, which is that of the model.

    Raises:
        DatasetError: no such data set or split, or a folder or file is missing; the message names it and the
            places that were searched.
    """
    layout = LAYOUTS.get(key.lower())
    if layout is None:
        raise DatasetError(f"no data set {key!r}; known: {', '.join(LAYOUTS)}")
    split = next(iter(layout.splits)) if split is None else split
    if split not in layout.splits:
        raise DatasetError(f"{layout.title} has no split {split!r}; known: {', '.join(layout.splits)}")
    if not root.is_dir():
        raise DatasetError(
            f"{root}: no such folder; pass the folder where {layout.title}'s archives were unpacked"
        )
    if layout.scheme is not None:
        scheme = get_scheme(layout.scheme)
    elif scheme is None:
        raise DatasetError(f"{key}: the label scheme is that of the model, so name a model")
    return Dataset(key.lower(), split, scheme, _Search(root, layout, split, scheme).samples(photos))


@dataclass(frozen=True)
class _Search:
    """Finds the files of one split."""

    root: Path
    layout: Layout
    split: str
    scheme: LabelScheme

    def samples(self, photos: bool) -> tuple[Sample, ...]:
        labels = self.listing(self.layout.labels, "label maps")
        maps = _by_photo(labels) if self.layout.per_person else {key: (path,) for key, path in labels.items()}
        stems = self.stems(maps)
        images = self.listing(self.layout.images, "photos", needed=photos)
        humans = self.listing(self.layout.humans, "maps of people", needed=False)
        instances = self.listing(self.layout.instances, "maps of part instances", needed=False)
        self.refuse_gaps(stems, maps, "label map")
        for files, what, needed in (
            (images, "photo", photos),
            (humans, "map of people", bool(humans)),
            (instances, "map of part instances", bool(instances)),
        ):
            if needed:
                self.refuse_gaps(stems, files, what)
        return tuple(
            Sample(
                *(stem, images.get(stem), self.scheme, maps[stem]),
                *(humans.get(stem), instances.get(stem), self.layout.per_person),
            )
            for stem in stems
        )

    def places(self, patterns: tuple[str, ...]) -> list[Path]:
        folder = self.layout.splits[self.split]
        return [self.root / pattern.format(split=self.split, folder=folder) for pattern in patterns]

    def listing(self, patterns: tuple[str, ...], what: str, needed: bool = True) -> dict[str, Path]:
        """Stem -> file, for the first of these folders that exists."""
        places = self.places(patterns)
        for folder in places:
            if folder.is_dir():
                names = (path for path in folder.iterdir() if path.suffix.lower() in _PICTURES)
                files = sorted(path for path in names if not path.name.startswith("."))  # as macOS's ._ files
                return {path.stem: path for path in files}
        if not needed:
            return {}
        tried = "\n".join(f"  {folder}" for folder in places)
        raise DatasetError(f"{self.layout.title}: no folder of {what}; looked for\n{tried}")

    def stems(self, labels: Mapping[str, object]) -> list[str]:
        places = self.places(self.layout.lists)
        for path in places:
            if path.is_file():
                lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
                stems = list(dict.fromkeys(_stem(words[0]) for words in lines if words))
                if not stems:
                    raise DatasetError(f"{path}: the list is empty; write one stem per line")
                return stems
        if self.split == "all":
            return list(labels)
        tried = "\n".join(f"  {path}" for path in places)
        rest = "; or take `split='all'`" if "all" in self.layout.splits else ""
        raise DatasetError(
            f"{self.layout.title}: no list of the split {self.split!r}; "
            f"write one stem per line into one of these{rest}\n{tried}"
        )

    def refuse_gaps(self, stems: list[str], files: Mapping[str, object], what: str) -> None:
        missing = [stem for stem in stems if stem not in files]
        if missing:
            few = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
            raise DatasetError(
                f"{self.layout.title} {self.split}: {len(missing)} of {len(stems)} listed have no {what}: "
                f"{few}; unpack the archive again"
            )


def _ids(path: Path, labels: LabelMap) -> LabelMap:
    ids = read_mask(path, DatasetError)
    _refuse_size(path, ids, labels)
    return ids


def _refuse_size(path: Path, numbers: LabelMap, labels: LabelMap) -> None:
    if numbers.shape != labels.shape:
        raise DatasetError(f"{path}: shape {numbers.shape}, but the label map has {labels.shape}")


def _stem(name: str) -> str:
    """The stem in a line of a list, which may be a stem, a file name or, as in VOC's lists, two paths."""
    file = name.rsplit("/", 1)[-1]
    stem, dot, suffix = file.rpartition(".")
    return stem if f".{suffix.lower()}" in _PICTURES and dot else file


def _by_photo(maps: dict[str, Path]) -> dict[str, tuple[Path, ...]]:
    """`<stem>_<how many>_<which>` -> the maps of each photo, in order."""
    found: dict[str, list[Path]] = {}
    for name, path in maps.items():
        found.setdefault(name.rsplit("_", 2)[0], []).append(path)
    return {stem: tuple(paths) for stem, paths in found.items()}
