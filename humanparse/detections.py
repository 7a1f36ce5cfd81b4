"""Reads people in any of the usual forms into boxes, scores and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from .arrays import Mask, tight_box
from .errors import PeopleError
from .formats import decode_rle

Size = tuple[int, int]

_COCO_PERSON = 1

_SOFT = 0.5
"""Least value of a float mask that counts as person."""

_SLACK = 0.1
"""How far a detector's boxes in 0-1 may extend beyond the picture."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The people of a picture.

    Attributes:
        boxes: float64 (N, 4), x0, y0, x1, y1 in pixels, half-open, inside the picture.
        scores: float64 (N,), 0-1.
        masks: bool (N, H, W), which may overlap; None if only boxes are known.
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    masks: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, chosen: Sequence[int] | npt.NDArray[Any]) -> Detections:
        """Only the chosen people, in this order."""
        index = np.asarray(chosen, dtype=np.int64)
        masks = None if self.masks is None else self.masks[index]
        return Detections(self.boxes[index], self.scores[index], masks)


def read_people(people: Any, size: Size) -> Detections:
    """Read people in any of the usual forms.

    Args:
        people: one of
            - boxes (N, 4): x0, y0, x1, y1 in pixels, half-open;
            - masks (N, H, W): true, non-zero or, as floats, at least 0.5 on the person;
            - a mapping with `boxes`, `masks` or both, and optionally `scores` and `labels` (1 is a person, as
              in torchvision);
            - a list of COCO results with `bbox` (x, y, width, height), `segmentation` or both, and optionally
              `score` and `category_id` (1 is a person if several ids occur);
            - an object with `xyxy`, `mask`, `confidence` and `class_id`, such as supervision's `Detections`.
        size: (height, width) of the picture.

    Returns:
        Everyone passed, in the same order. Boxes are clipped to the picture, missing boxes are computed from
        masks, and a missing score is 1.

    Raises:
        PeopleError: unknown form, invalid numbers, a box outside the picture, or a mask that has another size
            or no pixel.
    """
    if hasattr(people, "xyxy"):
        return _from_supervision(people, size)
    if isinstance(people, Mapping):
        return _from_mapping(people, size)
    if isinstance(people, list | tuple) and people and all(isinstance(one, Mapping) for one in people):
        return _from_coco(people, size)
    array = _array(people)
    if array.size == 0:
        return _checked(np.zeros((0, 4)), None, None, size)
    if array.ndim == 2 and array.shape[1] == 4:
        return _checked(array, None, None, size)
    if array.ndim == 3 or (array.ndim == 4 and array.shape[1] == 1):
        return _checked(None, None, array, size)
    raise PeopleError(
        f"people must be boxes (N, 4) or masks (N, H, W), not an array of shape {array.shape}; see "
        "help(humanparse.Parser.predict) for the other forms"
    )


def read_people_in_pixels(people: Any, size: Size) -> Detections:
    """Like `read_people`, but refuses boxes that all lie in the first pixel, because they are fractions."""
    found = read_people(people, size)
    boxes = found.boxes
    if len(found) and max(size) > 2 and boxes.max() <= 1 + _SLACK:
        if found.masks is not None and found.masks.sum() <= len(found):
            return found  # their masks prove that they have one pixel each
        raise PeopleError(
            f"boxes run from {boxes.min():.4g} to {boxes.max():.4g}, so they are fractions of the picture; "
            f"give pixels: multiply x0 and x1 by its width, {size[1]}, and y0 and y1 by its height, {size[0]}"
        )
    return found


def _from_supervision(people: Any, size: Size) -> Detections:
    boxes = _array(people.xyxy).reshape(-1, 4)
    mask, confidence = getattr(people, "mask", None), getattr(people, "confidence", None)
    kinds, names = getattr(people, "class_id", None), (getattr(people, "data", None) or {}).get("class_name")
    chosen = np.ones(len(boxes), dtype=bool)
    if names is not None:
        chosen = np.array([str(name).lower() == "person" for name in names], dtype=bool)
    elif kinds is not None and len(set(np.asarray(kinds).tolist())) > 1:
        raise PeopleError(
            f"detections of the classes {sorted(set(np.asarray(kinds).tolist()))} without class names; keep "
            "only the people, for example with detections[detections.class_id == 0]"
        )
    scores = None if confidence is None else _array(confidence)[chosen]
    return _checked(boxes[chosen], scores, None if mask is None else _array(mask)[chosen], size)


def _from_mapping(people: Mapping[str, Any], size: Size) -> Detections:
    unknown = set(people) - {"boxes", "scores", "masks", "labels"}
    if unknown or not {"boxes", "masks"} & set(people):
        raise PeopleError(
            f"a mapping of people needs boxes or masks, and may have scores and labels, not {sorted(people)}"
        )
    boxes, scores, masks = (
        None if people.get(key) is None else _array(people[key]) for key in ("boxes", "scores", "masks")
    )
    if people.get("labels") is not None:
        chosen = _array(people["labels"]) == _COCO_PERSON
        boxes, scores, masks = (None if part is None else part[chosen] for part in (boxes, scores, masks))
    return _checked(boxes, scores, masks, size)


def _from_coco(people: Sequence[Mapping[str, Any]], size: Size) -> Detections:
    kinds = {one.get("category_id") for one in people}
    chosen = [one for one in people if len(kinds) == 1 or one.get("category_id") == _COCO_PERSON]
    missing = [number for number, one in enumerate(chosen) if "bbox" not in one and "segmentation" not in one]
    if missing:
        raise PeopleError(
            f"person {missing[0]} has neither bbox nor segmentation: {sorted(chosen[missing[0]])}"
        )
    scores = np.array([float(one.get("score", 1.0)) for one in chosen])
    if not chosen:
        return _checked(np.zeros((0, 4)), None, None, size)
    masks = None
    if all(one.get("segmentation") for one in chosen):
        masks = np.stack([_segmented(one["segmentation"], size) for one in chosen])
    elif any("bbox" not in one for one in chosen):
        raise PeopleError("some people have only a bbox, some only a segmentation; pass the same for all")
    boxes = None
    if all("bbox" in one for one in chosen):
        corners = _array([one["bbox"] for one in chosen]).astype(np.float64).reshape(-1, 4)
        boxes = np.concatenate((corners[:, :2], corners[:, :2] + corners[:, 2:]), axis=1)
    return _checked(boxes, scores, masks, size)


def _segmented(segmentation: Any, size: Size) -> Mask:
    """Decode a mask from COCO's run lengths or polygons."""
    if isinstance(segmentation, Mapping):
        try:
            return decode_rle(segmentation)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise PeopleError(f"a segmentation is not a run-length mask ({error})") from error
    canvas = Image.new("1", (size[1], size[0]))
    for polygon in segmentation:
        if len(polygon) < 6:
            raise PeopleError(f"a polygon needs at least three corners, x0, y0, x1, y1, …, not {polygon}")
        ImageDraw.Draw(canvas).polygon([float(value) for value in polygon], fill=1)
    return np.array(canvas, dtype=np.bool_)


def _array(values: Any) -> npt.NDArray[Any]:
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()  # numpy has no bfloat16
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise PeopleError(f"people are not a regular array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise PeopleError(f"people must be numbers, not {array.dtype}; see help(humanparse.Parser.predict)")
    return array


def _checked(
    boxes: npt.NDArray[Any] | None,
    scores: npt.NDArray[Any] | None,
    masks: npt.NDArray[Any] | None,
    size: Size,
) -> Detections:
    """Check that boxes, scores, masks and picture fit together, and fill in what is missing."""
    if masks is not None and len(masks):
        if masks.ndim == 4 and masks.shape[1] == 1:
            masks = masks[:, 0]  # torchvision's masks have a channel
        masks = masks >= _SOFT if masks.dtype.kind == "f" else masks.astype(np.bool_)
        if masks.shape[1:] != size:
            raise PeopleError(f"masks are {masks.shape[1:]} but the picture is {size} (height, width)")
        empty = np.flatnonzero(~masks.any(axis=(1, 2)))
        if len(empty):
            raise PeopleError(f"the mask of person {int(empty[0])} has no pixels; leave that person out")
        boxes = np.array([tight_box(mask) for mask in masks]) if boxes is None else boxes
    corners = np.zeros((0, 4)) if boxes is None else boxes.astype(np.float64).reshape(-1, 4)
    ranks = np.ones(len(corners)) if scores is None else scores.astype(np.float64).reshape(-1)
    counts = {len(corners), len(ranks), *([] if masks is None else [len(masks)])}
    if len(counts) > 1:
        raise PeopleError(f"there are {' and '.join(map(str, sorted(counts)))} boxes, scores and masks")
    if not (np.isfinite(corners).all() and np.isfinite(ranks).all()):
        raise PeopleError("boxes and scores must be finite numbers")
    cut = corners.clip(0, [size[1], size[0], size[1], size[0]])
    for number, (x0, y0, x1, y1) in enumerate(cut.tolist()):
        if x0 >= x1 or y0 >= y1:
            raise PeopleError(
                f"box {number}, {tuple(corners[number].tolist())}, holds no pixel of the {size[1]}x{size[0]} "
                "picture; boxes are x0, y0, x1, y1 in pixels"
            )
    return Detections(cut, ranks, masks if masks is not None and len(cut) else None)


def masks_from_boxes(boxes: npt.NDArray[np.float64], size: Size) -> npt.NDArray[np.bool_]:
    """Make masks, bool (N, H, W) without overlap, for people with boxes only, float64 (N, 4).

    A pixel in several boxes goes to the person with the nearest box centre, measured in half widths and half
    heights of the box; at a tie, to the first. So overlapping neighbours are divided where the ellipses in
    their boxes meet.
    """
    nearest = np.full(size, np.inf, dtype=np.float32)
    owner = np.full(size, -1, dtype=np.int32)
    for number, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
        left, top = int(np.floor(x0)), int(np.floor(y0))
        right, bottom = int(np.ceil(x1)), int(np.ceil(y1))
        across = (np.arange(left, right) + 0.5 - (x0 + x1) / 2) / ((x1 - x0) / 2)
        down = (np.arange(top, bottom) + 0.5 - (y0 + y1) / 2) / ((y1 - y0) / 2)
        distance = (down[:, None] ** 2 + across**2).astype(np.float32)
        window = np.s_[top:bottom, left:right]
        closer = distance < nearest[window]
        nearest[window][closer] = distance[closer]
        owner[window][closer] = number
    masks: npt.NDArray[np.bool_] = owner == np.arange(len(boxes))[:, None, None]
    return masks
