"""Options that several commands share, above all those of `Parser`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..errors import FormatError, ModelError
from ..options import ParserOptions

_PANEL = "Options of the model"


def _option(*names: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=_PANEL, **more)


class _Offered:
    """The command-line option of each field of `ParserOptions`; see `with_parser_options`."""

    model: Annotated[str, _option("-m", "--model", help="See `humanparse models`.")]
    weights: Annotated[
        list[str] | None,
        _option(help="Your own checkpoint file; ROLE=FILE for one of several networks.", show_default=False),
    ]
    device: Annotated[str, _option(help="auto, cpu, cuda, cuda:N or mps.")]
    precision: Annotated[str, _option(help="auto, float32, bf16 or fp16.")]
    runtime: Annotated[str, _option(help="auto, torch, onnxruntime or openvino.")]
    flip: Annotated[
        bool | None,
        _option("--flip/--no-flip", help="Average with the mirrored photo.", show_default=False),
    ]
    scales: Annotated[
        str | None, _option(help="Average over scales, such as 0.75,1,1.25.", show_default=False)
    ]
    protocol: Annotated[
        str,
        _option(
            help="How logits become labels of the photo, as in the original scripts: extract, paper or score."
        ),
    ]
    test_size: Annotated[
        str | None,
        _option(
            help="HEIGHT,WIDTH of the network's input; for models that keep the aspect, the short side and "
            "the limit of the long side.",
            show_default=False,
        ),
    ]
    detector: Annotated[
        str | None,
        _option(help="Detect people with this detector instead of the default.", show_default=False),
    ]
    rule: Annotated[
        str | None,
        _option(
            help="How logits of people and of the whole photo are fused: schp, schp-original or mce2p.",
            show_default=False,
        ),
    ]
    fast_decode: Annotated[
        bool,
        _option(
            "--fast-decode",
            help="Decode large JPEGs at 1/2, 1/4 or 1/8 of their size, at least twice what the network sees. "
            "Labels have the photo's size; on photos of 7 to 11 megapixels, 99.7% of lite-atr's labels were "
            "the same, and 99.0% of those on people.",
        ),
    ]
    offline: Annotated[bool, _option("--offline", help="Never use the network for weights.")]


Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, errors only.")]

Processes = Annotated[
    int | None,
    typer.Option(
        help="Divide the work among this many processes, each with its model and its share of the threads; "
        "for small models on many cores, or on a busy machine.",
        show_default=False,
    ),
]

Command = Callable[..., None]


def with_parser_options(without: Sequence[str] = (), **defaults: Any) -> Callable[[Command], Command]:
    """Give a command all options of `Parser`; it gets them as one argument `options`, a `ParserOptions`.

    Args:
        without: options that the command does not offer.
        defaults: the command's defaults that differ from `Parser`'s.
    """

    def decorate(command: Command) -> Command:
        hints = get_type_hints(_Offered, include_extras=True)
        own = get_type_hints(command, include_extras=True)
        kept = [
            each.replace(annotation=own[name])
            for name, each in signature(command).parameters.items()
            if name != "options"
        ]
        added = [
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                default=defaults.get(field.name, field.default),
                annotation=hints[field.name],
            )
            for field in fields(ParserOptions)
            if field.name not in without
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            asked = {each.name: given.pop(each.name) for each in added}
            command(**given, options=_read(asked))

        merged = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in kept] + added
        run.__signature__ = signature(command).replace(parameters=merged)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in merged} | {"return": None}
        return run

    return decorate


def _read(asked: dict[str, Any]) -> ParserOptions:
    """The options of a command line's values."""
    readers: dict[str, Callable[[Any], Any]] = {
        "weights": _weights,
        "scales": _scales,
        "test_size": _test_size,
        "offline": lambda offline: offline or None,  # None lets the environment decide
    }
    return ParserOptions(**{name: readers.get(name, lambda value: value)(asked[name]) for name in asked})


def _weights(given: list[str] | None) -> Any:
    """`FILE`, or `ROLE=FILE` for each of several networks."""
    if given and all("=" in one and not Path(one).exists() for one in given):
        return dict(one.split("=", 1) for one in given)
    if given and len(given) > 1:
        raise FormatError(
            f"--weights is given {len(given)} times; say which is which: --weights global=FILE …"
        )
    return given[0] if given else None


def _scales(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise ModelError(f"--scales takes numbers such as 0.75,1,1.25, not {text!r}") from error


def _test_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    words = text.replace(",", " ").split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        raise ModelError(f"--test-size takes two numbers such as 473,473, not {text!r}")
    return int(words[0]), int(words[1])
