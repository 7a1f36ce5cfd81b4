"""The OpenAPI description of `POST /v1/parse` beyond its parameters: bodies, answers, errors, examples."""

from __future__ import annotations

from typing import Any

from ..registry import DEFAULT
from . import schema
from .answers import FORMATS
from .refusals import REFUSALS

_BINARY = {"type": "string", "format": "binary"}

_EXAMPLE = {
    "model": DEFAULT,
    "scheme": "atr",
    "size": [4, 3],
    "classes": [
        {"label": 0, "name": "Background", "color": [0, 0, 0]},
        {"label": 11, "name": "Face", "color": [192, 128, 0]},
    ],
    "groups": {"clothes": [4, 5, 6, 7], "head": [1, 2, 3, 11]},
    "parts": [
        {
            "label": 11,
            "name": "Face",
            "pixels": 2,
            "share": 0.167,
            "box": [1, 1, 2, 3],
            "rle": {"size": [4, 3], "counts": [5, 2, 5]},
        }
    ],
    "people": [],
    "milliseconds": 48.2,
}
"""A 4x3 picture with two pixels of a face; shortened: real answers list all classes and groups."""

BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One picture: as the body itself, in a form, or in JSON.",
        "content": {
            "image/*": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"image": _BINARY, "image_base64": {"type": "string"}},
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"image_base64": {"type": "string"}, "url": {"type": "string"}},
                },
                "examples": {
                    "base64": {"value": {"image_base64": "/9j/4AAQSkZJRg…"}},
                    "address": {
                        "summary": "Only if the service was started with --allow-urls.",
                        "value": {"url": "https://example.com/me.jpg"},
                    },
                },
            },
        },
    }
}


def _refusals() -> dict[int | str, dict[str, Any]]:
    found: dict[int | str, dict[str, Any]] = {}
    for code, (status, meaning) in REFUSALS.items():
        known = found.setdefault(
            status,
            {"model": schema.Refused, "description": "", "content": {"application/json": {"examples": {}}}},
        )
        known["description"] += ("; " if known["description"] else "") + f"{code}: {meaning}"
        example = {"value": {"error": {"code": code, "message": "what to do"}}}
        known["content"]["application/json"]["examples"][code] = example
    return found


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "model": schema.Parsing,
        "description": "The parsing, in the format of the parameter `format` or of the Accept header.",
        "headers": {
            "X-Humanparse-Model": {"schema": {"type": "string"}},
            "X-Humanparse-Milliseconds": {"schema": {"type": "number"}},
        },
        "content": {
            **{one.media_type: {"schema": _BINARY} for one in FORMATS.values()},
            "application/json": {"example": _EXAMPLE},
        },
    },
    **_refusals(),
}
