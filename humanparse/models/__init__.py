"""The networks: one family, one file. They know tensors only; `build` makes one."""

from __future__ import annotations

from importlib import import_module

from torch import nn

from ..errors import ModelError
from ..registry import FAMILIES, ModelSpec


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
    network: nn.Module = getattr(import_module(f".{family.module}", __name__), family.network)(
        len(spec.scheme), **spec.architecture
    )
    return network.eval()
