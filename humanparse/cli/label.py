"""`humanparse label`: labels a data set, in a run that can be stopped or killed, and resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ..errors import BulkError
from ..formats import FORMATS
from ..options import ParserOptions
from ..suffixes import told
from .console import err, say, tell, with_options
from .options import Fill, MinArea, Processes, Quiet, Smooth, optional, with_parser_options

if TYPE_CHECKING:
    from ..bulk import Progress, RunOptions, Summary
    from ..bulk.job import StartEngine

_KINDS = ", ".join(one.kind for one in FORMATS.values() if one.of_any_photo)

Resume = Annotated[bool, typer.Option("--resume", help="Resume the run in the output folder, or start one.")]
Restart = Annotated[
    bool, typer.Option("--restart", help="First delete the run in the output folder, and its outputs.")
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="With --resume: retry failed inputs.")]
Journal = Annotated[Path | None, optional(help="File for the journal, on a disk of this machine.")]
Workers = Annotated[int | None, optional(help="Number of reading threads, and of writing threads.")]
Batch = Annotated[int, typer.Option(help="Inputs that go through the network together.")]


@with_parser_options()
def label(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Folder, glob, list of paths or URLs (.txt .csv .parquet; - is standard input), tar or "
            "video, also in a bucket (s3://…).",
            show_default=False,
        ),
    ] = None,
    dest: Annotated[str | None, optional("-o", "--output", help="Folder for the outputs, or s3://….")] = None,
    formats: Annotated[
        str, typer.Option("--format", help=f"Comma-separated: {_KINDS}, tar, parquet.")
    ] = "png",
    resume: Resume = False,
    restart: Restart = False,
    retry_failed: RetryFailed = False,
    status: Annotated[
        str | None, optional(help="Show the progress and the failures of the run in this folder.")
    ] = None,
    journal: Journal = None,
    shard: Annotated[str | None, optional(help="i/n: only the i-th of n parts of the inputs.")] = None,
    batch: Batch = 8,
    workers: Workers = None,
    every: Annotated[int, typer.Option(help="Take every n-th frame of a video.")] = 1,
    column: Annotated[str | None, optional(help="Column of a list with paths or URLs.")] = None,
    member: Annotated[
        str | None, optional(help="Picture to label in a tar's samples, such as jpg or rgb.png.")
    ] = None,
    keep_suffix: Annotated[
        bool, typer.Option("--keep-suffix", help="a.jpg becomes a.jpg.png, not a.png.")
    ] = False,
    confidence: Annotated[
        bool,
        typer.Option(
            "--confidence/--no-confidence", help="Compute confidence: statistics, npz, contact sheets."
        ),
    ] = True,
    people: Annotated[
        str | None, optional(help="detect: tell people apart; png, tar and parquet do not keep them.")
    ] = None,
    min_confidence: Annotated[
        float | None, optional(help="Pixels with less confidence (0-1) become 255.")
    ] = None,
    remap: Annotated[str | None, optional(help="Write another label set, such as coarse.")] = None,
    approximate: Annotated[
        bool, typer.Option("--approximate", help="Accept a --remap without exact counterparts.")
    ] = False,
    min_area: MinArea = "0",
    fill: Fill = "0",
    smooth: Smooth = 0,
    pack_size: Annotated[int, typer.Option(help="Inputs per tar or Parquet file.")] = 1000,
    processes: Processes = None,
    engine: Annotated[str, typer.Option(help="local, or ray: workers on a Ray cluster.")] = "local",
    address: Annotated[
        str | None,
        optional(help="Address of the Ray cluster (default: RAY_ADDRESS, else one on this machine)."),
    ] = None,
    concurrency: Annotated[int | None, optional(help="Workers on Ray (default: as many as fit).")] = None,
    gpus_per_worker: Annotated[float | None, optional(help="GPUs per worker on Ray, such as 0.5.")] = None,
    quiet: Quiet = False,
    *,
    options: ParserOptions,
) -> None:
    """Label a data set; --resume continues after any interruption and ends with the same bytes."""
    from .. import bulk

    if status is not None:
        return show_status(status)
    if source is None or dest is None:
        raise BulkError("say what to label and where to: humanparse label SOURCE -o DEST")
    settings = bulk.Settings(
        formats=tuple(word for word in formats.replace(",", " ").split()),
        batch=batch,
        confidence=None if confidence else False,
        people=people,  # type: ignore[arg-type]  # Settings checks it
        min_confidence=min_confidence,
        remap=remap,
        approximate=approximate,
        pack_size=pack_size,
        min_area=min_area,
        fill=fill,
        smooth=smooth,
    )
    how = bulk.RunOptions(resume, restart, retry_failed, workers, journal=journal)
    start = read_engine(engine, address, concurrency, gpus_per_worker, processes)

    def work(how: RunOptions) -> Summary:
        return bulk.label(
            source,
            dest,
            model=options,
            settings=settings,
            options=how,
            every=every,
            column=column,
            member=member,
            keep_suffix=keep_suffix,
            shard=read_shard(shard),
            engine=start,
        )

    finish(watched(work, how, quiet), dest, quiet, context.command.params)


def read_shard(text: str | None) -> tuple[int, int] | None:
    """`"3/8"` -> (3, 8)."""
    if text is None:
        return None
    number, _, count = text.partition("/")
    if not (number.isdigit() and count.isdigit()):
        raise BulkError(f"--shard takes i/n, such as 1/8, not {text!r}")
    return int(number), int(count)


def read_engine(
    name: str,
    address: str | None,
    concurrency: int | None,
    gpus_per_worker: float | None,
    processes: int | None,
) -> StartEngine | None:
    """The engine that these options ask for; None: threads of this process."""
    if name == "ray":
        if processes is not None:
            raise BulkError("--processes is for --engine local; on Ray, --concurrency says how many workers")
        from ..bulk.ray import Cluster

        return Cluster(address, concurrency, gpus_per_worker)
    if name != "local":
        raise BulkError(f"--engine takes local or ray, not {name!r}")
    if (address, concurrency, gpus_per_worker) != (None, None, None):
        raise BulkError("--address, --concurrency and --gpus-per-worker are for --engine ray")
    if processes is None:
        return None
    from ..bulk import Processes

    return Processes(processes)


def watched(work: Callable[[RunOptions], Summary], options: RunOptions, quiet: bool) -> Summary:
    """Do a run, with a progress bar on a terminal; Ctrl-C ends it after the batches in progress."""
    columns = (
        *(TextColumn("labelling"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("{task.fields[failed]}")),
    )
    hidden = quiet or not err.is_terminal
    with interruptible() as stopping, Bar(*columns, console=err, disable=hidden, transient=True) as bar:
        task = bar.add_task("", total=None, rate="", failed="")

        def show(progress: Progress) -> None:
            counts = progress.counts
            failed = f"{counts.failed} failed" if counts.failed else ""
            rate = f"{progress.rate:.1f}/s" if progress.fresh else ""
            behind = counts.done + counts.failed
            bar.update(task, total=counts.total, completed=behind, rate=rate, failed=failed)

        def loading(parser: Any) -> None:
            if not quiet:
                tell(repr(parser))

        return work(replace(options, progress=show, stopping=stopping, loading=loading, telling=tell))


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether Ctrl-C or SIGTERM came; a second Ctrl-C stops at once."""
    asked = threading.Event()
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def ask(kind: int, frame: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        tell("stopping after the current batch; once more to stop at once")

    for kind in before:
        signal.signal(kind, ask)
    try:
        yield asked.is_set
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def finish(summary: Summary, dest: str | Path, quiet: bool, params: Iterable[Any] = ()) -> None:
    """Print the result of a run; exit with 130 if it was stopped, with 1 if inputs failed."""
    counts = summary.counts
    if not quiet:
        rate = f", {summary.fresh / summary.seconds:.1f}/s" if summary.fresh and summary.seconds else ""
        say(f"{counts.done} of {counts.total} labelled ({summary.fresh} now{rate}), results in {dest}")
    if summary.left_out and not quiet:
        tell(f"left out: {with_options(told(summary.left_out), params)}")
    if counts.failed:
        tell(f"{counts.failed} failed; see humanparse label --status {dest}")
    if summary.stopped:
        tell(f"stopped with {counts.todo} to go; go on with the same command and --resume")
        raise typer.Exit(130)
    if counts.failed:
        raise typer.Exit(1)


def show_status(dest: str) -> None:
    """Print the progress of a run; exit with 0 if all is labelled, 1 if inputs failed, 3 if some remain."""
    from .. import bulk

    counts, errors, settings = bulk.status(dest)
    say(f"{settings.get('model', 'no model yet')}: {settings.get('source', 'nothing listed yet')}")
    more = "" if settings["listed"] else " of those listed so far"
    say(f"{counts.done} of {counts.total} labelled, {counts.failed} failed, {counts.todo} to go{more}")
    for place, reason in errors:
        say(reason if place in reason else f"{place}: {reason}")
    if counts.todo or not counts.total or not settings["listed"]:
        raise typer.Exit(3)
    if counts.failed:
        raise typer.Exit(1)
