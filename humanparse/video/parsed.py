"""`ParsedVideo`: the frames of a video with their labels, and both as videos again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np

from .. import render
from ..durable import explained, replacing_folder
from ..errors import FormatError, ModelError
from ..pipelines.pipeline import Pipeline
from ..pipelines.semantic import Semantic
from ..schemes import LabelScheme
from .frames import VideoFrame, parse_alone, parse_together
from .reading import VideoReader
from .smoothing import Smooth as Smooth
from .smoothing import make_smoother
from .writing import VideoFormat, check_target, encoding, encoding_labels

PathLike = str | os.PathLike[str]
Each = Callable[[VideoFrame], None]
"""Called with each frame once it is parsed."""


def parse_video(
    path: PathLike,
    pipeline: Pipeline,
    scheme: LabelScheme,
    model: str,
    every: int,
    smooth: Smooth | None,
    strength: float | None,
    batch_size: int,
    confidence: bool,
) -> ParsedVideo:
    """Open a video for `Parser.predict_video`.

    Raises:
        ImageError: the file is not a readable video.
        ModelError: an option has a wrong value.
    """
    if every < 1 or batch_size < 1:
        raise ModelError(f"every and batch_size must be at least 1, not {every} and {batch_size}")
    if smooth is None and strength is not None:
        raise ModelError('strength needs smoothing: add smooth="exponential" or smooth="flow"')
    smoother = None if smooth is None else make_smoother(smooth, strength)
    if smoother is not None and not isinstance(pipeline, Semantic):
        raise ModelError(f"{model} finds people in each frame by itself: leave smooth out")
    video = VideoReader(path)
    if isinstance(pipeline, Semantic):
        frames = parse_together(video, every, pipeline, smoother, batch_size, confidence)
    else:
        frames = parse_alone(video, every, pipeline, confidence)
    return ParsedVideo(frames, video, every, scheme, model)


class ParsedVideo(Iterator[VideoFrame]):
    """An iterator over the frames of a video, each parsed when it is requested.

    Attributes:
        path: the video's file.
        expected: about how many frames there will be; 0 if the file does not say.
        scheme: the label scheme.
        model: name of the model.

    Examples:
        >>> from humanparse import Parser
        >>> video = Parser().predict_video("clip.mp4", every=2)
        >>> video.save("overlay.mp4", labels="labels.mkv")
        1
    """

    def __init__(
        self, frames: Generator[VideoFrame], video: VideoReader, every: int, scheme: LabelScheme, model: str
    ) -> None:
        self._frames = frames
        self._video = video
        self._format = VideoFormat(video.size, video.rate / every, video.pixel_aspect, video.tick)
        self.path = video.path
        self.expected = -(-video.announced // every)
        self.scheme, self.model = scheme, model

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of a frame in pixels."""
        return self._format.size

    @property
    def rate(self) -> Fraction:
        """Parsed frames per second by the video's header; `VideoFrame.seconds` has the exact times."""
        return self._format.rate

    def __next__(self) -> VideoFrame:
        return next(self._frames)

    def close(self) -> None:
        """Stop, and close the file."""
        self._frames.close()

    def save(
        self, overlay: PathLike | None = None, *, labels: PathLike | None = None, each: Each | None = None
    ) -> int:
        """Parse the remaining frames and write them as a video, as labels or both.

        Videos keep the size and the timestamps of their source, whether its rate is constant or not; each
        frame is shown until the next parsed one. The overlay is H.264 with the sound of its source. Files
        appear under their names once all frames are written.

        Args:
            overlay: path of a video of the frames with their parts tinted: `.mp4`, `.m4v`, `.mov` or `.mkv`.
            labels: an `.mkv` path for a lossless video, one grey byte per pixel; or a new folder for one PNG
                per frame, named by its number: `000000.png` and so on.
            each: called with every frame once it is written.

        Returns:
            The number of frames written.

        Raises:
            FormatError: an unknown suffix, a file that cannot be written, or timestamps or sound that
                cannot be kept.
            ImageError: a frame cannot be read; then nothing is written.
        """
        film, maps = (None if path is None else Path(path) for path in (overlay, labels))
        try:
            self._check(film, maps)
            return self._save(film, maps, each)
        finally:
            self.close()

    def _check(self, film: Path | None, maps: Path | None) -> None:
        """Raise an error now if the files cannot be written."""
        if film is None and maps is None:
            raise FormatError("say what to write: overlay=PATH, labels=PATH or both")
        if film is not None:
            check_target(film, labels=False)
        if maps is not None and not _is_folder(maps):
            check_target(maps, labels=True)
        elif maps is not None:
            if maps.exists() and (not maps.is_dir() or any(maps.iterdir())):
                raise FormatError(f"{maps} already exists; name a new folder for the labels, or empty it")
            if not maps.absolute().parent.is_dir():
                raise FormatError(f"cannot write {maps}: there is no folder {maps.parent}; make it first")
        taken = [self.path, *(path for path in (film, maps) if path is not None)]
        if len({path.resolve() for path in taken}) < len(taken):
            raise FormatError("the video, its overlay and its labels need different names")

    def _save(self, film: Path | None, maps: Path | None, each: Each | None) -> int:
        count = 0
        with ExitStack() as files:
            writers = []
            if film is not None:
                writers.append(files.enter_context(self._film(film)))
            if maps is not None:
                writers.append(files.enter_context(_pngs(maps) if _is_folder(maps) else self._maps(maps)))
            if each is not None:
                writers.append(each)
            for frame in self:
                for write in writers:
                    write(frame)
                count += 1
        return count

    @contextmanager
    def _film(self, path: Path) -> Generator[Each]:
        with encoding(path, self._format, self.path) as film:

            def write(frame: VideoFrame) -> None:
                parsing = frame.parsing
                tinted = render.overlay(frame.image, parsing.labels, parsing.scheme, people=parsing.people)
                film.add(np.asarray(tinted), frame.seconds)

            yield write
            film.end = self._video.end

    @contextmanager
    def _maps(self, path: Path) -> Generator[Each]:
        about = {"scheme": self.scheme.key, "names": self.scheme.names, "model": self.model}
        with encoding_labels(path, self._format, json.dumps(about)) as film:
            yield lambda frame: film.add(frame.parsing.labels, frame.seconds)
            film.end = self._video.end


@contextmanager
def _pngs(folder: Path) -> Generator[Each]:
    with explained(folder), replacing_folder(folder) as part:

        def write(frame: VideoFrame) -> None:
            frame.parsing.save(part / f"{frame.number:06d}.png")

        yield write


def _is_folder(path: Path) -> bool:
    return path.is_dir() or not path.suffix
