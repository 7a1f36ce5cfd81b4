"""Soft edges of cut-outs: the trimap, and matting on pictures whose opacity is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from command import Run, runner
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from humanparse import ModelError, Parser, Parsing, get_scheme
from humanparse.adapters import matte
from humanparse.adapters.cutout import cutout

PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.png"
ATR = get_scheme("atr")
HAIR, CLOTHES = 2, 4


def portrait() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64], Parsing]:
    """A photo of brown hair with soft strands before a blue wall, its opacity, and a hard-edged parsing."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[:160, :160]
    angle, radius = np.arctan2(y - 80, x - 80), np.hypot(y - 80, x - 80)
    waves = cv2.GaussianBlur(random.normal(size=(1, 720)), (9, 1), 0)[0]
    strands = 45 + 2 * waves[((angle + np.pi) * 114).astype(int)]
    opacity = np.clip((strands + 3 - radius) / 6, 0, 1)
    texture = cv2.GaussianBlur(random.normal(size=(160, 160)), (5, 5), 0)[..., None] * 12
    hair, wall = np.array((120, 70, 30)) + texture, np.array((60, 120, 200)) + 0.2 * x[..., None]
    photo = hair * opacity[..., None] + wall * (1 - opacity[..., None])
    labels = np.where(radius < 45, np.uint8(HAIR), np.uint8(0))
    return photo.clip(0, 255).astype(np.uint8), opacity, Parsing(labels, ATR)


def test_opacity_and_colours_come_nearer_to_the_truth_than_a_hard_cut() -> None:
    photo, opacity, parsing = portrait()
    mask = parsing.labels > 0
    alpha, colours = matte.matte(photo, parsing, mask)
    soft = (opacity > 0.02) & (opacity < 0.98)
    assert np.abs(alpha / 255 - opacity)[soft].mean() < 0.4 * np.abs(mask - opacity)[soft].mean()
    half = (alpha > 30) & (alpha < 225)
    blue = colours[half][:, 2].astype(int).mean(), photo[half][:, 2].astype(int).mean()
    assert blue[0] < 60 < 90 < blue[1]  # the wall no longer shines through
    assert np.array_equal(colours[alpha == 255], photo[alpha == 255])


def test_a_large_photo_is_reduced_and_gives_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    photo, _, parsing = portrait()
    full, _ = matte.matte(photo, parsing, parsing.labels > 0)
    for limit, most in (("MOST_PIXELS", 6000), ("MOST_UNKNOWN", 1000)):
        with monkeypatch.context() as patch:
            patch.setattr(matte, limit, most)
            small, _ = matte.matte(photo, parsing, parsing.labels > 0)
        assert (small != full).any() and np.abs(small.astype(int) - full).mean() < 5
    assert (np.abs(full.astype(int) - 255 * (parsing.labels > 0)) > 20).sum() > 500


def test_the_band_is_wide_at_hair_and_narrow_elsewhere() -> None:
    labels = np.zeros((300, 400), np.uint8)
    labels[50:250, 50:200], labels[50:250, 200:350] = HAIR, CLOTHES
    unknown = matte.trimap(Parsing(labels, ATR), labels > 0) == 128
    kept = 200 * 300
    far, near = (round(share * kept**0.5) for share in (matte.HAIR_BAND, matte.BAND))
    assert unknown[150, 50 - far + 1 : 50 + far - 1].all() and not unknown[150, : 50 - far - 1].any()
    assert unknown[150, 350 - near + 1 : 350 + near - 1].all() and not unknown[150, 350 + near + 1 :].any()
    assert not unknown[150, 50 + far + 1 : 350 - near - 1].any()  # hair beside clothes is no edge
    bald = matte.trimap(Parsing(np.where(labels == HAIR, np.uint8(CLOTHES), labels), ATR), labels > 0)
    assert (bald == 128).sum() < unknown.sum() / 2


@given(
    labels=arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20)), elements=st.sampled_from([0, 0, 2, 4])
    )
)
@settings(deadline=None)
def test_something_of_the_mask_and_of_the_rest_is_always_sure(labels: npt.NDArray[np.uint8]) -> None:
    mask = labels > 0
    found = matte.trimap(Parsing(labels, ATR), mask)
    assert set(np.unique(found)) <= {0, 128, 255}
    assert not (found[mask] == 0).any() and not (found[~mask] == 255).any()
    assert (found == 255).any() == mask.any() and (found == 0).any() == (~mask).any()


def test_a_mask_without_edges_stays_whole() -> None:
    labels = np.full((9, 9), CLOTHES, np.uint8)
    photo = np.random.default_rng(1).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    alpha, colours = matte.matte(photo, Parsing(labels, ATR), labels > 0)
    assert (alpha == 255).all() and np.array_equal(colours, photo)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys, "cutout")


def test_the_command_mattes_a_photo(run: Run, tmp_path: Path) -> None:
    done = run(PHOTO, "--matte", "--keep", "hair,face", "--crop")
    assert done.status == 0, done.err
    parsing = Parser().predict(PHOTO)
    expected = cutout(PHOTO, parsing, ["hair", "face"], matte=True, crop=True)
    with Image.open(tmp_path / "cutout.png") as picture:
        assert picture.tobytes() == expected.tobytes()
    opacity = np.asarray(expected)[..., 3]
    assert ((opacity > 0) & (opacity < 255)).sum() > 1000
    assert opacity[[0, -1]].any(axis=1).all() and opacity[:, [0, -1]].any(axis=0).all()  # cut to what is kept
    white = np.asarray(cutout(PHOTO, parsing, ["hair", "face"], matte=True, crop=True, background="white"))
    assert white.shape[2] == 3 and (white[opacity == 0] == 255).all()
    refused = run(PHOTO, "--matte", "--feather", 3)
    assert refused.status == 1 and "leave feather out" in refused.err
    with pytest.raises(ModelError, match="leave feather out"):
        cutout(PHOTO, parsing, matte=True, feather=1)
