"""The OpenAPI description of `POST /v1/parse` beyond its parameters: bodies, answers, errors, examples."""

from __future__ import annotations

from typing import Any

from ..registry import DEFAULT
from .answers import FORMATS
from .refusals import REFUSALS

_BINARY = {"type": "string", "format": "binary"}
_BOX = {"type": "array", "items": {"type": "integer"}, "minItems": 4, "maxItems": 4}
_SIZE = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
_RLE = {
    "type": "object",
    "description": "COCO run lengths of the whole picture, column by column; the first run counts zeros.",
    "properties": {"size": _SIZE, "counts": {"type": "array", "items": {"type": "integer"}}},
}
_PART = {
    "type": "object",
    "properties": {
        "label": {"type": "integer"},
        "name": {"type": "string"},
        "pixels": {"type": "integer"},
        "share": {"type": "number", "description": "Share of the picture, 0 to 1."},
        "box": {**_BOX, "description": "x0, y0, x1, y1 in pixels, half-open."},
        "rle": _RLE,
    },
}
_CLASS = {
    "type": "object",
    "properties": {
        "label": {"type": "integer"},
        "name": {"type": "string"},
        "color": {"type": "array", "items": {"type": "integer"}, "description": "Red, green, blue, 0-255."},
    },
}
_PERSON = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "score": {"type": "number"},
        "box": _BOX,
        "part_scores": {
            "type": "object",
            "description": "Name of a part -> its score, which ranks parts and is no probability.",
            "additionalProperties": {"type": "number"},
        },
        "rle": _RLE,
        "parts": {"type": "array", "items": _PART},
    },
}
_PARSING = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "scheme": {"type": "string"},
        "size": {**_SIZE, "description": "Height and width in pixels."},
        "classes": {"type": "array", "items": _CLASS},
        "groups": {
            "type": "object",
            "description": "Name of each group of the scheme -> its labels.",
            "additionalProperties": {"type": "array", "items": {"type": "integer"}},
        },
        "parts": {"type": "array", "items": _PART},
        "people": {"type": "array", "items": _PERSON},
        "cleaning": {
            "type": "array",
            "description": "How the labels were cleaned, the first step first; missing where they were not.",
            "items": {"type": "object"},
        },
        "milliseconds": {"type": "number"},
    },
}

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
        known = found.get(status, {"description": "", "content": {"application/json": {"examples": {}}}})
        known["description"] += ("; " if known["description"] else "") + f"{code}: {meaning}"
        example = {"value": {"error": {"code": code, "message": "what to do"}}}
        known["content"]["application/json"]["examples"][code] = example
        found[status] = known
    return found


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The parsing, in the format of the parameter `format` or of the Accept header.",
        "headers": {
            "X-Humanparse-Model": {"schema": {"type": "string"}},
            "X-Humanparse-Milliseconds": {"schema": {"type": "number"}},
        },
        "content": {
            **{one.media_type: {"schema": _BINARY} for one in FORMATS.values()},
            "application/json": {"schema": _PARSING, "example": _EXAMPLE},
        },
    },
    **_refusals(),
}
