"""`Parser`: a model by name, ready to parse photos."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from . import checkpoint, hub, image, manifest, models
from .errors import DeviceError, ModelError
from .geometry import Protocols
from .manifest import ModelSpec
from .pipelines.semantic import Semantic
from .pipelines.single_stage import DECODERS, SingleStage
from .results import Parsing
from .runtimes.folded import folded

Precision = Literal["auto", "float32", "bf16", "fp16"]

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Parser:
    """Labels every pixel of a photo of people.

    Args:
        model: a name of `humanparse.list_models()`; the default comes with the package.
        weights: a checkpoint file of your own for this model, in any published form; None fetches the
            published one.
        device: `"auto"` (CUDA when it is there, else CPU), `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"` (accepted,
            untested).
        precision: `"float32"` is exact; `"bf16"` and `"fp16"` (CUDA only) are faster and change a few labels
            at borders; `"auto"` is float32 on CPU and MPS, fp16 on CUDA.
        flip: average with the mirrored photo; None is the original's default.
        scales: average over these sizes, such as `(0.75, 1.0, 1.25)`; None is the original's default.
        protocol: how logits come back to the photo. `"extract"`: resampled, then the best class is taken, as
            the original's extractor. `"paper"`: the best class at network size, resampled by nearest
            neighbour, as its evaluation. `"score"`: as paper, with centres cut to whole pixels, as its
            printed scores. Models that find people by themselves: `"extract"` puts the person of higher
            score on top, the others give the original's own map.
        test_size: (height, width) of the network's input instead of the original's; for models that keep the
            aspect (short side, limit of the long side), or, for `keep-ratio` inputs, both limits.
        offline: never use the network; None follows HUMANPARSE_OFFLINE and HF_HUB_OFFLINE.
        progress: show download progress; None shows it on a terminal only.

    Attributes:
        spec: the model's record (see `humanparse.model_info`).
        scheme: its labels.
        device: the `torch.device` in use.
        precision: `"float32"`, `"bf16"` or `"fp16"`, as in use.

    Raises:
        ModelError: unknown model, or an option it cannot take.
        WeightsError: the weights cannot be had, or do not fit.
        DeviceError: the device or the precision is not available here.
    """

    def __init__(
        self,
        model: str = "tiny-atr",
        *,
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
        precision: Precision = "auto",
        flip: bool | None = None,
        scales: tuple[float, ...] | None = None,
        protocol: Protocols = "extract",
        test_size: tuple[int, int] | None = None,
        offline: bool | None = None,
        progress: bool | None = None,
    ) -> None:
        self.spec = manifest.get(model)
        self.scheme = self.spec.scheme
        self.device = _device(device)
        self.precision = _precision(precision, self.device)
        if protocol not in get_args(Protocols):
            raise ModelError(f"protocol must be one of {', '.join(get_args(Protocols))}, not {protocol!r}")
        self._flip = self.spec.flip if flip is None else flip
        self._scales = _scales(self.spec.scales if scales is None else scales)
        if self.spec.decode is not None and (self._flip or self._scales != (1.0,)):
            raise ModelError(f"{self.spec.name} sees a photo once, as it is: leave flip and scales out")
        shared: dict[str, Any] = {
            "name": self.spec.name,
            "network": _network(self.spec, weights, offline, progress).to(self.device),
            "scheme": self.scheme,
            "input": _input(self.spec, test_size),
            "device": self.device,
            "dtype": _DTYPES[self.precision],
            "protocol": protocol,
        }
        self._pipeline: Semantic | SingleStage
        if self.spec.decode is None:
            self._pipeline = Semantic(**shared, flip=self._flip, scales=self._scales)
        else:
            decode = DECODERS[self.spec.family]
            self._pipeline = SingleStage(**shared, decode=decode, thresholds=self.spec.decode)

    def predict(self, source: Any, *, keep_logits: bool = False, confidence: bool = False) -> Parsing:
        """Parse one photo.

        Args:
            source: path, URL, bytes, binary file, PIL image, numpy RGB (H, W, 3), (H, W) or (H, W, 4), or
                torch (3, H, W); see `humanparse.image.load`.
            keep_logits: give `.logits`, float32 (C, h, w).
            confidence: give `.confidence`, float16 (H, W).

        Raises:
            ImageError: the input is no readable picture; the message names it.
            ModelError: the model has no logits or confidence to give.
        """
        return self._pipeline(image.load(source), keep_logits, confidence)

    def __repr__(self) -> str:
        extras = [f"flip={self._flip}"] if self._flip else []
        extras += [f"scales={self._scales}"] if self._scales != (1.0,) else []
        described = ", ".join([self._pipeline.input.extent, str(self.device), self.precision, *extras])
        return f"Parser({self.spec.name}: {len(self.scheme)} {self.scheme.key} labels, {described})"


def _network(
    spec: ModelSpec, weights: str | os.PathLike[str] | None, offline: bool | None, progress: bool | None
) -> torch.nn.Module:
    if weights is None:
        path = hub.fetch(spec, offline=offline, progress=progress)
        state = checkpoint.load_converted(path, hub.sha256(path))
    else:
        path = Path(weights)
        state = checkpoint.load(path)
    with torch.device("meta"):
        network = models.build(spec)
    checkpoint.check(state, network.state_dict(), spec, path.name)
    network.load_state_dict(state, strict=True, assign=True)
    return folded(network.requires_grad_(False))


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{name!r} is no device; use auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            f"{name} was asked for, but this torch ({torch.__version__}) sees no CUDA; use device='cpu'"
        )
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"{name} was asked for, but there are {torch.cuda.device_count()} CUDA devices")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("mps was asked for, but this torch sees no Apple GPU; use device='cpu'")
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"{name!r} is not supported; use auto, cpu, cuda, cuda:N or mps")
    return device


def _precision(name: Precision, device: torch.device) -> str:
    if name == "auto":
        return "fp16" if device.type == "cuda" else "float32"
    if name not in _DTYPES:
        raise DeviceError(f"precision must be auto, {', '.join(_DTYPES)}, not {name!r}")
    if name == "fp16" and device.type == "cpu":
        raise DeviceError("fp16 needs CUDA; on a CPU use bf16 or float32")
    return name


def _scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    values = tuple(float(scale) for scale in scales)
    if not values or not all(0.1 <= value <= 4 for value in values):
        raise ModelError(f"scales must be numbers between 0.1 and 4, such as (0.75, 1.0, 1.25), not {scales}")
    return values


def _input(spec: ModelSpec, test_size: tuple[int, int] | None) -> manifest.InputSpec:
    if test_size is None:
        return spec.input
    height, width = test_size
    if min(height, width) < 32:
        raise ModelError(f"test_size is (height, width), each at least 32, not {test_size}")
    return replace(spec.input, size=(int(height), int(width)))
