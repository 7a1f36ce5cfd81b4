"""A network with what decides its answer -> a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..geometry import Protocols
from ..registry import ModelSpec
from ..runtimes.placement import DTYPES
from .semantic import Semantic, check_scales, input_at
from .single_stage import SingleStage, find_decoder


@dataclass(frozen=True)
class Options:
    """How a photo is seen; see `Parser`. None is the original's own."""

    flip: bool | None
    scales: tuple[float, ...] | None
    protocol: Protocols
    test_size: tuple[int, int] | None


def assembled(
    spec: ModelSpec,
    network: Callable[[tuple[int, int]], Callable[[Tensor], Any]],
    name: str,
    device: torch.device,
    precision: str,
    options: Options,
) -> Semantic | SingleStage:
    """One network of a model, ready for photos.

    Args:
        spec: the network's record.
        network: gives what computes it, for an input of (height, width).
        name: of the model.
        device, precision: as in use.
        options: see there.

    Raises:
        ModelError: the network cannot take an option.
    """
    flip = spec.flip if options.flip is None else options.flip
    scales = check_scales(spec.scales if options.scales is None else options.scales)
    if not spec.gives_logits and (flip or scales != (1.0,)):
        raise ModelError(f"{spec.name} sees a photo once, as it is: leave flip and scales out")
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
        return Semantic(**shared, flip=flip, scales=scales)
    return SingleStage(
        **shared, dtype=DTYPES[precision], decode=find_decoder(spec), thresholds=spec.decode or {}
    )
