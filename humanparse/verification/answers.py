"""Known answers: label maps that a model's authors published, and the photos they belong to.

They are listed in `weights_manifest.json` under `known_answers`; the files are downloaded, never shipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..arrays import Labels, Mask
from ..errors import ScoreError
from ..registry import Source, WeightFile, manifest_path
from ..schemes import LabelScheme


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One published file in the form that `hub.fetch` takes: the name of its cache folder, and the file."""

    name: str
    file: WeightFile


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """What a model's authors published as its answer to a photo.

    Attributes:
        model: the model's name.
        origin: repository and commit.
        photo: the photo.
        labels: P or L picture of label numbers, or a picture in the colours of `palette`.
        people: picture of the people's numbers, from 1, for a model that is told where people are; None for
            other models.
        parts: picture of the numbers of their parts, from 1; each part belongs to one person and has one
            label.
        shape: (height, width) of all these pictures.
        palette: name of the scheme's palette that the published picture must have; None expects label
            numbers.
        pixels: label -> number of its pixels in the published answer, if known.
        input_sha1: SHA-1 of the photo at the network's input, uint8 (h, w, 3) in the network's channel order,
            as the original code computes it; None if not known.
        binding: whether disagreement is a failure; otherwise it is only reported, and `note` says why.
        least_equal: share of pixels, 0-1, that must be equal.
        least_iou: IoU, 0-1, that each class of at least a thousandth of the pixels must reach.
        note: a remark for people who read the entry.
    """

    model: str
    origin: str
    photo: KnownFile
    labels: KnownFile
    shape: tuple[int, int]
    people: KnownFile | None = None
    parts: KnownFile | None = None
    palette: str | None = None
    pixels: Mapping[int, int] | None = None
    input_sha1: str | None = None
    binding: bool = True
    least_equal: float = 0.999
    least_iou: float = 0.94
    note: str = ""

    @property
    def files(self) -> tuple[KnownFile, ...]:
        """All files: photo, labels, and people and parts if there are any."""
        return tuple(file for file in (self.photo, self.labels, self.people, self.parts) if file is not None)


@lru_cache(maxsize=1)
def known() -> Mapping[str, KnownAnswer]:
    """All known answers by model. They are not checked here: the tests check each entry."""
    content = json.loads(manifest_path().read_text(encoding="utf-8"))
    return {model: _answer(model, record) for model, record in content["known_answers"].items()}


def _answer(model: str, record: Mapping[str, Any]) -> KnownAnswer:
    values = {**record, "shape": tuple(record["shape"])}
    if "pixels" in record:
        values["pixels"] = {int(label): count for label, count in record["pixels"].items()}
    for key in ("photo", "labels", "people", "parts"):
        if key in values:
            values[key] = KnownFile(f"{model}-answer", _file(values[key]))
    return KnownAnswer(model=model, **values)


def _file(record: Mapping[str, Any]) -> WeightFile:
    url = record["url"]
    return WeightFile(url.rpartition("/")[2], (Source("url", url),), record["size"], record["sha256"])


def read_labels(path: Path, answer: KnownAnswer, scheme: LabelScheme) -> Labels:
    """The published label map, uint8 (H, W), with labels of `scheme`; it must be as on record."""
    picture = _opened(path, answer.shape)
    if picture.mode == "P" and answer.palette is not None:
        labels = np.asarray(picture)
        _check_palette(picture, labels, answer.palette, scheme, path)
    elif picture.mode in ("P", "L"):
        labels = np.asarray(picture)
    elif answer.palette is not None and picture.mode in ("RGB", "RGBA"):
        labels = _from_colours(picture, answer.palette, scheme, path)
    else:
        raise ScoreError(f"{path.name}: a {picture.mode} picture holds no label numbers")
    if labels.max() >= len(scheme):
        raise ScoreError(f"{path.name}: {scheme.key} has no label {labels.max()}, only 0-{len(scheme) - 1}")
    found = {
        int(label): int(count) for label, count in zip(*np.unique(labels, return_counts=True), strict=True)
    }
    if answer.pixels is not None and found != answer.pixels:
        wanted = dict(answer.pixels)
        raise ScoreError(f"{path.name}: the pixels per label are {found}, not {wanted} as on record")
    return labels.astype(np.uint8)


def read_people(path: Path, shape: tuple[int, int]) -> Mask:
    """The published people as masks, bool (N, H, W); there must be one."""
    numbers = read_numbers(path, shape)
    people = [number for number in np.unique(numbers).tolist() if number]
    if not people:
        raise ScoreError(f"{path.name}: it shows nobody")
    return np.stack([numbers == number for number in people])


def read_numbers(path: Path, shape: tuple[int, int]) -> Labels:
    """A published picture of numbers, uint8 (H, W)."""
    picture = _opened(path, shape)
    if picture.mode not in ("P", "L"):
        raise ScoreError(f"{path.name}: a {picture.mode} picture holds no numbers")
    return np.asarray(picture)


def _opened(path: Path, shape: tuple[int, int]) -> Image.Image:
    try:
        with Image.open(path) as picture:
            picture.load()
    except Exception as error:  # decoders fail on damaged bytes with many kinds of errors
        raise ScoreError(f"{path.name}: not a readable picture ({error})") from error
    if (picture.height, picture.width) != shape:
        found = (picture.height, picture.width)
        raise ScoreError(f"{path.name}: the size (height, width) is {found}, not {shape} as on record")
    return picture


def _check_palette(picture: Image.Image, labels: Labels, name: str, scheme: LabelScheme, path: Path) -> None:
    own = np.asarray(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    wanted = np.asarray(scheme.palette(name), np.uint8)
    for label in np.unique(labels).tolist():
        if label >= len(own) or not np.array_equal(own[label], wanted[label]):
            raise ScoreError(
                f"{path.name}: the colour of label {label} is not that of the palette {name}, so the numbers "
                "may mean other labels"
            )


def _from_colours(picture: Image.Image, name: str, scheme: LabelScheme, path: Path) -> Labels:
    pixels = np.asarray(picture.convert("RGB")).astype(np.int64)
    codes = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]
    known = {
        (r << 16) | (g << 8) | b: label for label, (r, g, b) in enumerate(scheme.palette(name)[: len(scheme)])
    }
    strange = sorted({*np.unique(codes).tolist()} - {*known})
    if strange:
        raise ScoreError(f"{path.name}: colour #{strange[0]:06x} is not in the palette {name}")
    colours, inverse = np.unique(codes, return_inverse=True)
    numbers = np.array([known[code] for code in colours.tolist()], np.uint8)
    return numbers[inverse].reshape(codes.shape)
