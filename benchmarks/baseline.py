"""Parser against a plain pipeline that does SCHP's steps one by one, in turn, from a file to labels.

python benchmarks/baseline.py --photo photo.jpg --contender torch:float32 --contender torch:bf16 --runs 7

The plain pipeline: OpenCV decodes and warps, the network has its norms apart and all its branches, every
logit map is enlarged and warped to the photo's size by itself, and the best class is taken last. Weights are
those of the tests unless given: they cost as much as trained ones, but a grey level more in the input changes
a third of their labels. So compare labels with OpenCV 4, whose warp the original had; OpenCV 5 has another.
Without --photo, a portrait of 550x830 is used.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated

import cv2
import numpy as np
import torch
import torch.nn.functional as F
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from humanparse import Parser, checkpoint, registry
from humanparse.models.schp import Schp
from humanparse.ops.bilinear import bilinear

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from golden import synthetic_state

NAME = "schp-lip"
MEAN, STD = (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)


class PlainSchp(Schp):
    """SCHP with the heads that only training needs: the original computes them for every photo."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> auxiliary logits (B, C, h, w), logits (B, C, h, w), edges (B, 2, h, w)."""
        x2, x3, x4, x5 = self.stages(image)
        part = self.decoder(self.context_encoding(x5), x2)
        size = (x2.shape[2], x2.shape[3])
        features = [self.edge.conv1(x2), self.edge.conv2(x3), self.edge.conv3(x4)]
        edges = [bilinear(self.edge.conv4(x), size, align_corners=True) for x in features]
        features = [bilinear(x, size, align_corners=True) for x in features]
        logits = self.fushion(torch.cat((part, *features), dim=1))
        return self.decoder.conv4(part), logits, self.edge.conv5(torch.cat(edges, dim=1))


def corners(centre: np.ndarray, length: float) -> np.ndarray:
    """The three points by which the original defines its map: a centre, one above it, and their third."""
    above = centre + np.array([0, -length / 2], np.float32)
    return np.array([centre, above, above + np.array([-length / 2, 0])], np.float32)


@torch.no_grad()
def plain(path: Path, network: nn.Module, side: int) -> np.ndarray:
    """File -> labels uint8 (H, W), as SCHP's extractor goes about it."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    height, width = image.shape[:2]
    there, _ = affine(width, height, side)
    warped = cv2.warpAffine(image, there, (side, side), flags=cv2.INTER_LINEAR)
    tensor = torch.from_numpy(warped).permute(2, 0, 1).float() / 255
    tensor = (tensor - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    _, logits, _ = network(tensor[None])
    return plain_back(logits, width, height, side)


def affine(width: int, height: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The maps from photo to input and back."""
    at_photo = corners(np.array([(width - 1) / 2, (height - 1) / 2], np.float32), max(width, height) - 1)
    at_input = corners(np.array([(side - 1) / 2, (side - 1) / 2], np.float32), side - 1)
    return cv2.getAffineTransform(at_photo, at_input), cv2.getAffineTransform(at_input, at_photo)


def plain_back(logits: Tensor, width: int, height: int, side: int) -> np.ndarray:
    """Logits (1, C, h, w) -> labels uint8 (H, W): every map is enlarged and warped by itself."""
    _, back = affine(width, height, side)
    large = F.interpolate(logits, size=(side, side), mode="bilinear", align_corners=True)
    maps = large[0].permute(1, 2, 0).numpy()
    full = [
        cv2.warpAffine(maps[:, :, number], back, (width, height), flags=cv2.INTER_LINEAR)
        for number in range(maps.shape[2])
    ]
    return np.argmax(np.stack(full, axis=2), axis=2).astype(np.uint8)


def plain_network(weights: Path) -> nn.Module:
    network = PlainSchp(len(registry.get(NAME).scheme))
    network.load_state_dict(checkpoint.load(weights))
    return network.eval()


def portrait(folder: Path) -> Path:
    """A real photo, as a JPEG file of 550x830."""
    path = folder / "portrait.jpg"
    with Image.open(Path(__file__).parents[1] / "examples" / "grace_hopper.jpg") as image:
        image.resize((550, 830)).save(path, quality=95)
    return path


def synthetic_weights(folder: Path) -> Path:
    """The weights with which the original was recorded."""
    path = folder / "synthetic.safetensors"
    checkpoint.save(synthetic_state("schp-lip", "schp"), path, {})
    return path


def interleaved(
    runs: int, contenders: dict[str, Callable[[], np.ndarray]]
) -> tuple[dict[str, list[float]], dict[str, np.ndarray]]:
    """Seconds of each run of each, taken in turn so that a busy moment hits all; and each one's labels."""
    labels = {name: work() for name, work in contenders.items()}  # not counted
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            spent[name].append(time.perf_counter() - start)
    return spent, labels


def main(
    photo: Annotated[Path | None, typer.Option(help="A photo of your own.", show_default=False)] = None,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint of schp-lip.", show_default=False)] = None,
    contender: Annotated[list[str], typer.Option(help="RUNTIME:PRECISION of a Parser.")] = [  # noqa: B006
        "torch:float32",
        "torch:bf16",
    ],
    runs: int = 7,
) -> None:
    """Print a table of seconds and ratios."""
    with TemporaryDirectory() as folder:
        path, file = photo or portrait(Path(folder)), weights or synthetic_weights(Path(folder))
        network, side = plain_network(file), registry.get(NAME).input.size[0]
        work: dict[str, Callable[[], np.ndarray]] = {"plain": lambda: plain(path, network, side)}
        for name in contender:
            runtime, _, precision = name.partition(":")
            parser = Parser(NAME, weights=file, device="cpu", runtime=runtime, precision=precision)
            work[name] = lambda parser=parser: parser.predict(path).labels
        spent, labels = interleaved(runs, work)
    table = Table("pipeline", "median s", "best s", "times plain", "labels as plain")
    table.title = f"{NAME}, {runs} runs in turn, {torch.get_num_threads()} threads, OpenCV {cv2.__version__}"
    for name, seconds in spent.items():
        ratio = median(spent["plain"]) / median(seconds)
        same = np.mean(labels[name] == labels["plain"])
        table.add_row(name, f"{median(seconds):.3f}", f"{min(seconds):.3f}", f"{ratio:.2f}", f"{same:.3%}")
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
