"""`ParserOptions`: a model and all options of `Parser` in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING

from . import runtimes
from .registry import DEFAULT

if TYPE_CHECKING:
    import os

    from .geometry import Protocols
    from .runtimes.placement import Precision, Runtime


@dataclass(frozen=True)
class ParserOptions:
    """A model and its options. Unlike a `Parser`, it is small and can be sent to other processes.

    Attributes:
        model, weights, device, precision, runtime, flip, scales, protocol, test_size, detector, rule,
            fast_decode, offline: see `Parser`, which checks them.

    Examples:
        >>> from humanparse import Parser, ParserOptions
        >>> options = ParserOptions("lite-atr", device="cpu")
        >>> parsing = Parser.of(options).predict("examples/grace_hopper.jpg")
    """

    model: str = DEFAULT
    _: KW_ONLY
    weights: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = None
    device: str = "auto"
    precision: Precision = "auto"
    runtime: Runtime = runtimes.DEFAULT
    flip: bool | None = None
    scales: tuple[float, ...] | None = None
    protocol: Protocols = "extract"
    test_size: tuple[int, int] | None = None
    detector: str | None = None
    rule: str | None = None
    fast_decode: bool = False
    offline: bool | None = None

    @classmethod
    def of(cls, model: str | ParserOptions) -> ParserOptions:
        """Options as they are, or the default options of a model's name."""
        return cls(model) if isinstance(model, str) else model
