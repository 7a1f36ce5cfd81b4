"""Cut-outs by parts: the photo where chosen parts are, transparent elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from ..arrays import Mask, tight_box
from ..cleaning import edged
from ..errors import ImageError, ModelError
from ..results import Parsing
from ..schemes import IGNORE, Rgb
from .matte import matte as find_matte
from .regions import parsed_photo


def cutout(
    image: Any,
    parsing: Parsing,
    keep: Iterable[str | int] | None = None,
    drop: Iterable[str | int] = (),
    *,
    background: str | Rgb | None = None,
    grow: int = 0,
    shrink: int = 0,
    feather: int = 0,
    matte: bool = False,
    crop: bool = False,
) -> Image.Image:
    """Cut some parts out of a photo.

    Args:
        image: the photo that was parsed, in any form `Parser.predict` takes.
        parsing: its parsing.
        keep: parts to keep, by name (any case), alias, number or group, such as `clothes` or `arms`; see
            `LabelScheme.members`. None keeps everything but background.
        drop: parts to leave out of those.
        background: the colour behind the parts: RGB 0-255, or a name such as `"white"` or `"#e0e0e0"`. None
            leaves it transparent.
        grow: pixels, 0-1000, by which the cut-out is grown.
        shrink: pixels, 0-1000, by which it is then shrunk.
        feather: pixels, 0-1000, over which its edge then fades inwards, so that no background shows.
        matte: estimate how much of each border pixel is hair or cloth, and its colour without the background;
            see `humanparse.adapters.matte`. Needs `pip install "humanparse[matting]"`.
        crop: crop the picture to the box of the kept parts.

    Returns:
        RGBA; RGB if `background` is given.

    Raises:
        SchemeError: no such part or group, or the photo has another size than the parsing.
        ImageError: the photo cannot be read, or it shows none of the kept parts.
        ModelError: the colour is unknown, a number of pixels is out of range, `matte` is combined with
            `feather`, or the matting fails.
        HumanParseError: pymatting is not installed.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.cutout import cutout
        >>> photo = "examples/grace_hopper.jpg"
        >>> cutout(photo, Parser().predict(photo), keep=["hair", "face"], crop=True).save("head.png")
    """
    if matte and feather:
        raise ModelError("matte already makes soft edges; leave feather out")
    photo = parsed_photo(image, parsing)
    mask = edged(_kept(parsing, keep, drop), grow, shrink) > 0
    if not mask.any():
        raise ImageError(f"nothing is left after shrinking by {shrink} pixels; shrink less")
    alpha, photo = find_matte(photo, parsing, mask) if matte else (edged(mask, feather=feather), photo)
    picture = Image.fromarray(np.dstack((photo, alpha)))
    if background is not None:
        behind = Image.new("RGBA", picture.size, _colour(background))
        picture = Image.alpha_composite(behind, picture).convert("RGB")
    return picture.crop(tight_box(alpha > 0 if matte else mask)) if crop else picture


def _kept(parsing: Parsing, keep: Iterable[str | int] | None, drop: Iterable[str | int]) -> Mask:
    scheme = parsing.scheme
    if keep is None:
        kept = {label for label in range(len(scheme)) if label != scheme.background}
    else:
        kept = set(scheme.members(*keep))
    kept -= set(scheme.members(*drop))
    mask: Mask = np.isin(parsing.labels, sorted(kept))
    if not mask.any():
        wanted = ", ".join(scheme.name(label) for label in sorted(kept)) or "nothing"
        there = ", ".join(part.name for part in parsing.parts() if part.label != IGNORE) or "no part at all"
        raise ImageError(f"the photo shows none of the parts to keep ({wanted}); it has: {there}")
    return mask


def _colour(background: str | Rgb) -> tuple[int, ...]:
    try:
        rgb = ImageColor.getrgb(background) if isinstance(background, str) else tuple(background)
    except ValueError as error:
        raise ModelError(f"{background!r} is not a colour; use a name, #rrggbb or three numbers") from error
    if len(rgb) < 3 or not all(isinstance(value, int) and 0 <= value <= 255 for value in rgb):
        raise ModelError(f"{background!r} is not a colour; use a name, #rrggbb or three numbers, 0-255")
    return (*rgb[:3], 255)
