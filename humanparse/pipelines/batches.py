"""Many photos through one network: read ahead in threads, batched, given back in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..geometry import Frame
from ..image import load
from ..results import Parsing
from .semantic import Semantic

Read = TypeVar("Read")
Outcomes: TypeAlias = "Generator[Parsing | Exception]"


@dataclass(frozen=True)
class Fitted:
    """A photo as the network takes it: its frame, and float32 (3, h, w) on its device."""

    frame: Frame
    pixels: Tensor


def read_ahead(
    sources: Iterable[Any], read: Callable[[Any], Read], ahead: int
) -> Generator[Read | Exception]:
    """What `read` makes of each source, or the exception that it raised, in order.

    Args:
        sources: taken one by one, in the caller's thread, never more than `ahead` early.
        read: run in threads.
        ahead: how many may be read before they are asked for.
    """
    waiting: deque[Future[Read]] = deque()
    remaining = iter(sources)
    threads = ThreadPoolExecutor(min(ahead, os.cpu_count() or 1), "humanparse-read")
    try:
        while True:
            fresh = islice(remaining, ahead - len(waiting))
            waiting.extend(threads.submit(read, source) for source in fresh)
            if not waiting:
                return
            outcome = _outcome(waiting.popleft())
            yield outcome
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _outcome(future: Future[Read]) -> Read | Exception:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Exception):
        return error
    raise error  # KeyboardInterrupt and its like concern no photo


def parse_one_by_one(
    parse: Callable[[npt.NDArray[np.uint8]], Parsing], sources: Iterable[Any], ahead: int
) -> Outcomes:
    """As `parse_many`, for models whose photos cannot share a batch; up to `ahead` photos are held."""
    with closing(read_ahead(sources, load, ahead)) as photos:
        for photo in photos:
            yield photo if isinstance(photo, Exception) else parse(photo)


def raising(outcomes: Outcomes) -> Generator[Parsing]:
    """The parsings, up to the first exception, which is raised."""
    with closing(outcomes):  # at once: the exception's traceback would keep the reading threads alive
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome


def parse_many(
    pipeline: Semantic, sources: Iterable[Any], batch_size: int, keep_logits: bool, confidence: bool
) -> Outcomes:
    """A parsing of each photo, or the exception that reading it raised, in order.

    Photos whose inputs have the same size go through the network together. At most three batches of fitted
    photos are held at a time, and of photos themselves one for each thread.

    Args:
        pipeline: the network.
        sources: anything that `image.load` takes.
        batch_size: most photos that go through the network together.
        keep_logits, confidence: as for `Semantic`.
    """

    def fitted(source: Any) -> Fitted:
        photo = load(source)
        frame = Frame((photo.shape[0], photo.shape[1]), pipeline.input)
        return Fitted(frame, frame.fit(photo, pipeline.device))

    behind = _batches_behind(pipeline.device)
    started: deque[Callable[[], list[Parsing | Exception]]] = deque()
    with closing(read_ahead(sources, fitted, 2 * batch_size)) as read:
        while batch := list(islice(read, batch_size)):
            started.append(_started(pipeline, batch, keep_logits, confidence))
            if len(started) > behind:
                yield from started.popleft()()
        for outcomes in started:
            yield from outcomes()


def _batches_behind(device: torch.device) -> int:
    """How many batches are under way when one is fetched: CUDA computes while the next one is prepared."""
    return 1 if device.type == "cuda" else 0


def _started(
    pipeline: Semantic, batch: list[Fitted | Exception], keep_logits: bool, confidence: bool
) -> Callable[[], list[Parsing | Exception]]:
    alike: dict[tuple[int, int], dict[int, Fitted]] = {}
    for number, one in enumerate(batch):
        if not isinstance(one, Exception):
            alike.setdefault(one.frame.input_size, {})[number] = one
    coming = []
    for photos in alike.values():
        frames, pixels = zip(*((one.frame, one.pixels) for one in photos.values()), strict=True)
        parsings = pipeline.start(frames, torch.stack(pixels), keep_logits, confidence)
        coming.append((list(photos), parsings))
    failures = {number: one for number, one in enumerate(batch) if isinstance(one, Exception)}

    def outcomes() -> list[Parsing | Exception]:
        found: dict[int, Parsing | Exception] = {**failures}
        for numbers, parsings in coming:
            found.update(zip(numbers, parsings(), strict=True))
        return [found[number] for number in sorted(found)]

    return outcomes
