"""Colours of labels: PASCAL-VOC's for files, and those for looking at.

The display colours are chosen by `docs/make_palette.py` and stored in `schemes.json`. A colour belongs to a
thing (hair, left arm, shoe), so that it is the same in every label set.
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
    """The PASCAL-VOC colour map: each next three bits of a label set the next lower bit of R, G and B."""
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
    """What each label shows, in words that all label sets share, such as `hair` or `left arm`.

    Args:
        names: of the labels. Label sets of this package are known by all their names, others name by name.

    Returns:
        One word for each label; "" where nothing is known of it.
    """
    for record in _known():
        if tuple(record["names"]) == names:
            return tuple(record["things"])
    return tuple(_by_name().get(folded(name), "") for name in names)


@cache
def display_palette(names: tuple[str, ...]) -> tuple[Rgb, ...]:
    """A colour for each label of these names, for looking at.

    Returns:
        RGB triples (0-255). A thing has the same colour everywhere; what has no colour of its own, or one
        that another label of these took, gets a colour of a fixed sequence. The background is black.
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
    """Folded name -> thing; labels' names come before things', earlier schemes before later ones."""
    found: dict[str, str] = {}
    for record in _known():
        for name, thing in zip(record["names"], record["things"], strict=True):
            found.setdefault(folded(name), thing)
    for thing in tables()["things"]:
        found.setdefault(folded(thing), thing)
    return found
