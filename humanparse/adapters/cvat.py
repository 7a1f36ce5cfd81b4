"""CVAT: parsings as "CVAT for images 1.1" XML, and a function for automatic annotation.

    cvat-cli task auto-annotate 7 --function-module humanparse.adapters.cvat \
        --function-parameter model=str:schp-lip

The project needs the labels of `project_labels(parser.scheme)`: paste them as JSON into the "Raw" tab of
CVAT's label constructor.
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
from ..durable import write_file
from ..errors import FormatError
from ..formats import encode_rle
from ..registry import DEFAULT
from ..results import Parsing
from ..schemes import LabelScheme
from . import needing
from .regions import Region, regions

if TYPE_CHECKING:
    from PIL import Image

    from ..parser import Parser

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def project_labels(scheme: LabelScheme) -> list[dict[str, Any]]:
    """The scheme's parts as labels of a CVAT project: `name`, `color`, `type`, `attributes`.

    Examples:
        >>> from humanparse import get_scheme
        >>> from humanparse.adapters.cvat import project_labels
        >>> project_labels(get_scheme("atr"))[0]["name"]
        'Hat'
    """
    return [
        {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*rgb), "type": "mask", "attributes": []}
        for label, (name, rgb) in enumerate(zip(scheme.names, scheme.palette("display"), strict=False))
        if label != scheme.background
    ]


def to_xml(photos: Iterable[tuple[str | os.PathLike[str], Parsing]]) -> bytes:
    """Annotations as "CVAT for images 1.1" XML: one mask per part; the parts of one person form a group.

    Args:
        photos: for each photo its name in the CVAT task, with path and suffix as uploaded, and its parsing;
            all in one label scheme.

    Raises:
        FormatError: no photo, several label schemes, or a name that XML cannot hold.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.cvat import to_xml
        >>> to_xml([("grace_hopper.jpg", Parser().predict("examples/grace_hopper.jpg"))])[:5]
        b'<?xml'
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
    """Write the XML of `to_xml` to a file, which appears only when it is complete.

    Args:
        photos: as for `to_xml`.
        path: the file to write.

    Returns:
        The path.

    Raises:
        FormatError: as for `to_xml`, or the file cannot be written.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.cvat import write_xml
        >>> parsing = Parser().predict("examples/grace_hopper.jpg")
        >>> path = write_xml([("grace_hopper.jpg", parsing)], "annotations.xml")
    """
    return write_file(path, to_xml(photos))


def _name(photo: str | os.PathLike[str]) -> str:
    name = photo if isinstance(photo, str) else PurePath(photo).as_posix()
    if _NOT_XML.search(name):
        raise FormatError(
            f"{name!r}: XML, and so CVAT's file, cannot hold every character of this name; rename the photo"
        )
    return name


def run_lengths(mask: Mask) -> list[int]:
    """Run lengths of a mask, bool (H, W), row by row; the first run counts zeros and may have length 0.

    Examples:
        >>> import numpy as np
        >>> from humanparse.adapters.cvat import run_lengths
        >>> run_lengths(np.array([[False, True, True]]))
        [1, 2]
    """
    return list(encode_rle(mask.T)["counts"])  # COCO's go column by column


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
    """A detection function for CVAT: it returns the parts of each frame as masks.

    Args:
        parser: finds the parts.
        people: None, or `"detect"` to tell people apart, as for `Parser.predict`.

    Raises:
        HumanParseError: cvat-sdk is not installed.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.cvat import PartsFunction
        >>> function = PartsFunction(Parser())
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
        """The parts of a frame with a score of at least `context.conf_threshold`. CVAT calls this.

        Args:
            context: CVAT's `DetectionFunctionContext`.
            image: the frame.

        Returns:
            CVAT's shapes: masks; or, if CVAT requests polygons, one polygon around each piece, without holes.
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
    """Make the detection function. CVAT calls this with the values of `--function-parameter`.

    Args:
        model: the model; see `humanparse.list_models`.
        people: `"detect"` tells people apart, each as a group.
        options: other options of `Parser`.

    Raises:
        HumanParseError: cvat-sdk is not installed, or the model cannot be loaded.

    Examples:
        >>> from humanparse.adapters.cvat import create
        >>> function = create("lite-atr", device="cpu")
    """
    _import_cvat()
    from ..parser import Parser

    return PartsFunction(Parser(model, **options), people)


def _import_cvat() -> Any:
    with needing("cvat-sdk", "cvat"):
        import cvat_sdk.auto_annotation
    return cvat_sdk.auto_annotation


def _outlines(mask: Mask) -> list[list[float]]:
    """The outline of each piece as x, y, x, y, …; pieces with fewer than three corners are left out."""
    pieces, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [piece.reshape(-1).astype(float).tolist() for piece in pieces if len(piece) >= 3]
