"""Encodes a parsing as the body of an answer: JSON with run lengths, label PNG, overlay or npz."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import SchemeError
from ..formats import encode_rle
from ..people import Part, Person
from ..results import Parsing
from ..schemes import LabelScheme, find_remap, scheme_names
from .refusals import Refusal

MEDIA_TYPES = {
    "json": "application/json",
    "png": "image/png",
    "overlay": "image/png",
    "npz": "application/octet-stream",
}
"""Format -> media type of its answer."""

_ACCEPTED = {
    "*/*": "json",
    "application/*": "json",
    "application/json": "json",
    "image/*": "png",
    "image/png": "png",
    "application/octet-stream": "npz",
    "application/x-npz": "npz",
}


def chosen_format(accept: str) -> str:
    """The format that an Accept header asks for; without one, JSON.

    Raises:
        Refusal: no format matches the header.
    """
    if not accept.strip():
        return "json"
    offers = []
    for place, clause in enumerate(accept.split(",")):
        kind, *parameters = (word.strip().lower() for word in clause.split(";"))
        weights = [word.partition("=")[2] for word in parameters if word.startswith("q=")]
        try:
            weight = float(weights[0]) if weights else 1.0
        except ValueError:
            weight = 0.0
        if kind in _ACCEPTED and weight > 0:
            offers.append((-weight, kind.count("*"), place, _ACCEPTED[kind]))
    if not offers:
        raise Refusal(
            "not_acceptable",
            "accept application/json, image/png or application/octet-stream, or say ?format=",
        )
    return min(offers)[3]


def reachable(scheme: LabelScheme) -> list[str]:
    """Keys of the schemes into which this one remaps without loss, its own key first."""
    found = [scheme.key]
    for key in scheme_names():
        try:
            remap = find_remap(scheme, key)
        except SchemeError:
            continue
        if key != scheme.key and not remap.inexact and None not in remap.table:
            found.append(key)
    return found


def encode(parsing: Parsing, photo: npt.NDArray[np.uint8], kind: str, milliseconds: float) -> bytes:
    """The answer's body.

    Args:
        parsing: the parsing of the photo.
        photo: RGB uint8 (H, W, 3).
        kind: one of `MEDIA_TYPES`.
        milliseconds: how long it took, for JSON.
    """
    if kind == "json":
        return json.dumps({**describe(parsing), "milliseconds": round(milliseconds, 1)}).encode()
    if kind == "overlay":
        buffer = io.BytesIO()
        parsing.overlay(photo).save(buffer, format="PNG", compress_level=1)
        return buffer.getvalue()
    return parsing.encode(kind)


def describe(parsing: Parsing) -> dict[str, Any]:
    """A parsing as a JSON object. Run lengths cover the whole picture, (height, width)."""
    scheme, colours = parsing.scheme, parsing.scheme.palette("display")
    return {
        "model": parsing.model,
        "scheme": scheme.key,
        "size": list(parsing.size),
        "classes": [
            {"label": label, "name": name, "color": list(colours[label])}
            for label, name in enumerate(scheme.names)
        ],
        "groups": {name: list(labels) for name, labels in scheme.groups},
        "parts": [_part(part, parsing.labels == part.label) for part in parsing.parts()],
        "people": [_person(person) for person in parsing.people],
    }


def _part(part: Part, mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    return {
        "label": part.label,
        "name": part.name,
        "pixels": part.pixels,
        "share": part.share,
        "box": list(part.box),
        "rle": encode_rle(mask),
    }


def _person(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "score": person.score,
        "box": list(person.box),
        "rle": encode_rle(person.mask),
        "parts": [_part(part, person.part(part.label)) for part in person.parts()],
    }
