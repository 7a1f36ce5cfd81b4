"""Prepares a loaded network to run: folds norms into convolutions, swaps in faster blocks, channels-last."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from ..models._fast import fold


def folded(network: nn.Module) -> nn.Module:
    """Fold norms into the convolutions before them; the function stays the same, up to rounding.

    A norm follows a convolution if it is defined right after it in the same module, which holds for all
    families here. Norms are torch's `BatchNorm2d` and modules with a method `fold_into`, which returns the
    remaining activation. Afterwards each block with a method `merged` is replaced by the result of that
    method.

    Args:
        network: the network in evaluation mode, with its weights; it is changed.

    Returns:
        `network`, with channels-last convolutions.
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
    """Replace each block with a method `split` by its result, a faster form for inputs of fixed size.

    Norms must already be folded.
    """
    _replace(network, "split")


def _replace(network: nn.Module, method: str) -> None:
    """Replace each block that has a method of that name by the method's result."""
    for module in list(network.modules()):
        for name, block in list(module.named_children()):
            if (faster := getattr(block, method, None)) is not None:
                module.add_module(name, faster())
