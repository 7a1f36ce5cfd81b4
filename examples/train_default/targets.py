"""What the people head learns: a map of centres and each pixel's way to its person's centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from photos import OTHERS, Array

STRIDE = 4
UNIT = 32.0  # input pixels per 1 of an offset, as in humanparse.models.lite
SMALLEST = 6  # cells that a person must show to have a centre
NEITHER = 0.998  # in the centre map: the focal loss wants no centre here and punishes none

Targets = NDArray[np.float32]


def people_targets(who: Array) -> Targets:
    """Ids per cell, 0 where nobody is, (h, w) -> (4, h, w): centre map, offsets down and right, their weight.

    Where the id is `OTHERS`, the centre map is `NEITHER`.

    The centre map is 1 at each person's mean cell and falls off as a Gaussian. Offsets are in units of `UNIT`
    input pixels. The weight is 0 where nobody is and on people of whom fewer than `SMALLEST` cells show.
    """
    height, width = who.shape
    made = np.zeros((4, height, width), np.float32)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    for person in np.unique(who[(who > 0) & (who != OTHERS)]):
        mask = who == person
        cells = int(mask.sum())
        if cells < SMALLEST:
            continue
        y, x = float(rows[mask].mean()), float(columns[mask].mean())
        sigma = float(np.clip(0.12 * np.sqrt(cells), 0.8, 8.0))
        near = np.exp(-((rows - round(y)) ** 2 + (columns - round(x)) ** 2) / (2 * sigma**2))
        np.maximum(made[0], near, out=made[0])
        made[1][mask] = (y - rows[mask]) * (STRIDE / UNIT)
        made[2][mask] = (x - columns[mask]) * (STRIDE / UNIT)
        made[3][mask] = 1
    np.maximum(made[0], NEITHER, out=made[0], where=who == OTHERS)
    return made
