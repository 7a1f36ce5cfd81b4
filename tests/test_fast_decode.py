"""JPEGs decoded smaller than they are: geometry, sizes, labels, and who refuses."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import SMALL
from PIL import Image

from humanparse import BulkError, ModelError, Parser, ParserOptions, bulk, image, registry
from humanparse.arrays import Picture
from humanparse.geometry import Frame
from humanparse.reduction import reducing

HOPPER = SMALL / "images" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def large() -> bytes:
    """A photo of 3.6 megapixels."""
    with Image.open(HOPPER) as photo:
        return encoded(photo.resize((1601, 2251), Image.Resampling.LANCZOS))


def encoded(photo: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    content = io.BytesIO()
    photo.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_is_decoded_as_small_as_allowed_and_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.effect_noise((1000, 600), 30), exif=exif)
    upright = (600, 1000) if orientation < 5 else (1000, 600)
    for least, divisor in ((600, 1), (301, 1), (300, 2), (150, 4), (76, 4), (75, 8), (1, 8)):
        short, long = least, least * 10 // 6
        with reducing(
            lambda size, short=short, long=long: (short, long) if size[0] < size[1] else (long, short)
        ) as done:
            pixels = image.load(content)
        assert pixels.shape[:2] == tuple(-(-side // divisor) for side in upright)
        assert done.size == (None if divisor == 1 else upright)


def test_other_pictures_are_decoded_whole_and_so_is_what_comes_after(large: bytes) -> None:
    png = encoded(Image.effect_noise((100, 80), 30), "PNG")
    with reducing(lambda size: (1, 1)) as done:
        assert image.load(png).shape == (80, 100, 3) and done.size is None
        assert image.load(image.load(png)).shape == (80, 100, 3) and done.size is None
    assert image.load(large).shape == (2251, 1601, 3)


@pytest.mark.parametrize("fit", ["warp-corner", "warp-half", "squash", "shortest-edge", "keep-ratio"])
def test_the_networks_input_is_that_of_the_whole_photo(fit: str) -> None:
    spec = registry.get("schp-lip").networks()["network"].input
    spec = replace(spec, fit=fit, size=(96, 160), pad_multiple=1 if "warp" in fit else 32)
    rows, columns = np.mgrid[0:1003, 0:1497]
    waves = [np.sin(rows / 170 + shift) + np.cos(columns / 140 - shift) for shift in (0, 1, 2)]
    photo: Picture = (127 + 60 * np.stack(waves, axis=2)).astype(np.uint8)
    frame = Frame((1003, 1497), spec)
    whole = frame.fit(photo)
    height, width = frame.resolved
    assert height <= 160 and width <= 160 and abs(height / width - 1003 / 1497) < 0.4
    for divisor in (2, 4, 8):
        smaller = np.array(Image.fromarray(photo).reduce(divisor))
        rows_inside, columns_inside = (slice(12, side - 12) for side in frame.content_size)
        apart = (frame.fit(smaller) - whole)[:, rows_inside, columns_inside].abs()
        assert apart.median() < 0.02 and apart.max() < 0.12  # one level of 255 is 0.017


def test_labels_are_of_the_photos_size_and_nearly_the_same(large: bytes, tmp_path: Path) -> None:
    plain, fast = Parser(device="cpu"), Parser(device="cpu", fast_decode=True)
    assert "fast decode" in repr(fast) and "fast decode" not in repr(plain)
    expected, found = plain.predict(large), fast.predict(large)
    assert found.size == (2251, 1601) and not np.array_equal(found.labels, expected.labels)
    assert (found.labels == expected.labels).mean() > 0.985
    (tmp_path / "large.jpg").write_bytes(large)
    many = list(fast.predict_many([HOPPER, tmp_path / "large.jpg", image.load(large)], batch_size=1))
    assert many == [plain.predict(HOPPER), found, expected]
    assert fast.predict(large, people="detect").people


def test_who_needs_the_whole_photo_refuses_to_decode_less(large: bytes, tmp_path: Path) -> None:
    fast = Parser(device="cpu", fast_decode=True)
    with pytest.raises(ModelError, match="leave `fast_decode` or `people` out"):
        fast.predict(large, people=[[0, 0, 100, 100]])
    with pytest.raises(BulkError, match="leave `fast_decode` or the overlay out"):
        bulk.Settings(formats=("png", "overlay")).fitted(fast)


def test_label_remembers_how_photos_were_decoded(large: bytes, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "large.jpg").write_bytes(large)
    again = bulk.RunOptions(resume=True)
    fast, plain = ParserOptions(device="cpu", fast_decode=True), ParserOptions(device="cpu")
    assert bulk.label(tmp_path / "photos", tmp_path / "out", model=fast).counts.done == 1
    with Image.open(tmp_path / "out" / "large.png") as labels:
        assert labels.size == (1601, 2251)
        assert np.array_equal(
            np.asarray(labels), Parser(device="cpu", fast_decode=True).predict(large).labels
        )
    with pytest.raises(BulkError, match="fast_decode: True before, None now"):
        bulk.label(tmp_path / "photos", tmp_path / "out", model=plain, options=again)
    assert bulk.label(tmp_path / "photos", tmp_path / "out", model=fast, options=again).fresh == 0
