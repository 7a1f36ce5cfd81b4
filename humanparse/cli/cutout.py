"""`humanparse cutout`: chosen parts of a photo, transparent elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..durable import writing_file
from ..errors import FormatError
from ..options import ParserOptions
from .console import say
from .options import Feather, Fill, Grow, MinArea, Quiet, Shrink, Smooth, optional, with_parser_options
from .photos import read_photo

if TYPE_CHECKING:
    from PIL.Image import Image

Photo = Annotated[str, typer.Argument(help="File, URL, or - for standard input.", show_default=False)]


@with_parser_options(without=("fast_decode",))
def cutout(
    photo: Photo,
    output: Annotated[Path, typer.Option("-o", "--output", help="The PNG to write.")] = Path("cutout.png"),
    keep: Annotated[
        str | None,
        optional(help="Comma-separated parts or groups to keep, such as hair,face (default: all)."),
    ] = None,
    drop: Annotated[str | None, optional(help="Comma-separated parts or groups to leave out.")] = None,
    crop: Annotated[bool, typer.Option("--crop", help="Crop the picture to the kept parts.")] = False,
    min_area: MinArea = "0",
    fill: Fill = "0",
    smooth: Smooth = 0,
    grow: Grow = 0,
    shrink: Shrink = 0,
    feather: Feather = 0,
    matte: Annotated[
        bool, typer.Option("--matte", help="Soft edges of hair and cloth; needs the extra `matting`.")
    ] = False,
    background: Annotated[str | None, optional(help="Background colour, such as white or #e0e0e0.")] = None,
    quiet: Quiet = False,
    *,
    options: ParserOptions,
) -> None:
    """Cut parts out of a photo: a PNG of the same size, transparent outside the kept parts."""
    check_output(output, photo)
    from ..adapters.cutout import cutout as cut
    from ..cleaning import Cleaning
    from ..parser import Parser

    cleaning = Cleaning(min_area, fill, smooth)
    pixels = read_photo(photo)
    parser = Parser.of(options, progress=False if quiet else None)
    parsing = parser.predict(pixels).cleaned(**cleaning.words())
    kept = None if keep is None else split(keep)
    edge: dict[str, Any] = {"grow": grow, "shrink": shrink, "feather": feather}
    edge |= {"matte": matte, "background": background, "crop": crop}
    picture = cut(pixels, parsing, kept, split(drop or ""), **edge)
    write_png(picture, output, quiet)


def split(words: str) -> list[str]:
    """`"hair, face"` -> `["hair", "face"]`."""
    return [word.strip() for word in words.split(",") if word.strip()]


def check_output(path: Path, photo: str) -> None:
    """Check, before any work, that a picture may be written to `path`.

    Raises:
        FormatError: the suffix is not .png, the folder does not exist, or it is the photo itself.
    """
    if path.suffix.lower() != ".png":
        raise FormatError(f"{path}: the name of the result must end in .png")
    if not path.parent.is_dir():
        raise FormatError(f"{path}: there is no folder {path.parent}; make it first")
    if path.resolve() == Path(photo).resolve():
        raise FormatError(f"{path} is the photo itself; choose another name with -o")


def write_png(picture: Image, path: Path, quiet: bool) -> None:
    """Write a picture; it appears under its name only when it is complete.

    Raises:
        FormatError: it cannot be written.
    """
    with writing_file(path) as part:
        picture.save(part, format="PNG")
    if not quiet:
        say(f"{path}: {picture.width}x{picture.height} pixels")
