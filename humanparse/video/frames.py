"""The frames of a video and their labels, one after the other, in bounded memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from ..arrays import Picture
from ..ops.forks import check_process, settle_after_fork
from ..pipelines.batches import batched
from ..pipelines.pipeline import Pipeline
from ..pipelines.semantic import Fitted, Semantic
from ..results import Parsing
from .reading import VideoReader
from .smoothing import Smoother, grey

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """A frame and its labels.

    Attributes:
        number: its position in the video, from 0.
        seconds: the time at which it is shown, by the video's own timestamps.
        image: RGB uint8 (H, W, 3), upright.
        parsing: its labels. If people are found, they are numbered from 1 in each frame; a number does not
            follow a person through the video.

    Examples:
        >>> from humanparse import Parser
        >>> for frame in Parser().predict_video("clip.mp4"):
        ...     print(frame.number, frame.parsing.size)
        0 (64, 48)
        1 (64, 48)
    """

    number: int
    seconds: float
    image: Picture
    parsing: Parsing

    def __repr__(self) -> str:
        return f"VideoFrame({self.number}, {self.seconds:.3f} s, {self.parsing!r})"


Shot = tuple[int, float, Picture]
"""Number, time and pixels of a frame that is not parsed yet."""


def parse_alone(
    video: VideoReader, every: int, pipeline: Pipeline, confidence: bool
) -> Generator[VideoFrame]:
    """Parse every n-th frame by itself."""
    with closing(_ahead(_shots(video, every), 2)) as shots:
        for number, seconds, image in shots:
            (parsing,) = pipeline.parse_batch([image], confidence=confidence)
            yield VideoFrame(number, seconds, image, parsing)


def parse_together(
    video: VideoReader,
    every: int,
    pipeline: Semantic,
    smoother: Smoother | None,
    batch_size: int,
    confidence: bool,
) -> Generator[VideoFrame]:
    """Parse every n-th frame, in batches through one network; at most two batches of frames are held.

    Raises:
        ImageError: a frame cannot be read; the frames before it have been yielded.
    """

    def smoothed(logits: Tensor, pixels: Tensor) -> Tensor:
        return logits if smoother is None else smoother(logits, grey(pixels, pipeline.input))

    def prepared() -> Iterator[tuple[Shot, Fitted]]:
        for shot in _shots(video, every):
            yield shot, pipeline.prepare(shot[2])

    with closing(_ahead(prepared(), batch_size)) as found:
        for batch in batched(found, batch_size):
            shots, fitted = zip(*batch, strict=True)
            change = None if smoother is None else smoothed
            parsings = pipeline.start(fitted, False, confidence, change)()
            for (number, seconds, image), parsing in zip(shots, parsings, strict=True):
                yield VideoFrame(number, seconds, image, parsing)


def _shots(video: VideoReader, every: int) -> Iterator[Shot]:
    with closing(video):
        while True:
            number = video.position
            image = video.read()
            if image is None:
                return
            yield number, video.seconds, image
            if not all(video.skip() for _ in range(every - 1)):
                return


def _ahead(items: Iterator[Item], depth: int) -> Generator[Item]:
    """Yield the items; a thread fetches them, at most `depth` early. An exception is raised at its place."""
    settle_after_fork()
    process = os.getpid()
    thread = ThreadPoolExecutor(1, "humanparse-video")
    waiting: deque[Future[Item | None]] = deque(thread.submit(next, items, None) for _ in range(depth))
    try:
        while (item := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, items, None))
            yield item
            check_process(process, "this video")
    finally:
        thread.shutdown(wait=True, cancel_futures=True)
        items.close()  # type: ignore[attr-defined]
