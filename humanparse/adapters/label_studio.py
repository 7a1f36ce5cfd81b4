"""Label Studio: parsings as predictions (pre-annotations) that annotators correct with the brush.

Create a project with `labeling_config(parser.scheme)`, then import the JSON of `write_tasks`. Label Studio
stores brush strokes as run lengths of an RGBA picture, packed bit by bit in the format of thi.ng's rle-pack.
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
from ..durable import write_file
from ..errors import FormatError
from ..results import Parsing
from ..schemes import LabelScheme
from .regions import regions

FROM, TO, DATA = "parts", "image", "image"
"""Names of the brush, of the picture and of the task's key in `labeling_config`."""

_WIDTHS = (3, 4, 8, 16)
"""Numbers of bits for a run's length; the header of a stroke lists them."""

_LONGEST = 1 << _WIDTHS[-1]

_LOCAL = "/data/local-files/?d="
"""Prefix of the address of a file that Label Studio serves itself."""

_LONE_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")


def tasks(
    photos: Iterable[tuple[str | os.PathLike[str], Parsing]], root: str | os.PathLike[str] | None = None
) -> list[dict[str, Any]]:
    """Tasks with predictions, ready to import into Label Studio.

    Args:
        photos: for each photo its address and its parsing. An address is a text that Label Studio can open
            (`https://…`, `s3://…`, `/data/local-files/?d=…`); characters that must be escaped are escaped.
            For a file that Label Studio serves, pass a `Path`.
        root: the folder that Label Studio serves, its `LOCAL_FILES_DOCUMENT_ROOT`; files must be in it.

    Raises:
        FormatError: a file is passed without `root`, or is outside of it.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.label_studio import tasks
        >>> found = Parser().predict("examples/grace_hopper.jpg")
        >>> len(tasks([("https://example.org/grace_hopper.jpg", found)]))
        1
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
    """Write the result of `tasks` to a JSON file, which appears only when it is complete.

    Args:
        photos, root: as for `tasks`.
        path: the file to write.

    Returns:
        The path.

    Raises:
        FormatError: as for `tasks`, or the file cannot be written.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.label_studio import write_tasks
        >>> found = Parser().predict("examples/grace_hopper.jpg")
        >>> path = write_tasks([("https://example.org/grace_hopper.jpg", found)], "tasks.json")
    """
    return write_file(path, json.dumps(tasks(photos, root)).encode())


def _address(photo: str | os.PathLike[str], root: str | os.PathLike[str] | None) -> str:
    if isinstance(photo, str):
        if photo.startswith(_LOCAL):
            return _LOCAL + _escaped(photo.removeprefix(_LOCAL), "/")
        return _escaped(photo, "/:?&=+,;@~!$'()*[]#" if "://" in photo else "/:,;")
    if root is None:
        raise FormatError(f"{photo}: pass the folder that Label Studio serves as `root`")
    folder, path = Path(os.path.realpath(root)), Path(os.path.realpath(Path(photo).parent)) / Path(photo).name
    if not path.is_relative_to(folder):
        raise FormatError(f"{photo}: not in {root}, the folder that Label Studio serves")
    return _LOCAL + quote(os.fsencode(path.relative_to(folder).as_posix()))


def _escaped(address: str, safe: str) -> str:
    """An address with its special characters escaped; escaped characters stay as they are."""
    return _LONE_PERCENT.sub("%25", quote(address, safe=f"{safe}%"))


def labeling_config(scheme: LabelScheme) -> str:
    """The labelling interface (XML) of a project: a brush with the scheme's parts, in their colours.

    Examples:
        >>> from humanparse import get_scheme
        >>> from humanparse.adapters.label_studio import labeling_config
        >>> labeling_config(get_scheme("atr"))[:6]
        '<View>'
    """
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
    """Encode a mask as a brush stroke of Label Studio: run lengths of an RGBA picture, 255 in the mask.

    The header has 32 bits for the number of values, 5 bits for the bits of a value minus one, and four times
    4 bits for the possible bits of a run length minus one. Each run has 1 bit for "repeated", 2 bits that
    choose one of the four, then the length minus one, and the value.

    Args:
        mask: bool (H, W).

    Returns:
        Bytes, 0-255; the last one is padded with zero bits.

    Examples:
        >>> import numpy as np
        >>> from humanparse.adapters.label_studio import encode_brush
        >>> encode_brush(np.ones((1, 1), bool))[:4]
        [0, 0, 0, 4]
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
    """Split a run into runs whose lengths fit into 16 bits."""
    while length > _LONGEST:
        yield _LONGEST
        length -= _LONGEST
    yield length


def _run(length: int) -> str:
    which = next(place for place, width in enumerate(_WIDTHS) if length <= 1 << width)
    return f"1{which:02b}{length - 1:0{_WIDTHS[which]}b}"


def _result(parsing: Parsing) -> list[dict[str, Any]]:
    """One brush stroke per part, or per part of each person, whose number is in the region's note."""
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
            "value": {"format": "rle", "rle": encode_brush(region.mask), "brushlabels": [region.part.name]},
        }
        if region.score is not None:
            stroke["score"] = region.score
        if region.person:
            stroke["meta"] = {"text": [f"person {region.person}"]}
        found.append(stroke)
    return found
