"""The bundled model through the public API: accuracy on held-out photos and people, size, speed, peak memory.

    python benchmarks/default_model.py --data CCP --grounds NO_PEOPLE

The folders are those that examples/train_default was given. Every tenth photo of each was held out.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console

from humanparse import Parser, hub, image

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "train_default"))
from crowds import crowds, found_in, score_crowds
from photos import CLASSES, Photo, load_grounds
from score import Scores, compare, crop_rows, table


def main(
    data: Annotated[Path, typer.Option(help="Folder with images/*.jpg and labels_atr/*.png.")],
    grounds: Annotated[Path, typer.Option(help="Photos without people: places/, garments/.")],
    device: str = "auto",
    flip: bool = False,
) -> None:
    """Print IoU and precision per class, scores of crops, limb sides; then size, photos/s, memory."""
    parser = Parser(device=device, flip=flip, precision="float32")
    ids = sorted(path.stem for path in (data / "labels_atr").glob("*.png"))[::10]
    whole = np.zeros((CLASSES, CLASSES), np.int64)
    crops: dict[str, np.ndarray] = {}
    spent, photos = [], []
    for name in ids:
        path, truth = (
            data / "images" / f"{name}.jpg",
            np.asarray(Image.open(data / "labels_atr" / f"{name}.png")),
        )
        start = time.perf_counter()
        parsing = parser.predict(path)
        spent.append(time.perf_counter() - start)
        whole += compare(truth, parsing.labels)
        photo = Photo(image.load(path), truth)
        photos.append(photo)
        for crop, window in crop_rows(photo).items():
            found = compare(truth[window], parser.predict(photo.image[window]).labels)
            crops[crop] = crops.get(crop, np.zeros_like(whole)) + found
    Console().print(table(Scores(whole, crops)))
    empty = load_grounds(grounds)[1]
    if parser.spec.people_head is not None:
        pairs = [(each, found_in(parser.predict(each[0], people="detect"))) for each in crowds(photos, empty)]
        people = score_crowds(pairs)
        print(f"{people.people} people on {len(pairs)} canvases: AP at box IoU .5 {people.ap:.3f}, ", end="")
        print(f"part IoU per matched person {people.part_iou:.3f}")
    called = np.mean([np.mean(parser.predict(each).labels > 0) for each in empty])
    print(f"{len(empty)} photos without people: {100 * called:.2f} % of pixels called a person")
    size = hub.fetch(parser.spec).stat().st_size / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{parser}\n{len(ids)} photos, file {size:.1f} MB")
    print(f"{1 / np.median(spent):.1f} photos/s from file to labels (median), peak memory {memory:.0f} MB")


if __name__ == "__main__":
    typer.run(main)
