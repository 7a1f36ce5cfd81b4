"""Parses many photos: reads ahead in threads, batches, and yields results in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, TypeAlias, TypeVar

from ..errors import DeviceError, ModelError, WeightsError
from ..ops.forks import check_process, settle_after_fork
from ..results import Parsing
from .lanes import lanes
from .pipeline import Pipeline
from .snapshots import Snapshot, check_several, snapshot

Read = TypeVar("Read")
Item = TypeVar("Item")
Outcomes: TypeAlias = "Generator[Parsing | Exception]"

Start: TypeAlias = "Callable[[list[Any]], Callable[[], Sequence[Parsing | Exception]]]"
"""Starts a batch of prepared photos, as `Pipeline.start` does."""

_ITERATOR = "this iterator over parsings"

_OF_ALL = (ModelError, WeightsError, DeviceError)
"""Errors of the model and its options; the next photo would meet them, too."""


def read_ahead(
    sources: Iterable[Any], read: Callable[[Any], Read], ahead: int
) -> Generator[Read | Exception]:
    """Yield the result of `read`, called in threads, for each source, or the exception that it raised.

    Sources are iterated in the caller's thread, at most `ahead` items early. If that raises an exception, it
    is raised here after the results before it.
    """
    settle_after_fork()
    waiting: deque[Future[Read]] = deque()
    remaining, process = iter(sources), os.getpid()
    ended: Exception | None = None
    threads = ThreadPoolExecutor(min(ahead, os.cpu_count() or 1), "humanparse-read")
    try:
        while True:
            check_process(process, _ITERATOR)
            while ended is None and len(waiting) < ahead:
                try:
                    waiting.append(threads.submit(read, next(remaining)))
                except Exception as error:  # StopIteration at their end
                    ended = error
            if waiting:
                outcome = _outcome(waiting.popleft())
                yield outcome
            elif isinstance(ended, StopIteration):
                return
            elif ended is not None:
                raise ended
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of `size`. The last list, or the one before an exception, may be shorter."""
    batch: list[Item] = []
    try:
        for item in items:
            batch.append(item)
            if len(batch) == size:
                yield batch
                batch = []
    except Exception:
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _outcome(future: Future[Read]) -> Read | Exception:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Exception):
        return error
    raise error  # KeyboardInterrupt and the like are not about a photo


def raising(outcomes: Outcomes) -> Generator[Parsing]:
    """The parsings up to the first exception, which is raised."""
    with closing(outcomes):  # close now: the exception's traceback would keep the reading threads alive
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
            yield outcome


def check_many(sources: Any, batch_size: int, ahead: int | None, on_error: str) -> None:
    """Check the arguments of `Parser.predict_many`."""
    check_several(sources)
    if batch_size < 1:
        raise ModelError(f"batch_size must be at least 1, not {batch_size}")
    if ahead is not None and ahead < 1:
        raise ModelError(f"ahead must be at least 1, not {ahead}")
    if on_error not in ("raise", "yield"):
        raise ModelError(f"on_error must be raise or yield, not {on_error!r}")


def parse_many(
    pipeline: Pipeline,
    sources: Iterable[Any],
    batch_size: int,
    keep_logits: bool,
    confidence: bool,
    *,
    ahead: int | None = None,
    tolerant: bool = False,
) -> Outcomes:
    """Yield a parsing of each photo, or the exception that reading it raised, in order.

    The arguments are those of `Parser.predict_many`. At most `ahead` photos are read before they are needed,
    beside those that are computed: two batches, or on a CPU a photo in each of the `lanes` and one more.

    Args:
        tolerant: whether an exception of the network is yielded in the place of the photo that caused it. The
            photos of the batch are then parsed one by one, to find that photo.
    """

    def prepared(source: Snapshot) -> Any:
        return pipeline.read(source.load)

    on_cpu = pipeline.device.type == "cpu"
    together = batch_size if pipeline.shares_passes and not on_cpu else 1
    start: Start = partial(pipeline.start, keep_logits=keep_logits, confidence=confidence)
    if tolerant:
        start = one_by_one_if_it_fails(start, _OF_ALL)
    started: deque[Callable[[], list[Parsing | Exception]]] = deque()
    failed: Exception | None = None  # the sources' own, raised after the photos before it
    process = os.getpid()
    with (
        closing(read_ahead(map(snapshot, sources), prepared, (ahead or batch_size) + together)) as read,
        _several(start, pipeline) as (begin, behind),
    ):
        remaining = batched(read, together)
        while failed is None:
            try:
                batch = next(remaining)
            except StopIteration:
                break
            except Exception as error:
                failed = error
            else:
                started.append(_started(begin, batch))
            if len(started) > behind:
                yield from started.popleft()()
                check_process(process, _ITERATOR)
        while started:
            yield from started.popleft()()
            check_process(process, _ITERATOR)
    if failed is not None:
        raise failed


@contextmanager
def _several(start: Start, pipeline: Pipeline) -> Iterator[tuple[Start, int]]:
    """How to start batches, and how many may be started when the oldest is awaited."""
    # A GPU computes while the next batch is prepared. A CPU computes batches in `lanes`.
    if pipeline.device.type != "cpu":
        yield start, int(pipeline.device.type == "cuda")
        return
    with lanes(pipeline) as (pool, count):
        yield lambda batch: pool.submit(lambda: start(batch)()).result, count


def _started(start: Start, batch: list[Any]) -> Callable[[], list[Parsing | Exception]]:
    photos = [one for one in batch if not isinstance(one, Exception)]
    try:
        parsings = start(photos)
    except Exception as error:  # raised in its place, after the outcomes before it
        parsings = partial(_fail, error)

    def outcomes() -> list[Parsing | Exception]:
        found = iter(parsings())
        return [one if isinstance(one, Exception) else next(found) for one in batch]

    return outcomes


def one_by_one_if_it_fails(start: Start, fatal: tuple[type[Exception], ...] = ()) -> Start:
    """Starts batches so that an exception, unless `fatal`, becomes the outcome of the photo that caused it.

    The photos of a batch that fails are parsed alone, to find that photo.
    """

    def started(batch: list[Any]) -> Callable[[], Sequence[Parsing | Exception]]:
        try:
            fetch = start(batch)
        except Exception as error:
            fetch = partial(_fail, error)

        def outcomes() -> Sequence[Parsing | Exception]:
            try:
                return fetch()
            except fatal:
                raise
            except Exception as error:
                if len(batch) == 1:
                    return [error]
                return [outcome for photo in batch for outcome in started([photo])()]

        return outcomes

    return started


def _fail(error: Exception) -> Sequence[Parsing | Exception]:
    raise error
