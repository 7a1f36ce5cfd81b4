"""Cloth-agnostic masks and pictures, as virtual try-on takes them: the garment to replace is hidden.

By default they are made as Dress Code (Morelli et al., ECCV 2022, arXiv:2204.08532) describes and CatVTON
(Chong et al., arXiv:2407.15886) follows: the garment's and the limbs' areas together, dilated, less all that
must stay (face, hair, hands, feet, accessories, the other garments). VITON-HD (Choi et al., CVPR 2021,
arXiv:2103.16874) hides the upper body so, and gives the network a label map without it.

What differs: those draw limbs from pose keypoints (VITON-HD, Dress Code) or DensePose (CatVTON); here they
are the parsing's own labels. So a bare hand goes with its arm unless the scheme has hands (LV-MHP,
DensePose), and a gap between arm and body stays visible. No convex hull is taken around the garment.

`recipe="catvton"` and others hide what that project's own preprocessing hides; see
`humanparse.adapters.recipes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..arrays import Mask
from ..cleaning import edged
from ..errors import ModelError, SchemeError
from ..results import Parsing
from ..schemes import IGNORE, LabelScheme, Rgb
from .recipes import Cloth, RecipeName, get_recipe, recipe_mask
from .regions import parsed_photo

GREY: Rgb = (128, 128, 128)

_LIMBS = {"upper": "arms", "lower": "legs"}
"""Garments, a group of the scheme -> the limbs that they cover, another."""

_ALSO = {"upper": ("Torso", "Torso-skin", "Neck", "Tie"), "lower": ("Belt", "Stockings")}
"""Labels of some schemes that are hidden with a garment though they are none."""


def agnostic_mask(
    parsing: Parsing,
    cloth: Cloth = "upper",
    *,
    recipe: RecipeName | None = None,
    dilate: int | None = None,
    also: Iterable[str | int] = (),
    keep: Iterable[str | int] = (),
    grow: int = 0,
    shrink: int = 0,
    feather: int = 0,
) -> npt.NDArray[np.uint8]:
    """What to repaint, as inpainting takes it.

    Args:
        parsing: the person's photo, in any label scheme with garments or body parts.
        cloth: the garment to replace: `"upper"` hides upper garments, dresses, arms and the neck; `"lower"`
            lower garments, dresses and legs; `"overall"` all of them.
        recipe: a project whose preprocessing is followed: `"viton-hd"` (upper only), `"catvton"`,
            `"ootdiffusion"`, `"idm-vton"` or `"fashn"`. It decides alone what is hidden, without `dilate`,
            `also` and `keep`.
        dilate: pixels by which the mask grows, in a square, over the background only; None is 1 % of the
            longer side.
        also: parts or groups to hide, too, such as `["scarf"]`; see `LabelScheme.members`.
        keep: parts or groups to leave visible that would be hidden, such as `["arms"]`.
        grow, shrink, feather: pixels by which the finished mask grows over whatever lies there, then
            shrinks, and over which its edge then fades inwards; see `cleaning.edged`.

    Returns:
        uint8 (H, W): 255 where the photo is to be repainted, else 0; all 0 where the photo has no such part.
            Values between only where it is feathered.

    Raises:
        SchemeError: the scheme knows no such garment, or no part named in `also` or `keep`.
        ModelError: another `cloth` or `recipe`, a recipe that does not hide such clothes or is given with
            `dilate`, `also` or `keep`, or a number of pixels that is out of range.
    """
    if recipe is not None:
        _refuse_beside(recipe, dilate, also, keep)
        return edged(recipe_mask(parsing, recipe, cloth), grow, shrink, feather)
    hidden = np.isin(parsing.labels, _hidden_labels(parsing.scheme, cloth, also, keep))
    radius = max(1, round(max(parsing.size) / 100)) if dilate is None else dilate
    if radius < 0:
        raise ModelError(f"dilate must be 0 pixels or more, not {radius}")
    nobody = parsing.labels == IGNORE
    if parsing.scheme.background is not None:
        nobody |= parsing.labels == parsing.scheme.background
    return edged(hidden | (_dilated(hidden, radius) & nobody), grow, shrink, feather)


def agnostic_image(
    image: Any,
    parsing: Parsing,
    cloth: Cloth = "upper",
    *,
    recipe: RecipeName | None = None,
    dilate: int | None = None,
    also: Iterable[str | int] = (),
    keep: Iterable[str | int] = (),
    grow: int = 0,
    shrink: int = 0,
    feather: int = 0,
    fill: Rgb | None = None,
) -> Image.Image:
    """The photo (RGB) with one colour where `agnostic_mask` is; all projects take a grey.

    Args:
        image: the photo that was parsed, in any form `Parser.predict` takes.
        parsing, cloth, recipe, dilate, also, keep, grow, shrink, feather: see `agnostic_mask`.
        fill: RGB, 0-255; None is the recipe's grey, 128 for VITON-HD and without a recipe, else 127.

    Raises:
        ImageError: the photo cannot be read.
        SchemeError: the photo has another size, and as `agnostic_mask`.
        ModelError: as `agnostic_mask`.
    """
    photo = parsed_photo(image, parsing)
    edge: dict[str, int] = {"grow": grow, "shrink": shrink, "feather": feather}
    mask = agnostic_mask(parsing, cloth, recipe=recipe, dilate=dilate, also=also, keep=keep, **edge)
    if fill is None:
        grey = GREY[0] if recipe is None else get_recipe(recipe, cloth, parsing.scheme).grey
        fill = (grey, grey, grey)
    return Image.composite(
        Image.new("RGB", photo.shape[1::-1], fill), Image.fromarray(photo), Image.fromarray(mask)
    )


def agnostic_parsing(
    parsing: Parsing,
    cloth: Cloth = "upper",
    *,
    recipe: RecipeName | None = None,
    also: Iterable[str | int] = (),
    keep: Iterable[str | int] = (),
) -> Parsing:
    """The parsing with background where the garment and the limbs were; VITON-HD's agnostic label map.

    People and confidence do not carry over. VITON-HD's own label groups: `.remap("viton")` first. Hands stay
    where the scheme has them. Of the recipes only VITON-HD's has such a map; for the others the labels that
    their mask starts from are background.

    Raises:
        SchemeError: as `agnostic_mask`, or the scheme has no background.
        ModelError: as `agnostic_mask`.
    """
    scheme = parsing.scheme
    if scheme.background is None:
        raise SchemeError(f"{scheme.key} has no background to put where the garment was")
    if recipe is None:
        hidden = np.isin(parsing.labels, _hidden_labels(scheme, cloth, also, keep))
    else:
        _refuse_beside(recipe, None, also, keep)
        hidden = get_recipe(recipe, cloth, scheme).forgotten(parsing, cloth)
    labels = np.where(hidden, scheme.background, parsing.labels).astype(np.uint8)
    return Parsing(labels, scheme, parsing.model, cleaning=parsing.cleaning)


def _refuse_beside(
    recipe: str, dilate: int | None, also: Iterable[str | int], keep: Iterable[str | int]
) -> None:
    """See that nothing is asked for that a recipe decides."""
    if dilate is not None or tuple(also) or tuple(keep):
        raise ModelError(
            f"the recipe {recipe!r} decides what is hidden; leave `dilate`, `also` and `keep` out"
        )


def _hidden_labels(
    scheme: LabelScheme, cloth: str, also: Iterable[str | int], keep: Iterable[str | int]
) -> list[int]:
    if cloth not in get_args(Cloth):
        raise ModelError(f"cloth must be one of {', '.join(get_args(Cloth))}, not {cloth!r}")
    bodies = ("upper", "lower") if cloth == "overall" else (cloth,)
    groups = dict(scheme.groups)
    garments = [label for body in bodies for label in groups.get(body, ())]
    limbs = [label for body in bodies for label in groups.get(_LIMBS[body], ())]
    bare = "clothes" not in groups  # such schemes know limbs and trunk, whatever they wear
    if not garments and not (bare and limbs):
        raise SchemeError(
            f"{scheme.key} has no label for {'' if cloth == 'overall' else cloth + '-body '}clothes; take a "
            f"model of lip, atr, cihp or mhpv2, such as schp-lip\nLabels: {', '.join(scheme.names)}"
        )
    spelt = {label for body in bodies for label in _known(scheme, _ALSO[body])}
    hidden = {*garments, *limbs, *spelt, *scheme.members(*also)}
    return sorted(hidden - set(scheme.members(*keep)))


def _known(scheme: LabelScheme, names: Iterable[str]) -> Iterator[int]:
    """Those of some labels that the scheme has."""
    for name in names:
        with suppress(SchemeError):
            yield scheme.index(name)


def _dilated(mask: Mask, radius: int) -> Mask:
    """True within `radius` rows and columns of a true pixel."""
    for axis in (0, 1):
        along = np.moveaxis(mask, axis, 0)
        counts = np.pad(along.astype(np.int32), ((radius + 1, radius), (0, 0))).cumsum(axis=0)
        mask = np.moveaxis(counts[2 * radius + 1 :] > counts[: -2 * radius - 1], 0, axis)
    return mask
