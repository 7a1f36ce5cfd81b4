"""`humanparse bench`: what a prediction costs on this machine."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from .. import hub, registry
from ..errors import ImageError, ModelError
from ..options import ParserOptions
from .console import say, show
from .options import optional, with_parser_options

if TYPE_CHECKING:
    from ..bench import Costs


@with_parser_options(without=("model", "fast_decode"))
def bench(
    model: Annotated[str, typer.Argument(help="See `humanparse models`.")] = registry.DEFAULT,
    batch: Annotated[int, typer.Option(help="Photos that go through the network together.")] = 1,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the photo.")] = "550x830",
    photo: Annotated[Path | None, optional(help="Your own photo instead of a synthetic one.")] = None,
    runs: Annotated[int, typer.Option(help="Number of runs; medians are shown.")] = 5,
    random: Annotated[
        bool, typer.Option("--random", help="Use untrained weights: the same speed, and no download.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    *,
    options: ParserOptions,
) -> None:
    """Time each stage from file to label PNG, and compare the network with this machine's matmul."""
    width, height = _size(size)
    content = _read(photo) if photo is not None else None
    spec = hub.find_model(model, offline=options.offline)
    if len(spec.networks()) > 1 or not spec.gives_logits:
        raise ModelError(f"{model} is not a single network with logits: only those are timed")
    from ..bench import measure, random_weights, synthetic_photo
    from ..parser import Parser

    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows cannot delete mapped weights
        options = replace(options, model=model)
        if random:
            options = replace(options, weights=random_weights(registry.single(spec), Path(folder)))
        parser = Parser.of(options)
        costs = measure(parser, content or synthetic_photo(width, height), batch, runs)
    if json:
        typer.echo(jsonlib.dumps(asdict(costs), indent=2))
        return
    height, width = costs.photo
    say(
        f"{costs.model}, {costs.runtime}, {costs.device}, {costs.precision}, {costs.threads} threads, batch "
        f"{costs.batch}, photo {width}x{height}, median of {costs.runs}, {costs.machine}"
    )
    show(_table(costs))


def _table(costs: Costs) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("per photo")
    table.add_column("ms", justify="right")
    for stage, spent in costs.milliseconds.items():
        table.add_row(stage, f"{spent:.1f}")
    table.add_row("photos/s", f"{costs.photos_per_second:.1f}")
    share = costs.gflop_per_second / costs.matmul_gflop_per_second
    table.add_row("GFLOP", f"{costs.gflop_per_photo:.1f}")
    table.add_row("GFLOP/s", f"{costs.gflop_per_second:.0f}")
    table.add_row("of a matmul's", f"{share:.0%} of {costs.matmul_gflop_per_second:.0f}")
    if costs.peak_memory_mb is not None:
        table.add_row("peak memory", f"{costs.peak_memory_mb:.0f} MB")
    return table


def _size(text: str) -> tuple[int, int]:
    width, by, height = text.lower().partition("x")
    if not (by and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise ImageError(f"--size is WIDTHxHEIGHT in pixels, such as 550x830, not {text!r}")
    return int(width), int(height)


def _read(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        raise ImageError(f"{photo}: the file cannot be opened: {error.strerror or error}") from error
