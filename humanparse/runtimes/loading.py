"""Loads networks from checkpoint files, the user's own or downloaded ones."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from .. import checkpoint, hub, models
from ..errors import ModelError, WeightsError
from ..impostors import is_onnx
from ..models.detector import Detector
from ..ops.forks import settle_after_fork
from ..registry import ModelSpec, Published
from .folded import folded

PathLike = str | os.PathLike[str]
Weights = PathLike | Mapping[str, PathLike]


def given_files(name: str, weights: Weights | None, roles: tuple[str, ...]) -> Mapping[str, PathLike]:
    """The user's own checkpoints, by the role of their network, from the argument of `Parser`."""
    if isinstance(weights, Mapping):
        unknown = set(weights) - {*roles, "detector"}
        if unknown:
            raise ModelError(
                f"{name} has the networks {', '.join(roles)} and a detector, not {', '.join(sorted(unknown))}"
            )
        return weights
    if weights is None:
        return {}
    if len(roles) > 1:
        known = ", ".join(f'"{role}": PATH' for role in roles)
        raise ModelError(f"{name} has {len(roles)} networks; pass weights={{{known}}}")
    return {roles[0]: weights}


def file_of(spec: Published, given: PathLike | None, offline: bool | None, progress: bool | None) -> Path:
    """The user's own checkpoint, or the published one, which is downloaded if it is not in the cache."""
    return Path(given) if given is not None else hub.fetch(spec, offline=offline, progress=progress)


def is_graph(given: PathLike | None) -> bool:
    """Whether the user's file is an ONNX file: by its content, or by its name if the content is unclear."""
    if given is None or not Path(given).is_file():
        return False
    return Path(given).suffix.lower() == ".onnx" or is_onnx(Path(given))


def load_network(spec: ModelSpec, path: Path, published: bool) -> nn.Module:
    """Load the network of a model on the CPU, and fold its norms; see `load_state` for `published`."""
    state = checkpoint.of_use(load_state(path, published), spec)
    with torch.device("meta"):
        network = models.build(models.read_off(spec, state))
    checkpoint.check(state, network.state_dict(), spec, path.name)
    network.load_state_dict(state, strict=True, assign=True)
    return folded(network.requires_grad_(False))


def load_detector(name: str, path: Path, published: bool) -> Detector:
    """Load a detector of people on the CPU; `name` is that of its builder in torchvision."""
    detector = Detector(name)
    try:
        detector.network.load_state_dict(load_state(path, published), strict=True)
    except RuntimeError as error:
        raise WeightsError(f"{path} does not fit {name}: {error}") from error
    return detector.requires_grad_(False)


def load_state(path: Path, published: bool) -> checkpoint.State:
    """The tensors of a checkpoint; a published file, which the hub verified, is converted once."""
    settle_after_fork()
    return checkpoint.load_converted(path, hub.sha256(path)) if published else checkpoint.load(path)
