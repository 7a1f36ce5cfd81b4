"""The frames of a video as inputs, read once from front to back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any

from ..errors import BulkError, ImageError
from ..remote import Found, RemoteFile
from ..video.reading import VideoReader
from .items import Content, Listing, Source
from .naming import key_of_path
from .sources import size_and_mark


class VideoSource(Source):
    """Every n-th frame, the first included. A video in remote storage is read from a copy, see `on_disk`.

    Args:
        path: anything that PyAV's FFmpeg reads.
        every: 1 takes all frames.

    Attributes:
        copied: size and mark of the object that this is a copy of; else None.

    Raises:
        BulkError: `every` is less than 1.
    """

    in_order = True

    def __init__(self, path: Path | RemoteFile, every: int = 1) -> None:
        if every < 1:
            raise BulkError(f"`every` takes a number from 1 on, not {every}")
        self._path, self._every = path, every
        self.copied: Found | None = None
        self._reader: VideoReader | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The state for another process, which opens the file itself."""
        return {**self.__dict__, "_reader": None}

    @contextmanager
    def on_disk(self, folder: Path, tell: Callable[[str], None]) -> Iterator[VideoSource]:
        """The source itself; for a video in remote storage, that of a copy, which is removed at the end.

        Args:
            folder: where the copy is kept, in a folder of its own; what an earlier run left there is removed.
            tell: called before the copy is made, which may take long.

        Raises:
            BulkError: the copy cannot be written.
            StorageError: the video cannot be read, or changed meanwhile.
        """
        if isinstance(self._path, Path):
            yield self
            return
        place = folder / "video"
        source = VideoSource(place / key_of_path(self._path.name, keep_suffix=True), self._every)
        tell(f"copying {self._path} to {place} for as long as it is read")
        try:
            source._fetch(self._path)
            yield source
        finally:
            if source._reader is not None:
                source._reader.close()
            rmtree(place, ignore_errors=True)  # if this fails, the next run removes it

    def _fetch(self, video: RemoteFile) -> None:
        assert isinstance(self._path, Path)
        place = self._path.parent
        try:
            if place.exists():
                rmtree(place)
            place.mkdir(parents=True)
            self.copied = video.fetch(self._path)
        except OSError as error:
            raise BulkError(
                f"{video}: its copy cannot be written to {place} ({error.strerror or error}); make room "
                "for the whole video there"
            ) from error

    def listing(self) -> Iterator[Listing]:
        """The frames, counted by reading them: the header of a container is often wrong.

        A damaged frame is the last one; reading it raises the error.
        """
        found = self.copied
        size, modified = (found.size, found.mark) if found else size_and_mark(self._path)
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
                yield Listing(place, key, number, size, modified)
        reader.close()

    def read(self, found: Listing) -> Content:
        """Decode a frame. Going back reads the video again from its start.

        Raises:
            ImageError: the video ends earlier, or the frame is damaged.
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

    def _opened(self) -> VideoReader:
        assert isinstance(self._path, Path)  # see `on_disk`
        try:
            return VideoReader(self._path)
        except ImageError as error:
            raise BulkError(str(error)) from error
