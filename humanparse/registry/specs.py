"""Entries of the table of models, as frozen values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..schemes import LabelScheme, get_scheme

Fit = Literal["warp-corner", "warp-half", "squash", "shortest-edge", "keep-ratio"]
Interpolation = Literal[
    "linear", "area", "area-always", "area-or-cubic", "pil-bilinear", "pil-bicubic", "pil-lanczos"
]
Commercial = Literal["yes", "no", "unclear"]
SourceKind = Literal["hf", "url", "gdrive", "manual", "bundled", "folder"]


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How a picture becomes the network's input, and how logits become the picture's labels.

    Attributes:
        size: (height, width) in pixels; for `shortest-edge` (short side, limit of the long side); for
            `keep-ratio` the limits of both sides, the larger for the long one.
        fit: how the picture is resized. `warp-corner`: the affine map of SCHP, with corner-aligned centres
            and black border. `warp-half`: that of CE2P, which moves the picture's centre half a pixel
            further. `squash`: to `size`, whatever the aspect. `shortest-edge`, `keep-ratio`: with the aspect
            kept.
        channels: order of the network's colour channels, and of `mean` and `std`.
        mean, std: one value per channel, on the scale of `scale`.
        scale: range of the colours before `mean` is subtracted, `0-1` or `0-255`.
        resize_on: `uint8`: colours are resized, then normalised; `float`: normalised, then resized.
        interpolation: of the resize. OpenCV's `linear` (four taps at any scale), `area` (averages when
            shrinking, else linear), `area-always` (also when enlarging, which is not linear) or
            `area-or-cubic` (area if the width shrinks, else cubic). Or, for uint8 colours, Pillow's
            `pil-bilinear`, `pil-bicubic` or `pil-lanczos`, which read more pixels when shrinking.
        pad_multiple: the resized picture is padded at the right and bottom to a multiple of this (with zeros,
            after normalisation).
        align_corners: whether every bilinear resize of tensors maps corner pixels onto each other.
        upsampling: `two-step`: logits are resized to the network's input, then to the picture; `one-step`:
            directly to the picture.
        extract: what protocol `extract` brings back to the picture: `logits`, or, for originals without an
            extractor, `labels`, as protocol `paper`.
        people_size: the input's size when a network with a people head looks for people, who are small in
            groups; None is `size`.
    """

    size: tuple[int, int]
    fit: Fit
    channels: Literal["rgb", "bgr"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: Literal["0-1", "0-255"] = "0-1"
    resize_on: Literal["uint8", "float"] = "uint8"
    interpolation: Interpolation = "linear"
    pad_multiple: int = 1
    align_corners: bool = True
    upsampling: Literal["one-step", "two-step"] = "two-step"
    extract: Literal["logits", "labels"] = "logits"
    people_size: tuple[int, int] | None = None

    @property
    def extent(self) -> str:
        """The size in words, such as `473x473` or `short side 512, at most 2048`."""
        first, second = self.size
        if self.fit == "shortest-edge":
            return f"short side {first}, at most {second}"
        return f"within {first}x{second}" if self.fit == "keep-ratio" else f"{first}x{second}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where to download a weight file.

    Attributes:
        kind: `hf` (Hugging Face file), `url` (plain HTTPS), `gdrive` (Google Drive file), `manual` (a page,
            folder or archive from which a person must download the file), `bundled` (inside the package) or
            `folder` (the user's own).
        url: address for a person; for `bundled` the path inside the package, for `folder` the whole path.
        repo: Hugging Face repository.
        revision: commit the source is pinned to; None if only the file's hash pins it.
        path: file inside the repository.
        file_id: Google Drive file id.
        note: a remark for people.
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
    """One checkpoint file.

    Attributes:
        filename: its name.
        sources: where it is published.
        size: size in bytes; None if there is no public record.
        sha256: hash in lower-case hex; None if there is no public record.
        about: if `size` is None, the rounded size in bytes that its page states.
    """

    filename: str
    sources: tuple[Source, ...]
    size: int | None = None
    sha256: str | None = None
    about: int | None = None


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A claimed score: `value` in percent, the split, and who claims it. `measured`: we measured it."""

    metric: str
    value: float
    split: str
    citation: str
    measured: bool = False


@dataclass(frozen=True, slots=True)
class Licence:
    """Terms of the original code, of the weights, and of the data they were trained on.

    Attributes:
        code, weights, data: the terms, in words.
        commercial: whether the weights may be used commercially; this is not legal advice.
        reason: the reason for that, in words.
    """

    code: str
    weights: str
    data: str
    commercial: Commercial
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The fields that every entry of the table has.

    Attributes:
        name: as in `Parser(name)`.
        paper: title, year and identifier.
        origin: original code.
        accuracy: claims, each with its citation.
        licence: see `Licence`.
    """

    name: str
    paper: str
    origin: str
    accuracy: tuple[Accuracy, ...]
    licence: Licence

    @property
    def filename(self) -> str:
        """The name as it is used in file names: `/`, `:` and the like become `-`."""
        return re.sub(r"[^\w.+-]+", "-", self.name).strip("-.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Entry):
    """An entry with a weight file: a network, or a detector of people.

    Attributes:
        file: the checkpoint; `sources` is empty for "bring your own checkpoint".
    """

    file: WeightFile

    @property
    def bundled(self) -> bool:
        """Whether the weights are inside the package."""
        return any(source.kind == "bundled" for source in self.file.sources)

    @property
    def in_folder(self) -> bool:
        """Whether the weights are in a folder of the user, where nothing may be written."""
        return any(source.kind == "folder" for source in self.file.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec(Published):
    """A model of one network.

    Attributes:
        name, paper, origin, accuracy, licence: see `Entry`.
        file: the checkpoint; `sources` is empty for "bring your own checkpoint".
        family: key of `humanparse.registry.FAMILIES`.
        architecture: constructor arguments other than the number of classes.
        scheme_key: key of the label scheme; the number of classes is its length.
        input: see `InputSpec`.
        flip: whether the original averages with the mirrored picture by default.
        scales: the original's default scales.
        decode: thresholds of the family's decoder, by name, for a network that finds people and their parts
            at once (single-stage); None for a network that outputs logits.
        people_head: thresholds of the decoder of its people head, by name, for a network that outputs logits
            and finds people on request; None for a network without a people head.
        own_labels: the label scheme of a model that brings its own labels; None if `scheme_key` says enough.

    Examples:
        >>> import humanparse
        >>> spec = humanparse.model_info("schp-lip")
        >>> spec.input.size, len(spec.scheme), spec.gives_logits
        ((473, 473), 20, True)
    """

    family: str
    architecture: Mapping[str, Any] = field(hash=False)
    scheme_key: str
    input: InputSpec
    flip: bool = False
    scales: tuple[float, ...] = (1.0,)
    decode: Mapping[str, int | float] | None = field(default=None, hash=False)
    people_head: Mapping[str, int | float] | None = field(default=None, hash=False)
    own_labels: LabelScheme | None = None

    @property
    def scheme(self) -> LabelScheme:
        """The label scheme."""
        return self.own_labels or get_scheme(self.scheme_key)

    @property
    def revision(self) -> str | None:
        """Commit of the repository of a model named `hf:owner/name`; None for other models."""
        return self.file.sources[0].revision if self.name.startswith("hf:") else None

    @property
    def gives_logits(self) -> bool:
        """Whether it has logits and confidence for every pixel."""
        return self.decode is None

    @property
    def finds_people(self) -> bool:
        """Whether it always tells people apart."""
        return not self.gives_logits

    @property
    def detects_people(self) -> bool:
        """Whether it finds people by itself, always or on request; other models need a detector."""
        return self.decode is not None or self.people_head is not None

    @property
    def rule(self) -> str:
        """Name of the rule that fuses the logits of a photo and of its people: SCHP's, `schp`."""
        return "schp"

    def networks(self) -> dict[str, ModelSpec]:
        """Role of each network -> its record; here the model itself, as `network`."""
        return {"network": self}
