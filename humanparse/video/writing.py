"""Frames -> video files through PyAV, each frame at its own time."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arrays import Picture
from ..durable import replacing
from ..errors import FormatError
from .sound import Sound

if TYPE_CHECKING:
    import av

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffix of a viewable video -> FFmpeg's name of its container."""

LABELS = ".mkv"
"""Suffix of a video of labels."""

_MOST_PARTS = 1 << 20
"""Finest unit of time, as parts of a second. MP4 counts it in 32 bits, enough for more than an hour."""


@dataclass(frozen=True)
class VideoFormat:
    """The properties that all frames of a video share.

    Attributes:
        size: (height, width) in pixels.
        rate: frames per second that the container states; each frame still has its own time.
        pixel_aspect: width of a pixel as shown / its height.
        tick: unit in seconds to which the source rounds its times; Matroska has milliseconds only. A time
            that fits the rate but for this rounding is written exactly.
    """

    size: tuple[int, int]
    rate: Fraction
    pixel_aspect: Fraction = Fraction(1)
    tick: Fraction = Fraction(1, 1000)

    @property
    def unit(self) -> Fraction:
        """The file's unit of time in seconds; frame times and ticks are multiples of it."""
        parts = math.lcm(self.rate.numerator, self.tick.denominator)
        return Fraction(1, parts) if parts < _MOST_PARTS else self.tick

    def units(self, seconds: float) -> int:
        """A time in that unit."""
        steady = round(seconds * self.rate) / self.rate
        time = steady if abs(steady - Fraction(seconds)) <= self.tick / 2 else Fraction(seconds)
        return round(time / self.unit)


def check_target(path: Path, labels: bool) -> None:
    """Raise an error now if such a video cannot be written.

    Raises:
        FormatError: an unknown suffix, or no folder to write to.
    """
    suffix = path.suffix.lower()
    if labels and suffix != LABELS:
        raise FormatError(f"{path}: labels are written to a folder or to a lossless {LABELS} file")
    if suffix not in FORMATS:
        raise FormatError(f"{path}: a video's suffix must be one of {', '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise FormatError(f"cannot write {path}: there is no folder {path.parent}; make it first")


@contextmanager
def encoding(path: Path, video_format: VideoFormat, sound_of: Path | None = None) -> Generator[Film]:
    """Write a viewable video: H.264 with the sound of another file.

    If a side is odd, the video stores the colour of every pixel (4:4:4), which not every player supports.

    Args:
        path: `.mp4`, `.m4v`, `.mov` or `.mkv`; appears when the block ends without error.
        video_format: size and rate of the frames, each RGB uint8 (H, W, 3).
        sound_of: a file whose sound is copied, or re-encoded as AAC if the container cannot hold it.

    Raises:
        FormatError: see `check_target`; or the encoder, the disk or the sound failed.
    """
    check_target(path, labels=False)
    container = FORMATS[path.suffix.lower()]
    # Players that ignore the tag assume BT.709 for high videos and BT.601 for low ones.
    matrix, tag = ("ITU709", "bt709") if video_format.size[0] >= 720 else ("SMPTE170M", "smpte170m")
    odd = any(side % 2 for side in video_format.size)  # otherwise 2x2 pixels share a colour
    pixels = "yuv444p" if odd else "yuv420p"

    def convert(frame: Picture) -> av.VideoFrame:
        import av

        return av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
            format=pixels, dst_colorspace=matrix, dst_color_range="MPEG", interpolation="BICUBIC"
        )

    # Without B-frames packets are in the order of their times, which every container stores the same way.
    options = {"crf": "18", "preset": "fast", "bf": "0", "colorspace": tag, "color_range": "tv"}
    with _muxing(path, container, {"movflags": "+faststart"} if container != "matroska" else {}) as file:
        stream = _add_stream(file, "libx264", video_format, pixels, options)
        with (
            Sound(sound_of, file, container) as sound,
            Film(file, stream, video_format, convert, sound) as film,
        ):
            yield film


@contextmanager
def encoding_labels(path: Path, video_format: VideoFormat, describing: str) -> Generator[Film]:
    """Write a lossless video of labels: FFV1, one grey byte per pixel.

    Args:
        path: `.mkv`; appears when the block ends without error.
        video_format: size and rate of the frames, each uint8 (H, W).
        describing: text for the file's tag `humanparse`.

    Raises:
        FormatError: as for `encoding`.
    """
    check_target(path, labels=True)

    def convert(frame: Picture) -> av.VideoFrame:
        import av

        return av.VideoFrame.from_ndarray(frame, format="gray")

    with _muxing(path, FORMATS[LABELS], {}) as file:
        file.metadata["humanparse"] = describing
        stream = _add_stream(file, "ffv1", video_format, "gray", {"level": "3", "g": "1"})
        with (
            Sound(None, file, FORMATS[LABELS]) as silence,
            Film(file, stream, video_format, convert, silence) as film,
        ):
            yield film


class Film:
    """A video that is being written.

    A frame is encoded when the next one arrives, because only then its duration is known. A thread encodes,
    one frame behind. Packets of the sound are written between those of the video.

    Attributes:
        end: time in seconds at which the last frame ends; None: after the duration of one frame.
    """

    def __init__(
        self,
        file: av.container.OutputContainer,
        stream: Any,
        video_format: VideoFormat,
        convert: Callable[[Picture], av.VideoFrame],
        sound: Sound,
    ) -> None:
        self.end: float | None = None
        self._file, self._stream, self._format = file, stream, video_format
        self._convert, self._sound = convert, sound
        self._unit = video_format.unit
        self._waiting: tuple[Picture, int] | None = None
        self._seconds = float("-inf")
        self._count = 0
        self._durations: dict[int, int] = {}
        self._thread = ThreadPoolExecutor(1, "humanparse-encode")
        self._under_way: Future[None] | None = None

    def __enter__(self) -> Film:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def add(self, frame: Picture, seconds: float) -> None:
        """Add a frame.

        Args:
            frame: uint8 (H, W, 3) or (H, W), of the video's size.
            seconds: when it is shown.

        Raises:
            FormatError: it has another size, or is shown before the previous frame.
        """
        if frame.shape[:2] != self._format.size:
            height, width = self._format.size
            raise FormatError(f"a frame is {frame.shape[1]}x{frame.shape[0]} in a video of {width}x{height}")
        if seconds < self._seconds:
            raise FormatError(
                f"frame {self._count} is shown at {seconds:.3f} s, before the previous frame "
                f"({self._seconds:.3f} s): give the video new times with ffmpeg -i IN -vf "
                "setpts=N/FRAME_RATE/TB OUT, or parse it into a folder of labels"
            )
        self._seconds = seconds
        self._count += 1
        time = self._format.units(seconds)
        if self._waiting is not None:
            time = max(time, self._waiting[1] + 1)  # encoders refuse two frames with the same time
            self._encode(time)
        self._waiting = frame, time

    def _finish(self) -> None:
        """Encode the last frame, and write the rest of the sound."""
        if self._waiting is not None:
            begin = self._waiting[1]
            end = self._seconds + float(1 / self._format.rate) if self.end is None else self.end
            self._encode(max(begin + 1, self._format.units(end)))
        self._wait()
        if self._count:
            self._write(self._stream.encode(None))
        self._sound.write(float("inf"))

    def _encode(self, end: int) -> None:
        """Encode the waiting frame in the thread, once the frame before it is done."""
        assert self._waiting is not None
        self._wait()
        frame, begin = self._waiting
        self._durations[begin] = end - begin
        self._under_way = self._thread.submit(self._encode_now, frame, begin)

    def _encode_now(self, picture: Picture, time: int) -> None:
        frame = self._convert(np.ascontiguousarray(picture))
        frame.pts, frame.time_base = time, self._unit
        self._write(self._stream.encode(frame))

    def _write(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            packet.duration = self._durations.pop(packet.pts)
            self._sound.write(float(packet.dts * self._unit))
            self._file.mux_one(packet)

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()


def _add_stream(
    file: av.container.OutputContainer,
    codec: str,
    video_format: VideoFormat,
    pixels: str,
    options: dict[str, str],
) -> Any:
    stream: Any = file.add_stream(codec, rate=video_format.rate, options=options)
    stream.height, stream.width = video_format.size
    stream.pix_fmt = pixels
    stream.codec_context.time_base = video_format.unit
    stream.codec_context.sample_aspect_ratio = video_format.pixel_aspect
    stream.thread_type = "FRAME"  # slices would make the file larger
    return stream


@contextmanager
def _muxing(path: Path, container: str, options: dict[str, str]) -> Generator[av.container.OutputContainer]:
    """A file to write packets to; it appears under its name when the block ends without error."""
    import av

    try:
        with replacing(path) as part:
            file = av.open(f"file:{part}", "w", format=container, container_options=options)
            try:
                yield file
                file.close()
            finally:
                with suppress(av.FFmpegError, OSError):  # after a failed block, an error here adds nothing
                    file.close()
    except (av.FFmpegError, OSError) as error:
        raise FormatError(f"cannot write {path}: {error.strerror or error}") from error
