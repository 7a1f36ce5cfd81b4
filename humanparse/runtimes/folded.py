"""A loaded network as it runs: norms folded into convolutions, pyramids split, channels-last."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from ..models._blocks import InPlaceAbn

_NORMS = (nn.BatchNorm2d, InPlaceAbn)


def folded(network: nn.Module) -> nn.Module:
    """The same function, up to rounding, with less to do: norms after convolutions are folded into them.

    Scale and shift are computed in float64. A norm counts as following a convolution when it is defined
    right after it in the same module, which holds for all our families.

    Args:
        network: in evaluation mode, with its weights loaded; it is changed.

    Returns:
        `network`, its convolutions channels-last.
    """
    for module in network.modules():
        for (_, conv), (name, norm) in pairwise(list(module.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, _NORMS):
                _fold(conv, *_scale_and_shift(norm))
                module.add_module(name, _activation(norm))
    return network.to(memory_format=torch.channels_last)


def _scale_and_shift(norm: nn.BatchNorm2d | InPlaceAbn) -> tuple[Tensor, Tensor]:
    """float64 (C,) each: what the norm multiplies by, and then adds."""
    assert norm.running_mean is not None and norm.running_var is not None
    weight = norm.weight.double()
    gamma = weight.abs() + norm.eps if isinstance(norm, InPlaceAbn) else weight
    scale = gamma / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


def _fold(conv: nn.Conv2d, scale: Tensor, shift: Tensor) -> None:
    dtype = conv.weight.dtype
    before = 0 if conv.bias is None else conv.bias.double() * scale
    weight = conv.weight.double() * scale[:, None, None, None]
    conv.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    conv.bias = nn.Parameter((before + shift).to(dtype), requires_grad=False)


def _activation(norm: nn.BatchNorm2d | InPlaceAbn) -> nn.Module:
    slope = norm.slope if isinstance(norm, InPlaceAbn) else None
    return nn.Identity() if slope is None else nn.LeakyReLU(slope, inplace=True)
