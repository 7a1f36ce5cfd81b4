"""The settings of a run: everything that affects the bytes of its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .. import hub
from .._version import __version__
from ..cleaning import Area, Cleaning
from ..errors import BulkError, ModelError, SchemeError
from ..options import ParserOptions
from ..registry import ModelSpec
from ..schemes import find_remap
from .writers import FORMATS, check_formats

if TYPE_CHECKING:
    from ..parser import Parser


@dataclass(frozen=True)
class Settings:
    """What a run writes, and how.

    Attributes:
        formats: some of `writers.OFFERED`.
        batch: inputs that are labelled as a unit; on a GPU they go through the network together.
        confidence: whether to compute confidence, for statistics and npz; None: if the model has it.
        min_confidence: pixels with a lower confidence (0-1) become 255; None leaves them.
        remap: another label scheme for the outputs.
        approximate: whether to accept a remap that is not exact.
        pack_size: inputs per tar or Parquet file.
        people: `"detect"` tells people apart, like `Parser.predict`, in all formats but png, tar and
            parquet. Models that find people by themselves always do.
        min_area, fill, smooth: how the model's labels are cleaned first; see `cleaning.Cleaning`.

    Raises:
        BulkError: a value is out of range.
        ModelError: a value for cleaning is out of range.
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
            raise BulkError("`batch` and `pack_size` must be at least 1")
        if self.min_confidence is not None and not 0 < self.min_confidence <= 1:
            raise BulkError(f"`min_confidence` must be above 0 and at most 1, not {self.min_confidence}")
        if self.min_confidence is not None and self.confidence is False:
            raise BulkError("`min_confidence` needs confidence; leave `confidence=False` out")

    def described(self) -> dict[str, Any]:
        """The settings as a journal stores them; unused cleaning is None, as in older journals."""
        cleaning = {word: getattr(self, word) or None for word in ("min_area", "fill", "smooth")}
        return {**asdict(self), "formats": list(self.formats), **cleaning}

    @property
    def cleaning(self) -> Cleaning:
        """How labels are cleaned."""
        return Cleaning(self.min_area, self.fill, self.smooth)

    def fitted(self, parser: Parser) -> Settings:
        """The settings, completed with what depends on the model.

        Raises:
            BulkError: overlays are requested, but photos are decoded at a reduced size.
            ModelError: confidence is requested, but the model has none; or `people` is set, but the model
                finds people by itself.
            SchemeError: the labels cannot be remapped as requested, or holes cannot be filled because the
                scheme has no background.
        """
        self.cleaning.check(parser.scheme)
        if parser.options.fast_decode and any(
            FORMATS[name].shows_photo for name in self.formats if name in FORMATS
        ):
            raise BulkError("an overlay shows the whole photo; leave `fast_decode` or the overlay out")
        gives = parser.spec.gives_logits
        if not gives and (self.confidence or self.min_confidence is not None):
            raise ModelError(
                f"{parser.spec.name} has no confidence; leave `confidence` and `min_confidence` out"
            )
        if not gives and self.people is not None:
            raise ModelError(f"{parser.spec.name} finds people by itself; leave `people` out")
        if self.remap is not None and parser.scheme.key != self.remap:
            remap = find_remap(parser.scheme, self.remap)
            if remap.inexact and not self.approximate:
                raise SchemeError(
                    f"{parser.spec.name} has {parser.scheme.key}'s labels, with no exact counterpart in "
                    f"{self.remap}'s: {remap.note}. Accept that with `approximate=True`, or use a model with "
                    f"{self.remap}'s labels"
                )
        return replace(self, confidence=gives and self.confidence is not False)


def described(
    model: ParserOptions, parser: Parser, settings: Settings, about: dict[str, Any]
) -> dict[str, Any]:
    """What a journal stores, so that a run is never resumed with another model or other settings."""
    return {
        "humanparse": __version__,
        "model": parser.spec.name,
        **revision_of(parser),
        "weights": {**weights_hashes(parser), **_detector_hash(model, settings)},
        "device": parser.device.type,
        "precision": parser.precision,
        "runtime": parser.runtime,
        "detector": parser.detector if settings.people else None,
        "flip": model.flip,
        "scales": None if model.scales is None else list(model.scales),
        "protocol": model.protocol,
        "test_size": None if model.test_size is None else list(model.test_size),
        "rule": model.rule,
        "fast_decode": model.fast_decode or None,
        **settings.described(),
        **about,
    }


def revision_of(parser: Parser) -> dict[str, str]:
    """The commit of the model's hub repository, if it comes from one."""
    revision = parser.spec.revision if isinstance(parser.spec, ModelSpec) else None
    return {} if revision is None else {"revision": revision}


def _detector_hash(model: ParserOptions, settings: Settings) -> dict[str, str]:
    """The sha256 of the user's own detector, if it is used."""
    if settings.people is None or not isinstance(model.weights, Mapping) or "detector" not in model.weights:
        return {}
    return {"detector": hub.sha256(Path(model.weights["detector"]))}


def weights_hashes(parser: Parser) -> dict[str, str]:
    """Role of each network -> sha256 of its file."""
    return {role: hub.sha256(Path(file)) for role, file in parser.weights.items()}
