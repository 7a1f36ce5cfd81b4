"""ComfyUI: nodes that return pictures and soft masks: cut-outs, try-on by project, edges of masks."""

from __future__ import annotations

from typing import Any, ClassVar, get_args

import numpy as np
import torch
from torch import Tensor

from ..cleaning import MOST_EDGE, edged
from ..errors import ImageError
from ..results import Parsing
from .agnostic import agnostic_image, agnostic_mask, agnostic_parsing
from .comfyui import PARSING, Inputs, Node, photos, words
from .cutout import cutout
from .recipes import Cloth, RecipeName

_EDGES: Inputs = {
    name: ("INT", {"default": 0, "min": 0, "max": MOST_EDGE, "tooltip": tip})
    for name, tip in (
        ("grow", "Grow the mask by this many pixels."),
        ("shrink", "Then shrink it by this many pixels."),
        ("feather", "Then fade its edge inwards over this many pixels."),
    )
}
_SOFT = {"default": False, "tooltip": 'Soft edges of hair and cloth; needs "humanparse[matting]".'}


class EdgeMask(Node):
    """Changes the edge of a mask: grows it, then shrinks it, then feathers it inwards."""

    FUNCTION = "edge"
    RETURN_TYPES = ("MASK",)
    RETURN_NAMES = ("mask",)
    REQUIRED: ClassVar[Inputs] = {"mask": ("MASK",), **_EDGES}

    def edge(self, mask: Tensor, grow: int, shrink: int, feather: int) -> tuple[Tensor]:
        """MASK -> MASK; pixels above one half belong to the mask."""
        hard = mask.detach().cpu().numpy() > 0.5
        found = [edged(one, grow, shrink, feather) for one in hard.reshape(-1, *hard.shape[-2:])]
        return (_unit(found),)


class CutOut(Node):
    """The named parts of the images, with their opacity; everything but background if none is named."""

    FUNCTION = "cut"
    RETURN_TYPES = ("IMAGE", "MASK")
    RETURN_NAMES = ("image", "opacity")
    REQUIRED: ClassVar[Inputs] = {
        "image": ("IMAGE",),
        "parsing": (PARSING,),
        "parts": ("STRING", {"default": "", "tooltip": "Comma-separated parts, groups; empty: all."}),
        "matte": ("BOOLEAN", _SOFT),
        **_EDGES,
    }

    def cut(
        self,
        image: Tensor,
        parsing: list[Parsing],
        parts: str,
        matte: bool,
        grow: int,
        shrink: int,
        feather: int,
    ) -> tuple[Tensor, Tensor]:
        """IMAGE and its parsings -> an IMAGE, and a MASK of its opacity; see `humanparse.adapters.cutout`."""
        edge: dict[str, Any] = {"grow": grow, "shrink": shrink, "feather": feather}
        keep = words(parts) or None
        found = [
            np.asarray(cutout(photo, one, keep, matte=matte, **edge)) for photo, one in _pairs(image, parsing)
        ]
        return _unit([picture[..., :3] for picture in found]), _unit([picture[..., 3] for picture in found])


class TryOn(Node):
    """What a try-on project hides: the mask, the images with grey there, and the labels without it."""

    FUNCTION = "hide"
    RETURN_TYPES = ("MASK", "IMAGE", PARSING)
    RETURN_NAMES = ("mask", "grey", "parsing")
    REQUIRED: ClassVar[Inputs] = {
        "image": ("IMAGE",),
        "parsing": (PARSING,),
        "project": (list(get_args(RecipeName)), {"default": "catvton"}),
        "cloth": (list(get_args(Cloth)), {"default": "upper"}),
    }

    def hide(
        self, image: Tensor, parsing: list[Parsing], project: RecipeName, cloth: Cloth
    ) -> tuple[Tensor, Tensor, list[Parsing]]:
        """IMAGE and its parsings -> MASK, IMAGE and parsings; see `humanparse.adapters.recipes`."""
        grey = [agnostic_image(photo, one, cloth, recipe=project) for photo, one in _pairs(image, parsing)]
        return (
            _unit([agnostic_mask(one, cloth, recipe=project) for one in parsing]),
            _unit([np.asarray(picture) for picture in grey]),
            [agnostic_parsing(one, cloth, recipe=project) for one in parsing],
        )


_NODES: dict[str, tuple[type, str]] = {
    "HumanParseEdgeMask": (EdgeMask, "Edge Mask"),
    "HumanParseCutOut": (CutOut, "Cut Out Human Parts"),
    "HumanParseTryOn": (TryOn, "Try-On Mask"),
}
NODE_CLASS_MAPPINGS = {key: node for key, (node, _) in _NODES.items()}
NODE_DISPLAY_NAME_MAPPINGS = {key: name for key, (_, name) in _NODES.items()}


def _pairs(image: Tensor, parsing: list[Parsing]) -> list[tuple[Any, Parsing]]:
    pixels = photos(image)
    if len(pixels) != len(parsing):
        raise ImageError(
            f"there are {len(pixels)} images but {len(parsing)} parsings; connect the images that were parsed"
        )
    return list(zip(pixels, parsing, strict=True))


def _unit(pictures: list[Any]) -> Tensor:
    """Pictures or masks with values 0-255 -> IMAGE or MASK."""
    return torch.from_numpy(np.stack(pictures).astype(np.float32) / 255)
