"""What fusing several people costs: time and peak memory against people x pixels, with random logits.

python benchmarks/fusion.py --rule schp --rule mce2p --runs 3
"""

from __future__ import annotations

import sys
import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from humanparse.pipelines.top_down import fuse

CLASSES = 20


def peak_memory() -> float:
    """Peak resident memory of this process in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


def scene(people: int, height: int, width: int, rule: str) -> tuple[object, ...]:
    """Logits, boxes, scores and masks of people side by side, each box half as wide again as its share."""
    random = np.random.default_rng(0)
    boxes, masks = [], np.zeros((people, height, width), dtype=bool)
    for number in range(people):
        middle, half = (number + 0.5) * width / people, 0.75 * width / people
        box = (max(0, int(middle - half)), height // 10, min(width, int(middle + half)), height)
        boxes.append(box)
        masks[number, height // 8 :, int(middle - half / 2) : int(middle + half / 2)] = True
    grid = (lambda rows, columns: (rows, columns)) if rule != "mce2p" else (lambda rows, columns: (473, 473))
    logits = [
        random.standard_normal((CLASSES, *grid(rows, columns)), dtype=np.float32)
        for rows, columns in [(height, width), *((y1 - y0, x1 - x0) for x0, y0, x1, y1 in boxes)]
    ]
    local = [logits[1:]] * (2 if rule == "mce2p" else 1)
    return logits[0], local, np.array(boxes), np.linspace(1, 0.5, people), masks


def measure(people: int, height: int, width: int, rule: str, runs: int, answer: object) -> None:
    """Send seconds, MB that the inputs take, and MB that fusing adds to them at its peak."""
    torch.set_num_threads(1)
    inputs = scene(people, height, width, rule)
    before = peak_memory()
    spent = []
    for _ in range(runs):
        start = time.perf_counter()
        fuse(*inputs, rule=rule)  # type: ignore[arg-type]
        spent.append(time.perf_counter() - start)
    answer.send((median(spent), peak_memory() - before))  # type: ignore[attr-defined]


def main(
    rule: Annotated[list[str], typer.Option(help="Rules to time.")] = ["schp", "mce2p"],  # noqa: B006
    people: Annotated[list[int], typer.Option(help="Numbers of people.")] = [1, 4, 8, 16],  # noqa: B006
    size: Annotated[list[str], typer.Option(help="WIDTHxHEIGHT.")] = ["1000x667", "2000x1333"],  # noqa: B006
    runs: int = 3,
) -> None:
    """Print a table; each line is measured in a process of its own, with one thread."""
    if sys.platform != "linux":
        raise typer.BadParameter("peak memory is read from /proc, so this needs Linux")
    table = Table("rule", "picture", "people", "seconds", "s/person", "MB added", title="one thread")
    context = get_context("spawn")
    for name in rule:
        for shape in size:
            width, height = map(int, shape.split("x"))
            for number in people:
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=measure, args=(number, height, width, name, runs, sender))
                process.start()
                seconds, added = receiver.recv()
                process.join()
                table.add_row(
                    name, shape, str(number), f"{seconds:.2f}", f"{seconds / number:.2f}", f"{added:.0f}"
                )
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
