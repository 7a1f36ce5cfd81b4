"""Colours of labels: PASCAL-VOC's for files, and the display palette for people to look at.

`docs/make_palette.py` chooses the display colours; they are stored in `schemes.json`. A colour belongs to a
thing (hair, left arm, shoe), so it is the same in every label set.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from importlib import resources
from itertools import chain
from typing import Any

Rgb = tuple[int, int, int]


@lru_cache(maxsize=1)
def tables() -> dict[str, Any]:
    """The content of `schemes.json`."""
    text = resources.files(__package__).joinpath("schemes.json").read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def folded(name: str) -> str:
    """The form in which names are compared: lower case, `-` for spaces and `_`."""
    return re.sub(r"[ _]+", "-", name.strip().lower())


@lru_cache(maxsize=1)
def voc_palette(count: int = 256) -> tuple[Rgb, ...]:
    """The PASCAL-VOC colour map: three bits of a label at a time set one bit of R, G and B, highest first."""
    colours = []
    for label in range(count):
        rgb, rest = [0, 0, 0], label
        for shift in range(7, -1, -1):
            for channel in range(3):
                rgb[channel] |= ((rest >> channel) & 1) << shift
            rest >>= 3
        colours.append((rgb[0], rgb[1], rgb[2]))
    return tuple(colours)


@cache
def things(names: tuple[str, ...]) -> tuple[str, ...]:
    """What each label shows, in words that all label sets share, such as `hair`; "" for unknown labels.

    Label sets of this package are recognised by all their names together; in others each is looked up alone.
    """
    for record in _known():
        if tuple(record["names"]) == names:
            return tuple(record["things"])
    return tuple(_by_name().get(folded(name), "") for name in names)


@cache
def display_palette(names: tuple[str, ...]) -> tuple[Rgb, ...]:
    """The display colour of each label, RGB (0-255); a thing has the same colour in every label set.

    A label without a colour of its own, or whose colour an earlier label has taken, gets one from a fixed
    sequence. The background is black.
    """
    known = {thing: (red, green, blue) for thing, (red, green, blue) in tables()["things"].items()}
    wanted = [known.get(thing) for thing in things(names)]
    spare = (rgb for rgb in chain(map(tuple, tables()["others"]), voc_palette()[1:]) if rgb not in wanted)
    taken: list[Rgb] = []
    for rgb in wanted:
        taken.append(rgb if rgb is not None and rgb not in taken else next(spare))
    return tuple(taken)


def _known() -> list[dict[str, Any]]:
    return [record for record in tables()["schemes"].values() if "things" in record]


@lru_cache(maxsize=1)
def _by_name() -> dict[str, str]:
    """Folded name -> thing. Names of labels win over names of things, earlier schemes over later ones."""
    found: dict[str, str] = {}
    for record in _known():
        for name, thing in zip(record["names"], record["things"], strict=True):
            found.setdefault(folded(name), thing)
    for thing in tables()["things"]:
        found.setdefault(folded(thing), thing)
    return found
