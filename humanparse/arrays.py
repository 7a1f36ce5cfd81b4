"""Types of the arrays that most of the package uses, and the box around a mask."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""RGB, uint8 (H, W, 3)."""

Labels = npt.NDArray[np.uint8]
"""The label of each pixel, uint8 (H, W)."""

Mask = npt.NDArray[np.bool_]
"""The chosen pixels, bool (H, W)."""

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, half-open."""


def tight_box(mask: Mask) -> Box:
    """The smallest box around a mask; (0, 0, 0, 0) if the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
