"""supervision: parsings as `sv.Detections`, to draw, track and count them, and back.

`Parser.predict(photo, people=detections)` takes people from supervision's `Detections` as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ..errors import PeopleError, SchemeError
from ..results import Parsing
from ..schemes import LabelScheme, get_scheme
from . import needing
from .regions import Region, part_regions, regions

if TYPE_CHECKING:
    from supervision import Detections

What = Literal["parts", "people", "people-parts"]


def to_detections(parsing: Parsing, what: What = "parts") -> Detections:
    """Convert a parsing to supervision's `Detections`.

    Args:
        parsing: the parsing of a photo.
        what: `"parts"`: one detection for each label in the picture. `"people"`: one for each person, with
            class 0, `person`, as from a detector, so trackers can use them. `"people-parts"`: one for each
            part of each person.

    Returns:
        `xyxy` float32 in pixels, half-open; `mask` bool (N, H, W); `class_id`: the scheme's label, 0 for
        people; `confidence`: the person's score, or the mean confidence of the part's pixels, or None if the
        parsing has none. `data` has `class_name`, `share` (0-1 of the picture), and with people `person_id`.

    Raises:
        HumanParseError: supervision is not installed.
        PeopleError: unknown `what`.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.supervision import to_detections
        >>> detections = to_detections(Parser().predict("examples/grace_hopper.jpg"))
        >>> "Face" in detections.data["class_name"]
        True
    """
    if what not in get_args(What):
        raise PeopleError(f"what must be one of {', '.join(get_args(What))}, not {what!r}")
    if what == "people":
        return _people(parsing)
    found = part_regions(parsing) if what == "parts" else regions(parsing) if parsing.people else []
    names = [region.part.name for region in found]
    ids = [region.part.label for region in found]
    data: dict[str, Any] = {"share": np.array([region.part.share for region in found], dtype=np.float64)}
    if what == "people-parts":
        data["person_id"] = np.array([region.person for region in found], dtype=np.int64)
    boxes = [region.part.box for region in found]
    return _made(parsing, boxes, [region.mask for region in found], _scores(found), ids, names, data)


def _people(parsing: Parsing) -> Detections:
    people = parsing.people
    masks = [person.mask for person in people]
    data = {
        "share": np.array([mask.mean() for mask in masks], dtype=np.float64),
        "person_id": np.array([person.id for person in people], dtype=np.int64),
    }
    boxes, scores = [person.box for person in people], [person.score for person in people]
    return _made(parsing, boxes, masks, scores, [0] * len(people), ["person"] * len(people), data)


def _scores(found: Sequence[Region]) -> list[float] | None:
    scores = [region.score for region in found if region.score is not None]
    return scores if len(scores) == len(found) else None


def _made(
    parsing: Parsing,
    boxes: Sequence[Sequence[int]],
    masks: Sequence[Any],
    scores: Sequence[float] | None,
    ids: Sequence[int],
    names: Sequence[str],
    data: dict[str, Any],
) -> Detections:
    with needing("supervision", "supervision"):
        from supervision import Detections
    return Detections(
        xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        mask=np.array(masks, dtype=np.bool_).reshape(-1, *parsing.size),
        confidence=None if scores is None else np.array(scores, dtype=np.float32),
        class_id=np.array(ids, dtype=np.int64),
        data={"class_name": np.array(names, dtype=np.str_), **data},
    )


def from_detections(detections: Detections, scheme: str | LabelScheme, size: tuple[int, int]) -> Parsing:
    """Make a parsing from detections of parts: the inverse of `to_detections(parsing)`.

    Args:
        detections: have `mask`, and labels of `scheme` as `class_id`; where they overlap, the later one wins.
        scheme: the scheme of the class ids, or its key.
        size: (height, width) of the photo.

    Raises:
        SchemeError: masks or class ids are missing, a mask has another size, or an id is not in the scheme.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.supervision import from_detections, to_detections
        >>> parsing = Parser().predict("examples/grace_hopper.jpg")
        >>> again = from_detections(to_detections(parsing), "atr", parsing.size)
        >>> bool((again.labels == parsing.labels).all())
        True
    """
    scheme = get_scheme(scheme) if isinstance(scheme, str) else scheme
    labels = np.zeros(size, dtype=np.uint8)
    if len(detections) and (detections.mask is None or detections.class_id is None):
        raise SchemeError("these detections have no mask or no class_id; a parsing needs both")
    for mask, label in zip(_rows(detections.mask), _rows(detections.class_id), strict=True):
        if mask.shape != size:
            raise SchemeError(f"a mask has the size {mask.shape}, the photo {size} (height, width)")
        labels[np.asarray(mask, dtype=np.bool_)] = scheme.index(int(label))
    return Parsing(labels, scheme)


def _rows(values: Any) -> list[Any]:
    return [] if values is None else list(values)
