"""The networks: one family, one file. They know tensors only; `build` is the way in."""

from __future__ import annotations

from torch import nn

from ..errors import ModelError
from ..manifest import ModelSpec


def build(spec: ModelSpec) -> nn.Module:
    """The network of a model, in evaluation mode, with weights still to be loaded.

    The network maps (B, 3, H, W) float images to (B, C, h, w) logits, C the number of labels in the model's
    scheme; a single-stage one (`spec.decode` is set) to the maps that its decoder takes.

    Raises:
        ModelError: the family is not known to this version.
    """
    num_classes, options = len(spec.scheme), spec.architecture
    network: nn.Module
    if spec.family == "schp":
        from .schp import Schp

        network = Schp(num_classes, **options)
    elif spec.family == "ce2p-v2":
        from .schp import Ce2pV2

        network = Ce2pV2(num_classes, **options)
    elif spec.family == "ce2p-v1":
        from .ce2p_v1 import Ce2pV1

        network = Ce2pV1(num_classes, **options)
    elif spec.family == "ssseg-ce2p":
        from .ce2p import Ce2p

        network = Ce2p(num_classes, **options)
    elif spec.family == "ssseg-upernet":
        from .upernet import UperNet

        network = UperNet(num_classes, **options)
    elif spec.family == "smp":
        from .smp import Smp

        network = Smp(num_classes, **options)
    elif spec.family == "uniparser":
        from .uniparser import UniParser

        network = UniParser(num_classes, **options)
    elif spec.family == "tiny":
        from .tiny import Tiny

        network = Tiny(num_classes, **options)
    else:
        raise ModelError(f"{spec.name}: this version of humanparse has no family {spec.family!r}; upgrade it")
    return network.eval()
