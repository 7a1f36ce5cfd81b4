"""Draw the pictures of README and documentation that the bundled model makes.

python docs/make_examples.py
"""

import runpy
from pathlib import Path
from typing import get_args

from PIL import Image, ImageDraw, ImageFont

from humanparse import Parser
from humanparse.adapters.agnostic import agnostic_image
from humanparse.adapters.cutout import cutout
from humanparse.adapters.recipes import RecipeName

EXAMPLES = Path(__file__).parents[1] / "examples"
PICTURES = Path(__file__).with_name("pictures")
HOPPER, ASTRONAUT = EXAMPLES / "grace_hopper.jpg", EXAMPLES / "astronaut.png"


def row(pictures: dict[str, Image.Image], height: int) -> Image.Image:
    """Pictures beside each other, at one height, each with a line of text below."""
    small = {
        text: one.convert("RGB").resize((round(one.width * height / one.height), height))
        for text, one in pictures.items()
    }
    joined = Image.new("RGB", (sum(one.width + 8 for one in small.values()) - 8, height + 24), "white")
    pen, font, left = ImageDraw.Draw(joined), ImageFont.load_default(15), 0
    for text, one in small.items():
        joined.paste(one, (left, 0))
        pen.text((left + one.width // 2, height + 12), text, fill="black", font=font, anchor="mm")
        left += one.width + 8
    return joined


def tryon(parser: Parser) -> Image.Image:
    """What each project hides of a photo."""
    parsing = parser.predict(HOPPER)
    names = get_args(RecipeName)
    return row({name: agnostic_image(HOPPER, parsing, recipe=name) for name in names}, 240)


def matte(parser: Parser) -> Image.Image:
    """A portrait on green, with a hard edge and with a soft one."""
    parsing = parser.predict(ASTRONAUT).cleaned(min_area="1%")
    cuts = {
        "photo": Image.open(ASTRONAUT),
        "cutout": cutout(ASTRONAUT, parsing, background="#3c8c5a"),
        "cutout --matte": cutout(ASTRONAUT, parsing, background="#3c8c5a", matte=True),
    }
    return row({text: one.crop((110, 0, 350, 220)) for text, one in cuts.items()}, 300)


def cleaned(parser: Parser) -> Image.Image:
    """The parts of a portrait as the network gives them, and cleaned."""
    parsing = parser.predict(ASTRONAUT)
    clean = parsing.cleaned(min_area="0.5%", fill="0.5%", smooth=4)
    pictures = {
        "palette voc": parsing.overlay(ASTRONAUT, palette="voc"),
        "palette display": parsing.overlay(ASTRONAUT),
        "cleaned": clean.overlay(ASTRONAUT),
    }
    return row(pictures, 300)


def main() -> None:
    """Write them."""
    parser = Parser()
    overlay = parser.predict(HOPPER).overlay(HOPPER, legend=True)
    overlay.save(EXAMPLES / "grace_hopper_overlay.png", optimize=True)
    runpy.run_path(str(EXAMPLES / "group.py"))["main"](str(EXAMPLES / "group_overlay.jpg"))
    for draw in (tryon, matte, cleaned):
        draw(parser).save(PICTURES / f"{draw.__name__}.jpg", quality=88)


if __name__ == "__main__":
    main()
