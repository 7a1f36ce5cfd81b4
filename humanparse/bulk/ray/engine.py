"""A run's batches, shared out among workers that may die, and brought back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...errors import BulkError
from ...messages import shorten
from ..items import JournalRow, Outcome
from ..labeller import Labeller, Photo

_DEATHS = 3
"""How many workers may die on the same inputs, and how many in a row may die while starting."""

_LEAD = 64
"""Batches per worker that may be finished out of order; they wait in memory for the earlier ones."""

_FAREWELL = 60.0
"""Seconds that workers get to finish writing when the run ends with an error."""

_PATIENCE = 1.0
"""Seconds between two checks whether the run should stop."""


@dataclass(eq=False)
class Chunk:
    """Inputs that are sent to a worker together.

    Attributes:
        position: number of their batch in the run.
        items: the inputs.
        deaths: how many workers died while working on it.
    """

    position: int
    items: list[JournalRow]
    deaths: int = 0


@dataclass
class Result:
    """The outcomes of a batch so far, and how many of its chunks are not back yet."""

    outcomes: list[Outcome] = field(default_factory=list)
    out: int = 1


class WorkerPool:
    """The workers of a run.

    Args:
        ray: the module, connected.
        labeller: this process's; removes half-written files of dead workers.
        hire: starts a worker.
        count: number of workers.
        depth: number of chunks that a worker holds at a time.
    """

    def __init__(self, ray: Any, labeller: Labeller, hire: Callable[[], Any], count: int, depth: int) -> None:
        self._ray, self._labeller, self._hire = ray, labeller, hire
        self._count, self._depth = count, depth
        self._starting: dict[Any, Any] = {}  # reference to the result of loading -> worker
        self._in_hand: dict[Any, list[Chunk]] = {}  # worker -> its chunks
        self._out: dict[Any, tuple[Any, Chunk]] = {}  # reference to a chunk's result -> its worker, the chunk
        self._again: deque[Chunk] = deque()  # chunks that workers died on
        self._results: dict[int, Result] = {}
        self._died_early = 0

    def work(
        self, batches: Iterable[list[JournalRow]], stopping: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Outcome]]:
        """Label batches.

        Args:
            batches: read in the caller's thread, as they are needed.
            stopping: called at least every second; True ends the work after the chunks in progress.

        Yields:
            The outcomes of each batch, in order, once they are written.

        Raises:
            BulkError: outputs cannot be written, the network fails on everything, or no worker can begin.
        """
        remaining, following = enumerate(batches), 0
        try:
            for _ in range(self._count):
                self._start()
            while True:
                through = self._share_out(() if stopping() else remaining)
                if through and not self._results:
                    return
                self._wait()
                while following in self._results and not self._results[following].out:
                    yield self._results.pop(following).outcomes
                    following += 1
        except BulkError:
            if self._out:
                self._ray.wait(list(self._out), num_returns=len(self._out), timeout=_FAREWELL)
            raise
        finally:
            for worker in [*self._starting.values(), *self._in_hand]:
                self._ray.kill(worker)

    def _share_out(self, remaining: Iterable[tuple[int, list[JournalRow]]]) -> bool:
        """Give chunks to workers that can take more. Returns whether no work is left to give.

        Chunks that a worker died on go first, each to an idle worker, so that another death can only be
        blamed on that chunk.
        """
        for level in range(self._depth):
            for worker, chunks in self._in_hand.items():
                if len(chunks) != level or any(chunk.deaths for chunk in chunks):
                    continue
                if self._again:
                    if not chunks:
                        self._give(worker, self._again.popleft())
                elif len(self._results) < _LEAD * self._count:
                    batch = next(iter(remaining), None)
                    if batch is None:
                        return True
                    self._results[batch[0]] = Result()
                    self._give(worker, Chunk(*batch))
        return remaining == ()

    def _give(self, worker: Any, chunk: Chunk) -> None:
        self._in_hand[worker].append(chunk)
        self._out[worker.label.remote(chunk.items)] = (worker, chunk)

    def _start(self) -> None:
        worker = self._hire()
        self._starting[worker.load.remote()] = worker

    def _wait(self) -> None:
        """Take results that are ready; waits at most `_PATIENCE` seconds for one."""
        ready, _ = self._ray.wait([*self._starting, *self._out], timeout=_PATIENCE)
        for given in ready:
            worker = self._starting[given] if given in self._starting else self._out[given][0]
            try:
                value = self._ray.get(given)
            except self._ray.exceptions.RayTaskError as error:
                self._refuse_full(error.cause)
                raise  # a bug of ours; another worker would fail, too
            except self._ray.exceptions.RayError as error:
                self._refuse_full(error)
                self._died(given, worker, error)
                continue
            if given in self._starting:
                self._begun(given, value)
            else:
                self._returned(given, value)

    def _refuse_full(self, error: Any) -> None:
        """End the run if there is no room for a result; another worker's would have none either."""
        known = self._ray.exceptions
        if isinstance(error, known.ObjectStoreFullError | known.OutOfDiskError):
            raise BulkError(
                f"Ray's object store and the disk that it spills to are full ({shorten(str(error))}); free "
                "what else is kept there, or give nodes more of both, and resume with `resume=True`"
            ) from error

    def _begun(self, given: Any, reason: str) -> None:
        if reason:
            raise BulkError(f"a worker cannot begin: {reason}")
        self._died_early = 0
        self._in_hand[self._starting.pop(given)] = []

    def _returned(self, given: Any, value: list[Outcome] | BulkError) -> None:
        worker, chunk = self._out.pop(given)
        if isinstance(value, BulkError):
            raise value
        if worker in self._in_hand:  # else it died after this
            self._in_hand[worker].remove(chunk)
        self._settle(chunk, value)

    def _settle(self, chunk: Chunk, outcomes: list[Outcome]) -> None:
        result = self._results[chunk.position]
        result.outcomes += outcomes
        result.out -= 1

    def _died(self, given: Any, worker: Any, error: Exception) -> None:
        """Replace a worker, and requeue or fail what it was working on."""
        if self._starting.pop(given, None) is not None:
            self._died_early += 1
            if self._died_early >= _DEATHS:
                raise BulkError(
                    "workers die before they can begin; see that this version of humanparse is installed on "
                    f"all machines and a model fits into their memory, and resume with `resume=True`\n{error}"
                ) from error
            self._start()
            return
        if self._in_hand.pop(worker, None) is not None:
            self._ray.kill(worker)  # in case only the connection to it broke
            self._start()
        _, chunk = self._out.pop(given)
        for item in chunk.items:
            self._labeller.remove_parts(item)
        chunk.deaths += 1
        if chunk.deaths < _DEATHS:
            self._again.append(chunk)
        elif len(chunk.items) > 1:
            self._results[chunk.position].out += len(chunk.items) - 1
            self._again.extend(Chunk(chunk.position, [item], _DEATHS - 1) for item in chunk.items)
        else:
            (item,) = chunk.items
            reason = (
                f"{item.found.place}: every worker that took it died; see whether its memory was too small"
            )
            fresh = item.state not in ("done", "failed")
            photo = Photo(item, None, reason)
            self._settle(chunk, [self._labeller.write(photo, reason)] if fresh else [])
