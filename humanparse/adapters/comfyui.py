"""ComfyUI: nodes that parse people, clean labels, and return parts, groups or people as masks.

Copy the folder `examples/comfyui` into `custom_nodes`. An IMAGE is float (B, H, W, C), 0-1; a MASK is float
(B, H, W), 0-1; HUMAN_PARSING, our own type, is a list of B parsings. Nodes that return pictures are in
`comfyui_pictures`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .. import registry
from ..arrays import Mask
from ..cleaning import MOST_SMOOTH
from ..errors import PeopleError
from ..parser import Parser
from ..pipelines.snapshots import unchanging
from ..results import Parsing
from ..schemes import IGNORE, get_scheme, remap_targets, scheme_names
from .agnostic import agnostic_mask
from .recipes import Cloth

PARSING = "HUMAN_PARSING"

Inputs = dict[str, tuple[Any, ...]]

_INVERT = ("BOOLEAN", {"default": False})
_APART = {"default": False, "tooltip": "Tell people apart, for Human People Masks."}
_GROUPS = list(dict.fromkeys(name for key in scheme_names() for name, _ in get_scheme(key).groups))


class Node:
    """What ComfyUI asks of every node; a node names its own inputs in `REQUIRED` and `OPTIONAL`."""

    CATEGORY = "humanparse"
    DESCRIPTION: ClassVar[str | None]
    REQUIRED: ClassVar[Inputs]
    OPTIONAL: ClassVar[Inputs] = {}

    def __init_subclass__(cls) -> None:
        cls.DESCRIPTION = cls.__doc__

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Inputs]:
        """The inputs of the node, in the form of ComfyUI."""
        return {"required": cls.REQUIRED, "optional": cls.OPTIONAL}


class ParseHumans(Node):
    """Labels each pixel of the images with the part of a person that it shows."""

    FUNCTION = "parse"
    RETURN_TYPES = (PARSING, "IMAGE")
    RETURN_NAMES = ("parsing", "colours")
    REQUIRED: ClassVar[Inputs] = {
        "image": ("IMAGE",),
        "model": (registry.names(), {"default": registry.DEFAULT}),
    }
    OPTIONAL: ClassVar[Inputs] = {"people": ("BOOLEAN", _APART)}

    def parse(self, image: Tensor, model: str, people: bool = False) -> tuple[list[Parsing], Tensor]:
        """IMAGE -> its parsings, and an IMAGE of the labels, each part in its own colour."""
        parser = _load(model)
        detect: Any = "detect" if people and not parser.finds_people else None
        parsings = list(parser.predict_many(map(unchanging, photos(image)), people=detect))
        colours = np.stack([np.asarray(parsing.colorize(), dtype=np.float32) / 255 for parsing in parsings])
        return parsings, torch.from_numpy(colours)


class CleanLabels(Node):
    """Removes specks and holes from labels and smooths their borders; 0 switches a step off."""

    FUNCTION = "clean"
    RETURN_TYPES = (PARSING,)
    RETURN_NAMES = ("parsing",)
    REQUIRED: ClassVar[Inputs] = {
        "parsing": (PARSING,),
        "min_area": (
            "STRING",
            {"default": "0.05%", "tooltip": "Remove islands smaller than this: pixels, or a share."},
        ),
        "fill": (
            "STRING",
            {"default": "0.05%", "tooltip": "Fill holes up to this size: pixels, or a share."},
        ),
        "smooth": (
            "INT",
            {"default": 2, "min": 0, "max": MOST_SMOOTH, "tooltip": "Radius of smoothing, in pixels."},
        ),
    }

    def clean(self, parsing: list[Parsing], min_area: str, fill: str, smooth: int) -> tuple[list[Parsing]]:
        """Parsings -> cleaned ones; see `Parsing.cleaned`."""
        return ([one.cleaned(min_area, fill, smooth) for one in parsing],)


class GroupMask(Node):
    """One mask for each image: where the parts of a group are, such as clothes or skin."""

    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)
    REQUIRED: ClassVar[Inputs] = {
        "parsing": (PARSING,),
        "group": (_GROUPS, {"default": "clothes"}),
        "invert": _INVERT,
    }

    def mask(self, parsing: list[Parsing], group: str, invert: bool) -> tuple[Tensor]:
        """Parsings -> a MASK of the group."""
        return (masks(one.mask(group) != invert for one in parsing),)


class PeopleMasks(Node):
    """A list of masks, one for each person in each image, and a list of their names."""

    FUNCTION = "masks"
    RETURN_TYPES = ("MASK", "STRING")
    RETURN_NAMES = ("masks", "names")
    OUTPUT_IS_LIST = (True, True)
    REQUIRED: ClassVar[Inputs] = {"parsing": (PARSING,)}

    def masks(self, parsing: list[Parsing]) -> tuple[list[Tensor], list[str]]:
        """Parsings -> for each person a MASK of one image, and a name such as `image 1, person 2`."""
        found = [(number, person) for number, one in enumerate(parsing, 1) for person in one.people]
        if not found:
            raise PeopleError(
                "these parsings have no people: switch `people` on in Parse Humans, or check the images"
            )
        names = [f"image {number}, person {person.id}" for number, person in found]
        return [masks([person.mask]) for _, person in found], names


class PartMask(Node):
    """One mask for each image: where the named parts are, or everything but background if none is named."""

    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)
    REQUIRED: ClassVar[Inputs] = {
        "parsing": (PARSING,),
        "parts": (
            "STRING",
            {"default": "hair, face", "tooltip": "Comma-separated parts or groups (clothes, skin)."},
        ),
        "invert": _INVERT,
    }

    def mask(self, parsing: list[Parsing], parts: str, invert: bool) -> tuple[Tensor]:
        """Parsings -> a MASK of the parts together."""
        return (masks(_where(one, parts) != invert for one in parsing),)


class PartMasks(Node):
    """A list of masks, one for each named part, or for each part found if none is named; and their names."""

    FUNCTION = "masks"
    RETURN_TYPES = ("MASK", "STRING")
    RETURN_NAMES = ("masks", "names")
    OUTPUT_IS_LIST = (True, True)
    REQUIRED: ClassVar[Inputs] = {
        "parsing": (PARSING,),
        "parts": (
            "STRING",
            {"default": "", "tooltip": "Comma-separated parts or groups (empty: all found)."},
        ),
    }

    def masks(self, parsing: list[Parsing], parts: str) -> tuple[list[Tensor], list[str]]:
        """Parsings -> for each part a MASK over all images, and its name."""
        scheme = parsing[0].scheme
        labels = scheme.members(*words(parts)) or sorted(
            {part.label for one in parsing for part in one.parts() if part.label != IGNORE}
        )
        found = [masks(one.labels == label for one in parsing) for label in labels]
        return found, [scheme.name(label) for label in labels]


class RemapLabels(Node):
    """Converts labels to another label set, such as `coarse`: head, upper clothes, lower clothes, arms."""

    FUNCTION = "remap"
    RETURN_TYPES = (PARSING,)
    RETURN_NAMES = ("parsing",)
    REQUIRED: ClassVar[Inputs] = {
        "parsing": (PARSING,),
        "labels": (remap_targets(), {"default": "coarse"}),
        "approximate": (
            "BOOLEAN",
            {"default": False, "tooltip": "Allow labels without an exact counterpart."},
        ),
    }

    def remap(self, parsing: list[Parsing], labels: str, approximate: bool) -> tuple[list[Parsing]]:
        """Parsings -> parsings in that label set."""
        return ([one.remap(labels, approximate) for one in parsing],)


class AgnosticMask(Node):
    """What to repaint for virtual try-on: a garment and the limbs it covers, grown over the background."""

    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)
    REQUIRED: ClassVar[Inputs] = {
        "parsing": (PARSING,),
        "cloth": (list(get_args(Cloth)), {"default": "upper"}),
        "grow": (
            "INT",
            {"default": -1, "min": -1, "max": 512, "tooltip": "Pixels; -1 is 1 % of the longer side."},
        ),
    }

    def mask(self, parsing: list[Parsing], cloth: Cloth, grow: int) -> tuple[Tensor]:
        """Parsings -> a MASK; see `humanparse.adapters.agnostic`."""
        dilate = None if grow < 0 else grow
        return (masks(agnostic_mask(one, cloth, dilate=dilate) > 0 for one in parsing),)


_NODES: dict[str, tuple[type, str]] = {
    "HumanParse": (ParseHumans, "Parse Humans"),
    "HumanParseClean": (CleanLabels, "Clean Human Labels"),
    "HumanParseGroupMask": (GroupMask, "Human Group Mask"),
    "HumanParsePeopleMasks": (PeopleMasks, "Human People Masks (list)"),
    "HumanParsePartMask": (PartMask, "Human Part Mask"),
    "HumanParsePartMasks": (PartMasks, "Human Part Masks (list)"),
    "HumanParseRemap": (RemapLabels, "Remap Human Labels"),
    "HumanParseAgnosticMask": (AgnosticMask, "Cloth-Agnostic Mask"),
}
NODE_CLASS_MAPPINGS = {key: node for key, (node, _) in _NODES.items()}
NODE_DISPLAY_NAME_MAPPINGS = {key: name for key, (_, name) in _NODES.items()}

_load = lru_cache(maxsize=2)(Parser)


def words(parts: str) -> list[str]:
    """Names of parts that are separated by commas or line breaks."""
    return [word for word in (piece.strip() for piece in parts.replace("\n", ",").split(",")) if word]


def _where(parsing: Parsing, parts: str) -> Mask:
    named = words(parts)
    if named:
        return parsing.mask(*named)
    nobody = [IGNORE] if parsing.scheme.background is None else [IGNORE, parsing.scheme.background]
    return ~np.isin(parsing.labels, nobody)


def masks(where: Iterable[Mask]) -> Tensor:
    """Masks of images -> a MASK."""
    return torch.from_numpy(np.stack([one.astype(np.float32) for one in where]))


def photos(image: Tensor) -> npt.NDArray[np.float32]:
    """IMAGE -> float32 (B, H, W, C) on the CPU, clipped to 0-1, because some nodes overshoot a little."""
    pixels: npt.NDArray[np.float32] = image.detach().cpu().float().clamp(0, 1).numpy()
    return pixels
