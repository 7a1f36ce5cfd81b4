"""CVAT: parsings as "CVAT for images 1.1" XML, and a function for its automatic annotation.

    cvat-cli task auto-annotate 7 --function-module humanparse.adapters.cvat \
        --function-parameter model=str:schp-lip

Labels of the project: `project_labels(parser.scheme)`, as JSON for the "Raw" tab of its constructor.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import cv2
import numpy as np

from ..arrays import Mask
from ..durable import writing_file
from ..errors import FormatError
from ..registry import DEFAULT
from ..results import Parsing
from ..schemes import LabelScheme
from . import missing
from .regions import Region, regions

if TYPE_CHECKING:
    from PIL import Image

    from ..parser import Parser

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def project_labels(scheme: LabelScheme) -> list[dict[str, Any]]:
    """The scheme's parts as CVAT's labels: `name`, `color`, `type`, `attributes`."""
    return [
        {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*rgb), "type": "mask", "attributes": []}
        for label, (name, rgb) in enumerate(zip(scheme.names, scheme.palette("display"), strict=False))
        if label != scheme.background
    ]


def to_xml(photos: Iterable[tuple[str | os.PathLike[str], Parsing]]) -> bytes:
    """Annotations as "CVAT for images 1.1": a mask per part, those of one person in one group.

    Args:
        photos: of each its name in the CVAT task, path and suffix as they were uploaded, and what was found
            in it; all in one label scheme.

    Raises:
        FormatError: no photo, two label schemes, or a name that XML cannot hold.
    """
    named = [(_name(photo), parsing) for photo, parsing in photos]
    schemes = {parsing.scheme for _, parsing in named}
    if len(schemes) != 1:
        raise FormatError(f"CVAT's file is for photos of one label scheme; here are {len(schemes)}")
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    labels = ElementTree.SubElement(task, "labels")
    for label in project_labels(schemes.pop()):
        entry = ElementTree.SubElement(labels, "label")
        for key in ("name", "color", "type"):
            ElementTree.SubElement(entry, key).text = label[key]
    for number, (name, parsing) in enumerate(named):
        height, width = parsing.size
        about = {"id": str(number), "name": name, "width": str(width), "height": str(height)}
        image = ElementTree.SubElement(root, "image", about)
        for region in regions(parsing):
            ElementTree.SubElement(image, "mask", _attributes(region))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def write_xml(photos: Iterable[tuple[str | os.PathLike[str], Parsing]], path: str | os.PathLike[str]) -> Path:
    """Write `to_xml`; the file appears under its name only when it is whole.

    Raises:
        FormatError: as for `to_xml`, or it cannot be written.
    """
    path, content = Path(path), to_xml(photos)
    with writing_file(path) as part:
        part.write_bytes(content)
    return path


def _name(photo: str | os.PathLike[str]) -> str:
    name = photo if isinstance(photo, str) else PurePath(photo).as_posix()
    if _NOT_XML.search(name):
        raise FormatError(
            f"{name!r}: XML, and so CVAT's file, cannot hold all characters of this name; rename it"
        )
    return name


def run_lengths(mask: Mask) -> list[int]:
    """Lengths of the runs of a mask, rows first; the first counts zeros and may be 0."""
    flat = np.concatenate(([False], mask.ravel()))
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    lengths: list[int] = np.diff(np.concatenate(([0], edges, [mask.size]))).tolist()
    return lengths


def _attributes(region: Region) -> dict[str, str]:
    x0, y0, x1, y1 = region.part.box
    attributes = {
        "label": region.part.name,
        "source": "semi-auto",
        "occluded": "0",
        "rle": ", ".join(map(str, run_lengths(region.mask[y0:y1, x0:x1]))),
        "left": str(x0),
        "top": str(y0),
        "width": str(x1 - x0),
        "height": str(y1 - y0),
        "z_order": "0",
    }
    return {**attributes, "group_id": str(region.person)} if region.person else attributes


class PartsFunction:
    """What CVAT calls a detection function: it gives the parts of each frame as masks.

    Args:
        parser: finds the parts.
        people: which people to tell apart, as for `Parser.predict`: None or `"detect"`.

    Raises:
        HumanParseError: cvat-sdk is not installed.
    """

    def __init__(self, parser: Parser, people: str | None = None) -> None:
        self._parser, self._people = parser, people
        self._cvat = _import_cvat()
        self.spec = self._cvat.DetectionFunctionSpec(
            labels=[
                self._cvat.label_spec(name, label, type="any")
                for label, name in enumerate(parser.scheme.names)
                if label != parser.scheme.background
            ]
        )

    def detect(self, context: Any, image: Image.Image) -> list[Any]:
        """The parts of a frame whose score is not below `context.conf_threshold`; called by CVAT.

        Args:
            context: CVAT's `DetectionFunctionContext`.
            image: the frame.

        Returns:
            CVAT's shapes: masks, or, when CVAT asks for them, polygons around each piece, without holes.
        """
        wanted = context.conf_threshold or 0.0
        scored = self._people is not None or self._parser.finds_people
        parsing = self._parser.predict(image, people=self._people, confidence=wanted > 0 and not scored)
        shapes = []
        for region in regions(parsing):
            if region.score is not None and region.score < wanted:
                continue
            group = {"group": region.person} if region.person else {}
            if context.conv_mask_to_poly:
                for outline in _outlines(region.mask):
                    shapes.append(self._cvat.polygon(region.part.label, outline, **group))
            else:
                x0, y0, x1, y1 = region.part.box
                runs = [*run_lengths(region.mask[y0:y1, x0:x1]), x0, y0, x1 - 1, y1 - 1]
                shapes.append(self._cvat.mask(region.part.label, [float(run) for run in runs], **group))
        return shapes


def create(model: str = DEFAULT, people: str | None = None, **options: Any) -> PartsFunction:
    """Make the function; CVAT calls this with what `--function-parameter` says.

    Args:
        model: see `humanparse.list_models`.
        people: `"detect"` tells people apart, each a group.
        options: what else `Parser` takes.

    Raises:
        HumanParseError: cvat-sdk is not installed, or the model cannot be loaded.
    """
    _import_cvat()
    from ..parser import Parser

    return PartsFunction(Parser(model, **options), people)


def _import_cvat() -> Any:
    try:
        import cvat_sdk.auto_annotation
    except ImportError as error:
        raise missing("cvat-sdk", "cvat", error) from error
    return cvat_sdk.auto_annotation


def _outlines(mask: Mask) -> list[list[float]]:
    """x, y, x, y, … through the outermost pixels of each piece of three corners or more."""
    pieces, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [piece.reshape(-1).astype(float).tolist() for piece in pieces if len(piece) >= 3]
