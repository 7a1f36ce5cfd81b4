"""`Parsing` as a value: masks, parts, remaps, pictures."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from humanparse import Parsing, SchemeError, get_scheme
from humanparse.schemes import voc_palette

LIP, ATR = get_scheme("lip"), get_scheme("atr")
SHAPES = hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)


def lip(rows: list[list[int]]) -> Parsing:
    return Parsing(np.array(rows, dtype=np.uint8), LIP, "schp-lip")


def small() -> Parsing:
    return lip([[0, 0, 2, 2], [0, 13, 13, 2], [5, 5, 5, 0]])


def test_masks_are_found_by_name_number_and_several() -> None:
    parsing = small()
    assert np.array_equal(parsing.mask("hair"), parsing.labels == 2)
    assert np.array_equal(parsing.mask(13), parsing.mask("Face"))
    assert parsing.mask("Hair", "Face").sum() == 5
    assert not parsing.mask("Scarf").any()
    with pytest.raises(SchemeError, match="did you mean"):
        parsing.mask("Haar")


def test_masks_are_found_by_group_and_by_both_sides() -> None:
    parsing = lip([[1, 2, 3, 5], [6, 13, 14, 15], [16, 18, 9, 255]])
    assert np.array_equal(parsing.mask("clothes"), np.isin(parsing.labels, [5, 6, 9]))
    assert np.array_equal(parsing.mask("skin", "shoe"), np.isin(parsing.labels, [13, 14, 15, 16, 18]))
    assert np.array_equal(parsing.mask("head", 9), np.isin(parsing.labels, [1, 2, 13, 9]))
    with pytest.raises(SchemeError, match=r"Labels: Background(.|\n)*Groups: clothes, upper, lower, skin"):
        parsing.mask("garment")


def test_parts_give_number_name_pixels_share_and_half_open_box() -> None:
    hair, upper, face = small().parts()
    assert (hair.label, hair.name, hair.pixels, hair.share, hair.box) == (2, "Hair", 3, 0.25, (2, 0, 4, 2))
    assert (upper.name, upper.box) == ("Upper-clothes", (0, 2, 3, 3))
    assert (face.name, face.box) == ("Face", (1, 1, 3, 2))
    assert small().parts(background=True)[0].name == "Background"


@given(hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 19)))
@settings(deadline=None)
def test_parts_cover_the_picture_and_their_boxes_hold_them(labels: npt.NDArray[np.uint8]) -> None:
    parsing = Parsing(labels, LIP)
    parts = parsing.parts(background=True)
    assert sum(part.pixels for part in parts) == labels.size
    assert sum(part.share for part in parts) == pytest.approx(1)
    for part in parts:
        x0, y0, x1, y1 = part.box
        mask = parsing.mask(part.label)
        assert mask[y0:y1, x0:x1].sum() == mask.sum() == part.pixels
        assert mask[y0:y1, x0:x1].any(axis=0)[[0, -1]].all() and mask[y0:y1, x0:x1].any(axis=1)[[0, -1]].all()


def test_labels_must_be_uint8_maps_of_the_scheme() -> None:
    with pytest.raises(SchemeError, match=r"uint8 \(H, W\), not int64"):
        Parsing(np.zeros((3, 3), dtype=np.int64), LIP)  # type: ignore[arg-type]
    with pytest.raises(SchemeError, match=r"not uint8 \(3, 3, 3\)"):
        Parsing(np.zeros((3, 3, 3), dtype=np.uint8), LIP)
    with pytest.raises(SchemeError, match=r"lip has labels 0 to 19, but here are 20, 254; pass the scheme"):
        lip([[0, 19, 20, 254, 255]])


def test_pixels_without_a_statement_are_named_counted_and_kept() -> None:
    parsing = lip([[255, 255, 2, 0]])
    assert [part.name for part in parsing.parts()] == ["Hair", "Ignore"]
    assert "Ignore 50.0%" in repr(parsing)
    assert parsing.remap({"Hair": 7}).labels.tolist() == [[255, 255, 7, 0]]
    photo = np.full((1, 4, 3), 100, dtype=np.uint8)
    assert (np.asarray(parsing.overlay(photo, alpha=1))[0, :2] == 100).all()


@given(hnp.arrays(np.uint8, SHAPES, elements=st.sampled_from([n for n in range(20) if n not in (3, 8, 10)])))
@settings(deadline=None)
def test_an_exact_remap_keeps_every_mask(labels: npt.NDArray[np.uint8]) -> None:
    before = Parsing(labels, LIP)
    after = before.remap("atr")
    assert after.scheme == ATR
    assert np.array_equal(after.mask("Upper-clothes"), before.mask("Upper-clothes", "Coat"))
    for name in ("Hat", "Hair", "Sunglasses", "Dress", "Face", "Left-arm", "Right-shoe", "Background"):
        assert np.array_equal(after.mask(name), before.mask(name))


COARSE = {
    "Background": ["Background"],
    "Head": ["Hat", "Hair", "Sunglasses", "Face"],
    "Upper-clothes": ["Upper-clothes", "Coat"],
    "Full-body-clothes": ["Dress", "Jumpsuits"],
    "Lower-clothes": ["Pants", "Skirt"],
    "Arms": ["Glove", "Left-arm", "Right-arm"],
    "Legs": ["Socks", "Left-leg", "Right-leg"],
    "Feet": ["Left-shoe", "Right-shoe"],
    "Accessories": ["Scarf"],
}
VITON = {
    "Background": ["Background", "Jumpsuits"],
    "Hair": ["Hat", "Hair"],
    "Face": ["Sunglasses", "Face"],
    "Upper": ["Upper-clothes", "Dress", "Coat"],
    "Bottom": ["Pants", "Skirt"],
    "Socks": ["Socks"],
    "Noise": ["Glove", "Scarf"],
    **{name: [name] for name in LIP.names[14:]},
}


@pytest.mark.parametrize(("target", "groups"), [("coarse", COARSE), ("viton", VITON)])
@given(labels=hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 19)))
@settings(deadline=None)
def test_a_coarser_remap_joins_masks_and_loses_no_pixel(
    target: str, groups: dict[str, list[str]], labels: npt.NDArray[np.uint8]
) -> None:
    before = Parsing(labels, LIP, "schp-lip", confidence=np.ones(labels.shape, np.float16))
    after = before.remap(target)
    for goal, sources in groups.items():
        assert np.array_equal(after.mask(goal), before.mask(*sources))
    assert sum(after.mask(goal).sum() for goal in groups) == labels.size
    assert after.model == "schp-lip" and after.confidence is None


@given(
    labels=hnp.arrays(np.uint8, SHAPES, elements=st.one_of(st.integers(0, 19), st.just(255))),
    goals=st.lists(st.integers(0, 254), min_size=20, max_size=20),
)
@settings(deadline=None)
def test_a_mapping_to_numbers_gives_each_number_the_union_of_its_labels(
    labels: npt.NDArray[np.uint8], goals: list[int]
) -> None:
    before = Parsing(labels, LIP)
    after = before.remap(dict(enumerate(goals)))
    for goal in set(goals):
        sources = [label for label in range(20) if goals[label] == goal]
        assert np.array_equal(after.mask(goal), before.mask(*sources))
    assert np.array_equal(after.labels == 255, labels == 255)


@given(labels=hnp.arrays(np.uint8, SHAPES, elements=st.one_of(st.integers(0, 19), st.just(255))))
@settings(deadline=None)
def test_a_remap_to_the_same_scheme_or_through_names_and_back_changes_nothing(
    labels: npt.NDArray[np.uint8],
) -> None:
    before = Parsing(labels, LIP)
    same = before.remap("LIP")
    assert same == before and same.labels is not before.labels
    renamed = before.remap({name: f"my {name}" for name in reversed(LIP.names)})
    back = renamed.remap({f"my {name}": number for number, name in enumerate(LIP.names)})
    assert np.array_equal(back.labels, labels)


def test_remap_refuses_what_has_no_counterpart_and_lists_it() -> None:
    parsing = lip([[3, 8, 10, 0]])
    with pytest.raises(SchemeError, match=r"counterpart for Glove, Socks, Jumpsuits.*approximate=True"):
        parsing.remap("atr")
    with pytest.raises(SchemeError, match=r"counterpart for Socks\. With"):
        lip([[8, 2]]).remap("atr")


@pytest.mark.parametrize("key", ["cihp", "atr"])
def test_every_label_of_the_other_schemes_has_a_coarse_part(key: str) -> None:
    scheme = get_scheme(key)
    every = Parsing(np.arange(len(scheme), dtype=np.uint8)[None], scheme)
    coarse = every.remap("coarse")
    assert coarse.mask("Head").sum() == 4 and coarse.mask("Background").sum() == 1
    assert coarse.mask("Torso-skin").any() == (key == "cihp")
    assert coarse.mask("Accessories").sum() == (3 if key == "atr" else 1)


def test_an_approximate_glove_goes_to_the_arm_it_touches_most() -> None:
    labels = lip(
        [
            [14, 14, 3, 15, 0, 0],
            [14, 0, 3, 0, 0, 3],
            [0, 0, 0, 0, 0, 0],
            [10, 10, 0, 16, 8, 17],
            [10, 10, 0, 16, 0, 0],
        ]
    )
    atr = labels.remap("atr", approximate=True)
    assert (atr.labels[0, 2], atr.labels[1, 2]) == (ATR.index("Left-arm"),) * 2
    assert atr.labels[1, 5] == 255  # touches no arm
    assert atr.labels[3, 0] == ATR.index("Dress")
    assert atr.labels[3, 4] == ATR.index("Left-leg")
    assert [part.name for part in atr.parts()][-1] == "Ignore"
    assert (atr.remap("coarse").labels == 255).sum() == 1  # ignored pixels stay ignored


def test_an_approximate_belt_goes_to_the_garment_it_touches_most_and_a_bag_to_the_background() -> None:
    atr = Parsing(np.array([[4, 4, 16, 0], [8, 8, 0, 8], [6, 6, 6, 0]], np.uint8), ATR)
    with pytest.raises(SchemeError, match="no exact counterpart for Belt, Bag"):
        atr.remap("lip")
    assert atr.remap("lip", approximate=True).labels.tolist() == [[5, 5, 0, 0], [9, 9, 0, 9], [9, 9, 9, 0]]
    alone = Parsing(np.array([[4, 0, 8]], np.uint8), ATR)
    for target, upper in (("lip", 5), ("cihp", 5), ("viton", 3)):
        assert alone.remap(target, approximate=True).labels.tolist() == [[upper, 0, 255]]


def test_approximate_skin_of_the_torso_is_face_where_it_is_a_neck() -> None:
    cihp = Parsing(np.array([[13, 0, 0], [10, 0, 10], [5, 0, 5]], np.uint8), get_scheme("cihp"))
    atr = cihp.remap("atr", approximate=True)
    assert atr.labels.tolist() == [[11, 0, 0], [11, 0, 255], [4, 0, 4]]


def test_approximate_parts_of_garments_go_to_the_garment_they_touch_most() -> None:
    fashionpedia = get_scheme("fashionpedia")
    sleeve, pocket, zipper, dress = map(fashionpedia.index, ("sleeve", "pocket", "zipper", "dress"))
    labels = np.array(
        [
            [5, 5, 0, sleeve, dress, 0],
            [5, 5, 0, sleeve, zipper, 0],
            [5, pocket, 0, 0, 7, 0],
            [0, 0, 0, 0, pocket, 7],
            [zipper, 0, 0, 0, 7, 7],
        ],
        np.uint8,
    )
    with pytest.raises(SchemeError, match="no exact counterpart for sleeve, pocket, zipper"):
        Parsing(labels, fashionpedia).remap("coarse")
    upper, full, lower = 2, 3, 4  # kinds of clothes in `coarse`
    assert Parsing(labels, fashionpedia).remap("coarse", approximate=True).labels.tolist() == [
        [upper, upper, 0, full, full, 0],
        [upper, upper, 0, full, full, 0],
        [upper, upper, 0, 0, lower, 0],
        [0, 0, 0, 0, lower, lower],
        [255, 0, 0, 0, lower, lower],
    ]


def test_goliaths_bare_limbs_are_split_exactly_for_pascal_and_its_clothes_are_not() -> None:
    goliath, pascal = get_scheme("goliath29"), get_scheme("pascal")
    limbs = [n for n, name in enumerate(goliath.names) if name.startswith(("Left", "Right"))]
    bare = Parsing(np.array([[0, *limbs, goliath.index("Torso"), goliath.index("Hair")]], np.uint8), goliath)
    parts = ("Upper_Arm",), ("Hand", "Lower_Arm"), ("Upper_Leg",), ("Foot", "Lower_Leg", "Shoe", "Sock")
    for name, ones in zip(pascal.names[3:], parts, strict=True):
        sources = [f"{side}_{one}" for side in ("Left", "Right") for one in ones]
        assert np.array_equal(bare.remap("pascal").mask(name), bare.mask(*sources))
    dressed = Parsing(np.array([[23, 1, 0], [13, 3, 1]], np.uint8), goliath)
    with pytest.raises(SchemeError, match="for Apparel, Face_Neck, Lower_Clothing, Upper_Clothing"):
        dressed.remap("pascal")
    assert dressed.remap("pascal", approximate=True).labels.tolist() == [[2, 1, 0], [5, 1, 1]]


@pytest.mark.parametrize("key", ["lip", "cihp", "atr"])
def test_limbs_are_not_split_for_pascal_unless_asked_for(key: str) -> None:
    scheme = get_scheme(key)
    parsing = Parsing(np.zeros((2, 2), dtype=np.uint8), scheme)
    with pytest.raises(SchemeError, match="no upper and lower limbs"):
        parsing.remap("pascal")
    arm = Parsing(np.full((2, 2), scheme.index("Left-arm"), dtype=np.uint8), scheme)
    assert [part.name for part in arm.remap("pascal", approximate=True).parts()] == ["Lower Arms"]


def test_a_mapping_of_ones_own_must_name_all_that_is_there() -> None:
    head = small().remap({"Hair": "Head", "Face": "Head", "Upper-clothes": "Body"})
    assert head.scheme.names == ("Background", "Head", "Body")
    assert head.mask("Head").sum() == 5
    with pytest.raises(SchemeError, match="says nothing of these labels: Upper-clothes"):
        small().remap({"Hair": 1, "Face": 1})


def test_parsings_compare_pickle_and_print_well() -> None:
    assert small() == small() == pickle.loads(pickle.dumps(small()))
    assert small() != lip([[0]]) and small() != "small"
    assert small() != Parsing(small().labels, LIP, "other")
    assert repr(small()) == (
        "Parsing(4x3 px, lip, schp-lip: Background 33.3%, Hair 25.0%, Upper-clothes 25.0%, Face 16.7%)"
    )
    with pytest.raises(TypeError):
        hash(small())


def test_parsings_differ_where_confidence_or_logits_do() -> None:
    labels, confidence = small().labels, np.full((3, 4), 0.5, np.float16)
    logits = np.zeros((20, 2, 2), np.float32)
    whole = Parsing(labels, LIP, "", confidence, logits)
    assert whole == Parsing(labels.copy(), LIP, "", confidence.copy(), logits.copy())
    assert whole == pickle.loads(pickle.dumps(whole))
    assert whole != Parsing(labels, LIP, "", confidence + 1, logits) and whole != Parsing(
        labels, LIP, "", confidence
    )
    assert whole != Parsing(labels, LIP, "", None, logits) and whole != Parsing(
        labels, LIP, "", confidence, logits + 1
    )


@pytest.mark.parametrize("suffix", [".png", ".npz", ".json"])
def test_a_parsing_is_saved_by_suffix_and_loaded_equal(suffix: str, tmp_path: Path) -> None:
    path = small().save(str(tmp_path / f"labels{suffix}"))
    assert path == tmp_path / f"labels{suffix}"
    assert Parsing.load(path) == Parsing.load(str(path)) == small()
    assert Parsing.load(path, scheme="cihp").scheme == get_scheme("cihp")


def test_colours_are_the_palettes() -> None:
    picture = np.asarray(small().colorize())
    assert tuple(picture[0, 2]) == LIP.palette("display")[2] and tuple(picture[0, 0]) == (0, 0, 0)
    assert tuple(np.asarray(small().colorize("voc"))[0, 2]) == voc_palette()[2]
    assert tuple(np.asarray(small().colorize("ssseg"))[0, 2]) == (255, 0, 0)
    with pytest.raises(SchemeError, match="has 2 colours"):
        small().colorize(((0, 0, 0), (9, 9, 9)))
    with Image.open(io.BytesIO(small()._repr_png_())) as shown:
        assert shown.size == (4, 3) and np.array_equal(np.asarray(shown), picture)


def test_an_overlay_tints_parts_and_leaves_the_rest() -> None:
    photo = np.full((3, 4, 3), 100, dtype=np.uint8)
    for palette in ("display", "voc"):
        assert np.array_equal(np.asarray(small().overlay(photo, alpha=0, palette=palette)), photo)
        full = np.asarray(small().overlay(photo, alpha=1, palette=palette))
        assert np.array_equal(full[small().mask("Background")], photo[small().mask("Background")])
    assert tuple(full[0, 2]) == voc_palette()[2]
    half = np.asarray(small().overlay(Image.fromarray(photo), alpha=0.5, palette="voc"))
    assert tuple(half[0, 2]) == (50, 114, 50)
    assert photo.min() == photo.max() == 100  # the caller's photo is untouched


def test_parts_have_a_thin_lighter_contour_in_display_colours_and_none_in_others() -> None:
    labels = np.zeros((12, 12), dtype=np.uint8)
    labels[2:, 2:7], labels[2:, 7:] = 5, 9
    photo = np.full((12, 12, 3), 40, dtype=np.uint8)
    parsing, colours = Parsing(labels, LIP), LIP.palette("display")
    for alpha in (0.6, 1.0):
        picture = np.asarray(parsing.overlay(photo, alpha=alpha)).astype(int)
        for part, inner in ((5, slice(3, 6)), (9, slice(8, 12))):  # the picture's border is no edge
            body = np.zeros(labels.shape, dtype=bool)
            body[3:, inner] = True
            edge = (labels == part) & ~body
            mixed = np.rint(40 * (1 - alpha) + np.array(colours[part]) * alpha)
            assert (picture[body] == mixed).all()
            assert len(np.unique(picture[edge], axis=0)) == 1
            assert (picture[edge] >= mixed).all() and (picture[edge].sum(axis=1) > mixed.sum() + 60).all()
        assert (picture[labels == 0] == 40).all()
    plain = np.asarray(parsing.overlay(photo, alpha=1, palette="voc"))
    assert (plain[labels == 5] == voc_palette()[5]).all() and (plain[labels == 9] == voc_palette()[9]).all()


def test_a_legend_stands_beside_the_photo() -> None:
    photo = np.zeros((3, 4, 3), dtype=np.uint8)
    picture = small().overlay(photo, legend=True)
    assert picture.width > 60 and picture.height >= 3 * 11
    assert np.array_equal(np.asarray(picture)[:3, :4], np.asarray(small().overlay(photo)))


def test_an_overlay_on_another_photo_or_with_odd_alpha_is_refused() -> None:
    with pytest.raises(SchemeError, match="pass the same photo"):
        small().overlay(np.zeros((4, 4, 3), dtype=np.uint8))
    with pytest.raises(SchemeError, match="between 0 and 1"):
        small().overlay(np.zeros((3, 4, 3), dtype=np.uint8), alpha=60)
