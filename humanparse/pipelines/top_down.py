"""People first, then their parts: detect people, parse the whole picture and each crop, and fuse the results.

SCHP's `mhp_extension` (Li et al., TPAMI 2020) and M-CE2P (Ruan et al., AAAI 2019) differ only in `rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays import Picture
from ..detections import Detections, masks_from_boxes
from ..errors import ModelError, PeopleError
from ..ops.forks import settle_after_fork
from ..ops.jpeg import jpeg_round_trip
from ..results import Parsing, Person
from ..schemes import LabelScheme
from .canvas import Box, EnlargedLogits, Exact, Grid, fuse_logits
from .crops import arrange, choose, enlarge
from .instances import Fusion, find_instances
from .pipeline import Pipeline
from .rules import RULES, Rule
from .semantic import Semantic


def fuse(
    global_logits: Any,
    local_logits: Sequence[Sequence[Any]],
    boxes: Any,
    scores: Any,
    masks: Any,
    *,
    rule: str = "schp",
) -> Fusion:
    """Fuse logits of the whole picture and of people's crops into part instances.

    Args:
        global_logits: float (C, h, w), array or tensor, of the whole picture; background is class 0.
        local_logits: for each local network, the logits of each person's crop, float (C, h, w). SCHP has one
            such network, M-CE2P two (trained on detected and on true boxes).
        boxes: int (N, 4), the crops: x0, y0, x1, y1 in pixels, half-open, inside the picture.
        scores: float (N,), the people's scores.
        masks: bool (N, H, W), the people's masks; they may overlap.
        rule: `"schp"`; `"schp-original"`, with its defects; or `"mce2p"`. SCHP's rules need logits at the
            size of the picture and of the boxes; M-CE2P's resizes them bilinearly, with half-pixel centres.

    Raises:
        ModelError: unknown rule, or logits that do not fit.
        PeopleError: boxes outside the picture, or boxes, scores and masks of different numbers.

    Source: SCHP's `logits_fusion.py`; M-CE2P's `M-CE2P-test.py` and `refine.py`.
    """
    settle_after_fork()
    rules = find_rule(rule)
    masks, scores = np.asarray(masks, dtype=bool), np.asarray(scores, dtype=np.float64).reshape(-1)
    if masks.ndim != 3:
        raise PeopleError(f"masks must be bool (N, H, W), not of shape {masks.shape}")
    size = (masks.shape[1], masks.shape[2])
    corners = _corners(boxes, size)
    if not len(corners) == len(scores) == len(masks):
        raise PeopleError(f"{len(corners)} boxes, {len(scores)} scores and {len(masks)} masks; give one each")
    if len(local_logits) == 0 or any(len(crops) != len(corners) for crops in local_logits):
        counts = [len(crops) for crops in local_logits]
        raise ModelError(f"{len(corners)} boxes, but logits of {counts} crops; give one per box and network")
    whole = _tensor(global_logits)
    classes = whole.shape[0]
    sides = [(y1 - y0, x1 - x0) for x0, y0, x1, y1 in corners]
    branches = [
        [_grid(_tensor(crop), side, classes, rules) for crop, side in zip(crops, sides, strict=True)]
        for crops in local_logits
    ]
    fused = fuse_logits(_grid(whole, size, classes, rules), branches, corners, size, classes)
    return find_instances(fused, scores, masks, classes, rules)


@dataclass(frozen=True)
class TopDown(Pipeline):
    """Networks and a rule that together parse the people of a photo.

    Attributes:
        name: the model's name.
        scheme: the label scheme.
        whole: the network for the whole picture.
        local: the networks for crops; each parses every crop.
        rule: see `Rule`.
        find: finds the people of a picture.
        detected: whether `find` is a detector; then weak and duplicate people are dropped. People that the
            caller passes are all kept.
    """

    name: str
    scheme: LabelScheme
    whole: Semantic
    local: tuple[Semantic, ...]
    rule: Rule
    find: Callable[[Picture], Detections]
    detected: bool = False

    @property
    def device(self) -> torch.device:  # type: ignore[override]  # that of its networks
        """Where its networks run."""
        return self.whole.device

    def start(
        self, batch: Sequence[Picture], keep_logits: bool = False, confidence: bool = False
    ) -> Callable[[], list[Parsing]]:
        """See `Pipeline.start`; logits are those of the whole picture, confidence is that after fusion."""
        return lambda: [self._parse(picture, keep_logits, confidence) for picture in batch]

    def _parse(self, image: Picture, keep_logits: bool, confidence: bool) -> Parsing:
        size, people = (image.shape[0], image.shape[1]), self.find(image)
        if people.masks is None:
            people = replace(people, masks=masks_from_boxes(people.boxes, size))
        people = people.take(arrange(people, self.rule))
        people = choose(people, self.rule) if self.detected else people
        assert people.masks is not None
        boxes = [enlarge(box, size, self.rule) for box in people.boxes.tolist()]
        crops = [np.ascontiguousarray(image[y0:y1, x0:x1]) for x0, y0, x1, y1 in boxes]
        if self.rule.jpeg_quality is not None:
            crops = [jpeg_round_trip(crop, self.rule.jpeg_quality) for crop in crops]
        ((frame, logits),) = self.whole.logits([image])
        branches = [
            [frame.windowed(values) for frame, values in network.logits(crops)] for network in self.local
        ]
        classes = len(self.scheme)
        fused = fuse_logits(frame.windowed(logits), branches, boxes, size, classes, confidence)
        fusion = find_instances(fused, people.scores, people.masks, classes, self.rule)
        kept = logits.numpy() if keep_logits else None
        described = self._people(fusion, people)
        return Parsing(fusion.labels, self.scheme, self.name, fusion.confidence, kept, described)

    def _people(self, fusion: Fusion, people: Detections) -> tuple[Person, ...]:
        """The people by descending score; a pixel of several masks belongs to the person in `person_map`."""
        tag_of = {int(index): tag for tag, index in enumerate(fusion.person_order, 1)}
        found: list[Person] = []
        for index in np.argsort(-people.scores, kind="stable").tolist():
            mask = fusion.person_map == tag_of[index]
            mine = np.flatnonzero(fusion.instance_people == index)
            scores = {
                self.scheme.name(int(fusion.instance_classes[part])): float(fusion.instance_scores[part])
                for part in mine
            }
            x0, y0, x1, y1 = people.boxes[index].tolist()
            box = (int(np.floor(x0)), int(np.floor(y0)), int(np.ceil(x1)), int(np.ceil(y1)))
            score = float(people.scores[index])
            found.append(Person.cut(len(found) + 1, box, score, fusion.labels, mask, self.scheme, scores))
        return tuple(found)


def find_rule(name: str) -> Rule:
    """Find a rule by name.

    Raises:
        ModelError: unknown name.
    """
    if name not in RULES:
        raise ModelError(f"rule must be one of {', '.join(RULES)}, not {name!r}")
    return RULES[name]


def _corners(boxes: Any, size: tuple[int, int]) -> list[Box]:
    array = np.asarray(boxes)
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iu":
        raise PeopleError(f"boxes must be int (N, 4), not {array.dtype} {array.shape}")
    height, width = size
    corners: list[Box] = [(x0, y0, x1, y1) for x0, y0, x1, y1 in array.tolist()]
    for number, (x0, y0, x1, y1) in enumerate(corners):
        if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
            raise PeopleError(
                f"box {number}, {(x0, y0, x1, y1)}, does not lie inside the {width}x{height} picture; "
                "boxes are x0, y0, x1, y1 in pixels, half-open"
            )
    return corners


def _tensor(logits: Any) -> Tensor:
    tensor = logits.detach().cpu() if isinstance(logits, Tensor) else torch.from_numpy(np.asarray(logits))
    if tensor.ndim != 3 or not tensor.is_floating_point():
        raise ModelError(f"logits must be float (C, h, w), not {tensor.dtype} {tuple(tensor.shape)}")
    return tensor


def _grid(logits: Tensor, size: tuple[int, int], classes: int, rule: Rule) -> Grid:
    if logits.shape[0] != classes:
        raise ModelError(f"logits of {logits.shape[0]} and of {classes} classes cannot be fused")
    if tuple(logits.shape[1:]) == size:
        return Exact(logits)
    if not rule.resizes:
        raise ModelError(
            f"logits of size {tuple(logits.shape[1:])} for a rectangle of {size} (height, width); "
            "under SCHP's rules they must be equal"
        )
    return EnlargedLogits(logits, size)
