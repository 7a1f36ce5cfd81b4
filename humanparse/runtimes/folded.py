"""A loaded network as it runs: norms folded into convolutions, blocks in faster forms, channels-last."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from ..models._fast import fold


def folded(network: nn.Module) -> nn.Module:
    """The same function, up to rounding, with less to do: norms after convolutions are folded into them.

    A norm counts as following a convolution when it is defined right after it in the same module, which
    holds for all our families. Norms are torch's `BatchNorm2d` and modules with a method `fold_into`, which
    returns the activation that remains. Then what a block's method `merged` gives replaces the block.

    Args:
        network: in evaluation mode, with its weights loaded; it is changed.

    Returns:
        `network`, its convolutions channels-last.
    """
    for module in network.modules():
        for (_, conv), (name, norm) in pairwise(list(module.named_children())):
            if not isinstance(conv, nn.Conv2d):
                continue
            if isinstance(norm, nn.BatchNorm2d):
                fold(conv, norm, norm.weight.double())
                module.add_module(name, nn.Identity())
            elif (fold_into := getattr(norm, "fold_into", None)) is not None:
                module.add_module(name, fold_into(conv))
    _replace(network, "merged")
    return network.to(memory_format=torch.channels_last)


def split(network: nn.Module) -> None:
    """Replace each block that has a form for grids known beforehand, which its method `split` gives.

    Norms must be folded before.
    """
    _replace(network, "split")


def _replace(network: nn.Module, method: str) -> None:
    """Replace each block that has a method of that name by what it gives."""
    for module in list(network.modules()):
        for name, block in list(module.named_children()):
            if (faster := getattr(block, method, None)) is not None:
                module.add_module(name, faster())
