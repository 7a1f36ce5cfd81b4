"""Masks for virtual try-on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from command import Run, runner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from humanparse import ModelError, Parser, Parsing, SchemeError, get_scheme, image
from humanparse.adapters.agnostic import agnostic_image, agnostic_mask, agnostic_parsing

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
ATR = get_scheme("atr")

HIDDEN = {
    ("lip", "upper"): "Upper-clothes Dress Coat Jumpsuits Left-arm Right-arm",
    ("lip", "lower"): "Dress Pants Jumpsuits Skirt Left-leg Right-leg",
    ("cihp", "upper"): "Upper-clothes Dress Coat Torso-skin Left-arm Right-arm",
    ("atr", "lower"): "Skirt Pants Dress Belt Left-leg Right-leg",
    ("atr", "overall"): "Upper-clothes Skirt Pants Dress Belt Left-leg Right-leg Left-arm Right-arm",
    ("viton", "upper"): "Upper Left-arm Right-arm",
    ("viton", "lower"): "Bottom Left-leg Right-leg",
    ("atr-neck", "upper"): "Upper-clothes Dress Left-arm Right-arm Neck",
    ("fashn", "upper"): "top dress arms torso",
    ("fashn", "lower"): "dress skirt pants belt legs",
    ("fashionpedia", "lower"): "pants shorts skirt dress jumpsuit belt tights/stockings",
    ("face", "upper"): "cloth neck",
    ("goliath29", "lower"): "Lower_Clothing Left_Lower_Leg Left_Upper_Leg Right_Lower_Leg Right_Upper_Leg",
    ("coarse", "upper"): "Upper-clothes Full-body-clothes Arms Torso-skin",
    ("coarse", "lower"): "Full-body-clothes Lower-clothes Legs",
}


@pytest.fixture(scope="module")
def parsing() -> Parsing:
    return Parser().predict(PHOTO)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `humanparse agnostic` in this process, with the bundled model, in an empty folder."""
    return runner(tmp_path, monkeypatch, capsys, "agnostic")


def hidden(scheme: str, cloth: str, **options: object) -> set[str]:
    """Names of the labels that a mask hides."""
    names = get_scheme(scheme)
    labels = np.arange(len(names), dtype=np.uint8)[None]
    mask = agnostic_mask(Parsing(labels, names), cloth, dilate=0, **options)  # type: ignore[arg-type]
    return {names.name(label) for label in labels[mask > 0].tolist()}


@pytest.mark.parametrize(("scheme", "cloth"), HIDDEN)
def test_the_garment_and_its_limbs_are_hidden_and_nothing_else(scheme: str, cloth: str) -> None:
    assert hidden(scheme, cloth) == set(HIDDEN[scheme, cloth].split())


@pytest.mark.parametrize(
    "scheme",
    ["lip", "cihp", "atr", "mhpv2", "fashn", "goliath29", "viton", "coarse", "pascal", "densepose"],
)
def test_what_identifies_a_person_stays(scheme: str) -> None:
    everything = hidden(scheme, "upper") | hidden(scheme, "lower") | hidden(scheme, "overall")
    assert everything == hidden(scheme, "overall")
    kept = set(get_scheme(scheme).names) - everything
    words = ("face", "hair", "head", "hand", "foot", "feet", "shoe", "hat", "glass", "bag", "glove", "sock")
    assert not [name for name in everything if any(word in name.lower() for word in words)]
    assert get_scheme(scheme).names[0] in kept
    assert {"Face", "Head", "Hair", "face", "hair"} & kept


def test_schemes_of_bare_bodies_hide_trunk_and_limbs() -> None:
    assert hidden("pascal", "upper") == {"Torso", "Upper Arms", "Lower Arms"}
    assert hidden("pascal", "lower") == {"Upper Legs", "Lower Legs"}
    assert hidden("densepose", "overall") == set(get_scheme("densepose").names) - {
        "Background", "Head", "Right Hand", "Left Hand", "Left Foot", "Right Foot",
    }  # fmt: skip


def test_more_can_be_hidden_and_more_left() -> None:
    assert "Scarf" in hidden("lip", "upper", also=["scarf"])
    assert not {"Left-arm", "Right-arm"} & hidden("lip", "upper", keep=["arms"])
    assert {"Hat", "Glove"} < hidden("lip", "upper", also=["accessories"])
    assert hidden("atr", "overall", keep=["clothes", "skin"]) == {"Belt"}
    with pytest.raises(SchemeError, match="no label 'cape'"):
        hidden("lip", "upper", also=["cape"])


@given(
    labels=arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 17)
    ),
    radius=st.integers(0, 4),
)
@settings(deadline=None)
def test_the_mask_grows_over_the_background_only_by_so_many_pixels(labels: np.ndarray, radius: int) -> None:
    parsing = Parsing(labels, ATR)
    bare = agnostic_mask(parsing, dilate=0) > 0
    grown = agnostic_mask(parsing, dilate=radius)
    assert set(np.unique(grown)) <= {0, 255}
    around = F.max_pool2d(torch.from_numpy(bare)[None].float(), 2 * radius + 1, 1, radius)[0].numpy() > 0
    expected = bare | (around & (labels == 0))
    assert np.array_equal(grown > 0, expected)


def test_it_grows_by_a_hundredth_of_the_long_side(parsing: Parsing) -> None:
    assert np.array_equal(agnostic_mask(parsing), agnostic_mask(parsing, dilate=6))
    assert not np.array_equal(agnostic_mask(parsing), agnostic_mask(parsing, dilate=5))


def test_the_photo_is_grey_where_the_mask_is(parsing: Parsing) -> None:
    grey = np.asarray(agnostic_image(PHOTO, parsing))
    mask = agnostic_mask(parsing) > 0
    assert (grey[mask] == 128).all()
    assert np.array_equal(grey[~mask], image.load(PHOTO)[~mask])
    assert (np.asarray(agnostic_image(PHOTO, parsing, fill=(1, 2, 3)))[mask] == (1, 2, 3)).all()
    with pytest.raises(SchemeError, match="photo that was parsed"):
        agnostic_image(np.zeros((4, 4, 3), np.uint8), parsing)


def test_the_label_map_forgets_the_garment(parsing: Parsing) -> None:
    without = agnostic_parsing(parsing)
    gone = parsing.mask("Upper-clothes", "Dress", "Left-arm", "Right-arm")
    assert not without.labels[gone].any() and without.scheme == parsing.scheme
    assert np.array_equal(without.labels[~gone], parsing.labels[~gone])


def test_schemes_and_garments_that_do_not_fit_are_refused(parsing: Parsing) -> None:
    with pytest.raises(SchemeError, match="voc has no label for upper-body clothes"):
        hidden("voc", "upper")
    with pytest.raises(SchemeError, match="face has no label for lower-body clothes"):
        hidden("face", "lower")
    with pytest.raises(ModelError, match="upper, lower, overall"):
        agnostic_mask(parsing, "hat")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="dilate"):
        agnostic_mask(parsing, dilate=-1)


def test_the_command_writes_mask_photo_and_labels(run: Run, tmp_path: Path, parsing: Parsing) -> None:
    done = run(PHOTO, "--cloth", "upper", "-o", "mask.png", "--image", "grey.png", "--labels", "labels.png")
    assert done.status == 0, done.err
    with Image.open(tmp_path / "mask.png") as mask, Image.open(tmp_path / "grey.png") as grey:
        assert mask.mode == "L" and np.array_equal(np.asarray(mask), agnostic_mask(parsing))
        assert grey.tobytes() == agnostic_image(PHOTO, parsing).tobytes()
    assert Parsing.load(tmp_path / "labels.png") == agnostic_parsing(parsing)


def test_the_command_warns_of_an_empty_mask_and_refuses_what_cannot_be(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (120, 160, 120)).save(tmp_path / "meadow.png")
    empty = run("meadow.png", "--cloth", "lower")
    assert empty.status == 0 and "mask is empty" in empty.err
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.getextrema() == (0, 0)
    for arguments, said in (
        (("--cloth", "hat"), "upper, lower, overall"),
        (("-o", "mask.jpg"), "must end in .png"),
        (("--image", "meadow.png"), "photo itself"),
        (("--also", "cape"), "no label 'cape'"),
    ):
        done = run("meadow.png", *arguments)
        assert done.status == 1 and said in done.err, done.err
