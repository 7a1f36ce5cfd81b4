"""Label Studio: parsings as predictions (pre-annotations) to be corrected with the brush.

Create a project with `labeling_config(parser.scheme)`, then import the JSON of `tasks`. Label Studio's brush
strokes are run lengths of an RGBA picture, bit by bit, in the form of thi.ng's rle-pack.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import numpy as np

from ..arrays import Mask
from ..durable import writing_file
from ..errors import FormatError
from ..results import Parsing
from ..schemes import LabelScheme
from .regions import regions

FROM, TO, DATA = "parts", "image", "image"
"""Names of the brush, of the picture and of the task's key in `labeling_config`."""

_WIDTHS = (3, 4, 8, 16)
"""Bits that a run's length may take; the header says so."""

_LONGEST = 1 << _WIDTHS[-1]

_LOCAL = "/data/local-files/?d="
"""What stands before the path of a file that Label Studio serves itself."""

_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def tasks(
    photos: Iterable[tuple[str | os.PathLike[str], Parsing]], root: str | os.PathLike[str] | None = None
) -> list[dict[str, Any]]:
    """Label Studio's tasks with predictions, ready to be imported.

    Args:
        photos: of each its address as Label Studio is to show it (`https://…`, `s3://…`,
            `/data/local-files/?d=…`; what an address must escape is escaped), or, as a `Path`, its file; and
            what was found in it.
        root: folder that Label Studio serves, its `LOCAL_FILES_DOCUMENT_ROOT`; files must lie in it.

    Raises:
        FormatError: a file without `root`, or outside of it.
    """
    return [
        {
            "data": {DATA: _address(photo, root)},
            "predictions": [{"model_version": parsing.model or "humanparse", "result": _result(parsing)}],
        }
        for photo, parsing in photos
    ]


def write_tasks(
    photos: Iterable[tuple[str | os.PathLike[str], Parsing]],
    path: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
) -> Path:
    """Write `tasks` as JSON; the file appears under its name only when it is whole.

    Raises:
        FormatError: as for `tasks`, or it cannot be written.
    """
    path, content = Path(path), json.dumps(tasks(photos, root))
    with writing_file(path) as part:
        part.write_text(content, encoding="utf-8")
    return path


def _address(photo: str | os.PathLike[str], root: str | os.PathLike[str] | None) -> str:
    if isinstance(photo, str):
        if photo.startswith(_LOCAL):
            return _LOCAL + _escaped(photo.removeprefix(_LOCAL), "/")
        return _escaped(photo, "/:?&=+,;@~!$'()*[]#" if "://" in photo else "/:,;")
    if root is None:
        raise FormatError(f"{photo}: pass as `root` the folder that Label Studio serves")
    folder, path = Path(os.path.realpath(root)), Path(os.path.realpath(Path(photo).parent)) / Path(photo).name
    if not path.is_relative_to(folder):
        raise FormatError(f"{photo}: not in {root}, the folder that Label Studio serves")
    return _LOCAL + quote(os.fsencode(path.relative_to(folder).as_posix()))


def _escaped(address: str, safe: str) -> str:
    """An address with all escaped that must be; what is escaped already stays."""
    return _LONE_PERCENT.sub("%25", quote(address, safe=f"{safe}%"))


def labeling_config(scheme: LabelScheme) -> str:
    """The labelling interface (XML) of a project whose brush has the scheme's parts, in its colours."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=TO, value=f"${DATA}", zoom="true")
    brush = ElementTree.SubElement(view, "BrushLabels", name=FROM, toName=TO)
    for label, (name, rgb) in enumerate(zip(scheme.names, scheme.palette("display"), strict=False)):
        if label != scheme.background:
            colour = "#{:02x}{:02x}{:02x}".format(*rgb)
            ElementTree.SubElement(brush, "Label", value=name, background=colour)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode")


def encode_brush(mask: Mask) -> list[int]:
    """A mask as Label Studio's brush stroke: run lengths of an RGBA picture, 255 where the mask is.

    The bits are: 32 the number of values, 5 the bits of a value less one, four times 4 a run length's
    possible bits less one; then for each run 1 for "repeated", 2 which of the four, the length less one, the
    value.

    Args:
        mask: bool (H, W).

    Returns:
        Bytes, 0-255; the last is filled up with zeros.
    """
    flat = mask.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    lengths = np.diff(ends, prepend=0) * 4  # each pixel is R, G, B, A
    bits = [f"{flat.size * 4:032b}{8 - 1:05b}", *(f"{width - 1:04b}" for width in _WIDTHS)]
    for length, start in zip(lengths.tolist(), (ends - lengths // 4).tolist(), strict=True):
        value = f"{255 if flat[start] else 0:08b}"
        bits += [_run(piece) + value for piece in _pieces(length)]
    text = "".join(bits)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _pieces(length: int) -> Iterator[int]:
    """A run as runs that 16 bits can count."""
    while length > _LONGEST:
        yield _LONGEST
        length -= _LONGEST
    yield length


def _run(length: int) -> str:
    which = next(place for place, width in enumerate(_WIDTHS) if length <= 1 << width)
    return f"1{which:02b}{length - 1:0{_WIDTHS[which]}b}"


def _result(parsing: Parsing) -> list[dict[str, Any]]:
    """A brush stroke per part, or per part of each person, who is named in the region's note."""
    height, width = parsing.size
    found = []
    for number, region in enumerate(regions(parsing)):
        stroke: dict[str, Any] = {
            "id": f"part-{number}",
            "type": "brushlabels",
            "from_name": FROM,
            "to_name": TO,
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {
                "format": "rle",
                "rle": encode_brush(region.mask),
                "brushlabels": [region.part.name],
            },
        }
        if region.score is not None:
            stroke["score"] = region.score
        if region.person:
            stroke["meta"] = {"text": [f"person {region.person}"]}
        found.append(stroke)
    return found
