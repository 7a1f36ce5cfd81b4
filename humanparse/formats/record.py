"""The content of label files, and what they need to know about the photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Labels, Picture
from ..cleaning import Cleaning
from ..errors import SchemeError
from ..people import Person
from ..schemes import IGNORE, LabelScheme
from .photo import PhotoName


@dataclass(frozen=True)
class Record:
    """The content of a label file.

    Attributes:
        labels: uint8 (H, W).
        scheme: the labels' scheme.
        model: name of the model that made them; may be empty.
        confidence: float16 (H, W), 0-1, or None.
        logits: float32 (C, h, w), or None.
        people: the people in the photo; PNG files do not store them.
        cleaning: how the labels were cleaned, the first step first.
    """

    labels: Labels
    scheme: LabelScheme
    model: str = ""
    confidence: npt.NDArray[np.float16] | None = None
    logits: npt.NDArray[np.float32] | None = None
    people: tuple[Person, ...] = ()
    cleaning: tuple[Cleaning, ...] = ()


NAMELESS = PhotoName("image")


@dataclass(frozen=True)
class Photo:
    """The photo of a label file, for formats that name or show it.

    Attributes:
        name: its name in files; `image` if it is unknown.
        pixels: RGB uint8 (H, W, 3), for formats that show it; else None.
        legend: whether an overlay gets a legend.
    """

    name: PhotoName = NAMELESS
    pixels: Picture | None = None
    legend: bool = False


def check_labels(labels: npt.NDArray[Any], scheme: LabelScheme) -> None:
    """Check that labels are uint8 (H, W), and that each is in the scheme or 255.

    Raises:
        SchemeError: their shape or type is wrong, or the scheme lacks some of them.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise SchemeError(f"labels must be uint8 (H, W), not {labels.dtype} {labels.shape}")
    if labels.size and labels.max() >= len(scheme):
        present = np.flatnonzero(np.bincount(labels.ravel())).tolist()
        outside = [str(label) for label in present if len(scheme) <= label != IGNORE]
        if outside:
            raise SchemeError(
                f"{scheme.key} has labels 0 to {len(scheme) - 1}, but here are {', '.join(outside)}; "
                "pass the scheme that these labels were made in"
            )
