"""The display palette: the same colour for the same thing, and far enough apart to be told apart."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from humanparse import get_scheme
from humanparse.palettes import display_palette, folded, tables
from humanparse.schemes import LabelScheme, scheme_names

DOCS = Path(__file__).parents[1] / "docs"
COMMON = ("lip", "cihp", "atr", "atr-neck", "fashn", "viton", "coarse", "pascal")
LARGE = ("goliath29", "densepose", "face")
LARGEST = ("mhpv2", "fashionpedia")
PEOPLE = (*COMMON, *LARGE, *LARGEST)


@pytest.fixture(scope="module")
def program() -> ModuleType:
    """The program that chose the colours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        import make_palette

    return make_palette


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [  # from the test data of Sharma, Wu & Dalal
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((50, 2.5, 0), (61, -5, 29), 22.8977),
        ((50, 2.5, 0), (56, -27, -3), 31.9030),
        ((50, 2.5, 0), (58, 24, 15), 19.4535),
    ],
)
def test_distances_are_ciede2000(
    program: ModuleType, one: tuple[float, ...], other: tuple[float, ...], distance: float
) -> None:
    found = program.ciede2000(np.array([one], dtype=float), np.array([other], dtype=float))
    assert found[0] == pytest.approx(distance, abs=5e-5)


def test_the_colour_spaces_are_those_of_their_definitions(program: ModuleType) -> None:
    white, grey, red = program.lab(
        program.linear(np.array([[255, 255, 255], [119, 119, 119], [255, 0, 0]]) / 255)
    )
    assert white == pytest.approx([100, 0, 0], abs=0.01) and grey == pytest.approx([50.03, 0, 0], abs=0.02)
    assert red == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    for matrix in program.SIGHT.values():  # no kind of sight colours grey
        assert matrix.sum(axis=1) == pytest.approx(1, abs=1e-5)
    plain = program.seen(np.array([[255, 0, 0], [128, 90, 0]], dtype=float))
    deuteranopia = program.VIEWS.index(("deuteranopia", "plain"))
    assert (
        np.abs(plain[0, 0] - plain[0, 1]).max()
        > 25
        > np.abs(plain[deuteranopia, 0] - plain[deuteranopia, 1])[1]
    )


@pytest.mark.parametrize("key", (*COMMON, *LARGE))
def test_parts_that_touch_are_told_apart_by_all_kinds_of_sight(program: ModuleType, key: str) -> None:
    least = {("normal", "plain"): 18.0, ("normal", "over black"): 14.0, ("normal", "over white"): 12.0}
    for (relation, *view), (apart, names) in program.distances(key).items():
        if relation == "touching":
            assert apart >= least.get((view[0], view[1]), 9.0 if view[1] == "plain" else 5.5), (view, names)


@pytest.mark.parametrize("key", (*COMMON, *LARGE))
def test_all_parts_of_a_label_set_differ_and_sides_are_two_shades(program: ModuleType, key: str) -> None:
    for (relation, *view), (apart, names) in program.distances(key).items():
        if relation == "sides":
            assert apart >= (11.0 if view[1] == "plain" else 6.0), (view, names)
        elif view == ["normal", "plain"]:
            assert apart >= (7.0 if key in COMMON else 6.0), names
        elif view[1] == "plain" and key in COMMON:
            assert apart >= 3.5, (view, names)


@pytest.mark.parametrize("key", LARGEST)
def test_no_two_parts_of_the_largest_label_sets_look_the_same(program: ModuleType, key: str) -> None:
    for (_, *view), (apart, names) in program.distances(key).items():
        if view == ["normal", "plain"]:
            assert apart >= 3, names  # the least difference that people see


@pytest.mark.parametrize("key", PEOPLE)
def test_colours_stand_out_on_black_and_on_white(program: ModuleType, key: str) -> None:
    scheme = get_scheme(key)
    rgb = np.array(scheme.palette("display")[1 : len(scheme)], dtype=float)
    bright = program.luminance(rgb)
    assert ((bright + 0.05) / 0.05).min() >= 4  # contrast as WCAG counts it
    assert (1.05 / (bright + 0.05)).min() >= 1.3
    assert program.from_bare(program.seen(rgb)).min() >= 6


def test_a_thing_has_one_colour_in_all_label_sets() -> None:
    seen: dict[str, set[tuple[int, int, int]]] = {}
    for key in PEOPLE:
        scheme, things = get_scheme(key), tables()["schemes"][key]["things"]
        assert len(things) == len(scheme) == len(set(things))
        assert scheme.palette("display")[: len(scheme)] == tuple(
            tuple(tables()["things"][thing]) for thing in things
        )
        for name, colour in zip(scheme.names, scheme.palette("display"), strict=False):
            seen.setdefault(folded(name), set()).add(colour)
    same = {
        "hair",
        "face",
        "dress",
        "skirt",
        "pants",
        "scarf",
        "hat",
        "left-arm",
        "right-shoe",
        "belt",
        "bag",
        "coat",
    }
    assert {name for name in same if len(seen[name]) == 1} == same
    several = {name for name, colours in seen.items() if len(colours) > 1}
    assert several == {"torso"}  # a trunk with its clothes, or bare skin
    hair = get_scheme("lip").palette("display")[2]
    assert all(
        get_scheme(key).palette("display")[get_scheme(key).index("hair")] == hair
        for key in ("fashn", "goliath29")
    )


@pytest.mark.parametrize("key", PEOPLE)
def test_left_and_right_are_a_lighter_and_a_darker_shade_of_one_hue(program: ModuleType, key: str) -> None:
    colours = get_scheme(key).palette("display")
    things = tables()["schemes"][key]["things"]
    for pair in get_scheme(key).flip_pairs:
        left, right = sorted(pair, key=lambda label: things[label])
        assert things[left].removeprefix("left ") == things[right].removeprefix("right ")
        light, dark = program.lab(program.linear(np.array([colours[left], colours[right]]) / 255))
        assert light[0] - dark[0] > 10
        turn = np.degrees(np.arctan2(light[2], light[1]) - np.arctan2(dark[2], dark[1]))
        assert abs((turn + 180) % 360 - 180) < 22


def test_schemes_of_ones_own_get_the_colours_of_their_names() -> None:
    lip = get_scheme("lip").palette("display")
    mine = LabelScheme("mine", ("background", "left arm", "Hair", "robot", "hair", "LEFT_ARM"))
    colours = mine.palette("display")
    assert colours[:3] == (lip[0], lip[14], lip[2])
    assert len(set(colours[:6])) == 6  # a name that comes twice gets another colour
    assert len(colours) == 256
    assert len(set(display_palette(tuple(f"thing {number}" for number in range(256))))) == 256


@pytest.mark.parametrize("key", scheme_names())
def test_every_label_has_a_colour_of_its_own(key: str) -> None:
    scheme = get_scheme(key)
    assert len(set(scheme.palette("display")[: len(scheme)])) == len(scheme)
    assert (scheme.background is None) or scheme.palette("display")[0] == (0, 0, 0)


def test_the_program_stores_what_it_chose(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "schemes.json"
    copy.write_text(program.SCHEMES.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(program, "SCHEMES", copy)
    before = json.loads(copy.read_text(encoding="utf-8"))
    program.store(before["things"], before["others"])
    assert copy.read_text(encoding="utf-8") == Path(program.__file__).parents[1].joinpath(
        "humanparse", "schemes.json"
    ).read_text(encoding="utf-8")
    program.store({"background": [0, 0, 0]}, [[1, 2, 3]])
    after = json.loads(copy.read_text(encoding="utf-8"))
    assert after["things"] == {"background": [0, 0, 0]} and after["others"] == [[1, 2, 3]]
    assert after["schemes"] == before["schemes"] and after["remaps"] == before["remaps"]


def test_annealing_pulls_colours_apart(program: ModuleType) -> None:
    sets = {"small": ["hair", "face", "left arm", "right arm", "arm"]}
    palette = program.Palette(sets, seed=3)
    palette.choose(list(palette.rows), 0)
    families = list(palette.rows)
    cost = sum(palette._cost(name) for name in families)
    palette.choose(families, 300)
    assert sum(palette._cost(name) for name in families) < 0.7 * cost
    assert (palette.rgb >= 0).all() and (palette.rgb <= 255).all()
