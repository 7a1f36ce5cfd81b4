"""Options that several commands share, above all those of `Parser`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from functools import partial, wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ..errors import FormatError, ModelError
from ..options import ParserOptions

optional = partial(typer.Option, show_default=False)
"""For options that are None unless given: older versions of typer would show this default."""

MinArea = Annotated[
    str, typer.Option(help="Give islands smaller than this the label they touch most: pixels, or 0.1%.")
]
Fill = Annotated[str, typer.Option(help="Fill holes inside a part up to this size: pixels, or 0.1%.")]
Smooth = Annotated[int, typer.Option(help="Smooth borders within this radius in pixels.")]
Grow = Annotated[int, typer.Option(help="Grow the mask by this many pixels.")]
Shrink = Annotated[int, typer.Option(help="Then shrink the mask by this many pixels.")]
Feather = Annotated[int, typer.Option(help="Fade edges inwards over this many pixels.")]

Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, errors only.")]

Processes = Annotated[
    int | None,
    optional(
        help="Divide the work among this many processes, each with its model and its share of the threads; "
        "for small models on many cores, or on a busy machine."
    ),
]

Command = Callable[..., None]


def with_parser_options(without: Sequence[str] = (), **defaults: Any) -> Callable[[Command], Command]:
    """Give a command all options of `Parser`; it gets them as one argument `options`, a `ParserOptions`.

    Args:
        without: options that the command does not offer.
        defaults: the command's defaults that differ from `Parser`'s.
    """
    offered = [option for option in fields(ParserOptions) if option.name not in without]
    added = [
        Parameter(
            option.name,
            Parameter.KEYWORD_ONLY,
            default=defaults.get(option.name, option.default),
            annotation=_annotation(option),
        )
        for option in offered
    ]

    def decorate(command: Command) -> Command:
        own = get_type_hints(command, include_extras=True)
        kept = [
            each.replace(annotation=own[name])
            for name, each in signature(command).parameters.items()
            if name != "options"
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            asked = {each.name: _value(each, given.pop(each.name)) for each in offered}
            command(**given, options=ParserOptions(**asked))

        merged = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in kept] + added
        run.__signature__ = signature(command).replace(parameters=merged)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in merged} | {"return": None}
        return run

    return decorate


def _annotation(option: Field[Any]) -> Any:
    """The command-line option of a field: a flag, a number, or text, which `_READERS` may read further."""
    word = "--" + option.name.replace("_", "-")
    names = ["-m", word] if option.name == "model" else [word] if option.type == "bool" else []
    plain = _PLAIN.get(str(option.type).removesuffix(" | None"), str)
    kind = list[str] if option.name == "weights" else plain
    help, shown = option.metadata["help"], option.default is not None
    return Annotated[
        kind | None,
        typer.Option(*names, help=help, show_default=shown, rich_help_panel="Options of the model"),
    ]


def _value(option: Field[Any], given: Any) -> Any:
    """The value of a field, from what the command line gives."""
    if option.name == "weights":
        return _weights(given)
    reader = _READERS.get(option.type)
    return given if reader is None or given is None else reader(option.name, given)


def _weights(given: list[str] | None) -> Any:
    """`FILE`, or `ROLE=FILE` for each of several networks."""
    if given and all("=" in one and not Path(one).exists() for one in given):
        return dict(one.split("=", 1) for one in given)
    if given and len(given) > 1:
        raise FormatError(
            f"--weights is given {len(given)} times; say which is which: --weights global=FILE …"
        )
    return given[0] if given else None


def _numbers(name: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise ModelError(f"--{name} takes numbers such as 0.75,1,1.25, not {text!r}") from error


def _pair(name: str, text: str) -> tuple[int, int]:
    words = text.replace(",", " ").split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        raise ModelError(f"--{name.replace('_', '-')} takes two numbers such as 473,473, not {text!r}")
    return int(words[0]), int(words[1])


_PLAIN: dict[str, Any] = {"bool": bool, "int": int, "float": float}
_READERS: dict[Any, Callable[[str, str], Any]] = {
    "tuple[float, ...] | None": _numbers,
    "tuple[int, int] | None": _pair,
}
