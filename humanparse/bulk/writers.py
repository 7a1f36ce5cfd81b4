"""One input's labels -> its files, each under its name only when it is whole."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import formats, render
from ..durable import replacing
from ..errors import BulkError, FormatError
from ..results import Parsing
from ..schemes import IGNORE
from .items import Picture

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
        raise BulkError(f"--format takes {', '.join(OFFERED)}, each once, not {','.join(names)!r}")


def write(name: str, parsing: Parsing, photo: Picture | None, path: Path) -> int:
    """Write one format.

    Args:
        name: one of `ENDINGS`.
        parsing: what is written.
        photo: RGB uint8 (H, W, 3), for overlays.
        path: final name; its folder must exist.

    Returns:
        The file's size in bytes.

    Raises:
        FormatError: it cannot be written.
        OSError: likewise.
    """
    if name in ("png", "npz"):
        record = formats.Record(
            parsing.labels, parsing.scheme, parsing.model, parsing.confidence, None, parsing.people
        )
        formats.write(record, path)
        return path.stat().st_size
    content = _CONTENTS[name](parsing, photo)
    with replacing(path) as part:
        part.write_bytes(content)
    return len(content)


def png(parsing: Parsing) -> bytes:
    """The content of a label PNG."""
    return formats.encode(formats.Record(parsing.labels, parsing.scheme, parsing.model), "png")


def _coco(parsing: Parsing, photo: Picture | None) -> bytes:
    """One image, an annotation per part (per person where they are told apart), uncompressed run lengths."""
    height, width = parsing.size
    annotations: list[dict[str, Any]] = []

    def annotate(mask: Any, category: int, box: tuple[int, ...], **more: Any) -> None:
        x0, y0, x1, y1 = box
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": 1,
                "category_id": category,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": int(np.count_nonzero(mask)),
                "segmentation": formats.encode_rle(mask),
                "iscrowd": 0,
                **more,
            }
        )

    for person in parsing.people:
        about = {"score": person.score, "person_id": person.id}
        annotate(person.mask, len(parsing.scheme), person.box, **about)
        for part in person.parts():
            annotate(person.part(part.label), part.label, part.box, **about)
    if not parsing.people:
        for part in parsing.parts():
            if part.label != IGNORE:
                annotate(parsing.labels == part.label, part.label, part.box)
    categories: list[dict[str, Any]] = [
        {"id": label, "name": name, "supercategory": "part"}
        for label, name in enumerate(parsing.scheme.names)
        if label != parsing.scheme.background
    ]
    if parsing.people:
        categories.append({"id": len(parsing.scheme), "name": "person", "supercategory": "person"})
    content = {
        "images": [{"id": 1, "height": height, "width": width}],
        "annotations": annotations,
        "categories": categories,
    }
    return json.dumps(content).encode()


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


def integratedpifu_labels(path: Path) -> npt.NDArray[np.uint8]:
    """A file of `_integratedpifu` -> Pascal's labels uint8 (H, W).

    Raises:
        FormatError: missing, or no such file.
    """
    try:
        values = np.load(path)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: not a readable part map ({error})") from error
    labels: npt.NDArray[np.uint8] = np.searchsorted(_PIFU, values).astype(np.uint8)
    return labels


_CONTENTS: dict[str, Callable[[Parsing, Picture | None], bytes]] = {
    "coco": _coco,
    "overlay": _overlay,
    "integratedpifu": _integratedpifu,
}
