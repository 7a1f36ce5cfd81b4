"""`humanparse label` against the least time that its work can take on this machine.

python benchmarks/bulk.py --photos FOLDER --model lite-atr --format png --runs 3

The least time is the larger of the slowest stage (reading, network, writing, each alone over all photos, with
as many threads as `label` gives it) and the CPU seconds of the whole run divided by the cores. Without
--photos, 120 JPEG files of 550x830 are made of the portrait in examples/.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from humanparse import Parser, bulk
from humanparse.bulk.items import JournalRow
from humanparse.bulk.labeller import SPOOL, Labeller
from humanparse.bulk.pipeline import default_workers
from humanparse.bulk.sources import open_source


def portraits(folder: Path, count: int) -> Path:
    """Photos that differ in a few pixels' height."""
    folder.mkdir()
    with Image.open(Path(__file__).parents[1] / "examples" / "grace_hopper.jpg") as photo:
        for number in range(count):
            photo.resize((550, 830 + number % 7)).save(folder / f"{number:04d}.jpg", quality=92)
    return folder


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def stages(
    parser: Parser, photos: Path, settings: bulk.Settings, folder: Path
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each stage as `label` does it, alone, over all photos; a stage needs those before it."""
    source = open_source(str(photos), folder)
    items = [JournalRow(number, found) for number, found in enumerate(source.listing())]
    (folder / "state" / SPOOL).mkdir(parents=True, exist_ok=True)
    labeller = Labeller(parser, source, settings.fitted(parser), folder, folder / "state")
    threads = ThreadPoolExecutor(default_workers())
    read: list = []
    parsed: list = []
    yield "read", lambda: read.extend(threads.map(labeller.read, items))
    size = settings.batch
    yield (
        "network",
        lambda: [
            parsed.extend(labeller.parse(read[start : start + size])) for start in range(0, len(read), size)
        ],
    )
    yield "write", lambda: list(threads.map(labeller.write, read, parsed))
    threads.shutdown()


def main(
    photos: Annotated[Path | None, typer.Option(help="A folder of your own.", show_default=False)] = None,
    model: str = "lite-atr",
    weights: Annotated[Path | None, typer.Option(show_default=False)] = None,
    formats: Annotated[str, typer.Option("--format")] = "png",
    count: Annotated[int, typer.Option(help="Photos to make, without --photos.")] = 120,
    runs: int = 3,
) -> None:
    """Print a table of seconds."""
    cores = len(os.sched_getaffinity(0))
    choice = bulk.ModelChoice(model, weights=None if weights is None else str(weights), device="cpu")
    settings = bulk.Settings(formats=tuple(formats.split(",")))
    spent: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        source = photos or portraits(Path(folder) / "photos", count)
        parser = choice.parser()
        for run in range(runs):
            for name, stage in stages(parser, source, settings, Path(folder) / f"stages{run}"):
                start = time.perf_counter()
                stage()
                spent.setdefault(name, []).append(time.perf_counter() - start)
            at_begin: list[float] = []
            options = bulk.RunOptions(progress=lambda progress, at=at_begin: at.append(cpu_seconds()))
            done = bulk.label(
                source, Path(folder) / f"out{run}", model=choice, settings=settings, options=options
            )
            spent.setdefault("CPU / cores", []).append((cpu_seconds() - at_begin[0]) / cores)
            spent.setdefault("label", []).append(done.seconds)
    table = Table("what", "median s", "best s")
    table.title = f"{model}, {done.counts.done} photos, {formats}, {runs} runs in turn, {cores} cores"
    for name, seconds in spent.items():
        table.add_row(name, f"{median(seconds):.2f}", f"{min(seconds):.2f}")
    console = Console()
    console.print(table)
    ratios = [max(least) / whole for *least, whole in zip(*spent.values(), strict=True)]
    console.print(
        f"label reaches {median(ratios):.0%} of what is possible, "
        f"{done.counts.done / median(spent['label']):.1f} photos/s"
    )


if __name__ == "__main__":
    typer.run(main)
