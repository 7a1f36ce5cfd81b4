"""Label schemes and the ways between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import humanparse
from humanparse import SchemeError, get_scheme
from humanparse.schemes import LabelScheme, find_remap, remap_targets, scheme_names, scheme_of, voc_palette
from humanparse.sides import pairs_by_name

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
    [
        *(("lip", 20), ("cihp", 20), ("atr", 18), ("atr-neck", 19), ("pascal", 7), ("mhpv2", 59)),
        *(("densepose", 15), ("fashn", 18), ("fashionpedia", 47), ("face", 19), ("goliath29", 29)),
    ],
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
    with pytest.raises(SchemeError, match=r"mean clothes\b(.|\n)*\nLabels: (.|\n)*\nGroups: clothes, upper"):
        get_scheme("lip").index("cloths")
    with pytest.raises(SchemeError, match="'clothes' is several labels; name one of Background"):
        get_scheme("lip").index("clothes")
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
        assert scheme.name(right) == (swapped.replace("l_", "r_") if key == "face" else swapped)
    sided = [n for n, name in enumerate(scheme.names) if "Left" in name or "Right" in name]
    if key == "face":  # `l_lip` is the lower lip
        sided = [n for n, name in enumerate(scheme.names) if name[:2] in ("l_", "r_") and name != "l_lip"]
    assert sided == sorted(label for pair in scheme.flip_pairs for label in pair)


def test_other_palettes_are_found_by_name() -> None:
    assert get_scheme("lip").palette("ssseg")[2] == (255, 0, 0)
    assert get_scheme("lip").palette("ssseg")[200] == voc_palette()[200]
    with pytest.raises(SchemeError, match="known: voc, display, ssseg"):
        get_scheme("lip").palette("pastel")


def test_the_promised_ways_between_schemes_are_there() -> None:
    assert set(TABLES) == {
        *(("lip", target) for target in ("atr", "viton", "coarse", "pascal")),
        *(("cihp", target) for target in ("atr", "viton", "coarse", "pascal")),
        *(("atr", target) for target in ("lip", "cihp", "viton", "coarse", "pascal")),
        *(("atr-neck", target) for target in ("atr", "coarse")),
        *(("goliath29", target) for target in ("coarse", "pascal")),
        *((source, "coarse") for source in ("fashn", "fashionpedia")),
    }
    for source in scheme_names():
        targets = [target for target in scheme_names() if (source, target) in TABLES]
        assert remap_targets(get_scheme(source)) == targets
    assert remap_targets() == ["lip", "cihp", "atr", "pascal", "viton", "coarse"]


@pytest.mark.parametrize(("source", "target"), [way for way in TABLES if way[::-1] in TABLES])
def test_labels_that_are_exact_there_and_back_come_back(source: str, target: str) -> None:
    there, back = find_remap(get_scheme(source), target), find_remap(get_scheme(target), source)
    came = [
        label
        for label, goal in enumerate(there.table)
        if goal is not None and label not in there.inexact and goal not in back.inexact
    ]
    changed = [get_scheme(source).name(label) for label in came if back.table[there.table[label]] != label]
    assert len(came) >= 15 and changed == ["Coat"] * (target == "atr")  # ATR calls coats upper clothes


@pytest.mark.parametrize(("source", "target"), TABLES)
def test_mirroring_before_a_remap_or_after_it_is_the_same(source: str, target: str) -> None:
    scheme, way = get_scheme(source), find_remap(get_scheme(source), target)
    before, after = scheme.flip_order(), way.target.flip_order()
    for label, goal in enumerate(way.table):
        mirrored = way.table[before[label]]
        assert mirrored == (goal if goal is None else after[goal]), scheme.name(label)


@pytest.mark.parametrize(("source", "target"), TABLES)
def test_a_table_with_inexact_labels_says_what_happens_to_them(source: str, target: str) -> None:
    way = find_remap(get_scheme(source), target)
    assert way.note or not way.inexact


@pytest.mark.parametrize(("source", "target"), TABLES)
def test_every_table_says_something_of_every_label(source: str, target: str) -> None:
    way = find_remap(get_scheme(source), target)
    loose = {label for label, _ in way.touching}
    assert way.target == get_scheme(target)
    assert all(goal is not None or label in loose for label, goal in enumerate(way.table))


def test_no_table_lists_the_targets_that_there_are() -> None:
    with pytest.raises(
        SchemeError, match=r"converts lip to 'fashn'; known targets: atr, pascal, viton, coarse"
    ):
        find_remap(get_scheme("lip"), "fashn")


GROUPS = ("clothes", "upper", "lower", "skin", "head", "arms", "legs", "feet", "accessories")
HUMAN = [key for key in scheme_names() if key not in ("voc", "ade20k", "cityscapes")]


@pytest.mark.parametrize("key", scheme_names())
def test_groups_have_the_usual_names_and_labels_of_their_scheme(key: str) -> None:
    scheme = get_scheme(key)
    assert [name for name in GROUPS if name in dict(scheme.groups)] == [name for name, _ in scheme.groups]
    assert bool(scheme.groups) == (key in HUMAN)
    for name, labels in scheme.groups:
        assert labels and set(labels) <= set(range(1, len(scheme))) and len(set(labels)) == len(labels)
        assert scheme.members(name) == scheme.members(f" {name.upper()}") == tuple(sorted(labels))


@pytest.mark.parametrize("key", HUMAN)
def test_groups_agree_with_each_other(key: str) -> None:
    scheme = get_scheme(key)
    groups = {name: set(scheme.members(name)) for name, _ in scheme.groups}
    none: set[int] = set()
    clothes, skin = groups.get("clothes", none), groups.get("skin", none)
    assert clothes >= groups.get("upper", none) | groups.get("lower", none)
    assert not skin & (clothes | groups.get("accessories", none))
    for one, other in combinations(("head", "arms", "legs", "feet", "upper"), 2):
        assert not groups.get(one, none) & groups.get(other, none), (one, other)
    order = scheme.flip_order()
    for name, labels in groups.items():
        assert {order[label] for label in labels} == labels, name
    if "skin" in groups and "arms" in groups:
        assert groups["arms"] | groups["legs"] <= skin


@pytest.mark.parametrize(
    ("key", "word", "names"),
    [
        ("lip", "clothes", "Upper-clothes Dress Coat Socks Pants Jumpsuits Skirt"),
        ("atr", "clothes", "Upper-clothes Skirt Pants Dress"),
        ("cihp", "skin", "Torso-skin Face Left-arm Right-arm Left-leg Right-leg"),
        ("atr-neck", "skin", "Face Left-leg Right-leg Left-arm Right-arm Neck"),
        ("fashn", "clothes", "top dress skirt pants"),
        ("fashn", "arms", "arms"),
        ("fashn", "skin", "face arms hands legs torso"),
        ("goliath29", "clothes", "Apparel Left_Sock Lower_Clothing Right_Sock Upper_Clothing"),
        ("goliath29", "arms", "Left_Lower_Arm Left_Upper_Arm Right_Lower_Arm Right_Upper_Arm"),
        ("goliath29", "hands", "Left_Hand Right_Hand"),
        ("face", "skin", "skin"),
        ("face", "eyes", "l_eye r_eye"),
        ("fashionpedia", "lower", "pants shorts skirt dress jumpsuit"),
        ("fashionpedia", "t-shirt", "top/t-shirt/sweatshirt"),
        ("viton", "upper", "Upper"),
        ("coarse", "head", "Head"),
    ],
)
def test_a_word_means_a_label_a_group_or_both_sides(key: str, word: str, names: str) -> None:
    scheme = get_scheme(key)
    assert [scheme.name(label) for label in scheme.members(word)] == names.split()


@pytest.mark.parametrize("key", HUMAN)
def test_a_group_with_a_labels_name_is_that_label_alone(key: str) -> None:
    scheme = get_scheme(key)
    for name, labels in scheme.groups:
        if name in [spelling.lower() for spelling in scheme.names]:
            assert labels == (scheme.index(name),)


def test_words_are_joined_sorted_and_an_unknown_one_lists_labels_and_groups() -> None:
    atr = get_scheme("atr")
    assert atr.members("arms", "Shoe", "hair", 3) == (2, 3, 9, 10, 14, 15)
    assert atr.members() == ()
    assert get_scheme("mhpv2").members("boots", "hands") == (7, 8, 22, 23)
    with pytest.raises(SchemeError, match=r"no label 'wings'(.|\n)*Labels: Background(.|\n)*Groups: clothes"):
        atr.members("hair", "wings")
    with pytest.raises(SchemeError, match="0 to 17, not 18"):
        atr.members(18)
    with pytest.raises(SchemeError) as caught:
        get_scheme("voc").members("clothes")
    assert "Groups" not in str(caught.value)


def test_fashionpedias_label_without_a_garment_is_its_background() -> None:
    assert get_scheme("fashionpedia").background == 0
    assert get_scheme("ade20k").background is None
    assert [key for key in scheme_names() if get_scheme(key).background is None] == ["ade20k", "cityscapes"]


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
        SchemeError, match=r"2 is lip's label 2, Hair, which the mapping already maps to 'Head'"
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


@pytest.mark.parametrize("key", scheme_names())
def test_sides_are_found_by_name_in_every_scheme(key: str) -> None:
    scheme = get_scheme(key)
    assert {frozenset(pair) for pair in pairs_by_name(scheme.names)} == {
        frozenset(pair) for pair in scheme.flip_pairs
    }


def test_sides_are_found_in_other_spellings_and_nowhere_else() -> None:
    names = (
        "none",
        "arm (L)",
        "arm (R)",
        "leftEye",
        "rightEye",
        "left_foot",
        "right_foot",
        "cleft",
        "r",
        "bright",
    )
    assert pairs_by_name(names) == ((1, 2), (3, 4), (5, 6))


def test_a_models_own_labels_are_a_known_scheme_or_a_new_one() -> None:
    atr = get_scheme("atr")
    assert scheme_of(tuple(name.upper().replace("-", " ") for name in atr.names), "mine") is atr
    assert scheme_of(atr.names[::-1], "mine").key == "mine"
    assert scheme_of(("a", "b"), "atr").key == "atr-labels"


def test_things_are_the_same_words_in_all_schemes() -> None:
    assert get_scheme("atr").things()[4] == get_scheme("fashn").things()[3] == "upper clothes"
    assert get_scheme("goliath29").things()[4] == get_scheme("lip").things()[2] == "hair"
    mine = LabelScheme("mine", ("Background", "HAIR", "left_arm", "robot"))
    assert mine.things() == ("background", "hair", "left arm", "")
