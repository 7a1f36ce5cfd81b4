"""The way back, from logits to labels at the photo's size: `Parser`'s against the plain one, and its memory.

python benchmarks/back.py --size 2000x1333 --classes 20 --runs 7

Logits are SCHP's for LIP in shape (119x119 cells of a 473x473 input). "parts" are smooth, as a trained
network's are: borders of parts are few. "noise" has a border at every cell, the worst there can be. A photo
of 12 megapixels is then parsed from its file, to see what it adds to the loaded model's memory (Linux only).
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import cv2
import torch
import torch.nn.functional as F
import typer
from baseline import plain_back
from PIL import Image
from rich.console import Console
from rich.table import Table

from humanparse import registry
from humanparse.geometry import Frame

NAME = "schp-lip"
EXAMPLES = Path(__file__).parents[1] / "examples"

MEMORY = """
import sys
from pathlib import Path
from humanparse import Parser
def megabytes(what):
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(what))
parser = Parser(sys.argv[2], weights=sys.argv[3] or None, device="cpu")
parser.predict(sys.argv[1])  # buffers that later photos take over
before = megabytes("VmRSS")
Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak starts anew
parser.predict(sys.argv[4])
print(before, megabytes("VmHWM") - before)
"""


def logits_of(kind: str, classes: int) -> torch.Tensor:
    """(1, classes, 119, 119)."""
    generator = torch.Generator().manual_seed(0)
    if kind == "noise":
        return torch.randn(1, classes, 119, 119, generator=generator)
    coarse = torch.randn(1, classes, 6, 6, generator=generator)
    return F.interpolate(coarse, size=(119, 119), mode="bicubic", align_corners=True)


def main(
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the photo.")] = "2000x1333",
    classes: int = 20,
    runs: int = 7,
    weights: Annotated[str, typer.Option(help="Checkpoint of schp-lip, for its memory too.")] = "",
) -> None:
    """Print a table of seconds and ratios, then megabytes."""
    width, height = map(int, size.split("x"))
    spec = registry.get(NAME).input
    frame = Frame((height, width), spec)
    table = Table("logits", "plain s", "Parser's s", "times plain", "labels as plain")
    table.title = (
        f"{size}, {classes} classes, {runs} runs in turn, {torch.get_num_threads()} threads, "
        f"OpenCV {cv2.__version__}"
    )
    for kind in ("parts", "noise"):
        logits = logits_of(kind, classes)
        spent: tuple[list[float], list[float]] = ([], [])
        for run in range(runs + 1):
            start = time.perf_counter()
            expected = plain_back(logits, width, height, spec.size[0])
            between = time.perf_counter()
            labels, _ = frame.back(logits[0])
            end = time.perf_counter()
            if run:
                spent[0].append(between - start)
                spent[1].append(end - between)
        plain, ours = map(median, spent)
        same = (labels == expected).mean()
        table.add_row(kind, f"{plain:.3f}", f"{ours:.3f}", f"{plain / ours:.1f}", f"{same:.3%}")
    console = Console()
    console.print(table)
    small, large = EXAMPLES / "grace_hopper.jpg", EXAMPLES / "astronaut.png"
    with TemporaryDirectory() as folder:
        photo = Path(folder) / "large.jpg"
        with Image.open(large) as picture:
            picture.convert("RGB").resize((4000, 3000)).save(photo, quality=95)
        for name, file in {"lite-atr": "", **({NAME: weights} if weights else {})}.items():
            command = [sys.executable, "-c", MEMORY, str(small), name, file, str(photo)]
            done = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
            loaded, more = map(float, done.stdout.split())
            console.print(f"{name}: {loaded:.0f} MB loaded; a photo of 4000x3000 adds {more:.0f} MB")


if __name__ == "__main__":
    typer.run(main)
