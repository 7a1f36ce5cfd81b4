"""Models of several networks, and the detectors that find people for them, from `weights_manifest.json`."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

from . import manifest
from .errors import ManifestError, ModelError
from .manifest import Accuracy, Licence, ModelSpec, WeightFile
from .schemes import LabelScheme, get_scheme


@dataclass(frozen=True, slots=True)
class EnsembleSpec:
    """One model of several networks, which parse a photo and crops of its people.

    Attributes:
        name: as in `Parser(name)`.
        parts: what each network does -> name of the single model that it is. `global` parses the whole
            picture, all others parse crops.
        rule: name of the rules by which their logits are fused.
        scheme_key: label scheme, that of all parts.
        paper: title, year and identifier.
        origin: original code.
        accuracy: claims, each with its citation.
        licence: see `Licence`.
    """

    name: str
    parts: Mapping[str, str] = field(hash=False)
    rule: str
    scheme_key: str
    paper: str
    origin: str
    accuracy: tuple[Accuracy, ...]
    licence: Licence

    @property
    def scheme(self) -> LabelScheme:
        """The label scheme."""
        return get_scheme(self.scheme_key)

    @property
    def bundled(self) -> bool:
        """Never: these are large."""
        return False

    def networks(self) -> dict[str, ModelSpec]:
        """What each network does -> its record, the global one first.

        Raises:
            ModelError: this version lacks one of them.
        """
        return {role: manifest.get(name) for role, name in self.parts.items()}


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """A network that finds people, by the name of its builder in torchvision.

    Attributes:
        name: as in `Parser(detector=name)`.
        masks: whether it gives masks; otherwise boxes only.
        file: the checkpoint.
        paper: title, year and identifier.
        origin: original code.
        accuracy: claims, each with its citation.
        licence: see `Licence`.
    """

    name: str
    masks: bool
    file: WeightFile
    paper: str
    origin: str
    accuracy: tuple[Accuracy, ...]
    licence: Licence


def names(pattern: str = "*") -> list[str]:
    """Names of all models, of one network or of several, that match a shell pattern, sorted."""
    return sorted([*manifest.names(pattern), *fnmatch.filter(_load().ensembles, pattern)])


def find(name: str) -> EnsembleSpec | None:
    """The model of several networks of that name, or None."""
    return _load().ensembles.get(name)


def get(name: str) -> ModelSpec | EnsembleSpec:
    """The model of that name, of one network or of several.

    Raises:
        ModelError: no such model; the message lists the nearest names.
    """
    return find(name) or manifest.get(name)


def detector_names() -> list[str]:
    """Names of all detectors, the default first."""
    return list(_load().detectors)


def detector(name: str) -> DetectorSpec:
    """The detector of that name.

    Raises:
        ModelError: no such detector; the message lists them.
    """
    if name not in _load().detectors:
        raise ModelError(f"no detector is called {name!r}; known: {', '.join(detector_names())}")
    return _load().detectors[name]


@dataclass(frozen=True)
class _Content:
    ensembles: Mapping[str, EnsembleSpec]
    detectors: Mapping[str, DetectorSpec]


@lru_cache(maxsize=1)
def _load() -> _Content:
    return parse(json.loads(manifest.manifest_path().read_text(encoding="utf-8")))


def parse(data: Mapping[str, Any]) -> _Content:
    """Check these two lists of a manifest and turn them into values, keyed by name.

    Raises:
        ManifestError: names the entry and what is wrong with it.
    """
    ensembles = {
        name: _entry(EnsembleSpec, name, record) for name, record in data.get("ensembles", {}).items()
    }
    detectors = {
        name: _entry(DetectorSpec, name, record) for name, record in data.get("detectors", {}).items()
    }
    for name, spec in ensembles.items():
        if "global" not in spec.parts or len(spec.parts) < 2:
            raise ManifestError(f"weights_manifest.json, {name}: parts need a global network and others")
    return _Content(MappingProxyType(ensembles), MappingProxyType(detectors))


_T = TypeVar("_T", EnsembleSpec, DetectorSpec)


def _entry(kind: type[_T], name: str, record: Mapping[str, Any]) -> _T:
    try:
        values = manifest.shared_fields(record)
        unknown = set(values) - {item.name for item in fields(kind)}
        if unknown:
            raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
        return kind(name=name, **values)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fault = f"field {error} is missing" if isinstance(error, KeyError) else error
        raise ManifestError(f"weights_manifest.json, {name}: {fault}") from error
