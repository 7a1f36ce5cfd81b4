"""The bundled model through the public API: accuracy on held-out photos and people, size, speed, memory.

    python benchmarks/default_model.py --data CCP --grounds NO_PEOPLE

The folders are those that examples/train_default was given. Every tenth photo of each was held out.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from packages import loadable
from PIL import Image
from rich.console import Console
from rich.table import Table

from humanparse import Parser, hub, image

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "train_default"))
from crowds import crowds, found_in, mosaics, score_crowds
from photos import CLASSES, Photo, load_grounds, split_ids
from score import Scores, compare, crop_rows, table

_BLOCK = 10
"""Photos that one way labels before it is the next one's turn."""


def main(
    data: Annotated[Path, typer.Option(help="Folder with images/*.jpg and labels_atr/*.png.")],
    grounds: Annotated[Path, typer.Option(help="Photos without people: places/, garments/.")],
    device: str = "auto",
    flip: bool = False,
) -> None:
    """Print IoU and precision per class, scores of crops, limb sides, people; then size, memory and speed."""
    parser = Parser(device=device, flip=flip, precision="float32")
    ids = split_ids(data)[1]
    whole = np.zeros((CLASSES, CLASSES), np.int64)
    crops: dict[str, np.ndarray] = {}
    photos = []
    for name in ids:
        path = data / "images" / f"{name}.jpg"
        truth = np.asarray(Image.open(data / "labels_atr" / f"{name}.png"))
        whole += compare(truth, parser.predict(path).labels)
        photo = Photo(image.load(path), truth)
        photos.append(photo)
        for crop, window in crop_rows(photo).items():
            found = compare(truth[window], parser.predict(photo.image[window]).labels)
            crops[crop] = crops.get(crop, np.zeros_like(whole)) + found
    Console().print(table(Scores(whole, crops)))
    empty = load_grounds(grounds)[1]
    if parser.spec.people_head is not None:
        for kind, canvases in (("pasted", crowds), ("mosaics", mosaics)):
            pairs = [(c, found_in(parser.predict(c[0], people="detect"))) for c in canvases(photos, empty)]
            people = score_crowds(pairs)
            print(f"{people.people} people on {len(pairs)} canvases, {kind}: AP at box IoU .5 ", end="")
            print(f"{people.ap:.3f}, part IoU per matched person {people.part_iou:.3f}")
    called = np.mean([np.mean(parser.predict(each).labels > 0) for each in empty])
    print(f"{len(empty)} photos without people: {100 * called:.2f} % of pixels called a person")
    size = hub.fetch(parser.spec).stat().st_size / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{parser}\n{len(ids)} photos, file {size:.1f} MB, peak memory {memory:.0f} MB")
    if parser.device.type == "cpu" and not flip:
        Console().print(speeds([data / "images" / f"{name}.jpg" for name in ids]))


def speeds(paths: list[Path]) -> Table:
    """From file to labels by each way, in turn for each block; and the first answer of a new process.

    A block's photos are parsed one by one with `predict`, and then all with `predict_many`.
    """
    ways: dict[str, Any] = {"torch, float32": {"runtime": "torch"}}
    for runtime in ("onnxruntime", "openvino"):
        ways |= {f"{runtime}, float32": {"runtime": runtime}} if find_spec(runtime) else {}
    ways |= {"openvino, bf16": {"runtime": "openvino", "precision": "bf16"}} if find_spec("openvino") else {}
    parsers = loadable({way: partial(Parser, device="cpu", **options) for way, options in ways.items()})
    ways = {way: options for way, options in ways.items() if way in parsers}
    asked: dict[str, dict[str, Any]] = {
        **{way: {} for way in ways},
        "torch, float32, confidence": {"confidence": True},
        "torch, float32, people": {"people": "detect"},
    }
    parsers |= {way: parsers["torch, float32"] for way in asked if way not in ways}
    spent: dict[str, list[float]] = {way: [] for way in parsers}
    together: dict[str, list[float]] = {way: [] for way in parsers}
    kept: dict[str, list[float]] = {way: [] for way in parsers}
    for start in range(0, len(paths), _BLOCK):
        block = paths[start : start + _BLOCK]
        expected = [parsers["torch, float32"].predict(path).labels for path in block]
        for way, parser in parsers.items():
            parser.predict(block[0], **asked[way])  # ends the spinning of other runtimes' threads
            for path, right in zip(block, expected, strict=True):
                begin = time.perf_counter()
                labels = parser.predict(path, **asked[way]).labels
                spent[way].append(time.perf_counter() - begin)
                kept[way].append(float((labels == right).mean()))
            begin = time.perf_counter()
            for _ in parser.predict_many(block, **asked[way]):
                pass
            together[way].append((time.perf_counter() - begin) / len(block))
    made = Table(
        "way", "photos/s, median", "time, torch = 1", "predict_many", "labels kept, %", "first answer, s"
    )
    plain = np.median(spent["torch, float32"])
    for way, seconds in spent.items():
        middle = np.median(seconds)
        first = f"{first_answer(ways[way], paths[0]):.1f}" if way in ways else ""
        made.add_row(
            way,
            f"{1 / middle:.1f}",
            f"{middle / plain:.2f}",
            f"{1 / np.median(together[way]):.1f}",
            f"{100 * np.mean(kept[way]):.3f}",
            first,
        )
    return made


def first_answer(options: dict[str, str], photo: Path) -> float:
    """Seconds that a new Python takes to parse a photo, the best of three."""
    code = f"from humanparse import Parser; Parser(device='cpu', **{options}).predict({str(photo)!r})"
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        spent.append(time.perf_counter() - start)
    return min(spent)


if __name__ == "__main__":
    typer.run(main)
