"""`humanparse label` against the least time that its work can take on this machine.

python benchmarks/bulk.py --photos FOLDER --model lite-atr --format png --runs 3

The least time is the larger of the slowest stage (reading, network, writing, each alone over all photos, with
as many threads as `label` gives it) and the CPU seconds of the whole run divided by the cores. Without
--photos, 120 JPEG files of 550x830 are made of the portrait in examples/.

python benchmarks/bulk.py --processes 2 --count 400
python benchmarks/bulk.py --fast-decode --size 3000x4000 --count 40

With --processes, --nodes, --fast-decode or --no-confidence it compares runs with and without, in turn: photos
per second once the first batch is written, and how many labels are the same.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from humanparse import Parser, ParserOptions, bulk
from humanparse.bulk.items import JournalRow
from humanparse.bulk.job import StartEngine
from humanparse.bulk.labeller import SPOOL, Labeller
from humanparse.bulk.pipeline import default_workers
from humanparse.bulk.sources import open_source
from humanparse.pipelines.lanes import lanes

Variant = tuple[ParserOptions, bulk.Settings, StartEngine | None]
"""The model and the settings of a run, and what does the work; None: threads of this process."""


def portraits(folder: Path, count: int, size: str) -> Path:
    """Photos that differ in a few pixels' height."""
    width, height = map(int, size.split("x"))
    folder.mkdir()
    with Image.open(Path(__file__).parents[1] / "examples" / "grace_hopper.jpg") as photo:
        for number in range(count):
            photo.resize((width, height + number % 7)).save(folder / f"{number:04d}.jpg", quality=92)
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

    def network() -> None:
        with lanes(labeller.pipeline) as (pool, _):
            chunks = (read[start : start + size] for start in range(0, len(read), size))
            parsed.extend(chain.from_iterable(pool.map(labeller.parse, chunks)))

    yield "network", network
    yield "write", lambda: list(threads.map(labeller.write, read, parsed))
    threads.shutdown()


def steady_rate(source: Path, dest: Path, variant: Variant) -> float:
    """Photos per second of one run of `label`, without loading models and starting processes."""
    at: list[tuple[int, float]] = []
    options = bulk.RunOptions(progress=lambda progress: at.append((progress.fresh, progress.seconds)))
    choice, settings, engine = variant
    bulk.label(source, dest, model=choice, settings=settings, options=options, engine=engine)
    (first, begin), (last, end) = at[1], at[-1]
    return (last - first) / (end - begin)


def agreement(one: Path, other: Path) -> float:
    """Share of the labels of two runs that are the same."""
    shares = []
    for path in one.glob("*.png"):
        with Image.open(path) as ours, Image.open(other / path.name) as theirs:
            shares.append((np.asarray(ours) == np.asarray(theirs)).mean())
    return float(np.mean(shares))


@contextmanager
def ray_nodes(count: int | None) -> Iterator[StartEngine | None]:
    """The engine of a Ray cluster on this machine, with a worker on each of `count` nodes, if any."""
    if count is None:
        yield None
        return
    import ray
    from ray.cluster_utils import Cluster as Nodes

    from humanparse.bulk.ray import Cluster

    cluster = Nodes(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(count):
            cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False)
        yield Cluster(concurrency=count)
    finally:
        ray.shutdown()
        cluster.shutdown()


def compare(source: Path, folder: Path, variants: dict[str, Variant], runs: int) -> None:
    """Print how fast each variant is against the first, and how many of its labels are the same."""
    rates: dict[str, list[float]] = {name: [] for name in variants}
    for run in range(runs):
        for name, variant in variants.items():
            rates[name].append(steady_rate(source, folder / f"{name}{run}", variant))
    first = next(iter(variants))
    table = Table("what", "photos/s", "times as fast", "range", "same labels", title=f"{runs} runs in turn")
    for name, found in rates.items():
        ratios = sorted(rate / base for rate, base in zip(found, rates[first], strict=True))
        same = agreement(folder / f"{first}0", folder / f"{name}0")
        spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
        table.add_row(name, f"{median(found):.1f}", f"{median(ratios):.2f}", spread, f"{same:.3%}")
    Console().print(table)


def main(
    photos: Annotated[Path | None, typer.Option(help="A folder of your own.", show_default=False)] = None,
    model: str = "lite-atr",
    weights: Annotated[Path | None, typer.Option(show_default=False)] = None,
    formats: Annotated[str, typer.Option("--format")] = "png",
    count: Annotated[int, typer.Option(help="Photos to make, without --photos.")] = 120,
    runs: int = 3,
    size: Annotated[str, typer.Option(help="Of photos to make, width x height.")] = "550x830",
    test_size: Annotated[str | None, typer.Option(help="Height x width of the network's input.")] = None,
    processes: Annotated[int | None, typer.Option(help="Compare with so many processes.")] = None,
    fast_decode: Annotated[bool, typer.Option("--fast-decode", help="Compare with fast decoding.")] = False,
    nodes: Annotated[int | None, typer.Option(help="Compare with so many Ray nodes of this machine.")] = None,
    no_confidence: Annotated[
        bool, typer.Option("--no-confidence", help="Compare with runs without confidence.")
    ] = False,
) -> None:
    """Print a table of seconds."""
    cores = len(os.sched_getaffinity(0))
    choice = ParserOptions(model, weights=None if weights is None else str(weights), device="cpu")
    if test_size is not None:
        height, width = map(int, test_size.split("x"))
        choice = replace(choice, test_size=(height, width))
    settings = bulk.Settings(formats=tuple(formats.split(",")))
    spent: dict[str, list[float]] = {}
    with TemporaryDirectory() as folder:
        source = photos or portraits(Path(folder) / "photos", count, size)
        variants: dict[str, Variant] = {"label": (choice, settings, None)}
        if processes is not None:
            variants[f"{processes} processes"] = (choice, settings, bulk.Processes(processes))
        if fast_decode:
            variants["fast decode"] = (replace(choice, fast_decode=True), settings, None)
        if no_confidence:
            variants["no confidence"] = (choice, replace(settings, confidence=False), None)
        with ray_nodes(nodes) as ray:
            if ray is not None:
                variants[f"Ray, {nodes} nodes"] = (choice, settings, ray)
            if len(variants) > 1:
                return compare(source, Path(folder), variants, runs)
        parser = Parser.of(choice)
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
