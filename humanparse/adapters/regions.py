"""The regions of a parsing, and the photo that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays import Mask, Picture
from ..errors import SchemeError
from ..image import load
from ..people import Part
from ..results import Parsing
from ..schemes import IGNORE


@dataclass(frozen=True, eq=False)
class Region:
    """One part of the picture, or of one person.

    Attributes:
        part: its label, name, pixels, share and box.
        mask: bool (H, W) of the picture.
        person: id of the person whose part it is; 0 if people were not told apart.
        score: 0-1: the person's score; without people, the mean confidence of its pixels, or None.
    """

    part: Part
    mask: Mask
    person: int = 0
    score: float | None = None


def regions(parsing: Parsing) -> list[Region]:
    """The parts of each person, or, without people, those of the picture; background and 255 are left out."""
    if parsing.people:
        return [
            Region(part, person.part(part.label), person.id, person.score)
            for person in parsing.people
            for part in person.parts()
            if part.label != IGNORE
        ]
    return part_regions(parsing)


def part_regions(parsing: Parsing, background: bool = False) -> list[Region]:
    """The parts of the picture, of all people together; 255 is left out, and background unless wanted."""
    found = []
    for part in parsing.parts(background):
        if part.label == IGNORE:
            continue
        mask = parsing.labels == part.label
        confidence = parsing.confidence
        score = None if confidence is None else float(confidence[mask].mean(dtype=np.float64))
        found.append(Region(part, mask, 0, score))
    return found


def parsed_photo(image: Any, parsing: Parsing) -> Picture:
    """Load the photo of a parsing: RGB uint8 (H, W, 3), a new array.

    Raises:
        ImageError: it cannot be read.
        SchemeError: it has another size than the parsing.
    """
    photo = load(image)
    if photo.shape[:2] != parsing.size:
        raise SchemeError(
            f"the photo is {photo.shape[:2]}, but the parsing {parsing.size} (height, width); "
            "pass the photo that was parsed"
        )
    return photo
