"""humanparse: for every pixel of a photo of people, which part of which person it is.

    from humanparse import Parser
    Parser().predict("me.jpg").save("me.png")

Importing this module imports no torch and reads no files; names are resolved when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__
from .ops import forks as _forks  # noqa: F401  # notes forks from now on

if TYPE_CHECKING:
    from .errors import (
        BulkError,
        DatasetError,
        DeviceError,
        FormatError,
        HumanParseError,
        ImageError,
        ImageKindError,
        ImageSizeError,
        ModelError,
        PeopleError,
        SchemeError,
        ScoreError,
        ServeError,
        UnreachableError,
        WeightsError,
    )
    from .hub import find_model as model_info
    from .options import ParserOptions
    from .parser import Parser
    from .registry import EnsembleSpec, ModelSpec
    from .registry import names as list_models
    from .results import Parsing, Part, Person
    from .schemes import LabelScheme, get_scheme
    from .verification import Verdict, verify
    from .video.frames import VideoFrame
    from .video.parsed import ParsedVideo

__all__ = [
    "BulkError", "DatasetError", "DeviceError", "EnsembleSpec", "FormatError", "HumanParseError",
    "ImageError", "ImageKindError", "ImageSizeError", "LabelScheme", "ModelError", "ModelSpec", "ParsedVideo",
    "Parser", "ParserOptions", "Parsing", "Part", "PeopleError", "Person", "SchemeError", "ScoreError",
    "ServeError", "UnreachableError", "Verdict", "VideoFrame", "WeightsError", "__version__", "get_scheme",
    "list_models", "model_info", "verify"
]  # fmt: skip

_HOMES = {
    **{name: ("errors", name) for name in __all__ if name.endswith("Error")},
    "Parser": ("parser", "Parser"),
    "ParserOptions": ("options", "ParserOptions"),
    "Parsing": ("results", "Parsing"),
    "ParsedVideo": ("video.parsed", "ParsedVideo"),
    "VideoFrame": ("video.frames", "VideoFrame"),
    "Part": ("results", "Part"),
    "Person": ("results", "Person"),
    "ModelSpec": ("registry", "ModelSpec"),
    "EnsembleSpec": ("registry", "EnsembleSpec"),
    "list_models": ("registry", "names"),
    "model_info": ("hub", "find_model"),
    "LabelScheme": ("schemes", "LabelScheme"),
    "get_scheme": ("schemes", "get_scheme"),
    "Verdict": ("verification", "Verdict"),
    "verify": ("verification", "verify"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(f".{module}", __name__), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
