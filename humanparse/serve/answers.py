"""Encodes a parsing as the body of an answer, in a format that the request asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping

from .. import formats
from ..errors import SchemeError
from ..formats import Format, Photo
from ..results import Parsing
from ..schemes import LabelScheme, find_remap, scheme_names
from .refusals import Refusal

DEFAULT = "json"

FORMATS: Mapping[str, Format] = {one.kind: one for one in formats.FORMATS.values() if one.of_any_photo}
"""Formats of answers."""


def _accepted() -> dict[str, str]:
    """Media type, or pattern of some -> format: the default, else the first of that type."""
    found = {"application/x-npz": "npz"}
    for one in (FORMATS[DEFAULT], *FORMATS.values()):
        for media in ("*/*", f"{one.media_type.partition('/')[0]}/*", one.media_type):
            found.setdefault(media, one.kind)
    return found


_ACCEPTED = _accepted()


def chosen_format(accept: str) -> str:
    """The format that an Accept header asks for; without one, JSON.

    Raises:
        Refusal: no format matches the header.
    """
    if not accept.strip():
        return DEFAULT
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
        media = dict.fromkeys(one.media_type for one in FORMATS.values())
        raise Refusal("not_acceptable", f"accept one of {', '.join(media)}, or say ?format=")
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


def encode(parsing: Parsing, photo: Photo, kind: str, milliseconds: float) -> bytes:
    """The answer's body, in one of `FORMATS`; JSON says how long it took."""
    if kind == "json":
        content = {**formats.described(parsing), "milliseconds": round(milliseconds, 1)}
        return json.dumps(content).encode()
    return FORMATS[kind].encode(parsing, photo)
