"""Masks of try-on projects: what each hides of a photo, by the tables and radii of its own preprocessing.

| recipe | project | its file |
|---|---|---|
| `viton-hd` | VITON-HD (Choi et al., CVPR 2021, arXiv:2103.16874) | `datasets.py` |
| `catvton` | CatVTON (Chong et al., ICLR 2025, arXiv:2407.15886) | `model/cloth_masker.py` |
| `ootdiffusion` | OOTDiffusion (Xu et al., arXiv:2403.01779) | `run/utils_ootd.py` |
| `idm-vton` | IDM-VTON (Choi et al., ECCV 2024, arXiv:2403.05139) | `gradio_demo/utils_mask.py` |
| `fashn` | FASHN VTON 1.5 | `src/fashn_vton/preprocessing/agnostic.py` |

The tables and radii come from these files. The projects also use pose keypoints or DensePose; here the same
areas come from the parts, so masks are similar to theirs, not equal. Each function below says what it uses
instead. Labels are found by what they show (`LabelScheme.things`), so any model with garments works. Hands
stay visible if the scheme has them (`fashn`, `mhpv2`, `goliath29`); otherwise they are hidden with the arm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import cv2
import numpy as np

from ..arrays import Labels, Mask
from ..errors import ModelError, SchemeError
from ..ops import clean
from ..results import Parsing
from ..schemes import IGNORE, LabelScheme

Cloth = Literal["upper", "lower", "overall"]
RecipeName = Literal["viton-hd", "catvton", "ootdiffusion", "idm-vton", "fashn"]

_SHOW = {
    "hands": "hand",
    "feet": "foot",
    "shoes": "shoe|boot|highheel|sandal",
    "socks": "sock",
    "neck": "torso skin",
    "face": "face|nose|eye|brow|ear|mouth|upper lip|lower lip|upper teeth|lower teeth|tongue",
    "hair": "hair",
    "hat": "hat|helmet|headwear",
    "glasses": "glasses|eyewear",
    "gloves": "glove",
    "scarf": "scarf",
    "bag": "bag|backpack|wallet|cases",
    "belt": "belt",
    "jewellery": "jewellery|earring|watch|wristband",
}
"""Kind of part -> the things that belong to it; see `LabelScheme.things`."""


@dataclass(frozen=True)
class Recipe:
    """How a project hides a garment.

    Attributes:
        hidden: garment -> kinds of parts that become background in its label map.
        grey: value (0-255) of the hidden pixels in its picture.
        mask: function that finds the hidden pixels, bool (H, W).

    Examples:
        >>> from humanparse.adapters.recipes import Recipe
        >>> Recipe({"upper": "tops arms"}, grey=127, mask=lambda parts, cloth, recipe: parts.of("tops")).grey
        127
    """

    hidden: dict[str, str]
    grey: int
    mask: Callable[[_Parts, str, Recipe], Mask]

    def forgotten(self, parsing: Parsing, cloth: str) -> Mask:
        """The pixels that become background in the label map, bool (H, W)."""
        return _Parts(parsing).of(self.hidden[cloth])


def get_recipe(name: str, cloth: str, scheme: LabelScheme) -> Recipe:
    """The recipe of that name.

    Args:
        name: one of the recipes above.
        cloth: the garment to hide: `"upper"`, `"lower"` or `"overall"`.
        scheme: the label scheme that the recipe will be used with.

    Raises:
        ModelError: no such recipe or garment, or the recipe does not hide that garment.
        SchemeError: the scheme has no label for such a garment.

    Examples:
        >>> from humanparse import get_scheme
        >>> from humanparse.adapters.recipes import get_recipe
        >>> sorted(get_recipe("fashn", "lower", get_scheme("atr")).hidden)
        ['lower', 'overall', 'upper']
    """
    recipe = _RECIPES.get(name)
    if recipe is None:
        raise ModelError(f"there is no recipe {name!r}; recipes are {', '.join(get_args(RecipeName))}")
    if cloth not in get_args(Cloth):
        raise ModelError(f"cloth must be one of {', '.join(get_args(Cloth))}, not {cloth!r}")
    if cloth not in recipe.hidden:
        raise ModelError(f"{name} replaces {' and '.join(recipe.hidden)}-body clothes only, not {cloth}")
    kinds = _kinds(scheme)
    if not any(kinds[kind] for kind in ("tops", "bottoms", "full")):
        raise SchemeError(
            f"{scheme.key} has no label for clothes; use a model of lip, atr, cihp, fashn or mhpv2, such as "
            f"schp-lip\nLabels: {', '.join(scheme.names)}"
        )
    return recipe


def recipe_mask(parsing: Parsing, name: str, cloth: str) -> Mask:
    """The pixels that a project hides, bool (H, W); none if the photo shows no such garment.

    Args:
        parsing: the photo's parsing.
        name, cloth: as for `get_recipe`.

    Raises:
        ModelError, SchemeError: as `get_recipe`.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.recipes import recipe_mask
        >>> recipe_mask(Parser().predict("examples/grace_hopper.jpg"), "viton-hd", "upper").shape
        (600, 512)
    """
    recipe = get_recipe(name, cloth, parsing.scheme)
    parts = _Parts(parsing)
    if not parts.of(recipe.hidden[cloth]).any():
        return np.zeros(parsing.size, dtype=np.bool_)
    return recipe.mask(parts, cloth, recipe)


@lru_cache(maxsize=32)
def _kinds(scheme: LabelScheme) -> dict[str, frozenset[int]]:
    """Kind of part -> labels of a scheme: garments by the scheme's groups, others by what the labels show."""
    shown: dict[str, set[int]] = {}
    for label, thing in enumerate(scheme.things()):
        shown.setdefault(thing.removeprefix("left ").removeprefix("right "), set()).add(label)
    kinds = {
        kind: frozenset(label for thing in things.split("|") for label in shown.get(thing, ()))
        for kind, things in _SHOW.items()
    }
    groups = {name: frozenset(labels) for name, labels in scheme.groups}
    upper = groups.get("upper", frozenset(shown.get("upper clothes", ())))
    lower = groups.get("lower", frozenset())
    kinds |= {"tops": upper - lower, "bottoms": lower - upper, "full": upper & lower}
    kinds["arms"] = groups.get("arms", frozenset())
    kinds["legs"] = groups.get("legs", frozenset()) | frozenset(shown.get("tights", ()))
    return kinds


class _Parts:
    """A label map by kinds of parts."""

    def __init__(self, parsing: Parsing, labels: Labels | None = None) -> None:
        self.parsing = parsing
        self.labels = parsing.labels if labels is None else labels
        self._kinds = _kinds(parsing.scheme)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    def of(self, kinds: str) -> Mask:
        """Where any of these kinds is, bool (H, W)."""
        labels = {label for kind in kinds.split() for label in self._kinds[kind]}
        return np.isin(self.labels, sorted(labels))

    def someone(self) -> Mask:
        """Where the label is neither background nor 255."""
        background = self.parsing.scheme.background
        return ~np.isin(self.labels, [IGNORE] if background is None else [IGNORE, background])

    def at_height(self, height: int) -> _Parts:
        """The same map resized to a height, with the same aspect and no new labels."""
        width = max(1, round(self.size[1] * height / self.size[0]))
        return _Parts(self.parsing, _resized(self.labels, (height, width)))


def _viton_hd(parts: _Parts, cloth: str, recipe: Recipe) -> Mask:
    """`get_img_agnostic`: hides thick lines along the pose, except face, glasses, lower clothes, legs, shoes.

    Here garments, neck, and arms with hands are grown by 60 pixels at its height of 1024, instead of lines
    along the pose. For the trunk this is half the width of its lines. For the arms it is our choice: there
    half a line is 100 pixels, measured from the bone. As in the original, hair is hidden where the mask
    reaches it.
    """
    reach = max(1, round(60 * parts.size[0] / 1024))
    shown = parts.of("face glasses bottoms legs shoes")
    return clean.grow(parts.of(f"{recipe.hidden[cloth]} hands"), reach) & ~shown


_CATVTON_KEPT = {"upper": "legs bottoms", "lower": "arms face tops", "overall": ""}
_CATVTON_BODY = {
    "upper": "arms tops full neck",
    "lower": "legs bottoms full",
    "overall": "arms tops full neck legs bottoms",
}


def _catvton(parts: _Parts, cloth: str, recipe: Recipe) -> Mask:
    """`cloth_agnostic_mask`: convex hulls of everything that may change, without what is kept, smoothed.

    The original joins the labels of two parsers, ATR's and LIP's; here there is only one. Garments and limbs
    replace DensePose's trunk, arms and legs. So the neck is hidden if the scheme has a label for it, and kept
    in ATR's scheme, which counts it as face.
    """
    height, width = parts.size
    small, wide = max(parts.size) // 250 | 1, max(parts.size) // 25 | 1
    square = np.ones((small, small), np.uint8)
    ends = cv2.dilate(_u8(parts.of("hands feet")), square).astype(bool) & parts.of("arms hands legs feet")
    never = ends | parts.of("face")
    kept = never | parts.of(f"{_CATVTON_KEPT[cloth]} hair hat gloves glasses bag shoes scarf socks")
    quarter = _resized(_u8(parts.of(_CATVTON_BODY[cloth])), (-(-height // 4), -(-width // 4)))
    spread = np.asarray(cv2.dilate(quarter, square, iterations=2), dtype=np.uint8)
    body = _resized(spread, parts.size).astype(bool)
    area = _hulls((parts.someone() & ~kept) | body) & ~kept
    soft = cv2.GaussianBlur(_u8(area) * 255, (wide, wide), 0) >= 25
    garments = parts.of({"upper": "tops full", "lower": "bottoms full"}.get(cloth, "tops bottoms full"))
    return cv2.dilate(_u8((soft | garments) & ~never), square).astype(bool)


_OOTD_FIXED = {"upper": "bottoms", "lower": "tops arms hands", "overall": ""}


def _ootdiffusion(parts: _Parts, cloth: str, recipe: Recipe) -> Mask:
    """`get_mask_location`: garments and arms, grown, without what is fixed; the largest piece of that.

    At a height of 512, garments grow by 10 pixels, arms by 8, the neck by 2. The arms' labels replace lines
    along the pose, as in the original when the pose has no wrist.
    """
    small = parts.at_height(512)
    head = small.of("face hat glasses")
    fixed = head | small.of(f"{_OOTD_FIXED[cloth]} shoes bag")
    garments = {"upper": "tops full", "lower": "bottoms legs", "overall": "tops bottoms full"}[cloth]
    hidden = clean.grow_square(small.of(garments), 10)
    if cloth != "lower":
        fixed |= small.of("hands")
        hidden |= clean.grow_square(small.of("neck"), 2) & ~head
        hidden |= clean.grow_square(small.of("arms"), 8)
    hidden &= ~fixed
    hidden[[0, -1]] = hidden[:, [0, -1]] = False
    whole = _largest(_filled(hidden))
    return _resized(whole, parts.size).astype(bool)


_FASHN_KEPT = {"upper": "legs hands", "lower": "arms feet shoes", "overall": "hands feet shoes"}


def _fashn(parts: _Parts, cloth: str, recipe: Recipe) -> Mask:
    """`create_clothing_agnostic_image`: the box of garments and limbs, without what is far from them.

    The original needs no pose either. At its height of 864, borders are rounded by 18 pixels, pixels of the
    box more than 100 pixels away are dropped, and the mask grows by 33 pixels to the sides and by 16 up and
    down. Here a hole is what does not touch the picture's border; in the original, what is not connected to
    the upper left corner.
    """
    scale = parts.size[0] / 864
    hidden = parts.of(recipe.hidden[cloth])
    kept = parts.of(f"face hair jewellery bag glasses hat {_FASHN_KEPT[cloth]}")
    edge = max(1, int(4 * scale))
    certain = cv2.dilate(_u8(hidden), np.ones((edge, edge), np.uint8)).astype(bool)
    round_ = _brushed(hidden, max(1, int(18 * scale)))
    x, y, width, height = cv2.boundingRect(_u8(hidden))
    area = np.zeros_like(hidden)
    away = cv2.distanceTransform(_u8(~round_), cv2.DIST_L2, cv2.DIST_MASK_5)
    area[y : y + height, x : x + width] = away[y : y + height, x : x + width] <= 100 * scale
    margin = np.ones((2 * int(16 * scale) + 1, 2 * int(33 * scale) + 1), np.uint8)
    return certain | (cv2.dilate(_u8(area), margin).astype(bool) & ~kept)


def _brushed(mask: Mask, radius: int) -> Mask:
    """Grow a mask by a disc, smooth its border and fill its holes, like a large soft brush."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    grown = cv2.dilate(_u8(mask), disc)
    away, deep = (cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_5) for side in (1 - grown, grown))
    level = cv2.GaussianBlur(away - deep, (0, 0), radius / 2.5, borderType=cv2.BORDER_REPLICATE)
    return _filled(level <= 0).astype(bool) | mask


def _u8(mask: Mask) -> Labels:
    return mask.astype(np.uint8)


def _resized(labels: Labels, size: tuple[int, int]) -> Labels:
    """Labels resized to (height, width), without new values."""
    return np.asarray(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def _hulls(mask: Mask) -> Mask:
    """The convex hull of each piece."""
    outlines, _ = cv2.findContours(_u8(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    found = np.zeros(mask.shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(found, [cv2.convexHull(outline)], 1)
    return found.astype(bool)


def _filled(mask: Mask) -> Labels:
    """A mask without holes, uint8 0 or 1. What touches the picture's border is not a hole."""
    flood = np.pad(_u8(mask), 1)
    cv2.floodFill(flood, None, (0, 0), 2)
    return _u8(flood[1:-1, 1:-1] != 2)


def _largest(mask: Labels) -> Labels:
    """The piece whose outline encloses the largest area, as a polygon through that outline's main points."""
    outlines: Any = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)[0]
    found = np.zeros_like(mask)
    if len(outlines):
        cv2.drawContours(found, [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    return found


_OOTD_HIDDEN = {
    "upper": "tops full neck arms",
    "lower": "bottoms legs",
    "overall": "tops bottoms full neck arms",
}

_RECIPES = {
    "viton-hd": Recipe({"upper": "tops full neck arms"}, 128, _viton_hd),
    "catvton": Recipe(
        {
            "upper": "tops full neck arms",
            "lower": "bottoms full legs",
            "overall": "tops bottoms full neck arms legs",
        },
        127,
        _catvton,
    ),
    **dict.fromkeys(("ootdiffusion", "idm-vton"), Recipe(_OOTD_HIDDEN, 127, _ootdiffusion)),
    "fashn": Recipe(
        {
            "upper": "tops full scarf neck arms",
            "lower": "bottoms belt legs",
            "overall": "tops bottoms full scarf belt neck arms legs",
        },
        127,
        _fashn,
    ),
}
