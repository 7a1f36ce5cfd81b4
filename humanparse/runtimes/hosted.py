"""A loaded network handed to the runtime that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import ModelError
from ..registry import ModelSpec
from .folded import split
from .onnx_graph import cached_graph
from .onnxruntime import OnnxFile, OnnxRuntimeNetwork
from .openvino import OpenVinoNetwork
from .placement import DTYPES


class HalfNetwork:
    """A network whose weights and products are half precision: float32 (B, 3, h, w) -> float32 logits.

    Sums are float32 inside the kernels. Twice the batch fits into memory, and nothing is cast at each call.

    Args:
        network: it is changed.
        dtype: bfloat16 or float16.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        self.network, self.dtype = network.to(dtype), dtype

    def __call__(self, image: Tensor) -> Tensor:
        """See the class."""
        logits: Tensor = self.network(image.to(self.dtype))
        return logits.float()

    def with_people(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See `hosted_with_people`."""
        logits, people = self.network.with_people(image.to(self.dtype))  # type: ignore[operator]
        return logits.float(), people.float()


def hosted(network: nn.Module, spec: ModelSpec, runtime: str, precision: str) -> Callable[[Tensor], Tensor]:
    """The same function, float32 (B, 3, h, w) -> logits, computed by a runtime.

    Args:
        network: folded, on its device, may be changed; runtimes other than torch want it on the CPU.
        spec: the model.
        runtime: `"torch"`, `"onnxruntime"` or `"openvino"`.
        precision: of the matrix products; torch is told when a network that finds people is run.

    Raises:
        DeviceError: this CPU does not have that precision.
        ModelError: the model gives no logits, so only torch can run it.
        WeightsError: the graph cannot be written to the cache folder, or read from it.
    """
    if runtime == "torch":
        split(network)  # not for graphs, whose grids are free
        whole = precision == "float32" or not spec.gives_logits
        return network if whole else HalfNetwork(network, DTYPES[precision])
    if not spec.gives_logits:
        raise ModelError(f"{spec.name} gives maps of several kinds, not logits: take runtime='torch'")
    return _of_graph(cached_graph(network, spec), runtime, precision)


def hosted_with_people(
    network: nn.Module, spec: ModelSpec, runtime: str, precision: str
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """A network with its people head: float32 (B, 3, h, w) -> logits and the maps of people.

    Args:
        network: as it is after `hosted`.
        spec, runtime, precision: as for `hosted`, whose networks do not compute the people head.

    Raises:
        DeviceError, WeightsError: as `hosted`.
    """
    if runtime != "torch":
        return _of_graph(cached_graph(network, spec, people=True), runtime, precision).outputs
    if precision != "float32":
        return HalfNetwork(network, DTYPES[precision]).with_people
    with_people: Callable[[Tensor], tuple[Tensor, ...]] = network.with_people  # type: ignore[assignment]
    return with_people


def hosted_file(path: Path, spec: ModelSpec, size: tuple[int, int]) -> OnnxFile:
    """A user's ONNX file of a model, under ONNX Runtime: float32 (B, 3, h, w) -> logits.

    Args:
        path: the file.
        spec: the model.
        size: (height, width) of its input.

    Raises:
        WeightsError: the file cannot be read, or is of another model.
        ModelError: the model gives no logits.
    """
    if not spec.gives_logits:
        raise ModelError(
            f"{spec.name} gives maps of several kinds, not logits: no ONNX file of it can be run"
        )
    return OnnxFile(path, len(spec.scheme), size)


def _of_graph(graph: Path, runtime: str, precision: str) -> OnnxRuntimeNetwork | OpenVinoNetwork:
    if runtime == "onnxruntime":
        return OnnxRuntimeNetwork(graph)
    return OpenVinoNetwork(graph, precision, keep=True)
