"""Reads the frames of a video and their times, once, from front to back, through PyAV."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from .containers import is_cut_short

if TYPE_CHECKING:
    import av

_RATE = Fraction(25)  # frames per second of a video that does not state its rate
_ARBITRARY_START = 0x0200  # AVFMT_TS_DISCONT: MPEG streams, whose clock may start at any value
_REPAIR = "repair the file, or drop the damaged frames, with: ffmpeg -i IN OUT.mp4"


class VideoReader:
    """An open video.

    Frames are upright, as players show them. A frame whose damage the decoder conceals counts as good.

    Args:
        path: a file that PyAV's FFmpeg can read.

    Attributes:
        path: as given.
        size: (height, width) of a frame in pixels, after turning it upright.
        rate: frames per second as the container states it; for a variable rate the mean, or a nominal rate.
            25 if the file does not say. The times of frames cannot be computed from it.
        tick: the container's unit of time, in seconds.
        announced: number of frames by the file's header, often a little wrong; 0 if it does not say.
        pixel_aspect: width of a pixel as shown / its height.
        position: number of the next frame, from 0.
        seconds: time of the last frame that was read or skipped, by the container's clock. For MPEG program
            and transport streams, whose clock may start at any value, it is counted from their start.
        end: time at which that frame ends, by its own duration.

    Raises:
        ImageError: there is no such file, no video in it, or no readable frame.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import av

        self.path = _existing(path)
        self.position, self.seconds, self.end = 0, 0.0, 0.0
        try:
            self._container = av.open(f"file:{self.path}")
        except (av.FFmpegError, OSError) as error:
            raise ImageError(f"{self.path}: not a readable video; convert it, for example to .mp4") from error
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        """Find the video's stream and its first frame, which gives the size and rotation of all frames."""
        stream: Any = self._container.streams.best("video")
        if stream is None:
            there = ", ".join(sorted({other.type for other in self._container.streams})) or "nothing"
            raise ImageError(f"{self.path}: there is no video in this file, only {there}")
        if stream.codec_context is None:
            raise ImageError(f"{self.path}: PyAV has no decoder for this video; {_REPAIR}")
        stream.thread_type = "AUTO"
        self._stream = stream
        self.tick = stream.time_base or 1 / _RATE
        self.rate = _rate(stream.average_rate or stream.guessed_rate)
        length = _length(stream, self._container)
        self.announced = stream.frames or round(length * self.rate)
        self._start = clock_start(self._container)
        # AVI numbers frames in the order they are stored; their times follow from these numbers.
        self._stored: deque[int] | None = deque() if self._container.format.name == "avi" else None
        self._frames = self._decoded()
        self._next = next(self._frames)
        self._turns = round(self._next.rotation / 90) % 4
        self.size = self._next.height, self._next.width
        self.pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
        if self._turns % 2:
            self.size, self.pixel_aspect = self.size[::-1], 1 / self.pixel_aspect

    def skip(self) -> bool:
        """Skip a frame; False at the end.

        Raises:
            ImageError: the frame is damaged, or the file ends before its video does.
        """
        return self._advance() is not None

    def read(self) -> npt.NDArray[np.uint8] | None:
        """The next frame, RGB uint8 (H, W, 3), contiguous; None at the end.

        Raises:
            ImageError: as for `skip`.
        """
        frame = self._advance()
        if frame is None:
            return None
        pixels = frame.to_ndarray(format="rgb24", interpolation="BICUBIC")
        return np.ascontiguousarray(np.rot90(pixels, self._turns), dtype=np.uint8)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _advance(self) -> Any:
        frame = self._next
        self._next = None
        if frame is None:
            frame = next(self._frames, None)
        if frame is not None:
            self.position += 1
            self._note_time(frame)
        return frame

    def _note_time(self, frame: Any) -> None:
        ticks = frame.pts
        if self._stored is not None:
            ticks = self._stored.popleft() if self._stored else None
        # A raw stream has no timestamps: its frames follow one another.
        self.seconds = self.end if ticks is None else float(ticks * self.tick - self._start)
        lasts = frame.duration * self.tick
        if not lasts or abs(lasts - 1 / self.rate) < self.tick:  # 33 ms at 29.97 frames per second
            lasts = 1 / self.rate
        self.end = self.seconds + float(lasts)

    def _decoded(self) -> Iterator[Any]:
        """The frames as PyAV objects, in the order they are shown."""
        import av

        promised = shown = -1
        for packet in self._packets():
            if packet is not None and packet.pts is not None and not packet.is_discard:
                promised = max(promised, packet.pts)
            if packet is not None and self._stored is not None and packet.dts is not None:
                self._stored.append(packet.dts)
            try:
                frames = self._stream.decode(packet)
            except av.FFmpegError as error:
                raise self._damage() from error
            for frame in frames:
                shown = max(shown, promised if frame.pts is None else frame.pts)
                yield frame
        # The last frames come together, and PyAV returns only those before a damaged one.
        if shown < promised or self.position == 0 or is_cut_short(self.path):
            raise self._damage()

    def _packets(self) -> Iterator[Any]:
        """The compressed frames, then None, which makes decoders return the frames they hold back."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, OSError) as error:
                raise self._damage() from error
            if packet is None or (packet.is_corrupt and is_cut_short(self.path)):
                break
            if packet.size:  # an empty packet repeats the frame before it
                yield packet
        yield None

    def _damage(self) -> ImageError:
        if self.position == 0:
            return ImageError(
                f"{self.path}: no frame of this video can be read: it is damaged, or PyAV has no decoder for "
                "it; convert it with: ffmpeg -i IN -c:v libx264 OUT.mp4"
            )
        if is_cut_short(self.path):
            return ImageError(
                f"{self.path}: frame {self.position} cannot be read, because the file is cut short; get a "
                "complete copy of it, or keep what is there with: ffmpeg -i IN -c copy OUT"
            )
        return ImageError(f"{self.path}: frame {self.position} is damaged; {_REPAIR}")


def clock_start(container: av.container.InputContainer) -> Fraction:
    """Seconds to subtract from a container's timestamps: 0, unless its clock may start at any value."""
    arbitrary = container.format.flags & _ARBITRARY_START
    return Fraction(container.start_time or 0, 1_000_000) if arbitrary else Fraction(0)


def _existing(path: str | os.PathLike[str]) -> Path:
    """The path of the file; for a camera or a URL an error that says what to do instead."""
    if isinstance(path, int):
        raise ImageError(f"camera {path}: {_LIVE}")
    if not isinstance(path, str | os.PathLike):
        raise ImageError(f"pass the path of a video file, not a {type(path).__name__}")
    file = Path(path)
    if file.is_file():
        return file
    if "://" in str(path):
        raise ImageError(f"{path}: a video is read from a file; download or record it, and pass its path")
    if file.is_dir():
        raise ImageError(f"{file}: it is a directory; pass the videos in it one by one")
    if file.exists():
        raise ImageError(f"{file}: not a regular file. {_LIVE}")
    if str(path).isdigit():
        raise ImageError(f"{file}: there is no such file. {_LIVE}")
    raise ImageError(f"{file}: there is no such file")


_LIVE = (
    "Cameras are not read as videos: record a file, or pass the camera's frames, RGB arrays, to predict_many"
)


def _rate(value: Fraction | None) -> Fraction:
    """The rate as an exact fraction, such as 30000/1001 for 29.97002997; 25 if it is impossible."""
    if value is None or not 1 / 1000 <= value <= 1000:
        return _RATE
    return value.limit_denominator(1001)


def _length(stream: Any, container: Any) -> Fraction:
    """Duration in seconds by the video's header; 0 if it does not say."""
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base  # type: ignore[no-any-return]
    return Fraction(container.duration or 0, 1_000_000)
