"""The networks, one file for each family. They work on tensors only; `build` makes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from types import ModuleType

from torch import Tensor, nn

from ..errors import ModelError
from ..registry import FAMILIES, Family, ModelSpec


def build(spec: ModelSpec) -> nn.Module:
    """Make the network of a model, in evaluation mode, with random weights.

    The network maps float images (B, 3, H, W) to logits (B, C, h, w), where C is the number of labels in the
    model's scheme. A network without logits (see `spec.gives_logits`) returns maps for its decoder.

    Raises:
        ModelError: this version does not know the family.
    """
    if spec.family not in FAMILIES:
        raise ModelError(f"{spec.name}: this version of humanparse has no family {spec.family!r}; upgrade it")
    family = FAMILIES[spec.family]
    made: nn.Module = getattr(_module(family), family.network)(len(spec.scheme), **spec.architecture)
    return made.eval()


def read_off(spec: ModelSpec, state: Mapping[str, Tensor]) -> ModelSpec:
    """The model, with the part of its architecture that only its checkpoint says; see `Family.reads_off`."""
    family = FAMILIES[spec.family]
    if not family.reads_off:
        return spec
    return replace(spec, architecture={**spec.architecture, **_module(family).read_off(state)})


def _module(family: Family) -> ModuleType:
    return import_module(f".{family.module}", __name__)
