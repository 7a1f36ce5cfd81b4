"""What options of `Parser` change in the bundled model's labels and time, on held-out photos.

python benchmarks/options.py --data CCP

The first table compares with people's labels, the second with the labels of a full decode: photos of people,
enlarged to 7 to 11 megapixels and coded as JPEG, are decoded at a part of their size.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table

from humanparse import Parser

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "train_default"))
from photos import CLASSES, split_ids
from score import Scores, compare

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "flip": {"flip": True},
    "test_size 400, 640": {"test_size": (400, 640)},
    "test_size 400, 640, flip": {"test_size": (400, 640), "flip": True},
}


def main(
    data: Annotated[Path, typer.Option(help="Folder with images/*.jpg and labels_atr/*.png.")],
    many: Annotated[int, typer.Option(help="How many photos are enlarged.")] = 20,
) -> None:
    """Print accuracy and time of each way, and the share of labels that `fast_decode` keeps."""
    ids = split_ids(data)[1]
    Console().print(accuracy(data, ids))
    Console().print(decoding([data / "images" / f"{name}.jpg" for name in ids[:many]]))


def accuracy(data: Path, ids: list[str]) -> Table:
    """Scores of each way, and its time as a multiple of the default's; photo by photo in turn."""
    parsers = {way: Parser(device="cpu", **options) for way, options in WAYS.items()}
    counted = {way: np.zeros((CLASSES, CLASSES), np.int64) for way in WAYS}
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for name in ids:
        photo = data / "images" / f"{name}.jpg"
        truth = np.asarray(Image.open(data / "labels_atr" / f"{name}.png"))
        for way, parser in parsers.items():
            begin = time.perf_counter()
            labels = parser.predict(photo).labels
            spent[way].append(time.perf_counter() - begin)
            counted[way] += compare(truth, labels)
    table = Table("options", "pixels right", "mIoU", "time")
    for way, counts in counted.items():
        scores, ratio = Scores(counts), np.median(np.divide(spent[way], spent["default"]))
        table.add_row(way, f"{scores.accuracy:.3f}", f"{scores.miou:.3f}", f"{ratio:.2f}")
    return table


def decoding(paths: list[Path]) -> Table:
    """The share of equal labels, over all pixels and over those on people."""
    full, fast = Parser(device="cpu"), Parser(device="cpu", fast_decode=True)
    shares: dict[str, list[float]] = {"all": [], "on people": []}
    for number, path in enumerate(paths):
        with Image.open(path) as photo:
            scale = 4 + (number % 5) / 4
            wide, tall = (int(side * scale) for side in photo.size)
            larger = photo.resize((wide, tall), Image.Resampling.LANCZOS)
        coded = io.BytesIO()
        larger.save(coded, "JPEG", quality=90)
        expected, found = (parser.predict(coded.getvalue()).labels for parser in (full, fast))
        same = expected == found
        shares["all"].append(float(same.mean()))
        shares["on people"].append(float(same[expected > 0].mean()))
    table = Table("labels kept by fast_decode", "mean", "worst photo")
    for pixels, kept in shares.items():
        table.add_row(pixels, f"{100 * np.mean(kept):.2f} %", f"{100 * min(kept):.2f} %")
    return table


if __name__ == "__main__":
    typer.run(main)
