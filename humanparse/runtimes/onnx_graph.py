"""Writes a loaded network as an ONNX graph with variable batch size, height and width."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import hub
from .._version import __version__
from ..durable import replacing
from ..errors import WeightsError
from ..ops.float32 import exact_float32
from ..registry import ModelSpec

OPSET = 17
"""ONNX opset: the first with layer norm as one operator."""


class AveragePooling(nn.Module):
    """`nn.AdaptiveAvgPool2d` to a square, as two products with matrices that depend on the input's size.

    ONNX has no adaptive pooling; its exporter only supports fixed sizes that are multiples of the result's.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, cells, cells)."""
        rows, columns = self._weights(x.shape[2], x), self._weights(x.shape[3], x)
        return rows @ x @ columns.T

    def _weights(self, length: int, x: Tensor) -> Tensor:
        """(cells, length): the weight of each position in each cell."""
        position = torch.arange(length, device=x.device)
        cell = torch.arange(self.cells, device=x.device)[:, None]
        start = torch.div(cell * length, self.cells, rounding_mode="floor")
        end = torch.div((cell + 1) * length + self.cells - 1, self.cells, rounding_mode="floor")
        inside = ((position >= start) & (position < end)).to(x.dtype)
        return inside / inside.sum(dim=1, keepdim=True)


class WithPeople(nn.Module):
    """A network with its people head: (B, 3, h, w) -> logits (B, C, h', w'), people (B, 3, h'', w'')."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        found: tuple[Tensor, Tensor] = self.network.with_people(image)  # type: ignore[operator]
        return found


def write_graph(
    network: nn.Module, path: Path, metadata: Mapping[str, str], outputs: Sequence[str] = ("logits",)
) -> None:
    """Write a network as ONNX: `image` float32 (B, 3, h, w) -> `logits` float32 (B, C, h', w').

    The network, on the CPU and in evaluation mode, is not changed. The file appears under its name only when
    it is complete. The metadata become the graph's `metadata_props`; the first of the outputs is the logits.
    """
    import onnx

    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    network = deepcopy(network, shared)  # new modules that share the weights
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d):
                assert isinstance(child.output_size, int)
                module.add_module(name, AveragePooling(child.output_size))
    try:
        with replacing(path) as part:
            _export(network, part, outputs)
            graph = onnx.load(part)
            onnx.helper.set_model_props(graph, dict(metadata))
            onnx.save(graph, part)
    except OSError as error:
        raise WeightsError(
            f"cannot write {path}: {error}; free some space or choose another folder"
        ) from error


def _export(network: nn.Module, path: Path, outputs: Sequence[str]) -> None:
    free = {"image": {0: "batch", 2: "height", 3: "width"}, "logits": {0: "batch", 2: "rows", 3: "columns"}}
    free |= {name: {0: "batch", 2: f"{name}_rows", 3: f"{name}_columns"} for name in outputs[1:]}
    photos = torch.zeros((2, 3, 96, 128), dtype=torch.float32, device="cpu")
    with warnings.catch_warnings(), exact_float32(photos.device):  # autocast would become part of the graph
        # The tracing exporter is ten times faster than its successor, and needs no onnxscript.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*might cause the trace to be incorrect")
        warnings.filterwarnings("ignore", message="Constant folding - Only steps=1")
        torch.onnx.export(
            network,
            (photos,),
            str(path),
            dynamo=False,
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes=free,
            opset_version=OPSET,
        )


def cached_graph(network: nn.Module, spec: ModelSpec, people: bool = False) -> Path:
    """The graph of a loaded network in the cache folder, written if it does not exist.

    Its name contains a hash of the weights, the architecture, and the versions of humanparse and torch. With
    `people`, the maps of the people head are a second output.
    """
    name = f"{spec.filename}-people" if people else spec.filename
    path = hub.cache_dir() / "graphs" / f"{name}.{_fingerprint(network, spec)[:16]}.onnx"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(
                f"cannot make {path.parent}: {error}; set HUMANPARSE_HOME to a folder that can be written"
            ) from error
        whole, outputs = (WithPeople(network), ("logits", "people")) if people else (network, ("logits",))
        write_graph(whole, path, {"model": spec.name}, outputs)
    return path


def _fingerprint(network: nn.Module, spec: ModelSpec) -> str:
    made = [__version__, torch.__version__, OPSET, spec.family, spec.architecture, len(spec.scheme)]
    digest = hashlib.sha256(json.dumps(made).encode())
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.contiguous().numpy())
    return digest.hexdigest()
