"""A picture resized as the original of a network does it: by OpenCV, or by Pillow."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..arrays import Picture

Size = tuple[int, int]
Pixels = Picture | npt.NDArray[np.float32]
Resize = Callable[[Pixels, Size], Pixels]


def resize(image: Pixels, size: Size, interpolation: str) -> Pixels:
    """Pixels (H, W, 3), uint8 or float32, resized to (height, width).

    Args:
        image: for Pillow uint8.
        size: (height, width) of the result.
        interpolation: see `InputSpec.interpolation`.
    """
    return _RESIZES[interpolation](image, size)


def _opencv(choose: Callable[[Size, Size], int]) -> Resize:
    """OpenCV's resize; `choose` takes the sizes before and after, and gives the interpolation."""

    def resized(image: Pixels, size: Size) -> Pixels:
        how = choose((image.shape[0], image.shape[1]), size)
        return cv2.resize(image, size[::-1], interpolation=how)  # type: ignore[return-value]

    return resized


def _pil(how: Image.Resampling) -> Resize:
    """Pillow's resize, which reads more pixels when it shrinks; OpenCV's reads as many as ever."""
    return lambda image, size: np.array(Image.fromarray(image).resize(size[::-1], how))


_RESIZES: dict[str, Resize] = {
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
