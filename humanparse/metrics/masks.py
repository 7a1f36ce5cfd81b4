"""Reads PNG files of label numbers or ids."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import HumanParseError, SchemeError
from ..formats import check_labels
from ..schemes import LabelScheme
from .instance_maps import LabelMap


def read_mask(
    path: Path,
    error: type[HumanParseError],
    scheme: LabelScheme | None = None,
    *,
    first_channel: bool = False,
) -> LabelMap:
    """Read the numbers in a PNG.

    Args:
        path: a file in mode P, L or 16-bit grey.
        error: type of the exceptions.
        scheme: refuse labels that are neither in this scheme nor 255; None allows any number.
        first_channel: accept a colour picture and read its red channel; LV-MHP stores some maps like that.

    Returns:
        uint8 (H, W), or int32 (H, W) if the file has 16 bits.

    Raises:
        HumanParseError: of the type `error`: the file is missing, damaged or not a map of numbers.
    """
    try:
        with Image.open(path) as picture:
            mode, values = picture.mode, np.asarray(picture)
    except FileNotFoundError as cause:
        raise error(f"{path}: no such file") from cause
    except Exception as cause:  # decoders raise many kinds of errors for damaged bytes
        raise error(f"{path}: not a readable picture ({cause})") from cause
    if first_channel and mode in ("RGB", "RGBA"):
        mode, values = "L", values[..., 0]
    if mode not in ("P", "L", "I", "I;16"):
        raise error(f"{path}: a {mode} picture has no label numbers; label maps are P or L")
    numbers: LabelMap = values.astype(np.uint8 if mode in ("P", "L") else np.int32)
    if scheme is not None:
        try:
            check_labels(numbers, scheme)
        except SchemeError as cause:
            raise error(f"{path}: {cause}") from cause
    return numbers
