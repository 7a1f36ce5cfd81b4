"""Times a prediction, stage by stage: decode, fit, network, back, encode."""

from __future__ import annotations

import io
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from . import checkpoint, image, models
from ._version import __version__
from .errors import ModelError
from .geometry import Frame
from .ops.float32 import exact_float32
from .parser import Parser
from .pipelines.semantic import Semantic
from .registry import ModelSpec
from .runtimes.placement import DTYPES

Result = TypeVar("Result")


@dataclass(frozen=True)
class Costs:
    """The measured costs of a prediction.

    Attributes:
        photo, input: (height, width) of the picture and of the network's input.
        milliseconds: stage -> milliseconds per photo, the median of `runs`.
        photos_per_second: speed of all stages, one after the other.
        gflop_per_photo: multiplications and additions of the original network, flip and scales included, in
            1e9. Operations that a runtime avoids are counted, so avoiding them makes it faster.
        gflop_per_second: speed of the network.
        matmul_gflop_per_second: the best of `runs` products of square matrices in torch, in the same
            precision, on the same device, with as many threads: an upper limit for the network.
        peak_memory_mb: largest memory in MB of the process since its start; on CUDA, of its tensors on the
            device.
    """

    model: str
    runtime: str
    device: str
    precision: str
    threads: int
    batch: int
    photo: tuple[int, int]
    input: tuple[int, int]
    runs: int
    milliseconds: dict[str, float]
    photos_per_second: float
    gflop_per_photo: float
    gflop_per_second: float
    matmul_gflop_per_second: float
    peak_memory_mb: float | None
    machine: str
    versions: dict[str, str]


def synthetic_photo(width: int, height: int) -> bytes:
    """The content of a JPEG file that shows coloured blobs."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def random_weights(spec: ModelSpec, folder: Path) -> Path:
    """Write untrained weights of a model to a file; its speed is that of trained weights."""
    path = folder / f"{spec.name}.safetensors"
    checkpoint.save(models.build(spec).state_dict(), path, {"weights": "random"})
    return path


def measure(parser: Parser, photo: bytes, batch: int = 1, runs: int = 5) -> Costs:
    """Time the stages of a prediction of `batch` equal photos; a first run, beside `runs`, is not counted.

    Raises:
        ModelError: the model has several networks or no logits; or `batch` or `runs` is below 1.
        ImageError: the photo cannot be read.
    """
    pipeline = parser.pipeline
    spec, *others = parser.spec.networks().values()
    if others or not isinstance(pipeline, Semantic):
        raise ModelError(f"{parser.spec.name} is not a single network with logits; only those can be timed")
    if batch < 1 or runs < 1:
        raise ModelError(f"batch and runs must be at least 1, not {batch} and {runs}")
    pixels = image.load(photo)
    frame = Frame((pixels.shape[0], pixels.shape[1]), pipeline.input)
    spent: dict[str, list[float]] = {}
    peak = 0.0
    with TemporaryDirectory() as folder:
        for run in range(runs + 1):
            # In turn, because other programs may slow the machine down for a while.
            peak = max(peak, _matmul(pipeline.device, DTYPES[parser.precision]))
            for stage, seconds in _one_run(pipeline, photo, batch, Path(folder)).items():
                spent.setdefault(stage, []).extend([1000 * seconds / batch] if run else [])
    times = {stage: median(values) for stage, values in spent.items()}
    work = _gflop(spec, pipeline, frame.input_size)
    return Costs(
        model=spec.name,
        runtime=parser.runtime,
        device=str(parser.device),
        precision=parser.precision,
        threads=torch.get_num_threads(),
        batch=batch,
        photo=frame.image_size,
        input=frame.input_size,
        runs=runs,
        milliseconds=times,
        photos_per_second=1000 / sum(times.values()),
        gflop_per_photo=work,
        gflop_per_second=1000 * work / times["network"],
        matmul_gflop_per_second=peak,
        peak_memory_mb=peak_memory_mb(pipeline.device),
        machine=_machine(pipeline.device),
        versions={"humanparse": __version__, "torch": torch.__version__, "python": platform.python_version()},
    )


def _one_run(pipeline: Semantic, photo: bytes, batch: int, folder: Path) -> dict[str, float]:
    """Seconds of each stage, for the whole batch."""

    def timed(work: Callable[[], Result]) -> tuple[float, Result]:
        start = time.perf_counter()
        result = work()
        _wait_for(pipeline.device)
        return time.perf_counter() - start, result

    with torch.inference_mode():
        decode, photos = timed(lambda: [image.load(photo) for _ in range(batch)])
        frames = [Frame((pixels.shape[0], pixels.shape[1]), pipeline.input) for pixels in photos]
        fit, fitted = timed(
            lambda: torch.stack(
                [frame.fit(pixels, pipeline.device) for frame, pixels in zip(frames, photos, strict=True)]
            )
        )
        network, views = timed(lambda: pipeline.views(fitted))
        back, parsings = timed(lambda: pipeline.bring_back(frames, views)())
    encode, _ = timed(lambda: [one.save(folder / f"{number}.png") for number, one in enumerate(parsings)])
    return {"decode": decode, "fit": fit, "network": network, "back": back, "encode": encode}


def _gflop(spec: ModelSpec, pipeline: Semantic, size: tuple[int, int]) -> float:
    """Multiplications and additions of the network for one photo, in 1e9, counted without computing them."""
    with torch.device("meta"):
        counted = replace(pipeline, network=models.build(spec), device=torch.device("meta"))
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            counted.views(torch.empty(1, 3, *size))
    return float(counter.get_total_flops()) / 1e9


def _matmul(device: torch.device, dtype: torch.dtype) -> float:
    """GFLOP/s of one product of square matrices."""
    side = 8192 if device.type == "cuda" else 2048
    matrix = torch.ones((side, side), device=device, dtype=dtype)
    _wait_for(device)
    start = time.perf_counter()
    with exact_float32(device):
        matrix @ matrix
    _wait_for(device)
    return 2e-9 * side**3 / (time.perf_counter() - start)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory_mb(device: torch.device) -> float | None:
    """Peak memory in MB: of the tensors on a CUDA device, else of the process; None if it is not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    if sys.platform == "win32":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _machine(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()} CPU, {torch.backends.cpu.get_cpu_capability()}"
