"""`weights_manifest.json` as frozen, validated values.

Architecture, input, labels, files, claims and licences: all that differs between two models of a family.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from .errors import ManifestError, ModelError
from .schemes import LabelScheme, get_scheme

Fit = Literal["warp-corner", "warp-half", "squash", "shortest-edge", "keep-ratio"]
SourceKind = Literal["hf", "url", "gdrive", "manual", "bundled"]

_HEX64 = re.compile(r"[0-9a-f]{64}")
_PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a picture becomes the network's input, and logits the picture's labels.

    Attributes:
        size: (height, width) in pixels; for `shortest-edge` (short side, limit of the long side); for
            `keep-ratio` the limits of both sides, the larger for the long one.
        fit: `warp-corner`, the affine map of SCHP with corner-aligned centres and black border; `warp-half`,
            that of CE2P, which sends the picture's centre half a pixel further; `squash`, a resize to `size`
            whatever the aspect; `shortest-edge` or `keep-ratio`, resizes that keep the aspect.
        channels: order in which the network takes colours, and in which `mean` and `std` are given.
        mean: per channel, for values of `scale`.
        std: per channel, for values of `scale`.
        scale: range of the colours before mean and deviation, `0-1` or `0-255`.
        resize_on: whether `uint8` colours are resized and then normalised, or `float` ones, normalised
            before.
        interpolation: `linear` (four taps at any scale) or `area` (averages when shrinking).
        pad_multiple: the resized picture is padded to this at the right and bottom (with zeros, after
            normalisation).
        align_corners: whether every bilinear resize of tensors maps corner pixels onto each other.
        upsampling: `two-step`, to the network's input size and from there to the picture, or `one-step`.
        extract: what protocol `extract` brings back to the picture: `logits`, or, for originals without an
            extractor, `labels`, as protocol `paper`.
    """

    size: tuple[int, int]
    fit: Fit
    channels: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: Literal["0-1", "0-255"] = "0-1"
    resize_on: Literal["uint8", "float"] = "uint8"
    interpolation: Literal["linear", "area"] = "linear"
    pad_multiple: int = 1
    align_corners: bool = True
    upsampling: Literal["one-step", "two-step"] = "two-step"
    extract: Literal["logits", "labels"] = "logits"

    @property
    def extent(self) -> str:
        """The size in words, such as `473x473` or `short side 512, at most 2048`."""
        first, second = self.size
        if self.fit == "shortest-edge":
            return f"short side {first}, at most {second}"
        return f"within {first}x{second}" if self.fit == "keep-ratio" else f"{first}x{second}"


@dataclass(frozen=True, slots=True)
class Source:
    """One place where a weight file can be had.

    Attributes:
        kind: `hf` (Hugging Face file), `url` (plain HTTPS), `gdrive` (Google Drive file), `manual` (a page,
            folder or archive from which a person fetches the file) or `bundled` (inside the package).
        url: where a person finds it; for `bundled` the path inside the package.
        repo: Hugging Face repository.
        revision: commit the source is pinned to; None where only the file's hash pins it.
        path: file inside the repository.
        file_id: Google Drive file id.
        note: anything a person should know.
    """

    kind: SourceKind
    url: str
    repo: str | None = None
    revision: str | None = None
    path: str | None = None
    file_id: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One checkpoint file: name, size in bytes, sha256 (None where no public record exists), sources."""

    filename: str
    sources: tuple[Source, ...]
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A claimed score: `value` in percent, on which split, by whom. `measured`: we measured it ourselves."""

    metric: str
    value: float
    split: str
    citation: str
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Licence:
    """Terms of the original code, of the weights, and of the data they were trained on."""

    code: str
    weights: str
    data: str


class Published(Protocol):
    """Anything with a weight file: a model, or a detector of people."""

    @property
    def name(self) -> str:
        """As its folder in the cache."""

    @property
    def file(self) -> WeightFile:
        """The checkpoint."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model: what `Parser(name)` builds and loads.

    Attributes:
        name: as in `Parser(name)`.
        family: file in `humanparse.models` that holds the network.
        architecture: constructor arguments beside the number of classes.
        scheme_key: label scheme; the number of classes is its length.
        input: see `InputSpec`.
        file: the checkpoint; `sources` is empty for "bring your own checkpoint".
        paper: title, year and identifier.
        origin: original code.
        accuracy: claims, each with its citation.
        licence: see `Licence`.
        flip: whether the original averages with the mirrored picture by default.
        scales: the original's default scales.
        decode: for a network that finds people and their parts at once (single-stage), the thresholds of its
            decoder by name; None for one that gives logits.
    """

    name: str
    family: str
    architecture: Mapping[str, Any] = field(hash=False)
    scheme_key: str
    input: InputSpec
    file: WeightFile
    paper: str
    origin: str
    accuracy: tuple[Accuracy, ...]
    licence: Licence
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    decode: Mapping[str, int | float] | None = field(default=None, hash=False)

    @property
    def scheme(self) -> LabelScheme:
        """The label scheme."""
        return get_scheme(self.scheme_key)

    @property
    def bundled(self) -> bool:
        """Whether the weights are inside the package."""
        return any(source.kind == "bundled" for source in self.file.sources)


def manifest_path() -> Path:
    """The manifest inside an installed package, or at the root of a checkout."""
    inside = _PACKAGE / "weights_manifest.json"
    return inside if inside.is_file() else _PACKAGE.parent / "weights_manifest.json"


@lru_cache(maxsize=1)
def _load() -> Mapping[str, ModelSpec]:
    return parse(json.loads(manifest_path().read_text(encoding="utf-8")))


def names(pattern: str = "*") -> list[str]:
    """Names of all models that match a shell pattern such as `"schp-*"`, sorted."""
    return sorted(fnmatch.filter(_load(), pattern))


def get(name: str) -> ModelSpec:
    """The model of that name.

    Raises:
        ModelError: no such model; the message lists the nearest names.
    """
    specs = _load()
    if name in specs:
        return specs[name]
    near = difflib.get_close_matches(name.lower(), specs, n=4, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known models: {', '.join(sorted(specs))}"
    raise ModelError(f"no model is called {name!r}; {hint} (all of them: humanparse models)")


def parse(data: Mapping[str, Any]) -> Mapping[str, ModelSpec]:
    """Check a whole manifest and turn it into values, keyed by name.

    A model's `input` or `licence` may be the name of one that several models have, kept under `"shared"`.

    Raises:
        ManifestError: names the entry and what is wrong with it.
    """
    if data.get("version") != 1 or not isinstance(data.get("models"), Mapping):
        raise ManifestError('a manifest needs "version": 1 and an object "models"')
    shared = data.get("shared", {})
    specs = {name: _entry(name, record, shared) for name, record in data["models"].items()}
    return MappingProxyType(specs)


def _entry(name: str, record: Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]]) -> ModelSpec:
    try:
        values = {
            key: shared[key][value] if key in shared and isinstance(value, str) else value
            for key, value in record.items()
        }
        values["input"] = _input(values["input"])
        values["file"] = _file(values["file"])
        values["accuracy"] = tuple(_record(Accuracy, claim) for claim in values["accuracy"])
        values["licence"] = _record(Licence, values["licence"])
        values["architecture"] = _tuples(values["architecture"])
        values["scheme_key"] = get_scheme(values.pop("scheme")).key
        values["scales"] = tuple(float(scale) for scale in values.get("scales", (1.0,)))
        values["decode"] = _thresholds(values.get("decode"))
        spec = _record(ModelSpec, {"name": name, **values})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        fault = f"field {error} is missing" if isinstance(error, KeyError) else error
        raise ManifestError(f"weights_manifest.json, {name}: {fault}") from error
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ManifestError(f"weights_manifest.json: {name!r} is not lower-case words joined by '-'")
    if not spec.scales or min(spec.scales) <= 0:
        raise ManifestError(f"weights_manifest.json, {name}: scales must be positive")
    return spec


def _input(record: Mapping[str, Any]) -> InputSpec:
    spec = _record(InputSpec, _tuples(record))
    for name, kind in get_type_hints(InputSpec).items():
        value, known = getattr(spec, name), get_args(kind)
        if get_origin(kind) is Literal and value not in known:
            raise ValueError(f"unknown {name} {value!r}; known: {', '.join(known)}")
    if len(spec.size) != 2 or min(spec.size) < 2 or spec.pad_multiple < 1:
        raise ValueError(f"unusable size {spec.size} or pad_multiple {spec.pad_multiple}")
    if spec.fit.startswith("warp-") and (spec.upsampling, spec.resize_on) != ("two-step", "uint8"):
        raise ValueError(f"{spec.fit} takes uint8 and enlarges logits to the input size first: two-step")
    if spec.extract == "labels" and not spec.fit.startswith("warp-"):
        raise ValueError("only warped inputs bring labels back")
    if len(spec.mean) != 3 or len(spec.std) != 3 or min(spec.std) <= 0:
        raise ValueError("mean and std need three values, std positive")
    return spec


def _file(record: Mapping[str, Any]) -> WeightFile:
    sources = tuple(_source(source) for source in record["sources"])
    file = _record(WeightFile, {**record, "sources": sources})
    if "/" in file.filename or not file.filename:
        raise ValueError(f"filename {file.filename!r} must be a plain name")
    if file.sha256 is not None and not _HEX64.fullmatch(file.sha256):
        raise ValueError(f"sha256 {file.sha256!r} is not 64 lower-case hex digits")
    if file.size is not None and file.size <= 0:
        raise ValueError(f"size {file.size} is not positive")
    return file


def _source(record: Mapping[str, Any]) -> Source:
    source = _record(Source, record)
    if source.kind not in get_args(SourceKind):
        raise ValueError(f"unknown kind of source {source.kind!r}")
    if source.kind == "hf" and not (source.repo and source.path):
        raise ValueError("an hf source needs repo and path")
    if source.kind == "gdrive" and not source.file_id:
        raise ValueError("a gdrive source needs file_id")
    if source.kind != "bundled" and not source.url.startswith("https://"):
        raise ValueError(f"{source.url!r} is not an https address")
    return source


def _thresholds(record: Mapping[str, Any] | None) -> dict[str, int | float] | None:
    if record is None:
        return None
    for key, value in record.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise ValueError(f"decode: {key} must be a number from 0 on, not {value!r}")
    return dict(record)


def _tuples(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}


_T = TypeVar("_T", InputSpec, Source, WeightFile, Accuracy, Licence, ModelSpec)


def _record(kind: type[_T], values: Mapping[str, Any]) -> _T:
    unknown = set(values) - {item.name for item in fields(kind)}
    if unknown:
        raise ValueError(f"{kind.__name__} has no field {', '.join(sorted(unknown))}")
    return kind(**values)


def shared_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """An entry with those fields as values that entries of every kind write alike: file, claims, licence.

    Raises:
        KeyError, TypeError, ValueError: a field is missing or wrong.
    """
    values = dict(record)
    if "file" in values:
        values["file"] = _file(values["file"])
    if "scheme" in values:
        values["scheme_key"] = get_scheme(values.pop("scheme")).key
    values["accuracy"] = tuple(_record(Accuracy, claim) for claim in values["accuracy"])
    values["licence"] = _record(Licence, values["licence"])
    return values
