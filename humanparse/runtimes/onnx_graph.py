"""A loaded network as an ONNX graph: batch, height and width stay free."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
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
"""The first with layer norm as one operator."""


class AveragePooling(nn.Module):
    """`nn.AdaptiveAvgPool2d` to a square, as two products with matrices made from the input's size.

    ONNX has no adaptive pooling; its exporter takes only sizes known beforehand that the result divides.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, cells, cells)."""
        rows, columns = self._weights(x.shape[2], x), self._weights(x.shape[3], x)
        return rows @ x @ columns.T

    def _weights(self, length: int, x: Tensor) -> Tensor:
        """(cells, length): how much of each position goes into each cell."""
        position = torch.arange(length, device=x.device)
        cell = torch.arange(self.cells, device=x.device)[:, None]
        start = torch.div(cell * length, self.cells, rounding_mode="floor")
        end = torch.div((cell + 1) * length + self.cells - 1, self.cells, rounding_mode="floor")
        inside = ((position >= start) & (position < end)).to(x.dtype)
        return inside / inside.sum(dim=1, keepdim=True)


def write_graph(network: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a network as ONNX: `image` float32 (B, 3, h, w) -> `logits` float32 (B, C, h', w').

    Args:
        network: on the CPU, in evaluation mode; it is not changed.
        path: the file; it appears under this name only when it is whole.
        metadata: kept in the graph's `metadata_props`.

    Raises:
        WeightsError: the file cannot be written.
    """
    import onnx

    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    network = deepcopy(network, shared)  # modules of its own, the same weights
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d):
                assert isinstance(child.output_size, int)
                module.add_module(name, AveragePooling(child.output_size))
    try:
        with replacing(path) as part:
            _export(network, part)
            graph = onnx.load(part)
            onnx.helper.set_model_props(graph, dict(metadata))
            onnx.save(graph, part)
    except OSError as error:
        raise WeightsError(
            f"cannot write {path}: {error}; free some space or choose another folder"
        ) from error


def _export(network: nn.Module, path: Path) -> None:
    free = {"image": {0: "batch", 2: "height", 3: "width"}, "logits": {0: "batch", 2: "rows", 3: "columns"}}
    photos = torch.zeros((2, 3, 96, 128), dtype=torch.float32, device="cpu")
    with warnings.catch_warnings(), exact_float32(photos.device):  # autocast would become part of the graph
        # The tracing exporter is ten times faster than the one that succeeds it, and needs no onnxscript.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message=".*might cause the trace to be incorrect")
        torch.onnx.export(
            network,
            (photos,),
            str(path),
            dynamo=False,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes=free,
            opset_version=OPSET,
        )


def cached_graph(network: nn.Module, spec: ModelSpec) -> Path:
    """The graph of a loaded network in the cache folder, written if it is not there yet.

    Its name holds a hash of the weights, of the architecture, which weights alone do not tell, and of the
    versions of humanparse and torch that made it.

    Raises:
        WeightsError: the cache folder cannot be written.
    """
    path = hub.cache_dir() / "graphs" / f"{spec.name}.{_fingerprint(network, spec)[:16]}.onnx"
    if not path.is_file():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WeightsError(
                f"cannot make {path.parent}: {error}; set HUMANPARSE_HOME to a folder that can be written"
            ) from error
        write_graph(network, path, {"model": spec.name})
    return path


def _fingerprint(network: nn.Module, spec: ModelSpec) -> str:
    made = [__version__, torch.__version__, OPSET, spec.family, spec.architecture, len(spec.scheme)]
    digest = hashlib.sha256(json.dumps(made).encode())
    for name, value in network.state_dict().items():
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.contiguous().numpy())
    return digest.hexdigest()
