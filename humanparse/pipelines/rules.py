"""The differences between SCHP and M-CE2P in fusing detections into part instances, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Rule:
    """How a method fuses the parts of several people.

    Attributes:
        sort: order in which people enter fusion: by descending `score`, or by descending mask `area`.
        order: order in which fusion numbers people and paints their masks: by descending `score`, or as
            `given`.
        overlap: which person owns a pixel of several masks: the `first` or the `last` in that order.
        exclusive: whether a mask keeps only the part pixels that its person owns; otherwise masks overlap.
        tags: order of the tags in `person_map`, where later ones lie on top: that of `order`, or `area`, by
            descending area of the grown masks.
        weighted: whether the score of a part is multiplied by its person's score.
        resizes: whether logits whose size differs from their box are resized; otherwise they are an error.
        min_score: detected people with a lower score are dropped.
        max_overlap: a detected person is dropped if earlier people cover a larger share (0-1) of their mask;
            None keeps all.
        enlarge: side of a crop relative to its box.
        rounding: corners of a crop: `inclusive` rounds each to the nearest pixel, which belongs to the crop;
            `truncated` cuts the fraction off.
        jpeg_quality: crops are compressed as JPEG of this quality (0-100); None leaves them alone.
        max_instances: parts beyond this number are lost; None keeps all.
        counts_present: whether people are counted by who owns a pixel. Then, if one person owns none, the
            last person gets no parts.
    """

    sort: Literal["score", "area"]
    order: Literal["score", "given"]
    overlap: Literal["first", "last"]
    exclusive: bool
    tags: Literal["order", "area"]
    weighted: bool
    resizes: bool
    min_score: float
    max_overlap: float | None
    enlarge: float
    rounding: Literal["inclusive", "truncated"]
    jpeg_quality: int | None = None
    max_instances: int | None = None
    counts_present: bool = False


# SCHP, mhp_extension: make_crop_and_mask_w_mask_nms.py and logits_fusion.py
_SCHP = Rule(
    sort="score",
    order="score",
    overlap="first",
    exclusive=True,
    tags="order",
    weighted=True,
    resizes=False,
    min_score=0.5,
    max_overlap=0.5,
    enlarge=1.2,
    rounding="inclusive",
)
# The same, with its 8-bit instance map, its miscount of people, and crops saved as JPEG files.
_SCHP_ORIGINAL = replace(_SCHP, order="given", jpeg_quality=95, max_instances=255, counts_present=True)
# M-CE2P: M-CE2P-test.py and refine.py, without its limit of 255 parts
_MCE2P = Rule(
    sort="area",
    order="given",
    overlap="last",
    exclusive=False,
    tags="area",
    weighted=False,
    resizes=True,
    min_score=0.7,
    max_overlap=None,
    enlarge=1.2,
    rounding="truncated",
)

RULES: Mapping[str, Rule] = MappingProxyType(
    {"schp": _SCHP, "schp-original": _SCHP_ORIGINAL, "mce2p": _MCE2P}
)
