"""The frames of a video as inputs, read once from front to back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import BulkError, ImageError
from ..video.reading import VideoReader
from .items import Content, Listing
from .naming import key_of_path


class VideoSource:
    """Every n-th frame, the first included.

    Args:
        path: anything that PyAV's FFmpeg reads.
        every: 1 takes all frames.

    Raises:
        BulkError: `every` is less than 1.
    """

    in_order = True

    def __init__(self, path: Path, every: int = 1) -> None:
        if every < 1:
            raise BulkError(f"`every` takes a number from 1 on, not {every}")
        self._path, self._every = path, every
        self._reader: VideoReader | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process, which opens the file itself."""
        return {**self.__dict__, "_reader": None}

    def listing(self) -> Iterator[Listing]:
        """The frames, counted by going through them: what a container's header says is often wrong.

        A damaged frame is the last; reading it says what is wrong.
        """
        status = self._path.stat()
        reader = self._opened()
        more = True
        while more:
            number = reader.position
            try:
                more = reader.skip()
                listed = more and number % self._every == 0
            except ImageError as error:
                if number == 0:
                    raise BulkError(str(error)) from error
                more, listed = False, True
            if listed:
                key = f"{key_of_path(self._path.name)}/{number:06d}"
                place = f"{self._path.name} frame {number}"
                yield Listing(place, key, number, status.st_size, status.st_mtime_ns)
        reader.close()

    def read(self, found: Listing) -> Content:
        """The frame; going back means reading from the front again.

        Raises:
            ImageError: the video ends before, or the frame is damaged.
        """
        if self._reader is None or found.start < self._reader.position:
            self._reader = self._opened()
        reader = self._reader
        try:
            while reader.position < found.start and reader.skip():
                pass
            frame = reader.read()
        except ImageError:
            self._reader = None
            raise
        if frame is None:
            self._reader = None
            raise ImageError(f"{found.place}: this frame cannot be read")
        return Content(frame)

    def left_out(self) -> Counter[str]:
        """Nothing."""
        return Counter()

    def photo(self, found: Listing) -> str:
        """What a frame is called."""
        return found.place

    def _opened(self) -> VideoReader:
        try:
            return VideoReader(self._path)
        except ImageError as error:
            raise BulkError(str(error)) from error
