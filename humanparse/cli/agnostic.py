"""`humanparse agnostic`: masks for virtual try-on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import hub
from ..options import ParserOptions
from .console import err
from .cutout import Photo, check_output, split, write_png
from .options import Feather, Fill, Grow, MinArea, Quiet, Shrink, Smooth, optional, with_parser_options
from .photos import STDIN, read_photo


@with_parser_options(without=("fast_decode",))
def agnostic(
    photo: Photo,
    cloth: Annotated[str, typer.Option(help="The garment to replace: upper, lower or overall.")] = "upper",
    recipe: Annotated[
        str | None,
        optional(
            "--for",
            help="Write mask, photo and label map as this project makes them: viton-hd, catvton, "
            "ootdiffusion, idm-vton or fashn. Files are named after it.",
        ),
    ] = None,
    output: Annotated[
        Path | None, optional("-o", "--output", help="The mask (PNG, 0 and 255) to write; default: mask.png.")
    ] = None,
    image: Annotated[Path | None, optional(help="Also write the photo, grey under the mask, as PNG.")] = None,
    labels: Annotated[
        Path | None, optional(help="Also write the label map without garment and limbs, as PNG.")
    ] = None,
    dilate: Annotated[
        int | None, optional(help="Grow the mask by this many pixels (default: 1% of the long side).")
    ] = None,
    also: Annotated[
        str | None, optional(help="Comma-separated parts or groups to hide, too, such as scarf.")
    ] = None,
    keep: Annotated[
        str | None, optional(help="Comma-separated parts or groups to leave visible, such as arms.")
    ] = None,
    min_area: MinArea = "0",
    fill: Fill = "0",
    smooth: Smooth = 0,
    grow: Grow = 0,
    shrink: Shrink = 0,
    feather: Feather = 0,
    quiet: Quiet = False,
    *,
    options: ParserOptions,
) -> None:
    """Hide a garment and the limbs it covers, for virtual try-on: mask, photo, label map."""
    if recipe is not None:
        from ..adapters.recipes import get_recipe

        get_recipe(recipe, cloth, hub.find_model(options.model, offline=options.offline).scheme)
    named = partial(_named, photo, recipe, cloth)
    output = output or named("mask") or Path("mask.png")
    image, labels = image or named("grey"), labels or named("labels")
    for path in (output, image, labels):
        if path is not None:
            check_output(path, photo)
    from PIL import Image

    from ..adapters.agnostic import agnostic_image, agnostic_mask, agnostic_parsing
    from ..cleaning import Cleaning
    from ..parser import Parser

    cleaning = Cleaning(min_area, fill, smooth)
    pixels = read_photo(photo)
    parser = Parser.of(options, progress=False if quiet else None)
    parsing = parser.predict(pixels).cleaned(**cleaning.words())
    hidden, visible = split(also or ""), split(keep or "")
    asked: Any = {"cloth": cloth, "recipe": recipe, "also": hidden, "keep": visible}
    edge: Any = {"grow": grow, "shrink": shrink, "feather": feather}
    mask = agnostic_mask(parsing, dilate=dilate, **asked, **edge)
    if not mask.any():
        err.print(f"[yellow]warning:[/yellow] no {cloth} garment in the photo; the mask is empty")
    write_png(Image.fromarray(mask), output, quiet)
    if image is not None:
        grey = agnostic_image(pixels, parsing, dilate=dilate, **asked, **edge)
        write_png(grey, image, quiet)
    if labels is not None:
        agnostic_parsing(parsing, **asked).save(labels)


def _named(photo: str, recipe: str | None, cloth: str, kind: str) -> Path | None:
    """The name of a recipe's file: `me_catvton_upper_mask.png`, `…_grey.png` or `…_labels.png`."""
    if recipe is None:
        return None
    from ..formats import photo_name

    stem = "photo" if photo == STDIN else photo_name(photo, Path()).stem
    return Path(f"{stem}_{recipe}_{cloth}_{kind}.png")
