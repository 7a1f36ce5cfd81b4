"""A checkpoint file -> a network that is ready to run."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from .. import checkpoint, hub, models
from ..ops.forks import settle_after_fork
from ..registry import ModelSpec
from .folded import folded


def load_network(spec: ModelSpec, path: Path, published: bool) -> nn.Module:
    """The network of a model, on the CPU, its norms folded.

    Args:
        spec: the model.
        path: its checkpoint.
        published: whether the hub verified the file, which is then converted once, beside it.

    Raises:
        WeightsError: the file is damaged, or does not fit.
    """
    state = load_state(path, published)
    with torch.device("meta"):
        network = models.build(spec)
    checkpoint.check(state, network.state_dict(), spec, path.name)
    network.load_state_dict(state, strict=True, assign=True)
    return folded(network.requires_grad_(False))


def load_state(path: Path, published: bool) -> checkpoint.State:
    """The tensors of a checkpoint; see `load_network`."""
    settle_after_fork()
    return checkpoint.load_converted(path, hub.sha256(path)) if published else checkpoint.load(path)
