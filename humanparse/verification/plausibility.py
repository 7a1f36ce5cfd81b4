"""Checks whether labels make sense on photos whose contents are known.

The checks use only the names of the labels, so a new model family or label set needs no change here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..arrays import Box, Labels
from ..schemes import LabelScheme

LEAST_INSIDE = 0.6
"""Smallest share of the pixels of a face or trunk that must have a label of a person, head or trunk."""

MOST_OUTSIDE = 0.4
"""Largest share of the pixels of plain background that may have a label of a person."""

LEAST_MIRRORED = 0.7
"""Smallest share of pixels that must keep their label when the photo is mirrored."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HEAD = _words(
    "head face hair hat cap helmet headwear sunglasses glasses eyewear eyeglass ear ears eye eyes brow "
    "brows eyebrow nose mouth lip lips teeth tongue earring skin neck"
)
_TRUNK = _words(
    "torso upper top shirt coat jacket cardigan sweater sweatshirt vest singlet polo hoodie windbreaker "
    "bikini bra dress robe jumpsuit jumpsuits blouse cape cloth clothes clothing apparel scarf tie belt "
    "body protector collar lapel sleeve pocket"
)
_LEGS = _words(
    "lower pants trousers shorts skirt leg legs foot feet shoe shoes boot sock socks stocking stockings "
    "tights sandal highheel bottom"
)
_FACE = _words("head face skin")
_LIMBS = _words("arm arms leg legs hand hands foot feet")
_PEOPLE = _words("person rider")


@dataclass(frozen=True)
class Photo:
    """A photo that comes with the package, and where its person is.

    Attributes:
        name: the file's name.
        face, trunk: boxes inside the person's face and trunk: x0, y0, x1, y1 in pixels, half-open.
        background: a box with nobody in it.
    """

    name: str
    face: Box
    trunk: Box
    background: Box

    @property
    def path(self) -> Path:
        """The file in the installed package, or in `examples` of a checkout."""
        package = Path(__file__).resolve().parents[1]
        inside = package / "photos" / self.name
        return inside if inside.is_file() else package.parent / "examples" / self.name


PHOTOS = (
    Photo("grace_hopper.jpg", (180, 210, 320, 340), (80, 440, 430, 590), (430, 20, 505, 230)),
    Photo("astronaut.png", (185, 90, 275, 180), (70, 310, 225, 480), (315, 20, 380, 160)),
)


@dataclass(frozen=True)
class Groups:
    """The labels of a scheme, grouped by part of the body; a group is empty if the scheme has no such label.

    Attributes:
        person: labels of a whole person or of anything on one; empty if bare skin counts as background.
        head, trunk, legs: labels of these parts and of what is worn there.
        face: whether faces have a label.
    """

    person: frozenset[int]
    head: frozenset[int]
    trunk: frozenset[int]
    legs: frozenset[int]
    face: bool


def groups(scheme: LabelScheme) -> Groups:
    """Group a scheme's labels by the words in their names.

    A scheme of whole scenes has a label called person. In other schemes every label but the background
    belongs to a person if faces have a label; otherwise the scheme has only clothes.
    """
    words = [frozenset(re.findall(r"[a-z]+", name.lower().replace("_", " "))) for name in scheme.names]
    scene = frozenset(label for label, name in enumerate(words) if name & _PEOPLE)
    if scene:
        return Groups(scene, frozenset(), frozenset(), frozenset(), False)
    head, trunk, legs = set(), set(), set()
    for label, name in enumerate(words):
        if name & _HEAD and "torso" not in name:
            head.add(label)
        elif name & _LEGS and not name & {"arm", "arms"}:
            legs.add(label)
        elif name & _TRUNK and not name & _LIMBS:
            trunk.add(label)
    face = any(words[label] & _FACE for label in head)
    known = face and scheme.background is not None
    person = frozenset(range(len(scheme))) - {scheme.background} if known else frozenset[int]()
    return Groups(person, frozenset(head), frozenset(trunk), frozenset(legs), face)


def mirrored_back(labels: Labels, scheme: LabelScheme) -> Labels:
    """Labels of a mirrored photo -> the labels expected for the photo itself."""
    table = np.arange(256, dtype=np.uint8)
    table[: len(scheme)] = scheme.flip_order()
    return np.ascontiguousarray(table[labels[:, ::-1]])


def faults(photo: Photo, labels: Labels, mirrored: Labels, scheme: LabelScheme) -> list[str]:
    """The reasons why labels, and those of the mirrored photo after `mirrored_back`, are implausible."""
    sorts, said = groups(scheme), []
    if sorts.person:
        said += _inside(labels, photo.face, sorts.person, "the face", "a person's")
        said += _inside(labels, photo.trunk, sorts.person, "the trunk", "a person's")
        outside = _share(labels, photo.background, sorts.person)
        if outside > MOST_OUTSIDE:
            said.append(
                f"{outside:.0%} of a plain background is a person's; at most {MOST_OUTSIDE:.0%} may be"
            )
    if sorts.face:
        said += _inside(labels, photo.face, sorts.head, "the face", "a head's")
    if sorts.trunk:
        said += _inside(labels, photo.trunk, sorts.trunk, "the trunk", "a trunk's")
    said += _order(labels, sorts)
    same = float((labels == mirrored).mean())
    if same < LEAST_MIRRORED:
        said.append(
            f"{same:.0%} of the pixels keep their label when the photo is mirrored; at least "
            f"{LEAST_MIRRORED:.0%} must"
        )
    return [f"{photo.name}: {fault}" for fault in said]


def _share(labels: Labels, box: Box, wanted: Iterable[int]) -> float:
    x0, y0, x1, y1 = box
    return float(np.isin(labels[y0:y1, x0:x1], list(wanted)).mean())


def _inside(labels: Labels, box: Box, wanted: frozenset[int], where: str, whose: str) -> list[str]:
    share = _share(labels, box, wanted)
    if share >= LEAST_INSIDE:
        return []
    return [f"{share:.0%} of {where} is {whose}; at least {LEAST_INSIDE:.0%} must be"]


def _order(labels: Labels, sorts: Groups) -> list[str]:
    """Check the order of head, trunk and legs of 1 % of the pixels or more, by their median rows."""
    rows = []
    for name, wanted in (("head", sorts.head), ("trunk", sorts.trunk), ("legs", sorts.legs)):
        found = np.nonzero(np.isin(labels, list(wanted)))[0]
        if len(found) >= 0.01 * labels.size:
            rows.append((name, float(np.median(found))))
    return [
        f"the {lower} is above the {upper}"
        for (upper, above), (lower, below) in pairwise(rows)
        if below <= above
    ]
