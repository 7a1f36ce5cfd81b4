"""`humanparse agnostic`: masks for virtual try-on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .cleaning import Feather, Fill, Grow, MinArea, Shrink, Smooth
from .console import err
from .cutout import Model, Photo, check_output, make_parser, split, write_png
from .label import Device, Offline, Precision, Quiet, WeightsFiles


def agnostic(
    photo: Photo,
    cloth: Annotated[str, typer.Option(help="The garment to replace: upper, lower or overall.")] = "upper",
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The mask (PNG, 0 and 255) to write.")
    ] = Path("mask.png"),
    image: Annotated[
        Path | None, typer.Option(help="Also the photo with grey there, as PNG.", show_default=False)
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Also the label map without it, as PNG.", show_default=False)
    ] = None,
    dilate: Annotated[
        int | None,
        typer.Option(
            help="Pixels by which the mask grows; without it 1% of the long side.", show_default=False
        ),
    ] = None,
    also: Annotated[
        str | None, typer.Option(help="Parts or groups to hide, too, with commas: scarf.", show_default=False)
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="Parts or groups to leave visible, with commas: arms.", show_default=False),
    ] = None,
    min_area: MinArea = "0",
    fill: Fill = "0",
    smooth: Smooth = 0,
    grow: Grow = 0,
    shrink: Shrink = 0,
    feather: Feather = 0,
    model: Model = "tiny-atr",
    weights: WeightsFiles = None,
    device: Device = "auto",
    precision: Precision = "auto",
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Hide a garment and the limbs it covers, as VITON-HD and CatVTON take it: mask, photo, label map."""
    for path in (output, image, labels):
        if path is not None:
            check_output(path, photo)
    from PIL import Image

    from ..adapters.agnostic import agnostic_image, agnostic_mask, agnostic_parsing
    from ..cleaning import Cleaning
    from ..image import load

    cleaning = Cleaning(min_area, fill, smooth)
    pixels = load(photo)
    parser = make_parser(model, weights, device, precision, offline, quiet)
    parsing = parser.predict(pixels).cleaned(**cleaning.words())
    hidden, visible = split(also or ""), split(keep or "")
    edge = {"grow": grow, "shrink": shrink, "feather": feather}
    mask = agnostic_mask(parsing, cloth, dilate=dilate, also=hidden, keep=visible, **edge)  # type: ignore[arg-type]
    if not mask.any():
        err.print(f"[yellow]warning:[/yellow] no {cloth} garment in the photo; the mask is empty")
    write_png(Image.fromarray(mask), output, quiet)
    if image is not None:
        grey = agnostic_image(pixels, parsing, cloth, dilate=dilate, also=hidden, keep=visible, **edge)  # type: ignore[arg-type]
        write_png(grey, image, quiet)
    if labels is not None:
        agnostic_parsing(parsing, cloth, also=hidden, keep=visible).save(labels)  # type: ignore[arg-type]
