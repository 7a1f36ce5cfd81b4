"""The box around a mask."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis.extra import numpy as arrays

from humanparse.arrays import Mask, tight_box


@given(mask=arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=9)))
def test_a_tight_box_holds_all_of_a_mask_and_touches_it_on_every_side(mask: Mask) -> None:
    x0, y0, x1, y1 = tight_box(mask)
    if not mask.any():
        assert (x0, y0, x1, y1) == (0, 0, 0, 0)
        return
    inside = mask[y0:y1, x0:x1]
    assert inside.sum() == mask.sum()
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
