"""Reads, parses and writes at the same time, with a bounded number of batches in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from ..pipelines.lanes import lanes
from .items import JournalRow, Outcome
from .labeller import Labeller, Photo

_AHEAD = 2
"""Batches to read ahead of those in the network."""

_BEHIND = 2
"""Batches that may wait to be written."""


def default_workers() -> int:
    """Threads that read, and threads that write: as many as cores, at most eight."""
    return min(8, os.cpu_count() or 1)


def label_batches(
    labeller: Labeller,
    batches: Iterable[list[JournalRow]],
    workers: int,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[list[Outcome]]:
    """Label inputs batch by batch, and yield the outcomes of each batch once they are written.

    Each batch is computed in one of the `lanes` of the pipeline.

    Args:
        labeller: does the work.
        batches: read in the caller's thread, as they are needed. Inputs that are already done go through the
            network with their batch, so that its arithmetic does not depend on how often a run was stopped.
            They are not written again unless their bytes changed.
        workers: number of reading threads, and of writing threads.
        stopping: called before each batch; True ends the run after the batches in progress.

    Raises:
        BulkError: outputs cannot be written, or the network fails on everything.
    """
    with lanes(labeller.pipeline) as (network, count):
        remaining = iter(batches)
        readers = ThreadPoolExecutor(1 if labeller.source.in_order else workers, "humanparse-read")
        writers = ThreadPoolExecutor(workers, "humanparse-write")

        def parse(reading: list[Future[Photo]]) -> list[Future[Outcome]]:
            photos = [future.result() for future in reading]
            parsings = labeller.parse(photos)
            return [
                writers.submit(labeller.write, photo, parsing)
                for photo, parsing in zip(photos, parsings, strict=True)
                if not still_true(photo)
            ]

        parsing: deque[Future[list[Future[Outcome]]]] = deque()
        writing: deque[list[Future[Outcome]]] = deque()
        try:
            while True:
                for batch in islice(remaining, count + _AHEAD - len(parsing)):
                    reading = [readers.submit(labeller.read, item) for item in batch]
                    parsing.append(network.submit(parse, reading))
                    del reading  # else the last batch's photos stay in memory
                if not parsing or stopping():
                    break
                writing.append(parsing.popleft().result())
                if len(writing) > _BEHIND:
                    yield [future.result() for future in writing.popleft()]
            begun = [future for future in parsing if not future.cancel()]
            writing.extend(future.result() for future in begun)
            while writing:
                yield [future.result() for future in writing.popleft()]
        finally:
            readers.shutdown(wait=False, cancel_futures=True)  # lanes that wait for them end, too
            network.shutdown(wait=True, cancel_futures=True)
            writers.shutdown(wait=True, cancel_futures=True)


def still_true(photo: Photo) -> bool:
    """Whether an input was labelled before and has not changed."""
    if photo.item.state not in ("done", "failed"):
        return False
    return photo.content is None or photo.content.sha256 == photo.item.sha256
