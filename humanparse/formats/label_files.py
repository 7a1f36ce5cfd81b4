"""Our own label files: P-mode PNG, npz and JSON.

Every file names its scheme and model, so that it can be read back without further information.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from ..cleaning import Cleaning
from ..errors import FormatError, SchemeError
from ..people import find_parts
from ..schemes import LabelScheme, get_scheme
from . import person_records
from .pictures import numbers_png
from .record import Photo, Record
from .rle import decode_rle, encode_rle

_TAG = "humanparse"


def write_png(record: Record, photo: Photo) -> bytes:
    """Label numbers in P mode with the PASCAL-VOC palette."""
    info = PngImagePlugin.PngInfo()
    info.add_text(_TAG, json.dumps(_meta(record)))
    return numbers_png(record.labels, pnginfo=info)


def read_png(path: Path, scheme: LabelScheme | None) -> Record:
    """The inverse of `write_png`; or any 8-bit label PNG, if the scheme is given."""
    with Image.open(path) as picture:
        if picture.mode not in ("P", "L"):
            raise FormatError(f"{path}: a {picture.mode} picture is no label map; labels are P or L")
        labels = np.array(picture, dtype=np.uint8)
        text = picture.info.get(_TAG)
    if text is not None:
        return replace(_from_meta(json.loads(text)), labels=labels)
    if scheme is None:
        raise FormatError(f'{path}: does not say its label scheme; pass scheme="lip" or another')
    return Record(labels, scheme)


def stated_scheme(path: Path) -> LabelScheme | None:
    """The label scheme that a PNG of ours names; None for any other file."""
    try:
        with Image.open(path) as picture:
            text = picture.info.get(_TAG)
        return _from_meta(json.loads(text)).scheme if isinstance(text, str) else None
    except (OSError, ValueError, KeyError):
        return None


def write_npz(record: Record, photo: Photo) -> bytes:
    """The whole record, as arrays."""
    meta = _meta(record)
    if record.people:
        meta["people"] = [person_records.describe(person) for person in record.people]
    arrays: dict[str, Any] = {"labels": record.labels, "meta": np.array(json.dumps(meta))}
    arrays.update(person_records.to_arrays(record.people))
    if record.confidence is not None:
        arrays["confidence"] = record.confidence
    if record.logits is not None:
        arrays["logits"] = record.logits
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_npz(path: Path, scheme: LabelScheme | None) -> Record:
    """The inverse of `write_npz`."""
    with np.load(path, allow_pickle=False) as archive:
        meta = json.loads(str(archive["meta"]))
        own, labels = _from_meta(meta), archive["labels"]
        extra = {key: archive[key] for key in ("confidence", "logits") if key in archive.files}
        found = person_records.from_arrays(meta.get("people", []), archive, own.scheme, labels.shape)
        return replace(own, labels=labels, **extra, people=found)


def described(record: Record) -> dict[str, Any]:
    """A record as a JSON object, without confidence and logits.

    Run lengths (`rle`) are COCO's and cover the whole picture; sizes are (height, width).
    """
    scheme, colours = record.scheme, record.scheme.palette("display")
    content = {
        "model": record.model,
        "scheme": scheme.key,
        "size": list(record.labels.shape),
        "classes": [
            {"label": label, "name": name, "color": list(colours[label])}
            for label, name in enumerate(scheme.names)
        ],
        "groups": {name: list(labels) for name, labels in scheme.groups},
        "parts": [
            {**asdict(part), "rle": encode_rle(record.labels == part.label)}
            for part in find_parts(record.labels, scheme, scheme.background, record.labels.size)
        ],
        "people": [
            {
                **person_records.describe(person),
                "rle": encode_rle(person.silhouette, person.box, person.size),
                "parts": [
                    {**asdict(part), "rle": encode_rle(person.labels == part.label, person.box, person.size)}
                    for part in person.parts()
                ],
            }
            for person in record.people
        ],
    }
    return {**content, "cleaning": [step.words() for step in record.cleaning]} if record.cleaning else content


def write_json(record: Record, photo: Photo) -> bytes:
    """The JSON of `described`."""
    return json.dumps(described(record)).encode()


def read_json(path: Path, scheme: LabelScheme | None) -> Record:
    """The inverse of `write_json`; also reads the service's answers."""
    content = json.loads(path.read_text(encoding="utf-8"))
    own = _from_meta({**content, "names": [one["name"] for one in content["classes"]]})
    labels = np.zeros(content["size"], dtype=np.uint8)
    for part in content["parts"]:
        labels[decode_rle(part["rle"])] = part["label"]
    size = (labels.shape[0], labels.shape[1])
    people = tuple(person_records.from_json(person, own.scheme, size) for person in content["people"])
    return replace(own, labels=labels, people=people)


def _meta(record: Record) -> dict[str, Any]:
    meta = {"scheme": record.scheme.key, "names": record.scheme.names, "model": record.model}
    log = [step.words() for step in record.cleaning]
    return {**meta, "cleaning": log} if log else meta


def _from_meta(meta: Mapping[str, Any]) -> Record:
    """A record without pixels."""
    key, names = str(meta["scheme"]), tuple(str(name) for name in meta["names"])
    log = tuple(Cleaning.of_words(words) for words in meta.get("cleaning", ()))
    try:
        known = get_scheme(key)
    except SchemeError:
        known = LabelScheme(key, ())
    scheme = known if known.names == names else LabelScheme(key, names)
    return Record(np.empty((0, 0), np.uint8), scheme, str(meta["model"]), cleaning=log)
