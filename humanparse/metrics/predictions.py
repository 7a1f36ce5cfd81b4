"""Reads folders of predictions: label maps, and the submission layouts of CIHP and LV-MHP."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import formats
from ..errors import FormatError
from ..schemes import LabelScheme
from .instance_maps import LabelMap
from .masks import read_mask


class Predictions:
    """A folder of results, read one photo at a time.

    Label maps are `<stem>.png` in the folder itself, in `global_parsing/` (CIHP) or in `global_seg/`
    (LV-MHP). Part instances are `instance_parsing/<stem>.png` and `.txt`, with a line `class score` for each
    id. People are `global_tag/<stem>.png`, with an id for each pixel. Their scores are in
    `global_tag/<stem>.txt` (the first number of each line; SCHP) or in `results.txt`
    (`<stem> 1 <score> 2 <score> …`; M-CE2P and LV-MHP).

    Args:
        root: the folder.
        scheme: the label scheme of the label maps.

    Attributes:
        has_parts: whether the folder has part instances.
        has_people: whether the folder has people.

    Raises:
        FormatError: there is no such folder.
    """

    def __init__(self, root: Path, scheme: LabelScheme) -> None:
        if not root.is_dir():
            raise FormatError(f"{root}: no such folder of predictions")
        self.root, self.scheme = root, scheme
        inside = [root / name for name in ("global_parsing", "global_seg")]
        self._labels = next((folder for folder in inside if folder.is_dir()), root)
        self._parts, self._people = root / "instance_parsing", root / "global_tag"
        self.has_parts, self.has_people = self._parts.is_dir(), self._people.is_dir()

    def missing(self, stems: list[str]) -> list[str]:
        """The photos without a label map in the folder."""
        return [stem for stem in stems if not self.path(stem).is_file()]

    def path(self, stem: str) -> Path:
        """The path of a photo's label map."""
        return self._labels / f"{stem}.png"

    def labels(self, stem: str) -> LabelMap:
        """The label map of a photo, uint8 (H, W).

        Raises:
            FormatError: it is missing, damaged, or has labels of another scheme.
        """
        path = self.path(stem)
        stated = formats.stated_scheme(path)
        if stated is not None and stated.names != self.scheme.names:
            raise FormatError(
                f"{path}: its labels are {stated.key}'s, but {self.scheme.key}'s are scored; "
                "use a model of that data set, or remap its results"
            )
        return read_mask(path, FormatError, self.scheme)

    def parts(self, stem: str) -> dict[str, npt.NDArray[Any]]:
        """`pred_instance`, `pred_instance_class` and `pred_instance_score`, as `instance_scores` takes them.

        Raises:
            FormatError: a file is missing or damaged.
        """
        ids = read_mask(self._parts / f"{stem}.png", FormatError)
        rows = _numbers(self._parts / f"{stem}.txt", columns=2)
        if ids.max(initial=0) > len(rows):
            raise FormatError(
                f"{self._parts / stem}.txt lists {len(rows)} parts, but the map has ids up to {ids.max()}"
            )
        classes = rows[:, 0].astype(np.int64)
        if classes.size and not 0 <= classes.min() <= classes.max() < len(self.scheme):
            raise FormatError(
                f"{self._parts / stem}.txt: one of the classes is not a label of {self.scheme.key}"
            )
        return {"pred_instance": ids, "pred_instance_class": classes, "pred_instance_score": rows[:, 1]}

    def people(self, stem: str) -> dict[str, npt.NDArray[Any]]:
        """`pred_human`, `pred_human_id` and `pred_human_score`, as `instance_scores` takes them.

        Raises:
            FormatError: a file is missing or damaged, or a person has no score.
        """
        tags = read_mask(self._people / f"{stem}.png", FormatError)
        own = self._people / f"{stem}.txt"
        if own.is_file():
            scores = dict(enumerate(_numbers(own, columns=1)[:, 0].tolist(), start=1))
        else:
            scores = self._listed.get(stem, {})
        unscored = sorted({*np.unique(tags[tags > 0]).tolist()} - {*scores})
        if unscored:
            raise FormatError(
                f"{self._people / stem}.png: no score for person {unscored[0]}; add it to {own} "
                f"or {self.root / 'results.txt'}"
            )
        return {
            "pred_human": tags,
            "pred_human_id": np.array(list(scores), np.int64),
            "pred_human_score": np.array(list(scores.values()), np.float64),
        }

    @cached_property
    def _listed(self) -> dict[str, dict[int, float]]:
        """`results.txt`: stem -> person -> score."""
        path = self.root / "results.txt"
        if not path.is_file():
            return {}
        listed = {}
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            name, *rest = line.split() or [""]
            try:
                pairs = zip(map(int, rest[::2]), map(float, rest[1::2]), strict=True)
                listed[name.removesuffix(".png")] = dict(pairs)
            except ValueError as error:
                raise FormatError(f"{path}, line {number}: expected `stem 1 score 2 score …`") from error
        return listed


def _numbers(path: Path, columns: int) -> npt.NDArray[np.float64]:
    """The first columns of a text file of numbers, float64 (K, columns)."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [[float(word) for word in line.split()[:columns]] for line in lines if line.strip()]
        return np.array(rows, np.float64).reshape(len(rows), columns)
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise FormatError(f"{path}: expected {columns} numbers per line ({error})") from error
