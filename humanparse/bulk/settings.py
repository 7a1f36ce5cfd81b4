"""What a run is asked: all that decides the bytes of its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import runtimes
from .._version import __version__
from ..cleaning import Area, Cleaning
from ..errors import BulkError, ModelError, SchemeError
from ..registry import DEFAULT, ModelSpec
from .writers import check_formats

if TYPE_CHECKING:
    from ..parser import Parser


@dataclass(frozen=True)
class ModelChoice:
    """A model and its options, as `Parser` takes them; it travels to other processes, a `Parser` does not.

    Attributes:
        name: see `humanparse.list_models`.
        weights: a checkpoint of your own, or a mapping where there are several networks.
        device, precision, runtime, flip, scales, protocol, test_size, offline: see `Parser`.
    """

    name: str = DEFAULT
    weights: str | Mapping[str, str] | None = None
    device: str = "auto"
    precision: str = "auto"
    runtime: str = runtimes.DEFAULT
    flip: bool | None = None
    scales: tuple[float, ...] | None = None
    protocol: str = "extract"
    test_size: tuple[int, int] | None = None
    offline: bool | None = None

    def parser(self, progress: bool | None = None) -> Parser:
        """Load it; raises what `Parser` raises."""
        from ..parser import Parser

        options = asdict(self)
        return Parser(options.pop("name"), **options, progress=progress)


@dataclass(frozen=True)
class Settings:
    """What is written, and how.

    Attributes:
        formats: of `writers.OFFERED`.
        batch: inputs that go through the network together.
        confidence: whether to have it, for statistics and npz; None: where the model gives it.
        min_confidence: pixels below it (0-1) become 255; None leaves them.
        remap: another label scheme for the outputs.
        approximate: accept counterparts that are not exact.
        pack_size: inputs per tar or Parquet file.
        people: `"detect"` tells people apart, as `Parser.predict` does, in npz, coco and overlay; models that
            find people without being asked to do so anyway.
        min_area, fill, smooth: how the model's labels are cleaned, before all else; see `cleaning.Cleaning`.

    Raises:
        BulkError: a value cannot be.
        ModelError: a value of cleaning cannot be.
    """

    formats: tuple[str, ...] = ("png",)
    batch: int = 8
    confidence: bool | None = None
    min_confidence: float | None = None
    remap: str | None = None
    approximate: bool = False
    pack_size: int = 1000
    people: Literal["detect"] | None = None
    min_area: Area = 0
    fill: Area = 0
    smooth: int = 0

    def __post_init__(self) -> None:
        check_formats(self.formats)
        if self.people not in (None, "detect"):
            raise BulkError(f'`people` takes "detect" or None, not {self.people!r}')
        for word, value in asdict(self.cleaning).items():
            if word != "scheme":
                object.__setattr__(self, word, value)  # in the form in which the journal compares it
        if self.batch < 1 or self.pack_size < 1:
            raise BulkError("`batch` and `pack_size` take numbers from 1 on")
        if self.min_confidence is not None and not 0 < self.min_confidence <= 1:
            raise BulkError(f"`min_confidence` takes a number above 0, at most 1, not {self.min_confidence}")
        if self.min_confidence is not None and self.confidence is False:
            raise BulkError("`min_confidence` needs the confidence that `confidence=False` leaves out")

    def described(self) -> dict[str, Any]:
        """As a journal keeps it; cleaning that is left out is None, as in journals from before it existed."""
        cleaning = {word: getattr(self, word) or None for word in ("min_area", "fill", "smooth")}
        return {**asdict(self), "formats": list(self.formats), **cleaning}

    @property
    def cleaning(self) -> Cleaning:
        """How labels are cleaned."""
        return Cleaning(self.min_area, self.fill, self.smooth)

    def fitted(self, parser: Parser) -> Settings:
        """The settings with what only the model decides filled in.

        Raises:
            ModelError: the model gives no confidence, and it is asked for; or it finds people by itself, and
                is asked to detect them.
            SchemeError: its labels do not lead to the scheme that is asked for, or have no background and so
                no holes to fill.
        """
        self.cleaning.check(parser.scheme)
        gives = parser.spec.gives_logits
        if not gives and (self.confidence or self.min_confidence is not None):
            raise ModelError(f"{parser.spec.name} gives no confidence; leave it and `min_confidence` out")
        if not gives and self.people is not None:
            raise ModelError(f"{parser.spec.name} finds people by itself; leave `people` out")
        if self.remap is not None and parser.scheme.key != self.remap:
            from ..schemes import find_remap

            remap = find_remap(parser.scheme, self.remap)
            if remap.inexact and not self.approximate:
                raise SchemeError(
                    f"{parser.spec.name} has {parser.scheme.key}'s labels, without exact counterpart in "
                    f"{self.remap}'s: {remap.note}. Accept that with `approximate=True`, or take a model of "
                    f"{self.remap}'s labels"
                )
        return Settings(**{**asdict(self), "confidence": gives and self.confidence is not False})


def described(
    choice: ModelChoice, parser: Parser, settings: Settings, about: dict[str, Any]
) -> dict[str, Any]:
    """What a journal keeps, so that a run never goes on with another model or other settings."""
    return {
        "humanparse": __version__,
        "model": parser.spec.name,
        **revision_of(parser),
        "weights": {**weights_hashes(parser), **_detector_hash(choice, settings)},
        "device": parser.device.type,
        "precision": parser.precision,
        "runtime": parser.runtime,
        "detector": parser.detector if settings.people else None,
        "flip": choice.flip,
        "scales": None if choice.scales is None else list(choice.scales),
        "protocol": choice.protocol,
        "test_size": None if choice.test_size is None else list(choice.test_size),
        **settings.described(),
        **about,
    }


def revision_of(parser: Parser) -> dict[str, str]:
    """The commit of the hub's repository that the model was read at, where it is one."""
    revision = parser.spec.revision if isinstance(parser.spec, ModelSpec) else None
    return {} if revision is None else {"revision": revision}


def _detector_hash(choice: ModelChoice, settings: Settings) -> dict[str, str]:
    """The same of the user's own detector, where it is used."""
    from .. import hub

    if settings.people is None or not isinstance(choice.weights, Mapping) or "detector" not in choice.weights:
        return {}
    return {"detector": hub.sha256(Path(choice.weights["detector"]))}


def weights_hashes(parser: Parser) -> dict[str, str]:
    """Role -> sha256 of its file."""
    from .. import hub

    return {role: hub.sha256(Path(file)) for role, file in parser.weights.items()}
