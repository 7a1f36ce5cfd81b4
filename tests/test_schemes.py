"""Label schemes and the ways between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import humanparse
from humanparse import SchemeError, get_scheme
from humanparse.schemes import LabelScheme, find_remap, scheme_names, voc_palette

VOC = [
    (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128),
    (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0), (64, 0, 128), (192, 0, 128),
    (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0),
]  # fmt: skip

DATA = json.loads((Path(humanparse.__file__).parent / "schemes.json").read_text(encoding="utf-8"))
TABLES = [tuple(way.split("->")) for way in DATA["remaps"]]


def test_the_palette_is_pascal_vocs() -> None:
    assert list(voc_palette()[:20]) == VOC
    assert voc_palette()[255] == (224, 224, 192) and len(set(voc_palette())) == 256


@pytest.mark.parametrize(
    ("key", "count"),
    [("lip", 20), ("cihp", 20), ("atr", 18), ("pascal", 7), ("mhpv2", 59), ("densepose", 15)],
)
def test_each_data_set_has_its_number_of_labels(key: str, count: int) -> None:
    assert len(get_scheme(key)) == count


def test_lip_and_cihp_differ_at_label_ten_alone() -> None:
    lip, cihp = get_scheme("lip"), get_scheme("cihp")
    assert (lip.name(10), cihp.name(10)) == ("Jumpsuits", "Torso-skin")
    assert [n for n in range(20) if lip.name(n) != cihp.name(n)] == [10]


@pytest.mark.parametrize("spelling", ["Left-arm", "left-arm", "LEFT ARM", "left_arm", "leftArm", 14])
def test_a_label_is_found_in_any_spelling(spelling: str | int) -> None:
    assert get_scheme("lip").index(spelling) == 14


@pytest.mark.parametrize("spell", [str.upper, str.lower, lambda s: s.replace("-", "_"), "  {} ".format])
@pytest.mark.parametrize("key", scheme_names())
def test_every_name_and_alias_leads_to_its_own_label(key: str, spell: Callable[[str], str]) -> None:
    scheme = get_scheme(key)
    for number, name in enumerate(scheme.names):
        others = scheme.aliases[number] if scheme.aliases else ()
        assert {scheme.index(spell(spelling)) for spelling in (name, *others)} == {number}


def test_an_unknown_label_lists_the_nearest_and_all() -> None:
    with pytest.raises(SchemeError, match=r"no label 'hiar'; did you mean hair(.|\n)*Upper-clothes"):
        get_scheme("lip").index("hiar")
    with pytest.raises(SchemeError, match="labels 0 to 19, not 20"):
        get_scheme("lip").index(20)
    with pytest.raises(SchemeError, match=r"no label scheme 'lpi'; known: lip"):
        get_scheme("lpi")


@pytest.mark.parametrize("key", scheme_names())
def test_left_and_right_swap_back_when_flipped_twice(key: str) -> None:
    scheme = get_scheme(key)
    order = scheme.flip_order()
    assert [order[order[n]] for n in range(len(scheme))] == list(range(len(scheme)))
    for left, right in scheme.flip_pairs:
        swapped = scheme.name(left).replace("Left", "#").replace("Right", "Left").replace("#", "Right")
        assert swapped == scheme.name(right)
    sided = [n for n, name in enumerate(scheme.names) if "Left" in name or "Right" in name]
    assert sided == sorted(label for pair in scheme.flip_pairs for label in pair)


def test_other_palettes_are_found_by_name() -> None:
    assert get_scheme("lip").palette("ssseg")[2] == (255, 0, 0)
    assert get_scheme("lip").palette("ssseg")[200] == voc_palette()[200]
    with pytest.raises(SchemeError, match="known: voc, ssseg"):
        get_scheme("lip").palette("pastel")


def test_the_promised_ways_between_schemes_are_there() -> None:
    assert set(TABLES) == {
        *(("lip", target) for target in ("atr", "viton", "coarse", "pascal")),
        *((source, target) for source in ("cihp", "atr") for target in ("coarse", "pascal")),
    }


@pytest.mark.parametrize(("source", "target"), TABLES)
def test_every_table_says_something_of_every_label(source: str, target: str) -> None:
    way = find_remap(get_scheme(source), target)
    loose = {label for label, _ in way.touching}
    assert way.target == get_scheme(target)
    assert all(goal is not None or label in loose for label, goal in enumerate(way.table))


def test_no_table_lists_the_targets_that_there_are() -> None:
    with pytest.raises(SchemeError, match=r"from atr to 'lip'; known targets: coarse, pascal"):
        find_remap(get_scheme("atr"), "lip")


def test_a_mapping_to_names_numbers_them_in_order_with_background_first() -> None:
    way = find_remap(
        get_scheme("lip"), {"Hair": "Head", "Face": "Head", "Left-arm": "Left-limb", 15: "Right-limb"}
    )
    assert way.target.names == ("Background", "Head", "Left-limb", "Right-limb")
    assert way.target.flip_pairs == ((2, 3),)
    assert (way.table[0], way.table[2], way.table[13], way.table[14], way.table[5]) == (0, 1, 1, 2, None)


def test_a_mapping_to_numbers_joins_the_names() -> None:
    way = find_remap(get_scheme("lip"), {"Hair": 2, "Hat": 2})
    assert way.target.names == ("Background", "Unused 1", "Hair+Hat")
    assert way.table[:4] == (0, 2, 2, None)


def test_a_mapping_that_sends_one_label_two_ways_is_refused() -> None:
    with pytest.raises(
        SchemeError, match=r"2 is lip's label 2, Hair, which the mapping sends to 'Head' already"
    ):
        find_remap(get_scheme("lip"), {"Hair": "Head", 2: "Hat"})
    with pytest.raises(SchemeError, match=r"'Coat' is atr's label 4, Upper-clothes"):  # an alias
        find_remap(get_scheme("atr"), {"Upper-clothes": "Shirt", "Coat": "Jacket"})
    assert find_remap(get_scheme("lip"), {"Hair": 1, "hair": 1}).table[2] == 1


def test_a_mapping_may_send_the_background_elsewhere() -> None:
    way = find_remap(get_scheme("lip"), {"Background": "Rest", "Hair": "Hair"})
    assert way.target.names == ("Rest", "Hair") and way.table[:3] == (0, None, 1)


@pytest.mark.parametrize(
    "mapping", [{}, {"Hair": 255}, {"Hair": -1}, {"Hair": "Head", "Face": 1}, {"Hair": None}]
)
def test_an_unusable_mapping_is_refused(mapping: dict[str | int, str | int]) -> None:
    with pytest.raises(SchemeError, match="all names, or all numbers"):
        find_remap(get_scheme("lip"), mapping)


@given(st.lists(st.sampled_from(range(20)), min_size=1, unique=True))
def test_names_and_numbers_are_the_same_keys(labels: list[int]) -> None:
    lip = get_scheme("lip")
    by_number = find_remap(lip, {label: f"part {label % 3}" for label in labels})
    assert by_number == find_remap(lip, {lip.name(label): f"part {label % 3}" for label in labels})


def test_schemes_are_values() -> None:
    one, other = LabelScheme("x", ("a", "b")), LabelScheme("x", ("a", "b"))
    assert one == other and hash(one) == hash(other) and repr(one) == "LabelScheme('x', 2 labels)"
    assert all(a <= b for a, b in pairwise(get_scheme("lip").flip_pairs))
