"""Converts CIHP's annotations to LV-MHP's form and back. Photos are not copied."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from ..durable import replacing
from ..errors import DatasetError
from ..schemes import IGNORE, voc_palette
from .datasets import Dataset
from .instance_maps import LabelMap, split_people
from .layouts import LAYOUTS


def cihp_to_mhp(dataset: Dataset, target: Path) -> Path:
    """Write one label map for each person, `<stem>_<how many>_<which>.png`, and the list of the split.

    People are numbered 1, 2, … in the order of their ids. The original (M-CE2P) keeps gaps between ids, and
    then misses a file when converting back.

    Args:
        dataset: CIHP, with maps of people.
        target: the folder to fill, as the root of LV-MHP v2.

    Returns:
        The folder of maps.

    Raises:
        DatasetError: the data set has no maps of people, or a file cannot be read or written.
    """
    folder = _folder(target / LAYOUTS["mhpv2"].splits[dataset.split] / "parsing_annos")
    for sample in dataset:
        truth = sample.truth()
        if "gt_human" not in truth:
            raise DatasetError(f"{sample.stem}: {dataset.key} has no map of people here (Human_ids)")
        people = split_people(truth["gt_category"], truth["gt_human"])
        for number, person in enumerate(people, start=1):
            _write(person, folder / f"{sample.stem}_{len(people):02d}_{number:02d}.png")
    _write_lines((sample.stem for sample in dataset), _folder(target / "list") / f"{dataset.split}.txt")
    return folder


def mhp_to_cihp(dataset: Dataset, target: Path) -> Path:
    """Write `Category_ids`, `Human_ids`, `Instance_ids` (PNG, and text: id, class, person) and the list.

    Where people overlap, the later one lies on top. A person who is entirely covered is lost.

    Args:
        dataset: LV-MHP v2.
        target: the folder to fill, as the root of CIHP.

    Returns:
        The folder of the split.

    Raises:
        DatasetError: a photo has more than 254 part instances, or a file cannot be read or written.
    """
    folder = target / LAYOUTS["cihp"].splits[dataset.split]
    labels, humans, instances = (
        _folder(folder / name) for name in ("Category_ids", "Human_ids", "Instance_ids")
    )
    for sample in dataset:
        truth = sample.truth()
        if len(truth["gt_instance_class"]) >= IGNORE:
            raise DatasetError(f"{sample.stem}: more than 254 part instances do not fit into an 8-bit file")
        _write(truth["gt_category"], labels / f"{sample.stem}.png")
        _write(truth["gt_human"], humans / f"{sample.stem}.png")
        _write(truth["gt_instance"], instances / f"{sample.stem}.png")
        rows = zip(truth["gt_instance_class"], truth["gt_instance_human"], strict=True)
        _write_lines(
            (f"{number} {label} {human}" for number, (label, human) in enumerate(rows, start=1)),
            instances / f"{sample.stem}.txt",
        )
    _write_lines((sample.stem for sample in dataset), folder / f"{dataset.split}_id.txt")
    return folder


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(f"cannot make the folder {path}: {error.strerror}; choose another") from error
    return path


def _write(numbers: LabelMap, path: Path) -> None:
    picture = Image.fromarray(numbers.astype(np.uint8))
    picture.putpalette([value for colour in voc_palette() for value in colour])
    try:
        with replacing(path) as part:
            picture.save(part, format="PNG")
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}") from error


def _write_lines(lines: Iterable[str], path: Path) -> None:
    try:
        with replacing(path) as part:
            part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"cannot write {path}: {error.strerror or error}") from error
