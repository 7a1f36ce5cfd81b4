"""Makes a pipeline from a network and its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..options import ParserOptions
from ..registry import FAMILIES, ModelSpec
from ..runtimes.placement import DTYPES
from .semantic import Semantic, check_scales, input_at
from .single_stage import SingleStage, find_decoder


def assembled(
    spec: ModelSpec,
    network: Callable[[tuple[int, int]], Callable[[Tensor], Any]],
    name: str,
    device: torch.device,
    precision: str,
    options: ParserOptions,
) -> Semantic | SingleStage:
    """Make the pipeline of one network of a model.

    Args:
        spec: the network's record.
        network: loads the network, for an input of (height, width).
        name: the model's name.
        device, precision: where and how the network runs.
        options: those that change the network's input or output.

    Raises:
        ModelError: the network cannot take an option.
    """
    flip = spec.flip if options.flip is None else options.flip
    scales = check_scales(spec.scales if options.scales is None else options.scales)
    if not spec.gives_logits and (flip or scales != (1.0,)):
        raise ModelError(f"{spec.name} cannot average several views of a photo: leave flip and scales out")
    if not spec.gives_logits and options.fast_decode:
        raise ModelError(f"{spec.name} needs the whole photo: leave `fast_decode` out")
    fitted = spec.input if options.test_size is None else input_at(spec.input, options.test_size)
    shared: dict[str, Any] = {
        "name": name,
        "network": network(fitted.size),
        "scheme": spec.scheme,
        "input": fitted,
        "device": device,
        "protocol": options.protocol,
    }
    if spec.gives_logits:
        views: dict[str, Any] = {"flip": flip, "scales": scales, "fast_decode": options.fast_decode}
        return Semantic(**shared, **views, small=FAMILIES[spec.family].small)
    return SingleStage(
        **shared, dtype=DTYPES[precision], decode=find_decoder(spec), thresholds=spec.decode or {}
    )
