"""Hands a loaded network to the chosen runtime."""

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
    """A network with weights and products in half precision: float32 (B, 3, h, w) -> float32 logits.

    The kernels sum in float32. Twice the batch fits into memory, and weights are not cast at each call.

    Args:
        network: the network; it is changed.
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
    """Hand a network to a runtime; the result computes float32 (B, 3, h, w) -> logits.

    Args:
        network: the folded network on its device; it may be changed. Runtimes other than torch need it on the
            CPU.
        spec: the model.
        runtime: `"torch"`, `"onnxruntime"` or `"openvino"`.
        precision: precision of the matrix products. Networks that find people get it when they run.

    Raises:
        DeviceError: this CPU does not support the precision.
        ModelError: the model has no logits, so only torch can run it.
        WeightsError: the graph cannot be written to the cache folder, or read from it.
    """
    if runtime == "torch":
        split(network)  # not for graphs, which take inputs of any size
        whole = precision == "float32" or not spec.gives_logits
        return network if whole else HalfNetwork(network, DTYPES[precision])
    if not spec.gives_logits:
        raise ModelError(f"{spec.name} outputs several kinds of maps, not logits: use runtime='torch'")
    return _of_graph(cached_graph(network, spec), runtime, precision)


def hosted_with_people(
    network: nn.Module, spec: ModelSpec, runtime: str, precision: str
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """Hand a network and its people head to a runtime: float32 (B, 3, h, w) -> logits and maps of people.

    Args:
        network: a network after `hosted`, which leaves the people head out.
        spec, runtime, precision: as for `hosted`.

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
    """Load a user's ONNX file of a model into ONNX Runtime: float32 (B, 3, h, w) -> logits.

    Args:
        path: the file.
        spec: the model.
        size: (height, width) of the model's input.

    Raises:
        WeightsError: the file cannot be read, or is of another model.
        ModelError: the model has no logits.
    """
    if not spec.gives_logits:
        raise ModelError(
            f"{spec.name} outputs several kinds of maps, not logits: its ONNX files are not supported"
        )
    return OnnxFile(path, len(spec.scheme), size)


def _of_graph(graph: Path, runtime: str, precision: str) -> OnnxRuntimeNetwork | OpenVinoNetwork:
    if runtime == "onnxruntime":
        return OnnxRuntimeNetwork(graph)
    return OpenVinoNetwork(graph, precision, keep=True)
