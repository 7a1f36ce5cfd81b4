"""Flicker and accuracy of labels in a video whose motion is known: single frames, and smoothed ones.

    python benchmarks/video.py

A person, cut out of a photo by the parser itself, moves over a still background; every frame gets noise of
its own and passes through H.264. Labels are brought back to the photo along the known
motion. Flicker: share of the person's pixels whose label is not that of the frame before. Accuracy: share
whose label is that of the photo itself, parsed alone, without noise.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt
import typer
from rich.console import Console
from rich.table import Table

from humanparse import Parser, image
from humanparse.video.smoothing import STRENGTH
from humanparse.video.writing import VideoFormat, encoding

EXAMPLES = Path(__file__).parents[1] / "examples"
SIZE = (480, 640)
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A person on their way.

    Attributes:
        photo: RGB uint8 (H, W, 3).
        truth: labels of the photo, uint8 (H, W).
        path: photo -> frame, one affine matrix (2, 3) per frame.
    """

    photo: Picture
    truth: Picture
    path: list[npt.NDArray[np.float64]]


def motion(photo: Picture, pace: float, frames: int) -> list[npt.NDArray[np.float64]]:
    """A walk to and fro with a sway of scale and angle; `pace` in pixels per frame at its quickest."""
    height, width = photo.shape[:2]
    found = []
    for number in range(frames):
        phase = 2 * np.pi * number / 48
        scale = 0.95 * SIZE[0] / height * (1 + 0.02 * pace / 4 * np.sin(2 * phase))
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 1.5 * pace / 4 * np.sin(phase), scale)
        reach = pace * 48 / (2 * np.pi)
        matrix[:, 2] += (SIZE[1] / 2 - width / 2 + reach * np.sin(phase), SIZE[0] / 2 - height / 2 + 14)
        found.append(matrix)
    return found


def frames_of(scene: Scene, noise: float, seed: int = 0) -> list[Picture]:
    """The video, before it is encoded."""
    rng = np.random.default_rng(seed)
    rough = cv2.resize(rng.uniform(40, 200, (12, 16, 3)).astype(np.float32), SIZE[::-1])
    fine = cv2.resize(rng.normal(0, 12, (120, 160, 3)).astype(np.float32), SIZE[::-1])
    matte = cv2.GaussianBlur((scene.truth > 0).astype(np.float32), (0, 0), 1.5)[..., None]
    cut = np.concatenate((scene.photo.astype(np.float32) * matte, matte), axis=2)
    found = []
    for matrix in scene.path:
        layer = cv2.warpAffine(cut, matrix, SIZE[::-1], flags=cv2.INTER_AREA)
        frame = layer[..., :3] + (rough + fine) * (1 - layer[..., 3:])
        frame += rng.normal(0, noise, frame.shape)
        found.append(frame.clip(0, 255).round().astype(np.uint8))
    return found


def encode(frames: list[Picture], path: Path) -> None:
    """Write them as people's videos are written."""
    with encoding(path, VideoFormat(SIZE, rate=Fraction(25))) as film:
        for number, frame in enumerate(frames):
            film.add(frame, number / 25)


def back(labels: Picture, matrix: npt.NDArray[np.float64], size: tuple[int, int]) -> Picture:
    """Labels of a frame, in the photo's own pixels; 255 where the frame ends."""
    return cv2.warpAffine(
        labels, matrix, size[::-1], flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP, borderValue=255
    )


def measure(scene: Scene, found: list[Picture]) -> tuple[float, float, float]:
    """Flicker, accuracy and mean IoU over the parts that are 1% of the person or more, all 0-1."""
    size = scene.truth.shape
    seen = [back(labels, matrix, size) for labels, matrix in zip(found, scene.path, strict=True)]
    person = cv2.erode((scene.truth > 0).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    person &= np.all([labels != 255 for labels in seen], axis=0)
    flicker = np.mean([(one != other)[person].mean() for one, other in pairwise(seen)])
    right = np.mean([(labels == scene.truth)[person].mean() for labels in seen])
    shares = np.bincount(scene.truth[scene.truth > 0]) / np.count_nonzero(scene.truth)
    present = np.flatnonzero(shares >= 0.01)
    ious = []
    for label in present:
        meet = sum(int(((labels == label) & (scene.truth == label)).sum()) for labels in seen)
        join = sum(
            int((((labels == label) & (labels != 255)) | (scene.truth == label)).sum()) for labels in seen
        )
        ious.append(meet / join)
    return float(flicker), float(right), float(np.mean(ious))


def main(
    frames: Annotated[int, typer.Option(help="Length of each video.")] = 48,
    noise: Annotated[float, typer.Option(help="Standard deviation, of 255.")] = 8,
    strengths: Annotated[str, typer.Option(help="Tried for both ways of smoothing.")] = "0.3,0.5,0.6,0.7,0.8",
) -> None:
    """Print flicker, accuracy and mean IoU per photo, pace and way of smoothing."""
    parser = Parser(device="cpu")
    ways = [(None, 0.0), *((way, float(text)) for way in STRENGTH for text in strengths.split(","))]
    table = Table("photo", "pace", "smoothing", "flicker", "accuracy", "mean IoU", "frames/s")
    for name in ("astronaut.png", "grace_hopper.jpg"):
        photo = image.load(EXAMPLES / name)
        truth = parser.predict(photo).labels
        for pace in (1, 4, 12):
            scene = Scene(photo, truth, motion(photo, pace, frames))
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "clip.mp4")
                encode(frames_of(scene, noise), path)
                for way, strength in ways:
                    start = time.perf_counter()
                    found = [
                        one.parsing.labels
                        for one in parser.predict_video(path, smooth=way, strength=strength if way else None)
                    ]
                    rate = frames / (time.perf_counter() - start)
                    flicker, right, iou = measure(scene, found)
                    smoothing = f"{way} {strength:g}" if way else "none"
                    cells = (
                        f"{100 * flicker:.2f}%",
                        f"{100 * right:.2f}%",
                        f"{100 * iou:.1f}%",
                        f"{rate:.1f}",
                    )
                    table.add_row(name, f"{pace} px", smoothing, *cells)
    Console(width=110).print(table)
    print(f"{parser}\n{frames} frames of {SIZE[1]}x{SIZE[0]}, noise {noise:g}")


if __name__ == "__main__":
    typer.run(main)
