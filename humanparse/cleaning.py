"""Cleans label maps (islands, holes, borders), and grows, shrinks or feathers masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .arrays import Labels, Mask
from .errors import ModelError, SchemeError
from .ops import clean
from .schemes import LabelScheme

MOST_SMOOTH = 100
MOST_EDGE = 1000
"""Largest radius of `smooth`, and of `grow`, `shrink` and `feather`, in pixels."""

Area = int | str


@dataclass(frozen=True)
class Cleaning:
    """How a label map is cleaned: first `smooth`, then `min_area`, then `fill`; 0 skips a step.

    Pixels of 255 (no statement) keep it, and no other pixel gets it.

    Attributes:
        min_area: each island gets the label that it touches most. An island is an 8-connected region of one
            label with fewer pixels than this: a number of pixels, or a share of the picture such as `"0.1%"`.
            Contact is counted in pixel edges, with neighbours that are not islands; the lowest label wins a
            tie. Islands that touch only islands get their label after those; if there are only islands, all
            stay.
        fill: each hole gets the label around it. A hole is an 8-connected region of background with at most
            this many pixels (or a share such as `"0.1%"`), which does not touch the border of the picture and
            borders on one label only. Raises an error in schemes without background.
        smooth: each pixel gets the label with the largest weight within this many rows and columns; near
            pixels weigh more, and a tie keeps the pixel's own label. No label appears where it was not within
            that radius. See `humanparse.ops.clean.smooth` for the weights.
        scheme: key of the label scheme that was cleaned; `Parsing.cleaned` fills it in.

    Raises:
        ModelError: a value is out of range.

    Examples:
        >>> from humanparse import Parser
        >>> parsing = Parser().predict("examples/grace_hopper.jpg")
        >>> parsing.cleaned(min_area="0.05%", fill=200, smooth=3).cleaning[0].smooth
        3
    """

    min_area: Area = 0
    fill: Area = 0
    smooth: int = 0
    scheme: str = ""

    def __post_init__(self) -> None:
        for name in ("min_area", "fill"):
            object.__setattr__(self, name, _checked(name, getattr(self, name)))
        if isinstance(self.smooth, bool) or not isinstance(self.smooth, int):
            raise ModelError(f"smooth takes whole pixels, not {self.smooth!r}")
        if not 0 <= self.smooth <= MOST_SMOOTH:
            raise ModelError(f"smooth takes a radius of 0 to {MOST_SMOOTH} pixels, not {self.smooth}")

    def __bool__(self) -> bool:
        return bool(self.min_area or self.fill or self.smooth)

    def words(self) -> dict[str, Any]:
        """The steps that are not 0, as they are recorded in files."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def of_words(cls, words: Mapping[str, Any]) -> Cleaning:
        """The inverse of `words`."""
        return cls(**words)

    def check(self, scheme: LabelScheme) -> None:
        """Check that labels of a scheme can be cleaned like this.

        Raises:
            SchemeError: holes are to be filled, but the scheme has no background.
        """
        if self.fill and scheme.background is None:
            raise SchemeError(f"{scheme.key} has no background, so there are no holes: leave fill out")

    def applied(self, labels: Labels, scheme: LabelScheme) -> Labels:
        """A cleaned copy of labels, uint8 (H, W).

        Raises:
            SchemeError: as `check`.
        """
        self.check(scheme)
        pixels, background = labels.size, scheme.background
        done = labels.copy() if self.smooth == 0 else clean.smooth(labels, self.smooth)
        done = clean.absorb_islands(done, _pixels(self.min_area, pixels)) if self.min_area else done
        if self.fill and background is not None:
            done = clean.fill_holes(done, _pixels(self.fill, pixels), background)
        return done


def edged(mask: Mask, grow: int = 0, shrink: int = 0, feather: int = 0) -> npt.NDArray[np.uint8]:
    """Change the edge of a mask: grow it, then shrink it, then feather it.

    Args:
        mask: bool (H, W).
        grow: pixels by which it grows, in all directions.
        shrink: pixels by which it then shrinks; the border of the picture does not count as an edge.
        feather: pixels over which it then fades inwards, so that nothing outside shows.

    Returns:
        uint8 (H, W), 0-255; without `feather` only 0 and 255.

    Raises:
        ModelError: a number of pixels is below 0 or above 1000.

    Examples:
        >>> import numpy as np
        >>> from humanparse.cleaning import edged
        >>> edged(np.array([[False, True, True]]), grow=1).tolist()
        [[255, 255, 255]]
    """
    for name, value in (("grow", grow), ("shrink", shrink), ("feather", feather)):
        if not 0 <= value <= MOST_EDGE:
            raise ModelError(f"{name} must be pixels from 0 to {MOST_EDGE}, not {value}")
    return clean.feather(clean.shrink(clean.grow(mask, grow), shrink), feather)


def _checked(name: str, value: Any) -> Area:
    """Check an area. A text of digits becomes a number; an area of nothing becomes 0."""
    text = str(value).strip().replace(" ", "")
    try:
        if isinstance(value, bool) or not isinstance(value, int | str | np.integer):
            raise ValueError
        number = float(text.removesuffix("%")) if text.endswith("%") else int(text)
        if not 0 <= number <= (100 if text.endswith("%") else 2**53):
            raise ValueError
    except ValueError:
        raise ModelError(
            f"{name} takes whole pixels such as 50, or a share of the picture such as 0.1%, not {value!r}"
        ) from None
    if text.endswith("%"):
        return f"{number:g}%" if number else 0
    return int(number)


def _pixels(area: Area, of: int) -> int:
    if isinstance(area, int):
        return area
    return int(of * float(area.removesuffix("%")) / 100)
