"""What of a parsing is a region of its own, which labels a user's words mean, and a parsing's own photo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import SchemeError
from ..image import load
from ..people import Part
from ..results import Parsing
from ..schemes import IGNORE, LabelScheme


@dataclass(frozen=True, eq=False)
class Region:
    """One part of the picture, or of one person.

    Attributes:
        part: its label, name, pixels, share and box.
        mask: bool (H, W) of the picture.
        person: id of the person whose part it is; 0 where people were not told apart.
        score: 0-1: the person's; without people the mean confidence of its pixels, or None.
    """

    part: Part
    mask: npt.NDArray[np.bool_]
    person: int = 0
    score: float | None = None


def regions(parsing: Parsing) -> list[Region]:
    """The parts of each person, or of the picture where nobody was looked for; neither background nor 255."""
    if parsing.people:
        return [
            Region(part, person.part(part.label), person.id, person.score)
            for person in parsing.people
            for part in person.parts()
            if part.label != IGNORE
        ]
    return part_regions(parsing)


def part_regions(parsing: Parsing) -> list[Region]:
    """The parts of the picture, whoever's they are; neither background nor 255."""
    found = []
    for part in parsing.parts():
        if part.label == IGNORE:
            continue
        mask = parsing.labels == part.label
        sure = parsing.confidence
        score = None if sure is None else float(sure[mask].mean(dtype=np.float64))
        found.append(Region(part, mask, 0, score))
    return found


def parsed_photo(image: Any, parsing: Parsing) -> npt.NDArray[np.uint8]:
    """The photo of a parsing, RGB uint8 (H, W, 3), a new array.

    Raises:
        ImageError: it cannot be read.
        SchemeError: it has another size.
    """
    photo = load(image)
    if photo.shape[:2] != parsing.size:
        raise SchemeError(
            f"the photo is {photo.shape[:2]}, but the parsing {parsing.size} (height, width); "
            "pass the photo that was parsed"
        )
    return photo


def chosen_labels(scheme: LabelScheme, words: Iterable[str | int]) -> list[int]:
    """Labels that are meant by names (any case), aliases or numbers; `arms` means both arms.

    Args:
        scheme: whose labels.
        words: names, or one side's name without its side, in singular or plural.

    Raises:
        SchemeError: the scheme has no such part; the message lists its parts.
    """
    found: list[int] = []
    for word in words:
        found += _labels_of(scheme, word)
    return sorted(set(found))


def _labels_of(scheme: LabelScheme, word: str | int) -> list[int]:
    try:
        return [scheme.index(word)]
    except SchemeError:
        if isinstance(word, int):
            raise
        stem = word.strip().lower()
        for one in (stem, stem.removesuffix("s")):
            sides = (f"{side}{joint}{one}" for side in ("left", "right") for joint in ("-", ""))
            both = [label for name in sides if (label := _found(scheme, name)) is not None]
            if both:
                return both
        raise


def _found(scheme: LabelScheme, name: str) -> int | None:
    try:
        return scheme.index(name)
    except SchemeError:
        return None
