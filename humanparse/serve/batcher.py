"""Batches requests that arrive at about the same time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from ..arrays import Picture
from ..parser import Parser
from ..pipelines.batches import one_by_one_if_it_fails
from ..results import Parsing


@dataclass(frozen=True, eq=False)
class _Job:
    photo: Picture
    people: Literal["detect"] | None
    answer: Future[Parsing] = field(default_factory=Future)


class Batcher:
    """One thread that parses waiting photos in batches.

    Args:
        parser: the model.
        together: most photos in a batch. With 1, a photo's labels equal those of `Parser.predict`; with more,
            the network rounds differently.
        wait: seconds that the first photo of a batch waits for others.
        done: called after each batch with its number of photos and the seconds it took.
    """

    def __init__(
        self, parser: Parser, together: int, wait: float, done: Callable[[int, float], None]
    ) -> None:
        self.parser = parser
        self._together = together
        self._wait = wait
        self._done = done
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._open = True
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"humanparse-{parser.spec.name}", daemon=True)
        self._thread.start()

    def submit(self, photo: Picture, detect: bool) -> Future[Parsing]:
        """Queue a photo, RGB uint8 (H, W, 3), that must not change any more; cancel the future to remove it.

        Raises:
            RuntimeError: after `close`.
        """
        job = _Job(photo, "detect" if detect else None)
        with self._lock:
            if not self._open:
                raise RuntimeError("the batcher is closed")
            self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        """Accept no more photos; return when the queued ones are finished."""
        with self._lock:
            if self._open:
                self._open = False
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        going_on = True
        while going_on:
            batch, going_on = self._collect()
            batch = [job for job in batch if job.answer.set_running_or_notify_cancel()]
            if batch:
                start = time.monotonic()
                self._parse(batch)
                self._done(len(batch), time.monotonic() - start)

    def _collect(self) -> tuple[list[_Job], bool]:
        """The jobs of the next batch, and whether more may follow."""
        job = self._jobs.get()
        batch: list[_Job] = []
        end = time.monotonic() + self._wait
        while job is not None:
            batch.append(job)
            if len(batch) == self._together:
                return batch, True
            try:
                job = self._jobs.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                return batch, True
        return batch, False

    def _parse(self, batch: list[_Job]) -> None:
        for people in (None, "detect"):
            jobs = [job for job in batch if job.people == people]
            if not jobs:
                continue
            start = one_by_one_if_it_fails(partial(self._started, people))
            for job, outcome in zip(jobs, start([job.photo for job in jobs])(), strict=True):
                if isinstance(outcome, Exception):
                    job.answer.set_exception(outcome)  # raised again for the caller
                else:
                    job.answer.set_result(outcome)

    def _started(
        self, people: Literal["detect"] | None, photos: list[Picture]
    ) -> Callable[[], Sequence[Parsing]]:
        return partial(self.parser.pipeline_for(people).parse_batch, photos)
