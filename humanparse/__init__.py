"""humanparse: for every pixel of a photo of people, which part of which person it is.

    from humanparse import Parser
    Parser().predict("me.jpg").save("me.png")

Importing this module imports no torch and touches no disk; names are resolved when they are used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .ops import forks as _forks  # noqa: F401  # notes forks from now on

if TYPE_CHECKING:
    from .ensembles import EnsembleSpec
    from .ensembles import get as model_info
    from .ensembles import names as list_models
    from .errors import (
        BulkError,
        DatasetError,
        DeviceError,
        FormatError,
        HumanParseError,
        ImageError,
        ImageKindError,
        ImageSizeError,
        ManifestError,
        ModelError,
        PeopleError,
        SchemeError,
        ScoreError,
        ServeError,
        WeightsError,
    )
    from .manifest import ModelSpec
    from .parser import Parser
    from .results import Parsing, Part, Person
    from .schemes import LabelScheme, get_scheme
    from .video.frames import VideoFrame
    from .video.parsed import ParsedVideo

__version__ = "0.1.0"

_HOMES = {
    "Parser": ("parser", "Parser"),
    "Parsing": ("results", "Parsing"),
    "ParsedVideo": ("video.parsed", "ParsedVideo"),
    "VideoFrame": ("video.frames", "VideoFrame"),
    "Part": ("results", "Part"),
    "Person": ("results", "Person"),
    "ModelSpec": ("manifest", "ModelSpec"),
    "EnsembleSpec": ("ensembles", "EnsembleSpec"),
    "list_models": ("ensembles", "names"),
    "model_info": ("ensembles", "get"),
    "LabelScheme": ("schemes", "LabelScheme"),
    "get_scheme": ("schemes", "get_scheme"),
    "HumanParseError": ("errors", "HumanParseError"),
    "BulkError": ("errors", "BulkError"),
    "DatasetError": ("errors", "DatasetError"),
    "DeviceError": ("errors", "DeviceError"),
    "FormatError": ("errors", "FormatError"),
    "ImageError": ("errors", "ImageError"),
    "ImageKindError": ("errors", "ImageKindError"),
    "ImageSizeError": ("errors", "ImageSizeError"),
    "ManifestError": ("errors", "ManifestError"),
    "ModelError": ("errors", "ModelError"),
    "PeopleError": ("errors", "PeopleError"),
    "SchemeError": ("errors", "SchemeError"),
    "ScoreError": ("errors", "ScoreError"),
    "ServeError": ("errors", "ServeError"),
    "WeightsError": ("errors", "WeightsError"),
}

__all__ = [
    "BulkError",
    "DatasetError",
    "DeviceError",
    "EnsembleSpec",
    "FormatError",
    "HumanParseError",
    "ImageError",
    "ImageKindError",
    "ImageSizeError",
    "LabelScheme",
    "ManifestError",
    "ModelError",
    "ModelSpec",
    "ParsedVideo",
    "Parser",
    "Parsing",
    "Part",
    "PeopleError",
    "Person",
    "SchemeError",
    "ScoreError",
    "ServeError",
    "VideoFrame",
    "WeightsError",
    "__version__",
    "get_scheme",
    "list_models",
    "model_info",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(f".{module}", __name__), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
