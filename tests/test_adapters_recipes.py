"""Recipes of try-on projects, against masks made by hand from the rules of each project's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from command import Run, runner
from PIL import Image
from scipy import ndimage

from humanparse import ModelError, Parser, Parsing, SchemeError, get_scheme, image
from humanparse.adapters.agnostic import agnostic_image, agnostic_mask, agnostic_parsing

Mask = npt.NDArray[np.bool_]
PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
NAMES = ("viton-hd", "catvton", "ootdiffusion", "idm-vton", "fashn")

FIGURE = {  # name of a part -> its boxes in sixteenths of the height: top, bottom, left, right
    "hair": [(1, 2, 5, 7)],
    "face": [(2, 3, 5, 7)],
    "neck": [(3, 3.5, 5.5, 6.5)],
    "top": [(3.5, 8, 4.5, 7.5)],
    "left arm": [(4, 7, 7.5, 8.25)],
    "right arm": [(4, 7, 3.75, 4.5)],
    "left hand": [(7, 7.75, 7.5, 8.25)],
    "right hand": [(7, 7.75, 3.75, 4.5)],
    "pants": [(8, 11, 4.5, 7.5)],
    "left leg": [(11, 14, 6.25, 7.25)],
    "right leg": [(11, 14, 4.75, 5.75)],
    "left shoe": [(14, 15, 6.25, 7.5)],
    "right shoe": [(14, 15, 4.5, 5.75)],
    "bag": [(7, 9, 8.25, 10)],
}
SPELT = {
    "atr-neck": {"top": "Upper-clothes", "left hand": "Left-arm", "right hand": "Right-arm"},
    "cihp": {
        "top": "Upper-clothes",
        "neck": "Torso-skin",
        "left hand": "Left-arm",
        "right hand": "Right-arm",
        "bag": "Background",
    },
    "fashn": {
        "neck": "torso",
        **{f"{side} {part}": f"{part}s" for side in ("left", "right") for part in ("arm", "leg", "hand")},
        **{f"{side} shoe": "feet" for side in ("left", "right")},
    },
}


def boxes(part: str, height: int) -> list[tuple[slice, slice]]:
    return [
        tuple(slice(round(a * height / 16), round(b * height / 16)) for a, b in (box[:2], box[2:]))  # type: ignore[misc]
        for box in FIGURE[part]
    ]


def figure(scheme: str, height: int) -> Parsing:
    """Somebody who stands, made of rectangles, three quarters as wide as high."""
    labels = np.zeros((height, height * 3 // 4), np.uint8)
    for part in FIGURE:
        name = SPELT[scheme].get(part, part.replace(" ", "-"))
        for box in boxes(part, height):
            labels[box] = get_scheme(scheme).index(name)
    return Parsing(labels, get_scheme(scheme))


def parts(height: int, *names: str) -> Mask:
    mask = np.zeros((height, height * 3 // 4), bool)
    for name in names:
        for part in FIGURE:
            if part == name or part.endswith(f" {name}"):
                for box in boxes(part, height):
                    mask[box] = True
    return mask


def square(mask: Mask, reach: int) -> Mask:
    """True within so many rows and columns."""
    return ndimage.binary_dilation(mask, np.ones((2 * reach + 1,) * 2))


def near(mask: Mask, distance: float) -> Mask:
    return ndimage.distance_transform_edt(~mask) <= distance


def differ(one: npt.NDArray[Any], other: Mask) -> int:
    """Pixels in which a mask of ours differs from one made by hand."""
    assert set(np.unique(one)) <= {0, 255}
    return int(((one > 0) != other).sum())


def test_viton_hd_hides_the_upper_body_by_thick_lines() -> None:
    found = figure("cihp", 1024)
    upper = parts(1024, "top", "neck", "arm", "hand")
    shown = parts(1024, "face", "pants", "leg", "shoe")
    assert differ(agnostic_mask(found, recipe="viton-hd"), near(upper, 60) & ~shown) == 0
    grey = np.asarray(agnostic_image(np.zeros((1024, 768, 3), np.uint8), found, recipe="viton-hd"))
    assert (grey[near(upper, 60) & ~shown] == 128).all() and not grey[shown].any()
    without = agnostic_parsing(found, recipe="viton-hd")
    assert np.array_equal(without.labels == 0, (found.labels == 0) | upper)
    for cloth in ("lower", "overall"):
        with pytest.raises(ModelError, match="viton-hd replaces upper-body clothes only"):
            agnostic_mask(found, cloth, recipe="viton-hd")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ootdiffusion", "idm-vton"])
@pytest.mark.parametrize("cloth", ["upper", "lower", "overall"])
def test_ootdiffusion_and_idm_vton_grow_garments_and_arms_and_fix_the_rest(name: Any, cloth: Any) -> None:
    head, shoes = parts(512, "face"), parts(512, "shoe", "bag")
    arms = square(parts(512, "arm", "hand"), 8)
    neck = square(parts(512, "neck"), 2) & ~head
    expected = {
        "upper": (square(parts(512, "top"), 10) | arms | neck) & ~parts(512, "pants"),
        "lower": square(parts(512, "pants", "leg"), 10) & ~parts(512, "top", "arm", "hand"),
        "overall": square(parts(512, "top", "pants"), 10) | arms | neck,
    }[cloth] & ~(head | shoes)
    found = agnostic_mask(figure("atr-neck", 512), cloth, recipe=name)
    pieces, _ = ndimage.label(expected)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    whole = ndimage.binary_fill_holes(largest)
    border = square(whole, 2) & ~ndimage.binary_erosion(whole, np.ones((5, 5)))
    assert not ((found > 0) != whole)[~border].any()  # its outline cuts corners, as theirs
    assert differ(found, whole) <= 0.01 * whole.sum()
    twice = agnostic_mask(figure("atr-neck", 1024), cloth, recipe=name)
    assert np.array_equal(twice[::2, ::2], found)  # made at a height of 512, whatever the photo's


def test_catvton_takes_hulls_and_gives_back_what_stays() -> None:
    height = 1024  # of which 5 and 41 pixels are the 250th and the 25th, as odd numbers
    found = figure("atr-neck", height)
    kept = parts(height, "leg", "pants", "hair", "bag", "shoe", "face")
    body = parts(height, "top", "arm", "hand", "neck")
    area = body | np.kron(square(body[::4, ::4], 4), np.ones((4, 4))).astype(bool)
    y, x = np.nonzero(area)
    hull = np.zeros_like(area)  # of a single piece: between the outermost pixels of each pair of rows
    left, right = (np.full(height, fill) for fill in (9999, -1))
    np.minimum.at(left, y, x)
    np.maximum.at(right, y, x)
    rows = np.flatnonzero(right >= 0)
    for row in range(rows[0], rows[-1] + 1):
        above, below = rows[rows <= row], rows[rows >= row]
        share = np.divide(
            row - above[:, None], below[None] - above[:, None], where=below[None] > above[:, None],
            out=np.zeros((len(above), len(below))),
        )  # fmt: skip
        low = (left[above][:, None] * (1 - share) + left[below][None] * share).min()
        high = (right[above][:, None] * (1 - share) + right[below][None] * share).max()
        hull[row, round(low) : round(high) + 1] = True
    sigma = 0.3 * ((41 - 1) * 0.5 - 1) + 0.8
    soft = ndimage.gaussian_filter((hull & ~kept) * 255.0, sigma, radius=20, mode="mirror") >= 24.5
    expected = square((soft | parts(height, "top")) & ~parts(height, "face"), 2)
    mask = agnostic_mask(found, recipe="catvton")
    assert differ(mask, expected) <= 0.004 * expected.sum()
    grey = np.asarray(agnostic_image(np.zeros((1024, 768, 3), np.uint8), found, recipe="catvton"))
    assert (grey[mask > 0] == 127).all() and not grey[mask == 0].any()


def test_catvton_hides_the_gap_between_arm_and_body_and_the_length_of_a_skirt() -> None:
    labels = np.zeros((500, 375), np.uint8)
    labels[100:250, 150:230], labels[100:130, 90:150], labels[130:240, 90:110] = 4, 14, 14  # an arm on a hip
    labels[230:240, 110:150] = 14
    upper = agnostic_mask(Parsing(labels, get_scheme("atr")), recipe="catvton")
    assert upper[180, 130] == 255
    labels[250:300, 150:230], labels[300:400, 160:180], labels[300:400, 200:220] = 5, 12, 13
    lower = agnostic_mask(Parsing(labels, get_scheme("atr")), "lower", recipe="catvton")
    assert lower[350, 190] == 255 and lower[350, 170] == 255 and lower[150, 190] == 0  # between the legs


@pytest.mark.parametrize("cloth", ["upper", "lower", "overall"])
def test_fashn_hides_the_box_as_far_as_it_is_near(cloth: Any) -> None:
    found = figure("fashn", 864)
    names = {"upper": ("top", "arm", "neck"), "lower": ("pants", "leg")}
    hidden = parts(864, *(names[cloth] if cloth != "overall" else names["upper"] + names["lower"]))
    kept = {"upper": ("leg", "hand"), "lower": ("arm", "shoe"), "overall": ("hand", "shoe")}[cloth]
    box = np.zeros_like(hidden)
    rows, columns = np.flatnonzero(hidden.any(axis=1)), np.flatnonzero(hidden.any(axis=0))
    box[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    area = box & near(near(hidden, 18), 100)
    area = ndimage.binary_dilation(area, np.ones((33, 67)))
    expected = ndimage.binary_dilation(hidden, np.ones((4, 4))) | (
        area & ~parts(864, "face", "hair", "bag", *kept)
    )
    mask = agnostic_mask(found, cloth, recipe="fashn")
    assert differ(mask, expected) <= 0.004 * expected.sum()
    assert not mask[parts(864, "hand")].all() or cloth == "lower"


@pytest.mark.parametrize("scheme", ["lip", "cihp", "atr", "mhpv2", "fashn", "goliath29", "viton", "coarse"])
@pytest.mark.parametrize("name", NAMES)
def test_all_recipes_take_all_schemes_with_clothes(scheme: str, name: Any) -> None:
    labels = np.repeat(np.repeat(np.arange(len(get_scheme(scheme)), dtype=np.uint8), 40)[None], 60, axis=0)
    found = Parsing(labels, get_scheme(scheme))
    mask = agnostic_mask(found, recipe=name) > 0
    assert mask.any() and not mask.all()
    assert mask[agnostic_parsing(found, recipe=name).labels != labels].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_photo_without_the_garment_has_an_empty_mask(name: Any) -> None:
    nothing = Parsing(np.zeros((7, 5), np.uint8), get_scheme("atr"))
    assert not agnostic_mask(nothing, recipe=name).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 3)])
def test_pictures_of_any_size_are_taken(name: Any, size: tuple[int, int]) -> None:
    clothes = Parsing(np.full(size, 4, np.uint8), get_scheme("atr"))
    assert agnostic_mask(clothes, recipe=name).shape == size


def test_what_a_recipe_decides_cannot_be_asked_for() -> None:
    found = figure("atr-neck", 64)
    for options in ({"dilate": 3}, {"also": ["bag"]}, {"keep": ["arms"]}):
        with pytest.raises(ModelError, match="leave `dilate`, `also` and `keep` out"):
            agnostic_mask(found, recipe="fashn", **options)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="no recipe 'acgpn'; recipes are viton-hd, catvton"):
        agnostic_mask(found, recipe="acgpn")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="cloth must be one of"):
        agnostic_mask(found, "hat", recipe="fashn")  # type: ignore[arg-type]
    with pytest.raises(SchemeError, match="cityscapes has no label for clothes"):
        agnostic_mask(Parsing(found.labels, get_scheme("cityscapes")), recipe="fashn")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys, "agnostic")


def test_the_command_names_its_files_after_photo_project_and_kind(run: Run, tmp_path: Path) -> None:
    done = run(PHOTO, "--for", "catvton")
    assert done.status == 0, done.err
    parsing = Parser().predict(PHOTO)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"grace_hopper_catvton_upper_{kind}.png" for kind in ("mask", "grey", "labels")
    }
    with Image.open(tmp_path / "grace_hopper_catvton_upper_mask.png") as mask:
        expected = agnostic_mask(parsing, recipe="catvton")
        assert np.array_equal(np.asarray(mask), expected)
    with Image.open(tmp_path / "grace_hopper_catvton_upper_grey.png") as grey:
        pixels = np.where(expected[..., None] > 0, np.uint8(127), image.load(PHOTO))
        assert np.array_equal(np.asarray(grey), pixels)
    without = Parsing.load(tmp_path / "grace_hopper_catvton_upper_labels.png")
    assert without == agnostic_parsing(parsing, recipe="catvton")


def test_the_command_refuses_what_a_recipe_does_not_do_before_it_works(run: Run, tmp_path: Path) -> None:
    for arguments, said in (
        (("--for", "acgpn"), "no recipe 'acgpn'"),
        (("--for", "viton-hd", "--cloth", "lower"), "upper-body clothes only"),
        (("--for", "fashn", "--also", "bag"), "decides what is hidden"),
    ):
        done = run(PHOTO, *arguments)
        assert done.status == 1 and said in done.err, done.err
    assert not list(tmp_path.iterdir())
