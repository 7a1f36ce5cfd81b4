"""Divides work among processes of this machine, each of which loads the model."""

from __future__ import annotations

import pickle
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ..errors import BulkError
from ..messages import said
from ..options import ParserOptions
from .items import JournalRow, Outcome, Source
from .labeller import Labeller
from .pipeline import default_workers, label_batches
from .settings import Settings

if TYPE_CHECKING:
    from .job import Engine, Job, RunOptions

Item = TypeVar("Item")
Result = TypeVar("Result")
Work: TypeAlias = "Callable[[Iterable[Item]], Iterator[Result]]"
"""Takes items as it needs them, in its own thread, and yields the result of each, in order."""

_LEAD = 64
"""Items per process that may be finished out of order; their results wait for the earlier ones."""

_FAREWELL = 60.0
"""Seconds that a process gets to finish the files that it is writing, before it is killed."""


@dataclass(frozen=True)
class Processes:
    """Runs `label` in several processes: `bulk.label(source, dest, engine=bulk.Processes(4))`.

    Journal and lock stay with the process that calls `label`. Each of the others loads the model, and reads,
    parses and writes batches of inputs. They share torch's threads, and the threads that read and write. If
    several threads compute a batch, on more than eight cores, their number affects how float sums are
    rounded, and a few labels at borders may differ from those of one process.

    Processes are spawned, so the calling program must guard its main part with
    `if __name__ == "__main__":`.

    Attributes:
        count: number of processes, at least 1. Each holds the model in memory.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise BulkError(f"`processes` must be at least 1, not {self.count}")

    def __call__(self, job: Job, labeller: Labeller, options: RunOptions) -> Engine:
        """The engine of one run."""
        parser = labeller.parser
        model = replace(
            job.model, device=str(parser.device), precision=parser.precision, runtime=parser.runtime
        )
        files = max(1, (options.workers or default_workers()) // self.count)
        place = (labeller.source, labeller.settings, job.dest, labeller.state)
        start = partial(_labelling, model, *place, files)
        return lambda batches: spread(start, batches, self.count, "resume with `resume=True`")


def _labelling(
    model: ParserOptions, source: Source, settings: Settings, dest: str | Path, state: Path | None, files: int
) -> Work[list[JournalRow], list[Outcome]]:
    from ..parser import Parser

    labeller = Labeller(Parser.of(model, progress=False), source, settings, dest, state)
    return partial(label_batches, labeller, workers=files)


@dataclass(eq=False)
class _Worker:
    """A process, as the one that started it sees it.

    Attributes:
        process, pipe: the process, and the connection to it.
        in_hand: positions of the items that it holds, in order.
        told: whether it was told that there are no more items.
    """

    process: BaseProcess
    pipe: Connection
    in_hand: deque[int] = field(default_factory=deque)
    told: bool = False


def spread(
    start: Callable[[], Work[Item, Result]], items: Iterable[Item], count: int, advice: str = ""
) -> Generator[Result]:
    """Divide items among processes.

    Args:
        start: pickled, and called in each process; returns the function that does the work there.
        items: taken in the caller's thread when a process asks for one.
        count: number of processes.
        advice: added to the message about a process that died.

    Yields:
        The result of each item, in the order of the items.

    Raises:
        BulkError: a process died.
        Exception: an exception of the work, with its traceback in the process as a note.
    """
    import torch

    context, workers = get_context("spawn"), list[_Worker]()
    threads = max(1, torch.get_num_threads() // count)
    through = False
    try:
        with _deaf_to_ctrl_c():  # new processes stay so; this one decides when to stop
            for _ in range(count):
                ours, theirs = context.Pipe()
                process = context.Process(target=_worker, args=(theirs, start, threads), daemon=True)
                process.start()
                workers.append(_Worker(process, ours))
                theirs.close()
        yield from _shared_out(workers, enumerate(items), advice)
        through = True
    finally:
        for worker in workers:
            if not through and worker.process.is_alive():
                worker.process.terminate()
        for worker in workers:
            worker.process.join(_FAREWELL)
            worker.process.kill()
            worker.pipe.close()


def _shared_out(workers: list[_Worker], items: Iterator[tuple[int, Item]], advice: str) -> Generator[Any]:
    """Answer the workers that ask for items, and yield results in order."""
    pipes: dict[Any, _Worker] = {worker.pipe: worker for worker in workers}
    asking: list[_Worker] = []
    results: dict[int, Any] = {}
    given = following = 0
    while pipes:
        for pipe in wait(list(pipes)):
            worker = pipes[pipe]
            try:
                kind, value = worker.pipe.recv()
            except (EOFError, OSError) as error:
                del pipes[pipe]
                if worker.in_hand or not worker.told:
                    raise _died(worker, len(workers), advice) from error
                continue
            if kind == "more":
                asking.append(worker)
            elif kind == "result":
                results[worker.in_hand.popleft()] = value
            else:
                raise value
        while following in results:
            yield results.pop(following)
            following += 1
        for worker in asking.copy():
            if given - following >= _LEAD * len(workers) and following not in worker.in_hand:
                continue  # too far ahead of the worker with the next result
            asking.remove(worker)
            position, item = next(items, (given, None))
            worker.told = item is None
            if item is not None:
                worker.in_hand.append(position)
                given += 1
            try:
                worker.pipe.send(item)
            except OSError as error:
                raise _died(worker, len(workers), advice) from error


def _died(worker: _Worker, count: int, advice: str) -> BulkError:
    worker.process.join(_FAREWELL)
    code = worker.process.exitcode or 0
    how = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}"
    return BulkError(
        f"one of {count} processes {how}; see whether there is memory for so many, take fewer `processes`"
        + (advice and f", and {advice}")
    )


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Starter:
    """The process that started this one; if it is gone, this one ends."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def tell(self, kind: str, value: Any = None) -> None:
        try:
            self._pipe.send((kind, value))
        except OSError as error:
            raise SystemExit from error

    def items(self) -> Iterator[Any]:
        while True:
            self.tell("more")
            try:
                item = self._pipe.recv()
            except (EOFError, OSError) as error:
                raise SystemExit from error
            if item is None:
                return
            yield item


def _worker(pipe: Connection, start: Callable[[], Work[Any, Any]], threads: int) -> None:
    """The main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the work as Ctrl-C would
    starter = _Starter(pipe)
    with suppress(KeyboardInterrupt):
        try:
            import torch

            torch.set_num_threads(threads)
            for result in start()(starter.items()):
                starter.tell("result", portable(result) if isinstance(result, Exception) else result)
        except Exception as error:
            starter.tell("error", portable(error))


def portable(error: Exception) -> Exception:
    """An exception that can travel to another process, with its traceback as a note (Python 3.11)."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its class cannot be made again from its arguments
        error = RuntimeError(said(error)).with_traceback(error.__traceback__)
    if sys.version_info >= (3, 11):
        error.add_note("".join(traceback.format_exception(error)))
    return error
