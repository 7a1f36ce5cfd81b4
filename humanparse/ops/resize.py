"""Resizes a picture as a network's original does: with OpenCV or with Pillow."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..arrays import Picture

Size = tuple[int, int]
Pixels = Picture | npt.NDArray[np.float32]
Resizer = Callable[[Pixels, Size], Pixels]


def resize(image: Pixels, size: Size, interpolation: str) -> Pixels:
    """Resize pixels (H, W, 3), uint8 or float32, to (height, width); see `InputSpec.interpolation`."""
    return _RESIZERS[interpolation](image, size)


def _opencv(choose: Callable[[Size, Size], int]) -> Resizer:
    """OpenCV's resize; `choose` takes the old and the new size and returns the interpolation."""

    def apply(image: Pixels, size: Size) -> Pixels:
        how = choose((image.shape[0], image.shape[1]), size)
        return cv2.resize(image, size[::-1], interpolation=how)  # type: ignore[return-value]

    return apply


def _pil(how: Image.Resampling) -> Resizer:
    """Pillow's resize, which reads more pixels when shrinking; OpenCV's always reads the same number."""
    return lambda image, size: np.array(Image.fromarray(image).resize(size[::-1], how))


_RESIZERS: dict[str, Resizer] = {
    "linear": _opencv(lambda old, new: cv2.INTER_LINEAR),
    "area": _opencv(
        lambda old, new: cv2.INTER_AREA if new[0] < old[0] or new[1] < old[1] else cv2.INTER_LINEAR
    ),
    "area-always": _opencv(lambda old, new: cv2.INTER_AREA),
    "area-or-cubic": _opencv(lambda old, new: cv2.INTER_AREA if new[1] < old[1] else cv2.INTER_CUBIC),
    "pil-bilinear": _pil(Image.Resampling.BILINEAR),
    "pil-bicubic": _pil(Image.Resampling.BICUBIC),
    "pil-lanczos": _pil(Image.Resampling.LANCZOS),
}
