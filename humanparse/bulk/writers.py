"""The formats of runs: those of one file per photo, and packs of many photos."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np

from .. import formats
from ..errors import BulkError
from ..formats import Format, Photo, Record
from ..results import Parsing
from ..schemes import LabelScheme, get_scheme

_PIFU = np.array([0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0], np.float32)
"""IntegratedPIFu's value of each Pascal-Person-Part label; its network compares for equality."""


def _write_integratedpifu(record: Record, photo: Photo) -> bytes:
    if record.scheme.key != "pascal":
        raise BulkError(f"IntegratedPIFu takes Pascal's seven parts, not {record.scheme.key}'s labels")
    buffer = io.BytesIO()
    np.save(buffer, _PIFU[record.labels])
    return buffer.getvalue()


def _read_integratedpifu(path: Path, scheme: LabelScheme | None) -> Record:
    labels = np.searchsorted(_PIFU, np.load(path)).astype(np.uint8)
    return Record(labels, get_scheme("pascal"))


INTEGRATEDPIFU = Format(
    "integratedpifu", "IntegratedPIFu's part values", ".npy", _write_integratedpifu, _read_integratedpifu
)
"""What `integratedpifu` runs write."""

_OFFERED: Mapping[str, Format] = {
    **{one.kind: one for one in formats.FORMATS.values() if one.of_any_photo},
    "overlay": replace(
        formats.FORMATS["overlay"],
        ending="_overlay.jpg",  # smaller; journals know them by this name
        writer=formats.overlay_jpeg,
        media_type="image/jpeg",
    ),
}

FORMATS: Mapping[str, Format] = {**_OFFERED, INTEGRATEDPIFU.kind: INTEGRATEDPIFU}
"""Formats of one file per photo, named by the input's key and the format's ending."""

PACKED = ("tar", "parquet")
"""Formats that hold many inputs in one file."""

OFFERED = (*_OFFERED, *PACKED)


def check_formats(names: tuple[str, ...]) -> None:
    """Check that all formats are known, each is named once, and no two photos can have the same output.

    Raises:
        BulkError: there is no format, an unknown one, one named twice, or two whose outputs can clash.
    """
    unknown = [name for name in names if name not in (*FORMATS, *PACKED)]
    if unknown or not names or len(set(names)) < len(names):
        raise BulkError(f"`formats` takes {', '.join(OFFERED)}, each once, not {','.join(names)!r}")
    for one, other in permutations((FORMATS[name] for name in names if name in FORMATS), 2):
        if one.ending.endswith(other.ending):
            extra = one.ending.removesuffix(other.ending)
            raise BulkError(
                f"{one.kind} of a.jpg and {other.kind} of a{extra}.jpg would be one file, a{one.ending}; "
                "write them to two folders"
            )


def encoded(name: str, parsing: Parsing, photo: Photo | None = None) -> bytes:
    """The content of a file of one format.

    Args:
        name: one of `FORMATS`.
        parsing: what is written; logits are left out.
        photo: for formats that name or show it.

    Raises:
        FormatError: the parsing has no pixels.
        BulkError: IntegratedPIFu's format is requested for labels other than Pascal's.
    """
    return FORMATS[name].encode(replace(parsing, logits=None), photo or Photo())
