"""One process of a cluster that labels batches of a run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from ...errors import BulkError, HumanParseError
from ...options import ParserOptions
from ..items import JournalRow, Outcome, Source
from ..labeller import Labeller
from ..pipeline import still_true
from ..settings import Settings, revision_of, weights_hashes


@dataclass(frozen=True)
class Task:
    """What a worker must know about a run.

    Attributes:
        model: the model, with the device, precision and runtime of the process that started the run.
        weights: role -> sha256 of that process's file; and the model's revision, see `revision_of`.
        source: where inputs are read.
        settings: what is written.
        dest: path or address of the folder of the outputs.
        state: folder of the run's own files in it; None if workers cannot reach it.
        folder: working folder, where relative paths begin.
        threads: threads of the network on a CPU.
        files: number of reading threads, and of writing threads.
    """

    model: ParserOptions
    weights: dict[str, str]
    source: Source
    settings: Settings
    dest: str | Path
    state: Path | None
    folder: Path
    threads: int
    files: int

    @property
    def depth(self) -> int:
        """Batches that a worker holds: one being read, one in the network, one being written."""
        return 1 if self.source.in_order else 3


class Worker:
    """Labels batches. Calls may overlap; the network takes one batch after the other.

    Args:
        task: the run.
    """

    def __init__(self, task: Task) -> None:
        settle(task.folder, task.threads)
        self._task = task
        self._labeller: Labeller | None = None
        self._network = Lock()
        self._files = ThreadPoolExecutor(1 if task.source.in_order else task.files)
        self._writers = ThreadPoolExecutor(task.files)

    def load(self) -> str:
        """Load the model. Returns "", or why it cannot be loaded on this machine."""
        from ...parser import Parser

        task = self._task
        try:
            parser = Parser.of(task.model, progress=False)
            if {**weights_hashes(parser), **revision_of(parser)} != task.weights:
                return f"{parser.spec.name}: the weights here are others than where the run was begun"
            self._labeller = Labeller(parser, task.source, task.settings, task.dest, task.state)
        except HumanParseError as error:
            return str(error)
        return ""

    def label(self, batch: Sequence[JournalRow]) -> list[Outcome] | BulkError:
        """The outcomes of a batch, once it is written; or an error that ends the run."""
        labeller = self._labeller
        assert labeller is not None
        try:
            photos = list(self._files.map(labeller.read, batch))
            with self._network:
                parsings = labeller.parse(photos)
            pairs = [pair for pair in zip(photos, parsings, strict=True) if not still_true(pair[0])]
            return list(self._writers.map(labeller.write, *zip(*pairs, strict=True))) if pairs else []
        except BulkError as error:
            return BulkError(str(error))  # without its cause


def settle(folder: Path, threads: int) -> None:
    """Give this worker process the working folder and the threads of the process that started the run."""
    import torch

    with suppress(OSError):  # another machine may lack it, but then all paths are absolute
        os.chdir(folder)
    torch.set_num_threads(threads)
