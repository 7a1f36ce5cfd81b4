"""The frames of a video as inputs, read once from front to back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import BulkError, ImageError
from .items import Content, Found
from .naming import key_of_path


class VideoSource:
    """Every n-th frame, the first included.

    Args:
        path: anything that OpenCV's FFmpeg reads.
        every: 1 takes all frames.

    Raises:
        BulkError: `every` is less than 1.
    """

    in_order = True

    def __init__(self, path: Path, every: int = 1) -> None:
        if every < 1:
            raise BulkError(f"--every takes a number from 1 on, not {every}")
        self._path, self._every = path, every
        self._capture: cv2.VideoCapture | None = None
        self._next = 0

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process, which opens the file itself."""
        return {**self.__dict__, "_capture": None, "_next": 0}

    def listing(self) -> Iterator[Found]:
        """The frames, counted by going through them: what a container's header says is often wrong."""
        status = self._path.stat()
        capture = self._opened()
        number = 0
        while capture.grab():
            if number % self._every == 0:
                key = f"{key_of_path(self._path.name)}/{number:06d}"
                place = f"{self._path.name} frame {number}"
                yield Found(place, key, number, status.st_size, status.st_mtime_ns)
            number += 1
        capture.release()
        if number == 0:
            raise BulkError(f"{self._path}: no frame of this video can be read; convert it, to .mp4 for one")

    def read(self, found: Found) -> Content:
        """The frame; going back means reading from the front again.

        Raises:
            ImageError: the video ends before, or the frame is damaged.
        """
        if self._capture is None or found.start < self._next:
            self._capture, self._next = self._opened(), 0
        while self._next < found.start and self._capture.grab():
            self._next += 1
        self._next += 1
        whole, frame = self._capture.read()
        if not whole:
            self._capture = None
            raise ImageError(f"{found.place}: this frame cannot be read")
        return Content(np.ascontiguousarray(frame[..., ::-1]))

    def _opened(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            raise BulkError(f"{self._path}: not a video that OpenCV reads; convert it, to .mp4 for one")
        return capture
