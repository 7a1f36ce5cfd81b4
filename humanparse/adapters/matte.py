"""Soft edges by closed-form matting: how much of a pixel is hair or cloth, and in what colour.

    pip install "humanparse[matting]"

The parts give a trimap: the unknown band is wide at the border of hair and narrow at all other borders. In
the band, closed-form matting (Levin, Lischinski & Weiss, IEEE TPAMI 30, 2008) estimates the opacity, and
multi-level estimation (Germer, Uelwer, Conrad & Harmeling, arXiv:2006.14970) the colour without the
background. PyMatting computes both.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ..arrays import Labels, Mask, Picture, tight_box
from ..errors import ModelError
from ..results import Parsing
from . import needing

HAIR_BAND, BAND = 0.06, 0.012
"""Half the width of the band at hair, and elsewhere, as a share of the square root of the kept area."""

MOST_PIXELS, MOST_UNKNOWN = 1_000_000, 150_000
"""Most pixels, and most unknown pixels, that are matted at full size. Matting works on the box of the unknown
pixels; a larger box is reduced to these numbers, and its opacity is enlarged again. This bounds time and
memory."""

_STEPS, _TOLERANCE = 1000, 1e-6
"""Most steps of the conjugate gradient method, and the relative residual at which it stops."""


def trimap(parsing: Parsing, mask: Mask) -> Picture:
    """Divide a photo into inside, outside and unknown, for matting.

    Args:
        parsing: the photo's parsing, in any label scheme; if the scheme has no hair, all bands are narrow.
        mask: bool (H, W), the pixels to keep.

    Returns:
        uint8 (H, W): 255 inside, 0 outside, 128 unknown. The picture's border does not count as an edge. Some
        pixels of the mask and some pixels outside it are always known.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.matte import trimap
        >>> parsing = Parser().predict("examples/grace_hopper.jpg")
        >>> trimap(parsing, parsing.mask("hair", "face")).shape
        (600, 512)
    """
    inside, outside = _distance(~mask), _distance(mask)
    hair = _hair(parsing)
    near, far = (max(2.0, share * float(np.sqrt(mask.sum()))) for share in (BAND, HAIR_BAND))
    nobody = parsing.labels == (255 if parsing.scheme.background is None else parsing.scheme.background)
    unknown = (mask & (inside <= np.where(hair, far, near))) | (~mask & (outside <= near))
    if (hair & mask).any():
        unknown |= ~mask & nobody & (_distance(hair & mask) <= far)
    found: Labels = np.where(mask, np.uint8(255), np.uint8(0))
    found[unknown] = 128
    for part, value, depth in ((mask, 255, inside), (~mask, 0, outside)):
        if part.any() and not (found == value).any():  # a part thinner than its band keeps its core
            found[part & (depth >= depth[part].max())] = value
    return found


def matte(photo: Picture, parsing: Parsing, mask: Mask) -> tuple[Picture, Picture]:
    """Opacity and colours of the pixels that a mask keeps.

    Args:
        photo: RGB uint8 (H, W, 3), the photo that was parsed.
        parsing: its parsing.
        mask: bool (H, W), the pixels to keep.

    Returns:
        alpha: uint8 (H, W), 0-255.
        colours: RGB uint8 (H, W, 3); where the opacity is partial, the colour without the background.

    Raises:
        HumanParseError: pymatting is not installed.
        ModelError: the matting failed.

    Examples:
        >>> from humanparse import Parser, image
        >>> from humanparse.adapters.matte import matte
        >>> photo = image.load("examples/grace_hopper.jpg")
        >>> parsing = Parser().predict(photo)
        >>> alpha, colours = matte(photo, parsing, parsing.mask("hair", "face"))
    """
    with needing("pymatting", "matting"):
        from pymatting import estimate_alpha_cf, estimate_foreground_ml
    known = trimap(parsing, mask)
    unknown = known == 128
    alpha, colours = known.copy(), photo.copy()
    if unknown.any():
        here = _box(unknown)
        found = np.where(
            unknown[here], _opacity(photo[here], known[here], estimate_alpha_cf), known[here] / 255
        )
        alpha[here] = np.rint(found * 255)
        clear = estimate_foreground_ml(photo[here].astype(np.float32) / 255, found.astype(np.float32))
        mixed = (alpha[here] > 0) & (alpha[here] < 255)
        colours[here][mixed] = np.rint(clear[mixed].clip(0, 1) * 255)
    return alpha, colours


def _opacity(photo: Picture, known: Picture, estimate: Any) -> Any:
    """Opacity 0-1 of a piece of the photo, computed on at most `MOST_PIXELS`."""
    height, width = known.shape
    most = min(MOST_PIXELS / known.size, MOST_UNKNOWN / np.count_nonzero(known == 128))
    scale = min(1.0, float(np.sqrt(most)))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        photo = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        known = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    try:
        found = estimate(photo / 255, known / 255, cg_kwargs={"maxiter": _STEPS, "rtol": _TOLERANCE})
    except ValueError as error:
        raise ModelError(f"matting failed ({error}); leave matte out, or use feather") from error
    return (
        found if scale == 1 else cv2.resize(found, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    )


def _hair(parsing: Parsing) -> Mask:
    numbers = [number for number, thing in enumerate(parsing.scheme.things()) if thing == "hair"]
    return np.isin(parsing.labels, numbers)


def _distance(from_here: Mask) -> Any:
    """The distance of each pixel to the nearest true pixel; infinite if there is none."""
    if not from_here.any():
        return np.full(from_here.shape, np.inf, dtype=np.float32)
    return cv2.distanceTransform((~from_here).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _box(unknown: Mask) -> tuple[slice, slice]:
    """The box of the unknown pixels, with the margin that matting reads."""
    x0, y0, x1, y1 = tight_box(unknown)
    return slice(max(y0 - 8, 0), y1 + 8), slice(max(x0 - 8, 0), x1 + 8)
