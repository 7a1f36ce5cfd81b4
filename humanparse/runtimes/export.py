"""Exports a model to a file that runs without humanparse, and measures how well the file agrees with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._version import __version__
from ..errors import FormatError, ModelError
from ..geometry import Frame
from ..ops.float32 import exact_float32
from ..registry import ModelSpec
from .onnx_graph import write_graph
from .onnxruntime import OnnxRuntimeNetwork
from .openvino import OpenVinoNetwork, write_openvino
from .placement import require

Kind = Literal["onnx", "openvino"]

_ENDINGS = {"onnx": ".onnx", "openvino": ".xml"}
_RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


@dataclass(frozen=True)
class Agreement:
    """How well an exported network agrees with the original one, on one picture.

    Attributes:
        logits: the largest difference between two logits.
        deviation: the standard deviation of the logits, for comparison.
        labels: share (0-1) of the cells with the same best class.
    """

    logits: float
    deviation: float
    labels: float


def check_export(spec: ModelSpec, path: Path, to: Kind) -> None:
    """Raise an error, before anything is loaded, if a model cannot be exported."""
    if to not in _ENDINGS:
        raise FormatError(f"models are exported to {' or '.join(_ENDINGS)}, not {to!r}")
    if path.suffix != _ENDINGS[to]:
        raise FormatError(f"{path}: the name of an {to} file must end in {_ENDINGS[to]}")
    if not spec.gives_logits:
        raise ModelError(f"{spec.name} cannot be exported: its output is several kinds of maps, not logits")
    require(_RUNTIMES[to])


def export(network: nn.Module, spec: ModelSpec, path: Path, to: Kind) -> Agreement:
    """Write a network: `image` float32 (B, 3, h, w), normalised -> `logits` float32 (B, C, h', w').

    The file ends in .onnx, or in .xml for OpenVINO, which also writes a .bin beside it. It has `facts`.

    Returns:
        How well the written file agrees with the network on the CPU, run by ONNX Runtime or OpenVINO.
    """
    check_export(spec, path, to)
    if to == "onnx":
        write_graph(network, path, facts(spec))
        return agreement(network, OnnxRuntimeNetwork(path), spec)
    with TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.onnx"
        write_graph(network, graph, {})
        write_openvino(graph, path, facts(spec))
    return agreement(network, OpenVinoNetwork(path), spec)


def facts(spec: ModelSpec) -> dict[str, str]:
    """The metadata that a user of the file needs: plain text, or JSON of `InputSpec` and label names."""
    return {
        "model": spec.name,
        "input": json.dumps(asdict(spec.input)),
        "scheme": spec.scheme_key,
        "labels": json.dumps(spec.scheme.names),
        "paper": spec.paper,
        "weights_licence": spec.licence.weights,
        "commercial_use": f"{spec.licence.commercial}: {spec.licence.reason}",
        "made_by": f"humanparse {__version__}",
    }


@torch.inference_mode()
def agreement(network: nn.Module, other: Callable[[Tensor], Tensor], spec: ModelSpec) -> Agreement:
    """Compare two networks of one model on a random picture of 600x400 pixels."""
    seeded = torch.Generator().manual_seed(0)
    blobs = torch.rand(1, 3, 40, 60, generator=seeded, dtype=torch.float32, device="cpu")
    smooth = F.interpolate(blobs, size=(400, 600), mode="bicubic").clamp(0, 1)[0]
    picture = (smooth * 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    fitted = Frame((400, 600), spec.input).fit(np.asarray(picture))[None]
    with exact_float32(fitted.device):
        ours, theirs = network(fitted), other(fitted)
    same = (ours.argmax(dim=1) == theirs.argmax(dim=1)).float().mean()
    return Agreement(float((ours - theirs).abs().max()), float(ours.std()), float(same))
