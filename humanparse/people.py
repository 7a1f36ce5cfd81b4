"""`Person` and `Part`: the people of a photo and their parts, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .arrays import Box, Labels, Mask, tight_box
from .errors import PeopleError
from .schemes import LabelScheme


@dataclass(frozen=True)
class Part:
    """One part of a parsing.

    Attributes:
        label: its label number.
        name: its name.
        pixels: number of its pixels.
        share: their share of the picture, 0-1.
        box: x0, y0, x1, y1 in pixels, half-open.

    Examples:
        >>> from humanparse import Parser
        >>> parts = Parser().predict("examples/grace_hopper.jpg").parts()
        >>> max(parts, key=lambda part: part.pixels).name
        'Upper-clothes'
    """

    label: int
    name: str
    pixels: int
    share: float
    box: Box


@dataclass(frozen=True, eq=False)
class Person:
    """One person of a photo, with the labels of their own parts.

    Attributes:
        id: 1, 2, …: position in `Parsing.people`, which is in descending order of score.
        box: x0, y0, x1, y1 in pixels, half-open: where the person was found; it contains all their pixels.
        score: score of the detection, 0-1; 1 for people that were passed without scores.
        labels: uint8 (y1 - y0, x1 - x0), this person's parts in their box; background elsewhere.
        silhouette: bool, the same shape: which pixels of the box belong to the person.
        size: (height, width) of the picture.
        scheme: what the numbers in `labels` mean.
        part_scores: part name -> mean logit over the part's pixels (times `score` under SCHP's rules). It
            ranks parts and is not a probability. May be empty.

    Examples:
        >>> from humanparse import Parser
        >>> parsing = Parser().predict("examples/grace_hopper.jpg", people=[[0, 0, 512, 600]])
        >>> parsing.people[0].part("Hair").shape
        (600, 512)
    """

    id: int
    box: Box
    score: float
    labels: Labels
    silhouette: Mask
    size: tuple[int, int]
    scheme: LabelScheme
    part_scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        x0, y0, x1, y1 = self.box
        shape = (y1 - y0, x1 - x0)
        if self.labels.shape != shape or self.silhouette.shape != shape:
            raise PeopleError(
                f"person {self.id}: the box {self.box} is {shape} (height, width), but labels are "
                f"{self.labels.shape} and the silhouette is {self.silhouette.shape}"
            )
        if not (0 <= x0 <= x1 <= self.size[1] and 0 <= y0 <= y1 <= self.size[0]):
            raise PeopleError(f"person {self.id}: the box {self.box} leaves the picture of size {self.size}")

    @classmethod
    def cut(
        cls,
        id: int,
        box: Box | None,
        score: float,
        labels: Labels,
        mask: Mask,
        scheme: LabelScheme,
        part_scores: Mapping[str, float] | None = None,
    ) -> Person:
        """Cut a person out of maps of the whole picture.

        Args:
            id: see `Person`.
            box: x0, y0, x1, y1; enlarged if `mask` reaches beyond it. None: the box of `mask`.
            score: see `Person`.
            labels: uint8 (H, W), the labels of everybody.
            mask: bool (H, W), this person's pixels.
            scheme: what the numbers mean.
            part_scores: see `Person`.
        """
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        x0, y0, x1, y1 = (0, 0, 0, 0) if box is None else (int(value) for value in box)
        if len(rows):
            left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            x0, x1 = (left, right) if box is None else (min(x0, left), max(x1, right))
            y0, y1 = (top, bottom) if box is None else (min(y0, top), max(y1, bottom))
        silhouette = mask[y0:y1, x0:x1].copy()
        inside = np.where(silhouette, labels[y0:y1, x0:x1], 0).astype(np.uint8)
        size = (labels.shape[0], labels.shape[1])
        scores = dict(part_scores or {})
        corners = int(x0), int(y0), int(x1), int(y1)
        return cls(id, corners, float(score), inside, silhouette, size, scheme, scores)

    @property
    def mask(self) -> Mask:
        """Bool (H, W) of the picture: the person's pixels."""
        return self._placed(self.silhouette)

    def part(self, *labels: str | int) -> Mask:
        """Where any of these labels is on this person.

        Args:
            labels: names (any case), numbers, groups such as `"clothes"`, or both sides of a part such as
                `"arms"`; see `LabelScheme.members`.

        Returns:
            bool (H, W) of the picture.

        Raises:
            SchemeError: the scheme has no such label or group; the message lists them.
        """
        wanted = np.isin(self.labels, self.scheme.members(*labels))
        return self._placed(wanted & self.silhouette)

    def parts(self) -> list[Part]:
        """The parts that this person has, by label number; boxes are in pixels of the picture."""
        return find_parts(self.labels, self.scheme, 0, self.size[0] * self.size[1], self.box[:2])

    def _placed(self, inside: Mask) -> Mask:
        whole = np.zeros(self.size, dtype=np.bool_)
        x0, y0, x1, y1 = self.box
        whole[y0:y1, x0:x1] = inside
        return whole

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Person):
            return NotImplemented
        mine = (self.id, self.box, self.score, self.size, self.scheme, dict(self.part_scores))
        theirs = (other.id, other.box, other.score, other.size, other.scheme, dict(other.part_scores))
        return (
            mine == theirs
            and np.array_equal(self.labels, other.labels)
            and np.array_equal(self.silhouette, other.silhouette)
        )

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def __repr__(self) -> str:
        seen = sorted(self.parts(), key=lambda part: -part.pixels)
        names = ", ".join(part.name for part in seen[:6]) or "no part"
        more = f", and {len(seen) - 6} more" if len(seen) > 6 else ""
        return f"Person({self.id}, score {self.score:.2f}, box {self.box}: {names}{more})"


def find_parts(
    labels: Labels, scheme: LabelScheme, skipped: int | None, of: int, corner: tuple[int, int] = (0, 0)
) -> list[Part]:
    """The parts in a map of labels, by label number, without the label `skipped`.

    The map lies at `corner` (x, y) of a picture of `of` pixels.
    """
    found = []
    left, top = corner
    for label in np.flatnonzero(np.bincount(labels.ravel(), minlength=1)).tolist():
        if label != skipped:
            mask = labels == label
            pixels, (x0, y0, x1, y1) = int(np.count_nonzero(mask)), tight_box(mask)
            box = (left + x0, top + y0, left + x1, top + y1)
            found.append(Part(label, scheme.name(label), pixels, pixels / of, box))
    return found


def paint_people(people: tuple[Person, ...], size: tuple[int, int]) -> npt.NDArray[np.int32]:
    """int32 (H, W): the id of the person at each pixel, 0 for nobody; where people overlap, the lower id."""
    tags = np.zeros(size, dtype=np.int32)
    for person in reversed(people):
        x0, y0, x1, y1 = person.box
        tags[y0:y1, x0:x1][person.silhouette] = person.id
    return tags
