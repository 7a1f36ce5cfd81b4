"""Cloth-agnostic masks and pictures for virtual try-on: the garment to replace is hidden.

By default they follow Dress Code (Morelli et al., ECCV 2022, arXiv:2204.08532) and CatVTON (Chong et al.,
arXiv:2407.15886): the garment and the limbs, dilated, without everything that must stay (face, hair, hands,
feet, accessories, the other garments). VITON-HD (Choi et al., CVPR 2021, arXiv:2103.16874) hides the upper
body in this way, and gives the network a label map without it.

These projects draw limbs from pose keypoints (VITON-HD, Dress Code) or from DensePose (CatVTON); here limbs
are the parsing's own labels. So a bare hand is hidden with its arm unless the scheme has hands (LV-MHP,
DensePose), and a gap between arm and body stays visible. No convex hull is taken around the garment.

`recipe="catvton"` and the other recipes hide what that project's own preprocessing hides; see
`humanparse.adapters.recipes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..cleaning import edged
from ..errors import ModelError, SchemeError
from ..ops import clean
from ..results import Parsing
from ..schemes import IGNORE, LabelScheme, Rgb
from .recipes import Cloth, RecipeName, get_recipe, recipe_mask
from .regions import parsed_photo

GREY: Rgb = (128, 128, 128)

_LIMBS = {"upper": "arms", "lower": "legs"}
"""Group of garments in the scheme -> group of the limbs that they cover."""

_ALSO = {"upper": ("Torso", "Torso-skin", "Neck", "Tie"), "lower": ("Belt", "Stockings")}
"""Labels of some schemes that are hidden with a garment although they are not garments."""


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
    """The mask of the pixels to repaint, for inpainting.

    Args:
        parsing: labels of a photo of one person, in any scheme with garments or body parts.
        cloth: the garment to replace: `"upper"` hides upper garments, dresses, arms and the neck; `"lower"`
            hides lower garments, dresses and legs; `"overall"` hides all of them.
        recipe: the project whose preprocessing is followed: `"viton-hd"` (upper only), `"catvton"`,
            `"ootdiffusion"`, `"idm-vton"` or `"fashn"`. It cannot be combined with `dilate`, `also` or
            `keep`.
        dilate: pixels by which the mask grows, in a square, over the background only; None is 1 % of the
            longer side.
        also: more parts or groups to hide, such as `["scarf"]`; see `LabelScheme.members`.
        keep: parts or groups to leave visible, such as `["arms"]`.
        grow, shrink, feather: the finished mask is grown by `grow` pixels in all directions, then shrunk by
            `shrink` pixels; then its edge fades inwards over `feather` pixels. See `cleaning.edged`.

    Returns:
        uint8 (H, W): 255 where the photo is to be repainted, else 0; all 0 if the photo has no such part.
            With `feather`, values between at the edge.

    Raises:
        SchemeError: the scheme has no such garment, or no part named in `also` or `keep`.
        ModelError: unknown `cloth` or `recipe`; a recipe that does not hide such clothes, or is combined with
            `dilate`, `also` or `keep`; or a number of pixels that is out of range.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.agnostic import agnostic_mask
        >>> agnostic_mask(Parser().predict("examples/grace_hopper.jpg"), "upper", recipe="catvton").shape
        (600, 512)
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
    return edged(hidden | (clean.grow_square(hidden, radius) & nobody), grow, shrink, feather)


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
    """The photo (RGB) with one colour where `agnostic_mask` is; all projects use a grey.

    Args:
        image: the photo that was parsed, in any form `Parser.predict` takes.
        parsing, cloth, recipe, dilate, also, keep, grow, shrink, feather: see `agnostic_mask`.
        fill: RGB, 0-255; None is the recipe's grey: 128 for VITON-HD and without a recipe, else 127.

    Raises:
        ImageError: the photo cannot be read.
        SchemeError: as `agnostic_mask`, or the photo has another size than the parsing.
        ModelError: as `agnostic_mask`.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.agnostic import agnostic_image
        >>> photo = "examples/grace_hopper.jpg"
        >>> agnostic_image(photo, Parser().predict(photo), "upper").save("agnostic.png")
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
    """The parsing with background instead of the garment and the limbs: VITON-HD's agnostic label map.

    People and confidence are left out. Hands stay if the scheme has them. For VITON-HD's own label groups
    call `parsing.remap("viton")` first. Of the projects only VITON-HD has such a map; for the other recipes
    the labels that their mask starts from become background.

    Args:
        parsing, cloth, recipe, also, keep: see `agnostic_mask`.

    Raises:
        SchemeError: as `agnostic_mask`, or the scheme has no background.
        ModelError: as `agnostic_mask`.

    Examples:
        >>> from humanparse import Parser
        >>> from humanparse.adapters.agnostic import agnostic_parsing
        >>> without = agnostic_parsing(Parser().predict("examples/grace_hopper.jpg"), "upper")
        >>> bool(without.mask("Upper-clothes").any())
        False
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
    """Refuse options that a recipe decides."""
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
    bare = "clothes" not in groups  # such schemes label limbs and trunk, not what is worn there
    if not garments and not (bare and limbs):
        raise SchemeError(
            f"{scheme.key} has no label for {'' if cloth == 'overall' else cloth + '-body '}clothes; use a "
            f"model of lip, atr, cihp or mhpv2, such as schp-lip\nLabels: {', '.join(scheme.names)}"
        )
    spelt = {label for body in bodies for label in _known(scheme, _ALSO[body])}
    hidden = {*garments, *limbs, *spelt, *scheme.members(*also)}
    return sorted(hidden - set(scheme.members(*keep)))


def _known(scheme: LabelScheme, names: Iterable[str]) -> Iterator[int]:
    """The numbers of those labels that the scheme has."""
    for name in names:
        with suppress(SchemeError):
            yield scheme.index(name)
