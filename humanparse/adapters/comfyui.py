"""ComfyUI: nodes that parse people, clean labels and pick parts, groups or people as masks.

`examples/comfyui` is the folder to copy into `custom_nodes`. An IMAGE is float (B, H, W, C), 0-1; a MASK
float (B, H, W), 0-1; HUMAN_PARSING, ours, a list of B parsings. Nodes that give pictures are in
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
    """Which part of a person each pixel of some images is."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "parse"
    RETURN_TYPES = (PARSING, "IMAGE")
    RETURN_NAMES = ("parsing", "colours")

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What ComfyUI asks for."""
        apart = {"default": False, "tooltip": "Tell people apart, for Human People Masks."}
        return {
            "required": {"image": ("IMAGE",), "model": (registry.names(), {"default": registry.DEFAULT})},
            "optional": {"people": ("BOOLEAN", apart)},
        }

    def parse(self, image: Tensor, model: str, people: bool = False) -> tuple[list[Parsing], Tensor]:
        """IMAGE -> its parsings, and an IMAGE with each part in its colour."""
        parser = _load(model)
        detect: Any = "detect" if people and not parser.finds_people else None
        parsings = list(parser.predict_many(map(unchanging, photos(image)), people=detect))
        colours = np.stack([np.asarray(parsing.colorize(), dtype=np.float32) / 255 for parsing in parsings])
        return parsings, torch.from_numpy(colours)


class CleanLabels:
    """The same images without specks and holes, with smooth borders; each step can be left out with 0."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "clean"
    RETURN_TYPES = (PARSING,)
    RETURN_NAMES = ("parsing",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What ComfyUI asks for."""
        islands = {"default": "0.05%", "tooltip": "Islands smaller than that go: pixels, or a share."}
        holes = {
            "default": "0.05%",
            "tooltip": "Holes up to that are filled: pixels, or a share.",
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
    """Where parts of a group are, such as clothes or skin, as one mask for each image."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What ComfyUI asks for."""
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
    """A list of masks, one for each person, image by image; and their names."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "masks"
    RETURN_TYPES = ("MASK", "STRING")
    RETURN_NAMES = ("masks", "names")
    OUTPUT_IS_LIST = (True, True)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What ComfyUI asks for."""
        return {"required": {"parsing": (PARSING,)}}

    def masks(self, parsing: list[Parsing]) -> tuple[list[Tensor], list[str]]:
        """Parsings -> for each person a MASK of one image, and a name such as `image 1, person 2`."""
        found = [(number, person) for number, one in enumerate(parsing, 1) for person in one.people]
        if not found:
            raise PeopleError(
                "there are no people in these parsings: switch `people` on in Parse Humans, or see the images"
            )
        names = [f"image {number}, person {person.id}" for number, person in found]
        return [masks([person.mask]) for _, person in found], names


class PartMask:
    """Where any of some parts are, as one mask for each image; all of the person when none is named."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What ComfyUI asks for."""
        return {
            "required": {
                "parsing": (PARSING,),
                "parts": (
                    "STRING",
                    {"default": "hair, face", "tooltip": "Parts or groups (clothes, skin) with commas."},
                ),
                "invert": ("BOOLEAN", {"default": False}),
            }
        }

    def mask(self, parsing: list[Parsing], parts: str, invert: bool) -> tuple[Tensor]:
        """Parsings -> a MASK of the parts together."""
        return (masks(_where(one, parts) != invert for one in parsing),)


class PartMasks:
    """A list of masks, one for each part that is named, or that is there when none is; and their names."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "masks"
    RETURN_TYPES = ("MASK", "STRING")
    RETURN_NAMES = ("masks", "names")
    OUTPUT_IS_LIST = (True, True)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What ComfyUI asks for."""
        return {
            "required": {
                "parsing": (PARSING,),
                "parts": (
                    "STRING",
                    {"default": "", "tooltip": "Parts or groups with commas; empty: all that are there."},
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
    """The same images in another label set, such as `coarse`: head, upper clothes, lower clothes, arms."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "remap"
    RETURN_TYPES = (PARSING,)
    RETURN_NAMES = ("parsing",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What ComfyUI asks for."""
        approximate = {"default": False, "tooltip": "Accept counterparts that are not exact."}
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
    """What to repaint for virtual try-on: a garment with the limbs it covers, grown over the background."""

    CATEGORY = "humanparse"
    DESCRIPTION = __doc__
    FUNCTION = "mask"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)

    @classmethod
    def INPUT_TYPES(cls) -> Inputs:
        """What ComfyUI asks for."""
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
    """Names of parts between commas or lines."""
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
    """IMAGE -> float32 (B, H, W, C), 0-1, in memory of the CPU; other nodes overshoot a little."""
    pixels: npt.NDArray[np.float32] = image.detach().cpu().float().clamp(0, 1).numpy()
    return pixels
