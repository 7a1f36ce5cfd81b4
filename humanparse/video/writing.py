"""Frames -> video files: through ffmpeg where it is on the PATH, else through OpenCV."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..durable import replacing
from ..errors import FormatError, ImageError
from .reading import VideoReader

Write = Callable[[npt.NDArray[np.uint8]], None]
"""Adds a frame."""

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""Suffix of a video to see -> what ffmpeg calls its container."""

LABELS = ".mkv"
"""Suffix of a video of labels."""


@dataclass(frozen=True)
class Look:
    """What all frames of a video share.

    Attributes:
        size: (height, width) in pixels.
        rate: frames per second.
        pixel_aspect: width of a pixel as shown / its height.
    """

    size: tuple[int, int]
    rate: Fraction
    pixel_aspect: Fraction = Fraction(1)

    @property
    def is_even(self) -> bool:
        """Whether colours can be kept for blocks of 2x2 pixels, as most players want it."""
        return self.size[0] % 2 == 0 and self.size[1] % 2 == 0


def has_ffmpeg() -> bool:
    """Whether videos are written by ffmpeg."""
    return shutil.which("ffmpeg") is not None


def check_target(path: Path, look: Look, labels: bool) -> None:
    """See that such a video can be written, before the work begins.

    Raises:
        FormatError: an unknown suffix, no folder to write to, or a size that needs ffmpeg.
    """
    suffix = path.suffix.lower()
    if labels and suffix != LABELS:
        raise FormatError(
            f"{path}: labels go into a folder, or a {LABELS} file, whose compression is lossless"
        )
    if suffix not in FORMATS:
        raise FormatError(f"{path}: a video is written as {', '.join(FORMATS)}; take one of these suffixes")
    if not path.absolute().parent.is_dir():
        raise FormatError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if not has_ffmpeg() and not look.is_even:
        folder = ", or name a folder for the labels" if labels else ""
        raise FormatError(
            f"cannot write {path}: {look.size[1]}x{look.size[0]} pixels, an odd number, need ffmpeg; install "
            f"it and have it on the PATH{folder}"
        )


@contextmanager
def encoding(path: Path, look: Look, sound_of: Path | None = None) -> Generator[Write]:
    """A video to look at: H.264 with the sound of another file, or MPEG-4 Part 2 without ffmpeg.

    Sizes with an odd number keep the colour of each pixel (4:4:4), which not every player shows.

    Args:
        path: `.mp4`, `.m4v`, `.mov` or `.mkv`; appears when the block ends well.
        look: of the frames, each RGB uint8 (H, W, 3).
        sound_of: a file whose sound is kept as it is, or, where the container cannot hold it, as AAC.

    Raises:
        FormatError: see `check_target`; or ffmpeg, or the disk, failed.
    """
    check_target(path, look, labels=False)
    if not has_ffmpeg():
        with _through_opencv(path, look, "mp4v") as write:
            yield write
        return
    container = FORMATS[path.suffix.lower()]
    sound, options = _sound(sound_of, container) if sound_of is not None else ([], [])
    shape = look.pixel_aspect
    # Players take high videos for BT.709 and low ones for BT.601 where they do not look at the tag.
    matrix = "bt709" if look.size[0] >= 720 else "smpte170m"
    options = [
        *("-map", "0:v", *options, "-c:v", "libx264", "-crf", "18", "-preset", "fast"),
        *("-pix_fmt", "yuv420p" if look.is_even else "yuv444p"),
        *(
            "-vf",
            f"scale=out_color_matrix={matrix}:out_range=tv,setsar={shape.numerator}/{shape.denominator}",
        ),
        *("-colorspace", matrix, "-color_range", "tv"),
        *(("-movflags", "+faststart") if container != "matroska" else ()),
    ]
    with _through_ffmpeg(path, look, "rgb24", sound, options, container) as write:
        yield write


@contextmanager
def encoding_labels(path: Path, look: Look, describing: str) -> Generator[Write]:
    """A lossless video of labels: FFV1, one grey byte per pixel.

    Args:
        path: `.mkv`; appears when the block ends well.
        look: of the frames, each uint8 (H, W).
        describing: goes into the file's tag `humanparse`, with ffmpeg only.

    Raises:
        FormatError: as for `encoding`.
    """
    check_target(path, look, labels=True)
    if has_ffmpeg():
        options = ["-c:v", "ffv1", "-level", "3", "-g", "1", "-metadata", f"humanparse={describing}"]
        with _through_ffmpeg(path, look, "gray", [], options, FORMATS[LABELS]) as write:
            yield write
    else:
        with _through_opencv(path, look, "FFV1") as write:
            yield write


def _sound(source: Path, container: str) -> tuple[list[str], list[str]]:
    """Inputs and options that keep the sound of a file, if it has any."""
    trial = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-t",
        "1",
        "-i",
        f"file:{source}",
        "-map",
        "0:a",
        "-c",
        "copy",
    ]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*trial, "-f", container, str(Path(folder, "sound"))], capture_output=True, check=False
        )
    codec = "aac" if done.returncode else "copy"
    return ["-i", f"file:{source}"], ["-map", "1:a?", "-c:a", codec]


class _Ffmpeg:
    """A running ffmpeg that takes frames on its standard input."""

    def __init__(self, arguments: Sequence[str], path: Path) -> None:
        self._path = path
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  # as long as ffmpeg
        # In a session of its own, Ctrl-C does not reach it: it would make a short file look whole.
        self._process = subprocess.Popen(
            ["ffmpeg", "-v", "error", "-y", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._complaints,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
        )
        assert self._process.stdin is not None
        self._input = self._process.stdin

    def write(self, frame: npt.NDArray[np.uint8]) -> None:
        try:
            self._input.write(np.ascontiguousarray(frame).data)
        except OSError as error:
            raise self._failure() from error

    def finish(self) -> None:
        """Wait until all is written."""
        try:
            self._input.close()
        except OSError as error:
            raise self._failure() from error
        if self._process.wait():
            raise self._failure()

    def stop(self) -> None:
        """End it, whatever it is at."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._input.close()
        self._complaints.close()

    def _failure(self) -> FormatError:
        status = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip()[-2000:]
        return FormatError(f"cannot write {self._path}: ffmpeg stopped with status {status}\n{said}")


@contextmanager
def _through_ffmpeg(
    path: Path, look: Look, pixels: str, inputs: Sequence[str], options: Sequence[str], container: str
) -> Generator[Write]:
    height, width = look.size
    frames = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{width}x{height}", "-r", str(look.rate)]
    try:
        with replacing(path) as part:
            arguments = [*frames, "-i", "pipe:0", *inputs, *options, "-f", container, f"file:{part}"]
            ffmpeg = _Ffmpeg(arguments, path)
            try:
                yield _checked(ffmpeg.write, look)
                ffmpeg.finish()
            finally:
                ffmpeg.stop()
    except OSError as error:
        raise FormatError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def _through_opencv(path: Path, look: Look, codec: str) -> Generator[Write]:
    height, width = look.size
    count = 0
    try:
        with replacing(path, f".part{path.suffix}") as part:
            kind = cv2.VideoWriter.fourcc(*codec)
            video = cv2.VideoWriter(str(part), kind, float(look.rate), (width, height), codec != "FFV1")
            if not video.isOpened():
                raise FormatError(
                    f"cannot write {path}: OpenCV has no {codec} here; install ffmpeg and have it on the PATH"
                )

            def write(frame: npt.NDArray[np.uint8]) -> None:
                nonlocal count
                count += 1
                video.write(np.ascontiguousarray(frame[..., ::-1] if frame.ndim == 3 else frame))

            try:
                yield _checked(write, look)
            finally:
                video.release()
            _refuse_torn(part, path, count)
    except OSError as error:
        raise FormatError(f"cannot write {path}: {error.strerror or error}") from error


def _refuse_torn(part: Path, path: Path, count: int) -> None:
    """See that what OpenCV wrote is whole: it says nothing of a full disk."""
    try:
        video = VideoReader(part)
    except ImageError as error:
        raise FormatError(f"cannot write {path}: what was written is no video; is the disk full?") from error
    video.close()
    if abs(video.announced - count) > 1:
        raise FormatError(
            f"cannot write {path}: {video.announced} of {count} frames are in it; free some disk"
        )


def _checked(write: Write, look: Look) -> Write:
    """`write`, refusing frames of another size: ffmpeg would cut them where they do not end."""

    def checked(frame: npt.NDArray[np.uint8]) -> None:
        if frame.shape[:2] != look.size:
            height, width = look.size
            raise FormatError(f"a frame is {frame.shape[1]}x{frame.shape[0]} in a video of {width}x{height}")
        write(frame)

    return checked
