"""The table of models in `weights_manifest.json`: their names, what they consist of, what they can do."""

from __future__ import annotations

import difflib
import fnmatch
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..schemes import LabelScheme, get_scheme
from .families import FAMILIES, Family
from .pretrained import pretrained_model
from .specs import Accuracy, Entry, InputSpec, Licence, ModelSpec, Published, Source, WeightFile

__all__ = [
    "DEFAULT", "FAMILIES", "Accuracy", "DetectorSpec", "EnsembleSpec", "Family", "InputSpec", "Licence",
    "ModelSpec", "Published", "Source", "Spec", "WeightFile", "detector", "detector_for", "detector_names",
    "get", "manifest_path", "names", "network", "networks", "pretrained_model", "single",
]  # fmt: skip

DEFAULT = "lite-atr"
"""Name of the model that comes with the package."""

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleSpec(Entry):
    """A model of several networks, which parse a photo and crops of its people.

    Attributes:
        name, paper, origin, accuracy, licence: see `Entry`.
        parts: role of each network -> name of its model. `global`, the first, parses the whole picture; the
            others parse crops.
        rule: name of the rule that fuses their logits.
        scheme_key: key of the label scheme, which all parts share.

    Examples:
        >>> import humanparse
        >>> humanparse.model_info("schp-cihp").parts
        {'global': 'schp-cihp-global', 'local': 'schp-cihp-local'}
    """

    parts: Mapping[str, str] = field(hash=False)
    rule: str
    scheme_key: str
    bundled = False
    gives_logits = True
    finds_people = True
    detects_people = False

    @property
    def scheme(self) -> LabelScheme:
        """The label scheme."""
        return get_scheme(self.scheme_key)

    def networks(self) -> dict[str, ModelSpec]:
        """Role of each network -> its record, the global one first."""
        return {role: network(name) for role, name in self.parts.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorSpec(Published):
    """A network that finds people; it is named after its builder in torchvision.

    Attributes:
        name: as in `Parser(detector=name)`.
        paper, origin, accuracy, licence: see `Entry`.
        file: the checkpoint.
        masks: whether it returns masks; otherwise it returns boxes only.
    """

    masks: bool


Spec = ModelSpec | EnsembleSpec
"""The record of a model with one network or with several."""


def names(pattern: str = "*") -> list[str]:
    """Names of all models that match a shell pattern such as `"schp-*"`, sorted.

    Examples:
        >>> from humanparse import list_models
        >>> list_models("schp-[al]*")
        ['schp-atr', 'schp-lip']
    """
    return sorted(fnmatch.filter(_table().models, pattern))


def get(name: str) -> Spec:
    """The model of that name.

    Raises:
        ModelError: no such model; the message lists the nearest names.
    """
    models = _table().models
    if name in models:
        return models[name]
    near = difflib.get_close_matches(name.lower(), models, n=4, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known models: {', '.join(names())}"
    raise ModelError(
        f"no model is called {name!r}; {hint} (`humanparse models` lists all). For a SegFormer on the "
        "Hugging Face hub pass hf:owner/name, for one of your own the path of its folder"
    )


def network(name: str) -> ModelSpec:
    """The model of that name, which must have one network."""
    return single(get(name))


def single(spec: Spec) -> ModelSpec:
    """The model itself, if it has one network.

    Raises:
        ModelError: it has several networks; the message lists them.
    """
    if isinstance(spec, ModelSpec):
        return spec
    raise ModelError(f"{spec.name} has several networks; name one of them: {', '.join(spec.parts.values())}")


def networks() -> list[ModelSpec]:
    """All models of one network, sorted by name."""
    return [spec for spec in map(get, names()) if isinstance(spec, ModelSpec)]


def detector_names() -> list[str]:
    """Names of all detectors, the default first."""
    return list(_table().detectors)


def detector(name: str) -> DetectorSpec:
    """The detector of that name."""
    detectors = _table().detectors
    if name not in detectors:
        raise ModelError(f"no detector is called {name!r}; known: {', '.join(detectors)}")
    return detectors[name]


def detector_for(spec: Spec, name: str | None, own_file: bool) -> DetectorSpec | None:
    """The detector that finds people for a model with `people="detect"`; without a name, the first one.

    It is None if the model finds people by itself and the user did not ask for a detector, by name or with a
    checkpoint, or the model always finds people.
    """
    found = detector(name or detector_names()[0])
    asked = spec.gives_logits and (name is not None or own_file)
    return found if asked or not spec.detects_people else None


def manifest_path() -> Path:
    """The manifest inside an installed package, or at the root of a checkout."""
    inside = _PACKAGE / "weights_manifest.json"
    return inside if inside.is_file() else _PACKAGE.parent / "weights_manifest.json"


@dataclass(frozen=True)
class _Table:
    models: dict[str, Spec]
    detectors: dict[str, DetectorSpec]


@lru_cache(maxsize=1)
def _table() -> _Table:
    """The manifest as values. They are not checked here: the tests check each entry."""
    content = json.loads(manifest_path().read_text(encoding="utf-8"))
    shared = content["shared"]
    models: dict[str, Spec] = {
        name: ModelSpec(**_values(name, record, shared)) for name, record in content["models"].items()
    }
    for name, record in content["ensembles"].items():
        models[name] = EnsembleSpec(**_values(name, record, shared))
    detectors = {
        name: DetectorSpec(**_values(name, record, shared)) for name, record in content["detectors"].items()
    }
    return _Table(models, detectors)


def _values(name: str, record: Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of an entry; names of values that several entries share are replaced by these values."""
    values: dict[str, Any] = {"name": name}
    for key, value in record.items():
        value = shared[key][value] if key in shared and isinstance(value, str) else value
        values["scheme_key" if key == "scheme" else key] = _READ[key](value) if key in _READ else value
    return values


def _file(record: Mapping[str, Any]) -> WeightFile:
    return WeightFile(**{**record, "sources": tuple(Source(**source) for source in record["sources"])})


def _tuples(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}


_READ: Mapping[str, Callable[[Any], Any]] = {
    "accuracy": lambda claims: tuple(Accuracy(**claim) for claim in claims),
    "architecture": _tuples,
    "file": _file,
    "input": lambda record: InputSpec(**_tuples(record)),
    "licence": lambda record: Licence(**record),
    "scales": tuple,
}
"""Converts the JSON of a field to its value."""
