"""`label`: a run over many inputs that can be stopped or killed, and resumed."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from ..addresses import printable
from ..errors import BulkError, StorageError
from ..options import ParserOptions
from ..registry import DEFAULT
from ..remote import is_remote
from ..suffixes import told
from .destination import Destination, Shard, check_done
from .handover import Handover
from .intake import Intake
from .items import JournalRow, Listing, Outcome, Source
from .journal import Counts, Journal
from .labeller import SPOOL, Labeller
from .objects import ObjectSource
from .packs import Packs, import_pyarrow
from .pipeline import default_workers, label_batches
from .settings import Settings, described
from .sources import STDIN, open_source
from .stores import FolderStore, open_store
from .video import VideoSource
from .writers import PACKED


@dataclass(frozen=True)
class Progress:
    """The progress of a run.

    Attributes:
        counts: number of inputs in each state.
        fresh: inputs labelled or failed since this run started.
        seconds: time since this run started.
    """

    counts: Counts
    fresh: int
    seconds: float

    @property
    def rate(self) -> float:
        """Inputs per second."""
        return self.fresh / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Summary:
    """The result of a run.

    Attributes:
        counts: number of inputs in each state, those of earlier runs included.
        fresh: inputs labelled or failed in this run.
        seconds: duration, without loading the model and listing the inputs.
        stopped: whether it was stopped before its end.
        left_out: number of picture-like files that were not labelled, by suffix for unsupported kinds, by
            reason for others.
    """

    counts: Counts
    fresh: int
    seconds: float
    stopped: bool
    left_out: Mapping[str, int] = field(default_factory=dict)


Engine = Callable[[Iterable[list[JournalRow]]], Iterator[list[Outcome]]]
"""Takes batches of inputs; yields the outcomes of each batch once they are written."""


@dataclass(frozen=True)
class Job:
    """Everything that defines the outputs of a run.

    Attributes:
        source: the inputs.
        described: the source's description in the journal.
        dest: path or address of the folder of the outputs.
        model: the model.
        settings: what is written.
        shard: (number from 1, count): only this part of the inputs.
    """

    source: Source
    described: dict[str, Any]
    dest: str | Path
    model: ParserOptions
    settings: Settings
    shard: Shard | None = None

    def __post_init__(self) -> None:
        if self.shard is not None and not 1 <= self.shard[0] <= self.shard[1]:
            raise BulkError(f"`shard` takes i/n as (i, n), with i from 1 to n, not {self.shard}")

    def listing(self, begun: bool = False) -> Iterator[Listing]:
        """The inputs of this shard. An input's shard depends only on its own name, not on other inputs.

        Args:
            begun: whether an earlier run had inputs.

        Raises:
            BulkError: there are no inputs, now or before.
        """
        empty = not begun
        for found in self.source.listing():
            empty = False
            name = zlib.crc32(found.place.encode("utf-8", "surrogateescape"))
            if self.shard is None or name % self.shard[1] == self.shard[0] - 1:
                yield found
        if empty:
            others = told(self.source.left_out())
            where = self.described["source"]
            source = "standard input" if Path(where).name == STDIN else where
            raise BulkError(f"{source}: no pictures in it{others and f'; left out: {others}'}")


@dataclass(frozen=True)
class RunOptions:
    """How a run is done. Nothing here changes an output.

    Attributes:
        resume: continue the run that is in the destination.
        restart: delete the outputs of an earlier run and start over.
        retry_failed: when resuming, also retry inputs that failed.
        workers: number of reading threads, and of writing threads; None: one per core, at most eight.
        progress: called after each batch.
        stopping: called before each batch; if it returns True, the run ends after the batches in progress.
        loading: called with the parser once it is loaded.
        journal: file of the journal, on a disk of this machine; None: beside outputs on a disk, else in
            humanparse's own folder.
        telling: called with messages for the user, such as why a run waits.
    """

    resume: bool = False
    restart: bool = False
    retry_failed: bool = False
    workers: int | None = None
    progress: Callable[[Progress], None] = lambda progress: None
    stopping: Callable[[], bool] = lambda: False
    loading: Callable[[Any], None] = lambda parser: None
    journal: Path | None = None
    telling: Callable[[str], None] = lambda line: None


StartEngine = Callable[[Job, Labeller, RunOptions], Engine]
"""Makes the engine of a run, from the model in this process."""


def label(
    source: str | Path,
    dest: str | Path,
    *,
    model: str | ParserOptions = DEFAULT,
    settings: Settings | None = None,
    options: RunOptions | None = None,
    every: int = 1,
    column: str | None = None,
    member: str | None = None,
    keep_suffix: bool = False,
    shard: Shard | None = None,
    engine: StartEngine | None = None,
) -> Summary:
    """Label a data set.

    Outputs mirror the source's folders in `dest`. A file appears under its name only when it is whole. `dest`
    keeps a journal: `options=RunOptions(resume=True)` resumes a run that was stopped or killed, and the
    outputs have the same bytes as those of an uninterrupted run.

    Args:
        source: a folder, a glob, a list of paths or URLs (`.txt`, `.csv`, `.tsv`, `.parquet`; `-` is one on
            standard input), a WebDataset tar or a glob of such, or a video. All may be in remote storage,
            such as `s3://bucket/photos`; see `humanparse.remote`. A video there is copied to a folder beside
            the journal until the run ends.
        dest: folder of the outputs, which is made if it does not exist; or its address in remote storage,
            such as `s3://bucket/labels`. Then the journal is kept on a disk of this machine, and a copy of it
            beside the outputs, so that another machine can resume the run.
        model: a model's name, or `ParserOptions`.
        settings: what is written; None: label PNGs.
        options: how the run is done: resume, threads, progress. Nothing in it changes an output.
        every: label every n-th frame of a video.
        column: for a list with columns: the column with paths, URLs or pictures.
        member: which picture of a tar's samples to label, such as `"jpg"` or `"rgb.png"`, or several
            separated by commas, the preferred one first; None: see `bulk.tars.TarSource`. The others are
            counted in `left_out`.
        keep_suffix: keep the input's suffix in the names of its outputs.
        shard: (number from 1, count): only this part of the inputs.
        engine: does the work, such as `bulk.ray.Cluster()`; None: threads of this process.

    Raises:
        BulkError: the run cannot start or continue; the message says what to do.
        ModelError, WeightsError, DeviceError: as for `Parser`.
    """
    how: dict[str, Any] = {"every": every, "column": column, "member": member, "keep_suffix": keep_suffix}
    about = {"source": _named(str(source)), **how}
    opened = open_source(str(source), dest, **how)
    job = Job(opened, about, dest, ParserOptions.of(model), settings or Settings(), shard)
    return run(job, options or RunOptions(), engine)


def _named(source: str) -> str:
    """The source as the journal stores it, so that it is found from any working folder."""
    if is_remote(source):
        return printable(source)
    return source if "*" in source else str(Path(source).absolute())


def run(job: Job, options: RunOptions, engine: StartEngine | None = None) -> Summary:
    """Do a job: label its inputs.

    Args:
        job: what to label.
        options: how the run is done.
        engine: does the work; None: threads of this process.

    Raises:
        BulkError: the run cannot start or continue.
    """
    from ..parser import Parser

    if "parquet" in job.settings.formats:
        import_pyarrow()
    store = open_store(job.dest)
    destination = Destination(store, job.shard, options.journal)
    with ExitStack() as opened:
        opened.enter_context(destination.held())
        if destination.beside:  # from now on, a journal elsewhere is the older one
            (destination.state / "lease.json").unlink(missing_ok=True)
            handover = None
        else:
            handover = opened.enter_context(Handover(destination, options.telling).kept())
        journal = opened.enter_context(closing(destination.journal(options.telling)))
        known = bool(journal.settings())
        if known and not (options.resume or options.restart):
            raise BulkError(
                f"{job.dest} already holds a run; resume it with `resume=True`, or delete its outputs and "
                "start over with `restart=True`"
            )
        parser = Parser.of(job.model)
        options.loading(parser)
        settings = job.settings.fitted(parser)
        if known and options.restart:
            destination.discard(journal)
        if isinstance(job.source, VideoSource):
            source = job.source.on_disk(destination.state, options.telling)
            job = replace(job, source=opened.enter_context(source))
        labeller = Labeller(parser, job.source, settings, job.dest, destination.state)
        kinds = tuple(name for name in settings.formats if name in PACKED)
        packs = Packs(journal, store, destination.state, kinds, settings.pack_size, destination.label)
        asked = described(job.model, parser, settings, job.described)
        intake = None
        if isinstance(job.source, ObjectSource) and (options.restart or not known):
            intake = opened.enter_context(closing(Intake(job.listing())))
            journal.begin(asked, intake.page(wait=True), store.folds_case, more=True)
        else:
            journal.begin(asked, job.listing(journal.last() >= 0), store.folds_case)
        if known:
            destination.remove_leftovers(journal)
            check_done(journal, job.source, packs)
            if options.retry_failed:
                journal.retry_failed()
        work = (engine or local)(job, labeller, options)
        return _work(journal, packs, labeller, work, options, intake, handover)


def local(job: Job, labeller: Labeller, options: RunOptions) -> Engine:
    """An engine that uses threads of this process."""
    workers = options.workers or default_workers()
    return lambda batches: label_batches(labeller, batches, workers, options.stopping)


def _work(
    journal: Journal,
    packs: Packs,
    labeller: Labeller,
    work: Engine,
    options: RunOptions,
    intake: Intake | None,
    handover: Handover | None,
) -> Summary:
    begin, fresh, counts = time.monotonic(), 0, journal.counts()
    options.progress(Progress(counts, 0, 0.0))
    pack = 0
    size = labeller.settings.batch
    batches = journal.batches(size) if intake is None else intake.batches(journal, size)
    for outcomes in work(takewhile(lambda batch: not options.stopping(), batches)):
        packs.add(outcomes)
        labeller.store.synchronise(name for one in outcomes for name in one.outputs)
        if packs.kinds:
            FolderStore(packs.state).synchronise([f"{SPOOL}/"])
        journal.record(outcomes)
        if handover is not None:
            handover.tick()
        fresh += len(outcomes)
        reached = max((outcome.number for outcome in outcomes), default=0) // packs.size
        if reached > pack:
            with suppress(StorageError):  # the end of the run packs the rest
                packs.finish(pack * packs.size, reached * packs.size)
            pack = reached
        counts = _moved(counts, outcomes, counts.total if intake is None else intake.count)
        options.progress(Progress(counts, fresh, time.monotonic() - begin))
    packs.finish()
    counts = journal.counts()
    others = dict(labeller.source.left_out())
    stopped = counts.todo > 0 or not journal.listed
    return Summary(counts, fresh, time.monotonic() - begin, stopped, others)


def _moved(counts: Counts, outcomes: list[Outcome], total: int) -> Counts:
    """The counts after these outcomes, without reading the journal after every batch."""
    done = sum(outcome.state == "done" for outcome in outcomes)
    failed = len(outcomes) - done
    todo = max(0, counts.todo - len(outcomes) + total - counts.total)
    return Counts(total, counts.done + done, counts.failed + failed, todo)
