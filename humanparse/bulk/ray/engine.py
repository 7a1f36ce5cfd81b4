"""A run's batches, shared out among workers that may die, and brought back in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ...errors import BulkError
from ..items import Item, Outcome
from ..labeller import Labeller, Photo

_DEATHS = 3
"""So often a worker may die on the same inputs; and so many workers in a row may die before they can work."""

_LEAD = 64
"""Batches per worker that may be done while an earlier one is not; they wait for it in memory."""

_FAREWELL = 60.0
"""Seconds that workers have for finishing what they write when the run ends with an error."""

_PATIENCE = 1.0
"""Seconds between two looks at whether the run is to stop."""


@dataclass(eq=False)
class Load:
    """Inputs that go to a worker together.

    Attributes:
        position: of their batch in the run.
        items: the inputs.
        deaths: workers that died while they had it in hand.
    """

    position: int
    items: list[Item]
    deaths: int = 0


@dataclass
class Result:
    """What is known of a batch: its outcomes, and how many loads of it are still out."""

    outcomes: list[Outcome] = field(default_factory=list)
    out: int = 1


class Crew:
    """The workers of a run.

    Args:
        ray: connected.
        labeller: of this process; clears up after workers that died.
        hire: starts a worker.
        count: of workers.
        depth: loads that a worker has in hand.
    """

    def __init__(self, ray: Any, labeller: Labeller, hire: Callable[[], Any], count: int, depth: int) -> None:
        self._ray, self._labeller, self._hire = ray, labeller, hire
        self._count, self._depth = count, depth
        self._starting: dict[Any, Any] = {}  # what its loading will give -> worker
        self._in_hand: dict[Any, list[Load]] = {}  # worker -> its loads
        self._out: dict[Any, tuple[Any, Load]] = {}  # what a load will give -> its worker, the load
        self._again: deque[Load] = deque()  # loads that workers died on
        self._results: dict[int, Result] = {}
        self._died_early = 0

    def work(
        self, batches: Iterable[list[Item]], stopping: Callable[[], bool] = lambda: False
    ) -> Iterator[list[Outcome]]:
        """Have batches labelled.

        Args:
            batches: taken in the caller's thread, as they are needed.
            stopping: asked at least every second; True ends it after what is under way.

        Yields:
            What became of each batch, in order, once it is written.

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

    def _share_out(self, remaining: Iterable[tuple[int, list[Item]]]) -> bool:
        """Give work to workers that can take more; whether there is none left to give.

        What workers died on goes first, each load to a worker that has nothing else: so a further death
        blames no other.
        """
        for level in range(self._depth):
            for worker, loads in self._in_hand.items():
                if len(loads) != level or any(load.deaths for load in loads):
                    continue
                if self._again:
                    if not loads:
                        self._give(worker, self._again.popleft())
                elif len(self._results) < _LEAD * self._count:
                    batch = next(iter(remaining), None)
                    if batch is None:
                        return True
                    self._results[batch[0]] = Result()
                    self._give(worker, Load(*batch))
        return remaining == ()

    def _give(self, worker: Any, load: Load) -> None:
        self._in_hand[worker].append(load)
        self._out[worker.label.remote(load.items)] = (worker, load)

    def _start(self) -> None:
        worker = self._hire()
        self._starting[worker.load.remote()] = worker

    def _wait(self) -> None:
        """Take what workers have ready, if need be after a while."""
        ready, _ = self._ray.wait([*self._starting, *self._out], timeout=_PATIENCE)
        for given in ready:
            worker = self._starting[given] if given in self._starting else self._out[given][0]
            try:
                value = self._ray.get(given)
            except self._ray.exceptions.RayTaskError:  # a fault of ours, which another worker would have, too
                raise
            except self._ray.exceptions.RayError as error:
                self._died(given, worker, error)
                continue
            if given in self._starting:
                self._begun(given, value)
            else:
                self._returned(given, value)

    def _begun(self, given: Any, reason: str) -> None:
        if reason:
            raise BulkError(f"a worker cannot begin: {reason}")
        self._died_early = 0
        self._in_hand[self._starting.pop(given)] = []

    def _returned(self, given: Any, value: list[Outcome] | BulkError) -> None:
        worker, load = self._out.pop(given)
        if isinstance(value, BulkError):
            raise value
        if worker in self._in_hand:  # else it died after this
            self._in_hand[worker].remove(load)
        self._settle(load, value)

    def _settle(self, load: Load, outcomes: list[Outcome]) -> None:
        result = self._results[load.position]
        result.outcomes += outcomes
        result.out -= 1

    def _died(self, given: Any, worker: Any, error: Exception) -> None:
        """Replace a worker, and see to what it had in hand."""
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
            self._ray.kill(worker)  # in case that only the way to it broke
            self._start()
        _, load = self._out.pop(given)
        for item in load.items:
            self._labeller.remove_parts(item)
        load.deaths += 1
        if load.deaths < _DEATHS:
            self._again.append(load)
        elif len(load.items) > 1:
            self._results[load.position].out += len(load.items) - 1
            self._again.extend(Load(load.position, [item], _DEATHS - 1) for item in load.items)
        else:
            (item,) = load.items
            reason = (
                f"{item.found.place}: every worker that took it died; see whether its memory was too small"
            )
            fresh = item.state not in ("done", "failed")
            photo = Photo(item, None, reason)
            self._settle(load, [self._labeller.write(photo, reason)] if fresh else [])
