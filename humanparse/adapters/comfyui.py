"""ComfyUI: nodes that parse people, pick parts as masks, change the label set and mask garments.

`examples/comfyui` is the folder to copy into `custom_nodes`. An IMAGE is float (B, H, W, C), 0-1; a MASK
float (B, H, W), 0 or 1; HUMAN_PARSING, ours, a list of B parsings.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import torch
from torch import Tensor

from .. import registry
from ..arrays import Mask
from ..pipelines.snapshots import unchanging
from ..results import Parsing
from ..schemes import IGNORE, remap_targets
from .agnostic import Cloth, agnostic_mask

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
        return {"required": {"image": ("IMAGE",), "model": (registry.names(), {"default": registry.DEFAULT})}}

    def parse(self, image: Tensor, model: str) -> tuple[list[Parsing], Tensor]:
        """IMAGE -> its parsings, and an IMAGE with each part in its colour."""
        pixels = image.detach().cpu().float().clamp(0, 1).numpy()  # other nodes overshoot a little
        parsings = list(_load(model).predict_many(map(unchanging, pixels)))
        colours = np.stack([np.asarray(parsing.colorize(), dtype=np.float32) / 255 for parsing in parsings])
        return parsings, torch.from_numpy(colours)


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
        return (_masks(_where(one, parts) != invert for one in parsing),)


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
        labels = scheme.members(*_words(parts)) or sorted(
            {part.label for one in parsing for part in one.parts() if part.label != IGNORE}
        )
        found = [_masks(one.labels == label for one in parsing) for label in labels]
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
        return (_masks(agnostic_mask(one, cloth, dilate=dilate) > 0 for one in parsing),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "HumanParse": ParseHumans,
    "HumanParsePartMask": PartMask,
    "HumanParsePartMasks": PartMasks,
    "HumanParseRemap": RemapLabels,
    "HumanParseAgnosticMask": AgnosticMask,
}

NODE_DISPLAY_NAME_MAPPINGS = {
    "HumanParse": "Parse Humans",
    "HumanParsePartMask": "Human Part Mask",
    "HumanParsePartMasks": "Human Part Masks (list)",
    "HumanParseRemap": "Remap Human Labels",
    "HumanParseAgnosticMask": "Cloth-Agnostic Mask",
}


@lru_cache(maxsize=2)
def _load(model: str) -> Parser:
    from ..parser import Parser

    return Parser(model)


def _words(parts: str) -> list[str]:
    return [word for word in (piece.strip() for piece in parts.replace("\n", ",").split(",")) if word]


def _where(parsing: Parsing, parts: str) -> Mask:
    words = _words(parts)
    if words:
        return parsing.mask(*words)
    nobody = [IGNORE] if parsing.scheme.background is None else [IGNORE, parsing.scheme.background]
    return ~np.isin(parsing.labels, nobody)


def _masks(where: Iterable[Mask]) -> Tensor:
    return torch.from_numpy(np.stack([one.astype(np.float32) for one in where]))
