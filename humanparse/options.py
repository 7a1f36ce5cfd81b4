"""`ParserOptions`: a model and all options of `Parser` in one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
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

    Each field is also an option of the commands that parse photos. `Parser` checks the values.

    Examples:
        >>> from humanparse import Parser, ParserOptions
        >>> options = ParserOptions("lite-atr", device="cpu")
        >>> parsing = Parser.of(options).predict("examples/grace_hopper.jpg")
    """

    model: str = field(default=DEFAULT, metadata={"help": "See `humanparse models`."})
    _: KW_ONLY
    weights: str | os.PathLike[str] | Mapping[str, str | os.PathLike[str]] | None = field(
        default=None, metadata={"help": "Your own checkpoint file; ROLE=FILE for one of several networks."}
    )
    device: str = field(default="auto", metadata={"help": "auto, cpu, cuda, cuda:N or mps."})
    precision: Precision = field(default="auto", metadata={"help": "auto, float32, bf16 or fp16."})
    runtime: Runtime = field(
        default=runtimes.DEFAULT, metadata={"help": "auto, torch, onnxruntime or openvino."}
    )
    flip: bool | None = field(default=None, metadata={"help": "Average with the mirrored photo."})
    scales: tuple[float, ...] | None = field(
        default=None, metadata={"help": "Average over scales, such as 0.75,1,1.25."}
    )
    protocol: Protocols = field(
        default="extract",
        metadata={
            "help": "How logits become labels of the photo, as in the original scripts: "
            "extract, paper or score."
        },
    )
    test_size: tuple[int, int] | None = field(
        default=None,
        metadata={
            "help": "HEIGHT,WIDTH of the network's input; for models that keep the aspect, "
            "the short side and the limit of the long side."
        },
    )
    detector: str | None = field(
        default=None, metadata={"help": "Detect people with this detector instead of the default."}
    )
    rule: str | None = field(
        default=None,
        metadata={
            "help": "How logits of people and of the whole photo are fused: schp, schp-original or mce2p."
        },
    )
    fast_decode: bool = field(
        default=False,
        metadata={
            "help": "Decode large JPEGs at 1/2, 1/4 or 1/8 of their size, at least twice what the network "
            "sees. Labels have the photo's size; on photos of 7 to 11 megapixels, 99.8% of lite-atr's labels "
            "were the same, and 99.4% of those on people."
        },
    )
    offline: bool | None = field(default=None, metadata={"help": "Never use the network for weights."})

    @classmethod
    def of(cls, model: str | ParserOptions) -> ParserOptions:
        """Options as they are, or the default options of a model's name."""
        return cls(model) if isinstance(model, str) else model
