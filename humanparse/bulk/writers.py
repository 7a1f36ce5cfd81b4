"""One input's labels -> the contents of its files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import formats, render
from ..arrays import Labels, Picture
from ..errors import BulkError, FormatError
from ..results import Parsing

ENDINGS = {
    "png": ".png",
    "npz": ".npz",
    "coco": ".coco.json",
    "overlay": "_overlay.jpg",
    "integratedpifu": ".npy",
}
"""Format -> what follows an input's key."""

PACKED = ("tar", "parquet")
"""Formats that hold many inputs in one file."""

OFFERED = (*(name for name in ENDINGS if name != "integratedpifu"), *PACKED)

_PIFU = np.array([0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], np.float32)
"""IntegratedPIFu's value of each Pascal-Person-Part label; its network compares for equality."""


def check_formats(names: tuple[str, ...]) -> None:
    """See that all formats are known, and each is named once.

    Raises:
        BulkError: none, unknown or named twice.
    """
    unknown = [name for name in names if name not in (*ENDINGS, *PACKED)]
    if unknown or not names or len(set(names)) < len(names):
        raise BulkError(f"`formats` takes {', '.join(OFFERED)}, each once, not {','.join(names)!r}")


def encoded(
    name: str, parsing: Parsing, photo: Picture | None, called: formats.PhotoName | None = None
) -> bytes:
    """The content of a file of one format.

    Args:
        name: one of `ENDINGS`.
        parsing: what is written.
        photo: RGB uint8 (H, W, 3), for overlays.
        called: what the photo is called, for COCO.

    Raises:
        FormatError: it holds no pixels.
    """
    if name in ("png", "npz"):
        return formats.encode(replace(parsing.record(), logits=None), name)
    if name == "coco":
        assert called is not None
        return json.dumps(formats.coco(called, parsing.labels, parsing.scheme, parsing.people)).encode()
    return _CONTENTS[name](parsing, photo)


def _overlay(parsing: Parsing, photo: Picture | None) -> bytes:
    assert photo is not None
    buffer = io.BytesIO()
    picture = render.overlay(photo, parsing.labels, parsing.scheme, people=parsing.people)
    picture.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def _integratedpifu(parsing: Parsing, photo: Picture | None) -> bytes:
    if parsing.scheme.key != "pascal":
        raise BulkError(f"IntegratedPIFu takes Pascal's seven parts, not {parsing.scheme.key}'s labels")
    buffer = io.BytesIO()
    np.save(buffer, _PIFU[parsing.labels])
    return buffer.getvalue()


def integratedpifu_labels(path: Path) -> Labels:
    """A file of `_integratedpifu` -> Pascal's labels uint8 (H, W).

    Raises:
        FormatError: missing, or no such file.
    """
    try:
        values = np.load(path)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: not a readable part map ({error})") from error
    labels: Labels = np.searchsorted(_PIFU, values).astype(np.uint8)
    return labels


_CONTENTS: dict[str, Callable[[Parsing, Picture | None], bytes]] = {
    "overlay": _overlay,
    "integratedpifu": _integratedpifu,
}
