"""ComfyUI: nodes that parse people, clean labels, and return parts, groups or people as masks.

Copy the folder `examples/comfyui` into `custom_nodes`. An IMAGE is float (B, H, W, C), 0-1; a MASK is float
(B, H, W), 0-1; HUMAN_PARSING, our own type, is a list of B parsings. Nodes that return pictures are in
`comfyui_pictures`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .. import registry
from ..arrays import Mask
from ..cleaning import MOST_SMOOTH
from ..errors import PeopleError
from ..pipelines.snapshots import unchanging
from ..results import Parsing
from ..schemes import IGNORE, get_scheme, remap_targets, scheme_names
from .agnostic import agnostic_mask
from .recipes import Cloth

if TYPE_CHECKING:
    from ..parser import Parser

PARSING = "HUMAN_PARSING"

Inputs = dict[str, dict[str, tuple[Any, ...]]]


class ParseHumans:
    """Labels each pixel of the images with the part of a person that it shows."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "parse"
    RETURN_TYPES = (PARSING, "IMAGE")
    RETURN_NAMES = ("parsing", "colours")

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs of the node, in the form of ComfyUI."""
        apart = {"default": False, "tooltip": "Tell people apart, for Human People Masks."}
        return {
            "required": {"image": ("IMAGE",), "model": (registry.names(), {"default": registry.DEFAULT})},
            "optional": {"people": ("BOOLEAN", apart)},
        }

    def parse(self, image: Tensor, model: str, people: bool = False) -> tuple[list[Parsing], Tensor]:
        """IMAGE -> its parsings, and an IMAGE of the labels, each part in its own colour."""
        parser = _load(model)
        detect: Any = "detect" if people and not parser.finds_people else None
        parsings = list(parser.predict_many(map(unchanging, photos(image)), people=detect))
        colours = np.stack([np.asarray(parsing.colorize(), dtype=np.float32) / 255 for parsing in parsings])
        return parsings, torch.from_numpy(colours)


class CleanLabels:
    """Removes specks and holes from labels and smooths their borders; 0 switches a step off."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "clean"
    RETURN_TYPES = (PARSING,)
    RETURN_NAMES = ("parsing",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs of the node, in the form of ComfyUI."""
        islands = {"default": "0.05%", "tooltip": "Remove islands smaller than this: pixels, or a share."}
        holes = {
            "default": "0.05%",
            "tooltip": "Fill holes up to this size: pixels, or a share.",
        }
        radius = {
            "default": 2,
            "min": 0,
            "max": MOST_SMOOTH,
            "tooltip": "Radius of smoothing, in pixels.",
        }
        return {
            "required": {
                "parsing": (PARSING,),
                "min_area": ("STRING", islands),
                "fill": ("STRING", holes),
                "smooth": ("INT", radius),
            }
        }

    def clean(self, parsing: list[Parsing], min_area: str, fill: str, smooth: int) -> tuple[list[Parsing]]:
        """Parsings -> cleaned ones; see `Parsing.cleaned`."""
        return ([one.cleaned(min_area, fill, smooth) for one in parsing],)


class GroupMask:
    """One mask for each image: where the parts of a group are, such as clothes or skin."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs of the node, in the form of ComfyUI."""
        schemes = map(get_scheme, scheme_names())
        groups = list(dict.fromkeys(name for scheme in schemes for name, _ in scheme.groups))
        return {
            "required": {
                "parsing": (PARSING,),
                "group": (groups, {"default": "clothes"}),
                "invert": ("BOOLEAN", {"default": False}),
            }
        }

    def mask(self, parsing: list[Parsing], group: str, invert: bool) -> tuple[Tensor]:
        """Parsings -> a MASK of the group."""
        return (masks(one.mask(group) != invert for one in parsing),)


class PeopleMasks:
    """A list of masks, one for each person in each image, and a list of their names."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "masks"
    RETURN_TYPES = ("MASK", "STRING")
    RETURN_NAMES = ("masks", "names")
    OUTPUT_IS_LIST = (True, True)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs of the node, in the form of ComfyUI."""
        return {"required": {"parsing": (PARSING,)}}

    def masks(self, parsing: list[Parsing]) -> tuple[list[Tensor], list[str]]:
        """Parsings -> for each person a MASK of one image, and a name such as `image 1, person 2`."""
        found = [(number, person) for number, one in enumerate(parsing, 1) for person in one.people]
        if not found:
            raise PeopleError(
                "these parsings have no people: switch `people` on in Parse Humans, or check the images"
            )
        names = [f"image {number}, person {person.id}" for number, person in found]
        return [masks([person.mask]) for _, person in found], names


class PartMask:
    """One mask for each image: where the named parts are, or everything but background if none is named."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs of the node, in the form of ComfyUI."""
        return {
            "required": {
                "parsing": (PARSING,),
                "parts": (
                    "STRING",
                    {"default": "hair, face", "tooltip": "Comma-separated parts or groups (clothes, skin)."},
                ),
                "invert": ("BOOLEAN", {"default": False}),
            }
        }

    def mask(self, parsing: list[Parsing], parts: str, invert: bool) -> tuple[Tensor]:
        """Parsings -> a MASK of the parts together."""
        return (masks(_where(one, parts) != invert for one in parsing),)


class PartMasks:
    """A list of masks, one for each named part, or for each part found if none is named; and their names."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "masks"
    RETURN_TYPES = ("MASK", "STRING")
    RETURN_NAMES = ("masks", "names")
    OUTPUT_IS_LIST = (True, True)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs of the node, in the form of ComfyUI."""
        return {
            "required": {
                "parsing": (PARSING,),
                "parts": (
                    "STRING",
                    {"default": "", "tooltip": "Comma-separated parts or groups (empty: all found)."},
                ),
            }
        }

    def masks(self, parsing: list[Parsing], parts: str) -> tuple[list[Tensor], list[str]]:
        """Parsings -> for each part a MASK over all images, and its name."""
        scheme = parsing[0].scheme
        labels = scheme.members(*words(parts)) or sorted(
            {part.label for one in parsing for part in one.parts() if part.label != IGNORE}
        )
        found = [masks(one.labels == label for one in parsing) for label in labels]
        return found, [scheme.name(label) for label in labels]


class RemapLabels:
    """Converts labels to another label set, such as `coarse`: head, upper clothes, lower clothes, arms."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "remap"
    RETURN_TYPES = (PARSING,)
    RETURN_NAMES = ("parsing",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs of the node, in the form of ComfyUI."""
        approximate = {"default": False, "tooltip": "Allow labels without an exact counterpart."}
        return {
            "required": {
                "parsing": (PARSING,),
                "labels": (remap_targets(), {"default": "coarse"}),
                "approximate": ("BOOLEAN", approximate),
            }
        }

    def remap(self, parsing: list[Parsing], labels: str, approximate: bool) -> tuple[list[Parsing]]:
        """Parsings -> parsings in that label set."""
        return ([one.remap(labels, approximate) for one in parsing],)


class AgnosticMask:
    """What to repaint for virtual try-on: a garment and the limbs it covers, grown over the background."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """The inputs of the node, in the form of ComfyUI."""
        grow = {"default": -1, "min": -1, "max": 512, "tooltip": "Pixels; -1 is 1 % of the longer side."}
        return {
            "required": {
                "parsing": (PARSING,),
                "cloth": (list(get_args(Cloth)), {"default": "upper"}),
                "grow": ("INT", grow),
            }
        }

    def mask(self, parsing: list[Parsing], cloth: Cloth, grow: int) -> tuple[Tensor]:
        """Parsings -> a MASK; see `humanparse.adapters.agnostic`."""
        dilate = None if grow < 0 else grow
        return (masks(agnostic_mask(one, cloth, dilate=dilate) > 0 for one in parsing),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "HumanParse": ParseHumans,
    "HumanParseClean": CleanLabels,
    "HumanParseGroupMask": GroupMask,
    "HumanParsePeopleMasks": PeopleMasks,
    "HumanParsePartMask": PartMask,
    "HumanParsePartMasks": PartMasks,
    "HumanParseRemap": RemapLabels,
    "HumanParseAgnosticMask": AgnosticMask,
}

NODE_DISPLAY_NAME_MAPPINGS = {
    "HumanParse": "Parse Humans",
    "HumanParseClean": "Clean Human Labels",
    "HumanParseGroupMask": "Human Group Mask",
    "HumanParsePeopleMasks": "Human People Masks (list)",
    "HumanParsePartMask": "Human Part Mask",
    "HumanParsePartMasks": "Human Part Masks (list)",
    "HumanParseRemap": "Remap Human Labels",
    "HumanParseAgnosticMask": "Cloth-Agnostic Mask",
}


@lru_cache(maxsize=2)
def _load(model: str) -> Parser:
    from ..parser import Parser

    return Parser(model)


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
