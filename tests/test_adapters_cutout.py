"""Cut-outs by parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command import Run, runner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from humanparse import ImageError, ModelError, Parser, Parsing, SchemeError, get_scheme, image
from humanparse.adapters.cutout import cutout

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
ATR = get_scheme("atr")


@pytest.fixture(scope="module")
def parsing() -> Parsing:
    return Parser().predict(PHOTO)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `humanparse cutout` in this process, with the bundled model, in an empty folder."""
    return runner(tmp_path, monkeypatch, capsys, "cutout")


def test_kept_parts_are_solid_and_all_else_is_transparent(parsing: Parsing) -> None:
    picture = cutout(PHOTO, parsing, ["HAIR", "face"])
    assert picture.mode == "RGBA" and picture.size == (512, 600)
    pixels = np.asarray(picture)
    assert np.array_equal(pixels[..., 3] == 255, parsing.mask("Hair", "Face"))
    assert set(np.unique(pixels[..., 3])) == {0, 255}
    assert np.array_equal(pixels[..., :3], image.load(PHOTO))


def test_without_names_the_background_goes_and_dropped_parts_with_it(parsing: Parsing) -> None:
    alpha = np.asarray(cutout(PHOTO, parsing))[..., 3] > 0
    assert np.array_equal(alpha, parsing.labels > 0)
    fewer = np.asarray(cutout(PHOTO, parsing, drop=["arms", "coat"]))[..., 3] > 0  # `coat` is an alias in ATR
    assert np.array_equal(fewer, alpha & ~parsing.mask("Left-arm", "Right-arm", "Upper-clothes"))


def test_a_crop_is_the_box_of_what_is_kept(parsing: Parsing) -> None:
    face = next(part for part in parsing.parts() if part.name == "Face")
    x0, y0, x1, y1 = face.box
    cropped = cutout(PHOTO, parsing, ["face"], crop=True)
    assert cropped.size == (x1 - x0, y1 - y0)
    whole = np.asarray(cutout(PHOTO, parsing, ["face"]))
    assert np.array_equal(np.asarray(cropped), whole[y0:y1, x0:x1])


def test_a_background_colour_makes_an_rgb_picture(parsing: Parsing) -> None:
    for colour in ("#102030", (16, 32, 48)):
        pixels = np.asarray(cutout(PHOTO, parsing, background=colour))
        assert pixels.shape == (600, 512, 3)
        assert (pixels[parsing.labels == 0] == (16, 32, 48)).all()
        assert np.array_equal(pixels[parsing.labels > 0], image.load(PHOTO)[parsing.labels > 0])


def test_feathered_edges_fade_inwards_over_the_pixels_asked_for() -> None:
    labels = np.zeros((9, 40), np.uint8)
    labels[:, 10:30] = 2
    photo = np.full((9, 40, 3), 200, np.uint8)
    alpha = np.asarray(cutout(photo, Parsing(labels, ATR), feather=4))[4, :, 3].astype(int)
    assert (alpha[:10] == 0).all() and (alpha[30:] == 0).all()
    assert (np.diff(alpha[10:15]) > 0).all() and 0 < alpha[10] < 60 and (alpha[14:26] == 255).all()
    assert np.array_equal(alpha[10:30], alpha[10:30][::-1])


@given(
    labels=arrays.arrays(np.uint8, (5, 6), elements=st.integers(0, 17)),
    keep=st.sets(st.integers(1, 17), min_size=1),
    feather=st.integers(0, 3),
)
def test_nothing_shows_that_was_not_kept(labels: np.ndarray, keep: set[int], feather: int) -> None:
    parsing = Parsing(labels, ATR)
    photo = np.zeros((5, 6, 3), np.uint8)
    if not parsing.mask(*keep).any():
        with pytest.raises(ImageError, match="none of the parts to keep"):
            cutout(photo, parsing, keep)
        return
    alpha = np.asarray(cutout(photo, parsing, keep, feather=feather))[..., 3]
    assert not alpha[~parsing.mask(*keep)].any()
    assert feather or (alpha[parsing.mask(*keep)] == 255).all()


def test_groups_are_kept_and_dropped(parsing: Parsing) -> None:
    alpha = np.asarray(cutout(PHOTO, parsing, ["head", "clothes"], drop=["accessories"]))[..., 3] > 0
    assert np.array_equal(alpha, parsing.mask("Hair", "Face", "Upper-clothes", "Skirt", "Pants", "Dress"))
    with pytest.raises(SchemeError, match=r"Labels: Background, Hat(.|\n)*Groups: clothes"):
        cutout(PHOTO, parsing, ["wings"])


def test_what_cannot_be_is_refused(parsing: Parsing) -> None:
    with pytest.raises(SchemeError, match="photo that was parsed"):
        cutout(np.zeros((4, 4, 3), np.uint8), parsing)
    with pytest.raises(ImageError, match=r"parts to keep \(Skirt\); it has: Hat, Hair"):
        cutout(PHOTO, parsing, ["skirt"])
    with pytest.raises(ModelError, match="feather"):
        cutout(PHOTO, parsing, feather=-1)
    for colour in ("blueish", (1, 2), (1, 2, 300)):
        with pytest.raises(ModelError, match="not a colour"):
            cutout(PHOTO, parsing, background=colour)  # type: ignore[arg-type]


def test_the_command_writes_the_same_picture(run: Run, tmp_path: Path, parsing: Parsing) -> None:
    assert run(PHOTO, "-o", "head.png", "--keep", "head").status == 0
    with Image.open(tmp_path / "head.png") as written:
        assert written.tobytes() == cutout(PHOTO, parsing, ["Hat", "Hair", "Sunglasses", "Face"]).tobytes()
    done = run(PHOTO, "-o", "head.png", "--keep", "hair, face", "--crop", "--feather", 2)
    assert done.status == 0 and "head.png: " in done.out, done.err
    with Image.open(tmp_path / "head.png") as written:
        expected = cutout(PHOTO, parsing, ["hair", "face"], crop=True, feather=2)
        assert written.mode == "RGBA" and written.tobytes() == expected.tobytes()
    assert run(PHOTO, "--drop", "face", "--background", "white", "-q").out == ""
    with Image.open(tmp_path / "cutout.png") as written:
        assert written.mode == "RGB"
    assert not list(tmp_path.glob(".*"))


def test_the_command_says_what_is_wrong_and_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    for arguments, said in (
        (("--keep", "tail"), "Labels: Background"),
        (("-o", "cutout.jpg"), "must end in .png"),
        (("-o", "no/cutout.png"), "no folder no"),
        (("--keep", "skirt"), "it has: Hat, Hair"),
    ):
        done = run(PHOTO, *arguments)
        assert done.status == 1 and said in done.err, done.err
    (tmp_path / "me.png").write_bytes(PHOTO.read_bytes())
    assert "photo itself" in run("me.png", "-o", "me.png").err
    assert {path.name for path in tmp_path.iterdir()} <= {"me.png", "home", "hf"}
