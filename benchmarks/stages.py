"""Where a prediction spends its time: decode, fit, network, back. Random weights, so any model can be timed.

python benchmarks/stages.py schp-lip lite-atr --photo examples/grace_hopper.jpg --photo big.jpg --runs 5
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from humanparse import image, models, registry
from humanparse.geometry import Frame


def timed(runs: int, what: Callable[[], Any]) -> tuple[float, Any]:
    """Median milliseconds of `runs` calls after one that is not counted, and the last result."""
    result, spent = what(), []
    for _ in range(runs):
        start = time.perf_counter()
        result = what()
        spent.append(1000 * (time.perf_counter() - start))
    return median(spent), result


@torch.inference_mode()
def main(
    names: list[str],
    photo: Annotated[list[Path], typer.Option(help="Photos to time.")] = [Path("examples/grace_hopper.jpg")],  # noqa: B006
    runs: int = 5,
) -> None:
    """Print a table of milliseconds."""
    table = Table(
        "model",
        "photo",
        "decode",
        "fit",
        "network",
        "back",
        "photos/s",
        title=f"{torch.get_num_threads()} threads",
    )
    for name in names:
        spec = registry.get(name)
        network = models.build(spec)
        for path in photo:
            decode, pixels = timed(runs, lambda path=path: image.load(path))
            frame = Frame(pixels.shape[:2], spec.input)
            fit, fitted = timed(runs, lambda frame=frame, pixels=pixels: frame.fit(pixels)[None])
            run, logits = timed(runs, lambda network=network, fitted=fitted: network(fitted)[0])
            back, _ = timed(runs, lambda frame=frame, logits=logits: frame.back(logits))
            spent = (decode, fit, run, back)
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            table.add_row(name, size, *(f"{value:.1f}" for value in spent), f"{1000 / sum(spent):.1f}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
