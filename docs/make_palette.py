"""Choose the display colours of `schemes.json`, or measure those that are there.

python docs/make_palette.py          # prints how far apart the stored colours are
python docs/make_palette.py --make   # chooses them again and stores them; takes some minutes
python docs/make_palette.py --mend   # chooses again only what looks like something else in its label set

A colour belongs to a thing (hair, left arm, shoe), so that it is the same in every label set. Left and right
are a lighter and a darker shade of one hue. Simulated annealing pushes the colours of each label set apart,
those of parts that touch on a body furthest, as they look with normal sight, protanopia and deuteranopia;
plain, and tinted over black and over white cloth (60 % colour, as `overlay` draws them).

Distances are CIEDE2000 (Sharma, Wu & Dalal, Color Research & Application 30, 2005). Colour blindness is
simulated after Machado, Oliveira & Fernandes (IEEE TVCG 15, 2009) at full severity; hue and lightness are
those of Ottosson's OKLab.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

SCHEMES = Path(__file__).parents[1] / "humanparse" / "schemes.json"
Array = np.ndarray[Any, Any]

LIGHTNESS, CHROMA, SHADE = (0.60, 0.88), (0.12, 0.26), 0.08
"""Ranges of OKLab's lightness (darker colours vanish on black cloth, lighter ones on white) and chroma; by
how much a left part is lighter, and a right one darker, than the thing without a side."""

HUES = {
    "hair": (295, 335),
    "face": (45, 80),
    "arm": (85, 115),
    "upper clothes": (240, 265),
    "dress": (345, 375),
    "pants": (140, 170),
    "shoe": (10, 40),
}
"""Ranges of OKLab's hue in degrees, for a picture that people like: purple hair, a face of a warm colour,
yellow arms, blue tops, pink dresses, green pants, red shoes."""

DEEP = {"hair": 0.76, "upper clothes": 0.72, "coat": 0.74}
"""Greatest lightness of what is often black: pale colours turn grey on it."""

STAGES = (
    ("lip", "cihp", "atr", "atr-neck", "fashn", "viton", "coarse"),
    ("pascal", "densepose", "goliath29", "face"),
    ("mhpv2", "fashionpedia"),
)
"""Label sets in the order in which their things get colours; what is chosen stays."""

STEPS = (25_000, 12_000, 30_000)
OTHERS = 150
"""Steps of annealing in each stage; colours for things that have none of their own."""

TOUCHING = {
    "hair": "face hat glasses upper-clothes coat dress jumpsuit scarf torso-skin headwear",
    "face": "hat glasses upper-clothes coat dress jumpsuit scarf torso-skin hand nose eye brow ear mouth "
    "upper-lip lower-lip headwear",
    "torso-skin": "upper-clothes coat dress jumpsuit scarf arm upper-arm pants skirt jewellery accessory "
    "bikini",
    "upper-clothes": "coat dress skirt pants belt bag scarf arm upper-arm hand glove accessory jewellery",
    "coat": "dress skirt pants belt bag scarf arm hand glove leg jumpsuit",
    "dress": "belt bag scarf arm upper-arm hand leg upper-leg sock shoe pants",
    "jumpsuit": "belt bag scarf arm leg shoe",
    "skirt": "leg upper-leg sock pants arm hand belt bag",
    "pants": "leg upper-leg shoe sock foot belt bag arm hand",
    "arm": "hand upper-arm glove bag leg upper-leg",
    "leg": "upper-leg foot sock shoe hand",
    "hand": "upper-leg bag",
    "shoe": "sock foot",
    "sock": "foot",
    "upper-lip": "lower-lip upper-teeth mouth",
    "lower-lip": "lower-teeth tongue mouth",
    "upper-teeth": "lower-teeth tongue",
    "lower-teeth": "tongue",
}
"""What meets what on a body; garments of the large label sets are left to the distance that all keep."""

MAIN = frozenset(["hair", "face", "upper-clothes", "coat", "dress", "skirt", "pants", "arm", "leg", "shoe"])
"""Things that fill most of a picture: their distances count threefold."""

WANTED = {"touching": 25.0, "sides": 17.0, "same set": 13.0}
"""Distances that the annealing goes for."""

LEAST = 4.0
"""What any two things of a label set keep for normal sight; 2.3 is what people just notice."""

SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""What each kind of sight makes of linear RGB."""

CLOTH = {"plain": (1.0, 0.0), "over black": (0.6, 0.0), "over white": (0.6, 0.4)}
"""Share of the colour and what is added (0-1 of sRGB) where a part is tinted."""

VIEWS = [(sight, cloth) for sight in SIGHT for cloth in CLOTH]
BARE = {"over black": 0, "over white": 255}
"""The cloth itself, sRGB 0-255; a tint keeps `FROM_BARE` from it for every kind of sight."""

FROM_BARE = 12.0

_EASE = np.array(
    [{"normal": 1.0}.get(s, 0.62) * {"plain": 1.0, "over black": 0.8}.get(c, 0.62) for s, c in VIEWS]
)


def linear(srgb: Array) -> Array:
    """SRGB 0-1 -> linear RGB."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def luminance(rgb: Array) -> Array:
    """Relative luminance 0-1 of sRGB 0-255, (..., 3); contrast is (one + 0.05) / (other + 0.05)."""
    return linear(rgb / 255) @ np.array([0.2126729, 0.7151522, 0.0721750])


def lab(rgb: Array) -> Array:
    """Linear RGB, (..., 3) -> CIELAB under D65."""
    matrix = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = rgb @ matrix.T / matrix.sum(axis=1)
    x, y, z = np.moveaxis(np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz * 841 / 108 + 4 / 29), -1, 0)
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


def ciede2000(one: Array, other: Array) -> Array:
    """Distances of colours in CIELAB, (..., 3) each."""
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1.5 - 0.5 * np.sqrt(mean7 / (mean7 + 25.0**7))
    c1, c2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1, h2 = np.arctan2(b1, a1 * stretch), np.arctan2(b2, a2 * stretch)
    turn = np.where(c1 * c2 == 0, 0, (h2 - h1 + np.pi) % (2 * np.pi) - np.pi)
    hue = np.where(c1 * c2 == 0, h1 + h2, h1 + turn / 2)
    light, chroma, c7 = (l1 + l2) / 2, (c1 + c2) / 2, ((c1 + c2) / 2) ** 7
    weight = 1 - 0.17 * np.cos(hue - np.pi / 6) + 0.24 * np.cos(2 * hue)
    weight += 0.32 * np.cos(3 * hue + np.pi / 30) - 0.20 * np.cos(4 * hue - np.radians(63))
    dl = (l2 - l1) / (1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2))
    dc = (c2 - c1) / (1 + 0.045 * chroma)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2) / (1 + 0.015 * chroma * weight)
    angle = np.radians(60) * np.exp(-(((np.degrees(hue) % 360 - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(c7 / (c7 + 25.0**7)) * np.sin(angle)
    return np.sqrt(np.maximum(dl**2 + dc**2 + dh**2 + rotation * dc * dh, 0))


def seen(rgb: Array) -> Array:
    """SRGB 0-255, (..., 3) -> CIELAB in each of `VIEWS`, (9, ..., 3)."""
    tinted = {cloth: linear(rgb / 255 * share + more) for cloth, (share, more) in CLOTH.items()}
    return np.stack([lab(np.clip(tinted[cloth] @ SIGHT[sight].T, 0, 1)) for sight, cloth in VIEWS])


def from_bare(views: Array) -> Array:
    """How far tints are from the cloth they lie on, (6, ...), of what `seen` gives."""
    tinted = [at for at, (_, cloth) in enumerate(VIEWS) if cloth in BARE]
    bare = np.stack([lab(linear(np.full(3, BARE[VIEWS[at][1]]) / 255)) for at in tinted])
    return ciede2000(views[tinted], bare.reshape(-1, *(1,) * (views.ndim - 2), 3))


def colour(hue: float, lightness: float, chroma: float) -> Array:
    """The colour of these OKLab values as sRGB 0-255; as much of the chroma as the gamut holds."""
    while True:
        a, b = chroma * np.cos(hue), chroma * np.sin(hue)
        long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
        middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
        short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
        red = 4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short
        green = -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short
        blue = -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short
        rgb = np.array((red, green, blue))
        if rgb.min() >= 0 and rgb.max() <= 1:
            return np.round(255 * np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * rgb ** (1 / 2.4) - 0.055))
        chroma *= 0.97


def family(thing: str) -> tuple[str, str]:
    """`left arm` -> (`arm`, `left`)."""
    side, _, rest = thing.partition(" ")
    return (rest, side) if side in ("left", "right") else (thing, "")


def relation(one: str, other: str) -> str:
    """Which of `WANTED` two things of one label set keep."""
    (a, left), (b, right) = family(one), family(other)
    if a == b:
        return "sides"
    meet = any(
        y.replace(" ", "-") in TOUCHING.get(x.replace(" ", "-"), "").split() for x, y in ((a, b), (b, a))
    )
    return "touching" if meet and (left == right or not left or not right) else "same set"


class Palette:
    """Colours under way: a hue, a lightness and a chroma for each family of things."""

    def __init__(self, sets: dict[str, list[str]], seed: int = 1) -> None:
        self.random = np.random.default_rng(seed)
        self.things = list(dict.fromkeys(thing for things in sets.values() for thing in things))
        self.rows: dict[str, list[int]] = {}
        for row, thing in enumerate(self.things):
            self.rows.setdefault(family(thing)[0], []).append(row)
        self.sided = {
            name: any(family(self.things[row])[1] for row in rows) for name, rows in self.rows.items()
        }
        self.wanted = np.zeros((len(self.things),) * 2)
        self.weight = np.ones_like(self.wanted)
        at = {thing: row for row, thing in enumerate(self.things)}
        for things in sets.values():
            for one, other in combinations(things, 2):
                pair = [at[one], at[other]], [at[other], at[one]]
                self.wanted[pair] = np.maximum(self.wanted[pair], WANTED[relation(one, other)])
                if all(family(thing)[0].replace(" ", "-") in MAIN for thing in (one, other)):
                    self.weight[pair] = 3
        self.points: dict[str, Array] = {}
        self.rgb = np.zeros((len(self.things), 3))
        self.views = np.zeros((len(VIEWS), len(self.things), 3))
        self.chosen = np.zeros(len(self.things), dtype=bool)

    def choose(self, names: list[str], steps: int) -> None:
        """Anneal the colours of some families; all others that are chosen stay as they are."""
        for name in names:
            self._set(name, self._sample(name))
        for step in range(steps):
            heat = 60 * (1 - step / steps) ** 2 + 0.05
            name = names[self.random.integers(len(names))]
            before, cost = self.points[name], self._cost(name)
            self._set(name, self._sample(name) if self.random.random() < 0.25 else self._moved(name))
            if self.random.random() >= np.exp(min(0, (cost - self._cost(name)) / heat)):
                self._set(name, before)

    def mend(self, colours: dict[str, list[int]], samples: int = 3000) -> None:
        """Take stored colours, and of things that look alike choose the later one again."""
        self.rgb = np.array([colours[thing] for thing in self.things], dtype=float)
        self.views, self.chosen = seen(self.rgb), np.ones(len(self.things), dtype=bool)
        apart = np.where(self.wanted > 0, ciede2000(self.views[0][:, None], self.views[0][None]), np.inf)
        alike = np.argwhere(np.triu(apart < LEAST)).tolist()
        for name in dict.fromkeys(family(self.things[later])[0] for _, later in alike):
            best, rgb = self._cost(name), self.rgb[self.rows[name]]
            for _ in range(samples):
                self._set(name, self._sample(name))
                if self._cost(name) < best:
                    best, rgb = self._cost(name), self.rgb[self.rows[name]]
            self.rgb[self.rows[name]] = rgb
            self.views[:, self.rows[name]] = seen(rgb)

    def found(self) -> dict[str, list[int]]:
        """Thing -> RGB 0-255."""
        chosen = {thing: [int(value) for value in self.rgb[row]] for row, thing in enumerate(self.things)}
        return {"background": [0, 0, 0], **chosen}

    def _range(self, name: str) -> tuple[float, float]:
        margin = SHADE if self.sided[name] else 0
        return LIGHTNESS[0] + margin, DEEP.get(name, LIGHTNESS[1]) - margin

    def _sample(self, name: str) -> Array:
        hue = np.radians(self.random.uniform(*HUES.get(name, (0, 360))))
        return np.array((hue, self.random.uniform(*self._range(name)), self.random.uniform(*CHROMA)))

    def _moved(self, name: str) -> Array:
        scale = self.random.choice((0.3, 1.0))
        hue, light, chroma = self.points[name] + self.random.normal(size=3) * (0.35, 0.03, 0.03) * scale
        if name in HUES:
            hue = np.clip(hue, *np.radians(HUES[name]))
        return np.array((hue, np.clip(light, *self._range(name)), np.clip(chroma, *CHROMA)))

    def _set(self, name: str, point: Array) -> None:
        self.points[name], rows = point, self.rows[name]
        shades = {"": 0.0, "left": SHADE, "right": -SHADE}
        hue, light, chroma = point
        for row in rows:
            self.rgb[row] = colour(hue, light + shades[family(self.things[row])[1]], chroma)
        self.views[:, rows], self.chosen[rows] = seen(self.rgb[rows]), True

    def _cost(self, name: str) -> float:
        rows = self.rows[name]
        near = np.flatnonzero(self.chosen & (self.wanted[rows] > 0).any(axis=0))
        apart = ciede2000(self.views[:, rows, None], self.views[:, None, near]) / _EASE[:, None, None]
        wanted, weight = self.wanted[rows][:, near], self.weight[rows][:, near]
        short = np.maximum(0, wanted - apart.min(axis=0))
        alike = np.where(wanted > 0, np.maximum(0, LEAST - apart[0] * _EASE[0]), 0)
        slack = np.maximum(0, 1.3 * wanted - apart).mean(axis=0)
        pale = np.maximum(0, FROM_BARE - from_bare(self.views[:, rows])).sum(axis=0)
        return float((weight * (short**2 + 0.02 * slack)).sum() + 40 * (alike**2).sum() + 3 * (pale**2).sum())


def others() -> list[list[int]]:
    """Colours for things without one, each as far as can be from those before it."""
    grid = np.array(
        [
            colour(hue, light, chroma)
            for hue in np.linspace(0, 2 * np.pi, 40, endpoint=False)
            for light in np.linspace(*LIGHTNESS, 6)
            for chroma in (0.07, 0.13, 0.22)
        ]
    )
    views, order = seen(grid), [0]
    nearest = np.full(len(grid), np.inf)
    while len(order) < OTHERS:
        apart = ciede2000(views, views[:, order[-1], None]) / _EASE[:, None]
        nearest = np.minimum(nearest, apart.min(axis=0))
        order.append(int(nearest.argmax()))
    return [[int(value) for value in grid[at]] for at in order]


def label_sets(keys: Iterable[str]) -> dict[str, list[str]]:
    """Things of some label sets, without the background."""
    schemes = json.loads(SCHEMES.read_text(encoding="utf-8"))["schemes"]
    return {key: [thing for thing in schemes[key]["things"] if thing != "background"] for key in keys}


def make() -> dict[str, list[int]]:
    """Thing -> RGB 0-255."""
    palette = Palette(label_sets(key for stage in STAGES for key in stage))
    for stage, steps in zip(STAGES, STEPS, strict=True):
        mine = (family(thing)[0] for things in label_sets(stage).values() for thing in things)
        palette.choose([name for name in dict.fromkeys(mine) if name not in palette.points], steps)
    return palette.found()


def mend() -> dict[str, list[int]]:
    """Thing -> RGB 0-255, near to what is stored."""
    palette = Palette(label_sets(key for stage in STAGES for key in stage))
    palette.mend(json.loads(SCHEMES.read_text(encoding="utf-8"))["things"])
    return palette.found()


def store(things: dict[str, list[int]], spare: list[list[int]]) -> None:
    """Put colours into `schemes.json`."""
    text = SCHEMES.read_text(encoding="utf-8")
    rest = (
        text[: text.index('\n "things": {')]
        if '\n "things": {' in text
        else text.rstrip()[:-1].rstrip() + ","
    )
    rows = ",\n".join(f"  {json.dumps(thing)}: {json.dumps(rgb)}" for thing, rgb in things.items())
    new = f'{rest}\n "things": {{\n{rows}\n }},\n "others": {json.dumps(spare)}\n}}\n'
    SCHEMES.write_text(new, encoding="utf-8")


def distances(key: str) -> dict[tuple[str, str, str], tuple[float, str]]:
    """Of a label set's stored colours the smallest distances.

    Returns:
        (relation, sight, cloth) -> distance and the two things.
    """
    colours = json.loads(SCHEMES.read_text(encoding="utf-8"))["things"]
    (things,) = label_sets([key]).values()
    views = seen(np.array([colours[thing] for thing in things], dtype=float))
    found: dict[tuple[str, str, str], tuple[float, str]] = {}
    for (i, one), (j, other) in combinations(enumerate(things), 2):
        for view, apart in zip(VIEWS, ciede2000(views[:, i], views[:, j]), strict=True):
            spot = (relation(one, other), *view)
            found[spot] = min(found.get(spot, (np.inf, "")), (float(apart), f"{one} and {other}"))
    return found


def main() -> None:
    """Print the smallest distances of each label set; with --make or --mend, choose colours first."""
    if "--make" in sys.argv[1:]:
        store(make(), others())
    if "--mend" in sys.argv[1:]:
        store(mend(), others())
    for stage in STAGES:
        for key in stage:
            found = distances(key)
            for kind in WANTED:
                row = [found[(kind, *view)] for view in VIEWS if (kind, *view) in found]
                if row:
                    closest = row[0][1]
                    print(f"{key:13}{kind:10}", *(f"{apart:5.1f}" for apart, _ in row), "", closest)


if __name__ == "__main__":
    main()
