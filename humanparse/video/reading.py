"""The frames of a video, read once from front to back through OpenCV."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from .containers import is_cut_short

_RATE = Fraction(25)  # of a video that does not say its own
_TRIES = 32  # reads after the first that fails: a decoder that goes on has lost frames, and not met the end


class VideoReader:
    """An open video.

    Frames stand upright, as players show them. One that the decoder conceals by itself counts as good.

    Args:
        path: a file that OpenCV's FFmpeg reads.

    Attributes:
        path: as given.
        size: (height, width) of a frame in pixels, after turning it upright.
        rate: frames per second; of a variable rate the mean, so that the whole keeps its length. 25 where the
            file does not say.
        announced: number of frames by the file's header, often a little wrong; 0 where it does not say.
        pixel_aspect: width of a pixel as shown / its height.
        position: number of the frame that comes next, from 0.

    Raises:
        ImageError: there is no such file, or no video in it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise ImageError(f"{self.path}: there is no such file")
        self._capture = cv2.VideoCapture(str(self.path))
        if not self._capture.isOpened():
            raise ImageError(f"{self.path}: not a video that OpenCV reads; convert it, to .mp4 for one")
        self.position = 0
        width, height = (int(self._get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        self.size = height, width
        self.rate = _fraction(self._get(cv2.CAP_PROP_FPS), _RATE, 1001)
        self.announced = max(0, int(self._get(cv2.CAP_PROP_FRAME_COUNT)))
        shape = self._get(cv2.CAP_PROP_SAR_NUM) / (self._get(cv2.CAP_PROP_SAR_DEN) or 1)
        self.pixel_aspect = _fraction(shape, Fraction(1), 1000)
        if self._get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90 and self._get(cv2.CAP_PROP_ORIENTATION_AUTO):
            self.pixel_aspect = 1 / self.pixel_aspect

    def _get(self, key: int) -> float:
        value = float(self._capture.get(key))
        return value if math.isfinite(value) else 0.0

    def skip(self) -> bool:
        """Pass over a frame; False at the end.

        Raises:
            ImageError: the frame is damaged, or the file ends before its video does.
        """
        if self._capture.grab():
            self.position += 1
            return True
        self._refuse_damage()
        return False

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next frame, RGB uint8 (H, W, 3), contiguous; None at the end.

        Raises:
            ImageError: as for `skip`.
        """
        if not self.skip():
            return None
        whole, frame = self._capture.retrieve()
        if not whole:
            raise ImageError(f"{self.path}: frame {self.position - 1} cannot be decoded; {_REPAIR}")
        return np.ascontiguousarray(frame[..., ::-1], dtype=np.uint8)

    def seconds(self) -> float:
        """When the frame that was read last is shown, from the beginning of the video."""
        return self._get(cv2.CAP_PROP_POS_MSEC) / 1000

    def close(self) -> None:
        """Let go of the file."""
        self._capture.release()

    def _refuse_damage(self) -> None:
        if self.position == 0:
            raise ImageError(
                f"{self.path}: no frame of this video can be read: it is damaged, or OpenCV has no decoder "
                "for it (AV1, for one); convert it with: ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
        if any(self._capture.grab() for _ in range(_TRIES)):
            raise ImageError(f"{self.path}: frame {self.position} is damaged; {_REPAIR}")
        if is_cut_short(self.path):
            raise ImageError(
                f"{self.path}: frame {self.position} cannot be read, because the file is cut short; get a "
                "whole copy of it, or make one of what is there with: ffmpeg -i IN -c copy OUT"
            )


_REPAIR = "repair the file, or leave out what is damaged, with: ffmpeg -i IN OUT.mp4"


def _fraction(value: float, unknown: Fraction, denominator: int) -> Fraction:
    """30000/1001 for 29.97002997; `unknown` for what no video has."""
    if not 1 / 1000 <= value <= 1000:
        return unknown
    return Fraction(value).limit_denominator(denominator)
