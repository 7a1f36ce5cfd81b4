"""The networks: one family, one file. They know tensors only; `build` makes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from types import ModuleType

from torch import Tensor, nn

from ..errors import ModelError
from ..registry import FAMILIES, Family, ModelSpec


def build(spec: ModelSpec) -> nn.Module:
    """The network of a model, in evaluation mode, with weights still to be loaded.

    The network maps (B, 3, H, W) float images to (B, C, h, w) logits, C the number of labels in the model's
    scheme; one without logits (`spec.gives_logits`) maps them to what its decoder takes.

    Raises:
        ModelError: the family is not known to this version.
    """
    if spec.family not in FAMILIES:
        raise ModelError(f"{spec.name}: this version of humanparse has no family {spec.family!r}; upgrade it")
    family = FAMILIES[spec.family]
    made: nn.Module = getattr(_module(family), family.network)(len(spec.scheme), **spec.architecture)
    return made.eval()


def read_off(spec: ModelSpec, state: Mapping[str, Tensor]) -> ModelSpec:
    """The model with what its checkpoint alone tells of its architecture; see `Family.reads_off`."""
    family = FAMILIES[spec.family]
    if not family.reads_off:
        return spec
    return replace(spec, architecture={**spec.architecture, **_module(family).read_off(state)})


def _module(family: Family) -> ModuleType:
    return import_module(f".{family.module}", __name__)
