"""`Frame`: OpenCV 4's arithmetic whichever OpenCV is installed, there and back."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from humanparse import ImageError, model_info
from humanparse.geometry import Frame, Protocols, _Warp
from humanparse.registry import InputSpec

SCHP = model_info("schp-lip").input
LITE = replace(model_info("lite-atr").input, size=(272, 432))
Array = npt.NDArray[np.float64]


def affine(height: int, width: int, size: tuple[int, int], inverse: bool, truncate: bool = False) -> Array:
    """The 2x3 matrix between a picture and SCHP's input, as its paper's code defines it.

    A box of the input's aspect holds the picture; its width alone, kept in float32, sets the scale.
    """
    aspect = size[1] / size[0]
    box = float(np.float32(max(width - 1, (height - 1) * aspect)))
    a = (size[1] - 1) / box
    cx, cy = ((float(int(c)) if truncate else c) for c in ((width - 1) / 2, (height - 1) / 2))
    half_x, half_y = (size[1] - 1) / 2, (size[0] - 1) / 2
    if inverse:
        return np.array([[1 / a, 0, cx - half_x / a], [0, 1 / a, cy - half_y / a]])
    return np.array([[a, 0, half_x - a * cx], [0, a, half_y - a * cy]])


def positions(matrix: Array, height: int, width: int, rounding: int) -> tuple[Array, Array]:
    """OpenCV 4's source position of each pixel in 1/1024, x and y.

    What depends on the column is rounded apart from what depends on the row: so x takes two roundings,
    while y, whose scale and shift both go with the row, takes one.
    """
    m = matrix
    d = 1 / (m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])
    i = np.array([[m[1, 1] * d, -m[0, 1] * d], [-m[1, 0] * d, m[0, 0] * d]])
    shift = [-i[0, 0] * m[0, 2] - i[0, 1] * m[1, 2], -i[1, 0] * m[0, 2] - i[1, 1] * m[1, 2]]
    x, y = np.arange(width), np.arange(height)[:, None]
    across = np.rint((i[0, 1] * y + shift[0]) * 1024) + rounding + np.rint(i[0, 0] * x * 1024)
    down = np.rint((i[1, 1] * y + shift[1]) * 1024) + rounding + np.rint(i[1, 0] * x * 1024)
    return across.astype(np.int64), down.astype(np.int64)


def warped(image: npt.NDArray[np.uint8], matrix: Array, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """OpenCV 4's linear `warpAffine(image, matrix, size[::-1])` with black border, the slow way."""
    across, down = (position >> 5 for position in positions(matrix, *size, 16))
    padded = np.pad(image.astype(np.int64), ((1, 1), (1, 1), (0, 0)))
    total = np.zeros((*size, 3), dtype=np.int64)
    for dy in (0, 1):
        for dx in (0, 1):
            x, y = (across >> 5) + dx, (down >> 5) + dy
            inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
            fx, fy = across & 31, down & 31
            weight = np.where(dx, fx, 32 - fx) * np.where(dy, fy, 32 - fy) * 32 * inside
            taps = padded[np.clip(y, -1, image.shape[0]) + 1, np.clip(x, -1, image.shape[1]) + 1]
            total += taps * weight[..., None]
    return ((total + 2**14) >> 15).astype(np.uint8)


def noise(height: int, width: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300)).filter(lambda size: max(size) > 1)


INPUTS = st.sampled_from([(97, 97), (128, 128), (64, 97), (131, 50)])  # squares, and the other two shapes


@given(size=SIZES, seed=st.integers(0, 9), inputs=INPUTS)
@settings(deadline=None)
@example(size=(2, 1), seed=0, inputs=(131, 50))  # a box narrower than one pixel
def test_the_warp_follows_opencv_4s_fixed_point_arithmetic(
    size: tuple[int, int], seed: int, inputs: tuple[int, int]
) -> None:
    image = noise(*size, seed)
    ours = Frame(size, replace(SCHP, size=inputs, channels="rgb")).resample(image).numpy()
    assert np.array_equal(ours, warped(image, affine(*size, inputs, inverse=False), inputs))


@pytest.mark.parametrize(
    ("size", "inputs", "sha1"),
    [
        ((1333, 2000), (473, 473), "cab0a5b9657ddb38f30b7b05947e2d67735bb8d4"),
        ((600, 512), (512, 512), "430df887b6cb49d6bfb90052ec1276dabc4702fd"),
        ((257, 431), (473, 473), "2fb1f863504506f20f23c9075d68cfa8b89fc30a"),
        ((61, 97), (512, 384), "d7607b4c7cabe5fff19325cc37dce926ae8d58ab"),
        ((1, 40), (64, 97), "5bcdc197c9fbbfacc522316db9fa3ad5b909c96b"),
        ((700, 31), (131, 50), "1cf76b9e57c99981929070510ce3d69d1c17dd07"),
    ],
)
def test_the_warp_gives_the_bytes_recorded_from_opencv_4_12(
    size: tuple[int, int], inputs: tuple[int, int], sha1: str
) -> None:
    ours = Frame(size, replace(SCHP, size=inputs, channels="rgb")).resample(noise(*size)).numpy()
    assert hashlib.sha1(ours.tobytes()).hexdigest() == sha1


@pytest.mark.skipif(not cv2.__version__.startswith("4."), reason="OpenCV 5 warps with other arithmetic")
@pytest.mark.parametrize("inputs", [(473, 473), (512, 384)])
@pytest.mark.parametrize(
    "size", [(1333, 2000), (600, 512), (257, 431), (61, 97), (700, 31), (1, 40), (40, 1)]
)
def test_the_warp_equals_opencv_4_itself(size: tuple[int, int], inputs: tuple[int, int]) -> None:
    image = noise(*size)
    matrix = affine(*size, inputs, inverse=False)
    theirs = cv2.warpAffine(image, matrix, inputs[::-1], flags=cv2.INTER_LINEAR)
    ours = Frame(size, replace(SCHP, size=inputs, channels="rgb")).resample(image).numpy()
    assert np.array_equal(ours, theirs)


@given(size=SIZES, truncate=st.booleans())
@settings(deadline=None, max_examples=50)
def test_labels_come_back_by_opencv_4s_nearest_neighbour(size: tuple[int, int], truncate: bool) -> None:
    labels = np.random.default_rng(1).integers(0, 20, (97, 97), dtype=np.uint8)
    logits = torch.nn.functional.one_hot(torch.from_numpy(labels).long(), 20).permute(2, 0, 1).float()
    frame = Frame(size, replace(SCHP, size=(97, 97)))
    ours, _ = frame.back(logits, "score" if truncate else "paper")
    matrix = affine(*size, (97, 97), inverse=True, truncate=truncate)
    x, y = (position >> 10 for position in positions(matrix, *size, 512))
    inside = (x >= 0) & (x < 97) & (y >= 0) & (y < 97)
    assert np.array_equal(ours, labels[y.clip(0, 96), x.clip(0, 96)] * inside)
    if cv2.__version__.startswith("4."):  # OpenCV 5 decides exact halves otherwise
        assert np.array_equal(ours, cv2.warpAffine(labels, matrix, size[::-1], flags=cv2.INTER_NEAREST))


@given(size=SIZES)
@settings(deadline=None, max_examples=50)
def test_logits_come_back_in_opencv_4s_arithmetic(size: tuple[int, int]) -> None:
    logits = torch.randn(3, 97, 97, generator=torch.Generator().manual_seed(0))
    ours, _ = Frame(size, replace(SCHP, size=(97, 97))).back(logits)
    across, down = (p >> 5 for p in positions(affine(*size, (97, 97), inverse=True), *size, 16))
    x, y = (across >> 5).clip(0, 96), (down >> 5).clip(0, 96)
    x1, y1 = (x + 1).clip(0, 96), (y + 1).clip(0, 96)
    fx, fy = ((p & 31).astype(np.float32) / np.float32(32) for p in (across, down))
    grid = logits.numpy()
    full = grid[:, y, x] * ((1 - fy) * (1 - fx)) + grid[:, y, x1] * ((1 - fy) * fx)
    full = full + grid[:, y1, x] * (fy * (1 - fx)) + grid[:, y1, x1] * (fy * fx)
    assert np.array_equal(ours, full.argmax(axis=0))


@pytest.mark.parametrize("spec", [SCHP, LITE], ids=["warp-corner", "shortest-edge"])
@pytest.mark.parametrize("size", [(400, 300), (300, 400), (50, 80), (473, 473), (1200, 200)])
def test_a_picture_goes_there_and_comes_back(spec: InputSpec, size: tuple[int, int]) -> None:
    """Three coloured bands, taken for logits at the network's input, come back where they were."""
    bands = np.zeros((*size, 3), dtype=np.uint8)
    third = size[0] // 3
    for band in range(3):
        bands[band * third : (band + 1) * third if band < 2 else None, :, band] = 255
    frame = Frame(size, replace(spec, channels="rgb", mean=(0, 0, 0), std=(1, 1, 1)))
    labels, _ = frame.back(frame.fit(bands))
    expected = np.minimum(np.arange(size[0]) // third, 2)
    slack = 2 + max(size) // 200
    for row in range(size[0]):
        if min(abs(row - third), abs(row - 2 * third)) > slack:
            assert (labels[row] == expected[row]).all(), row


@pytest.mark.parametrize("protocol", ["extract", "paper", "score"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 2), (3, 2000), (2000, 3)])
def test_pictures_of_odd_sizes_fit_and_come_back(protocol: str, size: tuple[int, int]) -> None:
    for spec in (SCHP, LITE):
        frame = Frame(size, spec)
        fitted = frame.fit(noise(*size))
        assert fitted.shape == (3, *frame.input_size) and torch.isfinite(fitted).all()
        labels, confidence = frame.back(fitted, protocol, confidence=True)  # type: ignore[arg-type]
        assert labels.shape == size and confidence is not None and confidence.shape == size


def test_letterbox_pixels_are_black_before_normalising() -> None:
    fitted = Frame((100, 473), SCHP).fit(noise(100, 473))
    corner = [round(float(value), 4) for value in fitted[:, 0, 0]]
    assert corner == [-1.8044, -2.0357, -2.1179]


@pytest.mark.parametrize(
    ("size", "padded"),
    [((830, 550), (416, 288)), ((550, 830), (288, 416)), ((100, 100), (288, 288)), ((100, 1000), (64, 448))],
)
def test_the_short_side_sets_the_scale_until_the_long_one_meets_its_limit(
    size: tuple[int, int], padded: tuple[int, int]
) -> None:
    frame = Frame(size, LITE)
    assert frame.input_size == padded
    expected = {(830, 550): (410, 272)}.get(size)
    assert expected is None or tuple(frame.resample(noise(*size)).shape[:2]) == expected


@given(size=st.tuples(st.integers(1, 900), st.integers(1, 900)))
@settings(deadline=None, max_examples=50)
def test_a_short_side_fit_keeps_the_aspect_to_a_pixel_and_pads_with_zeros(size: tuple[int, int]) -> None:
    frame, picture = Frame(size, LITE), noise(*size)
    height, width = frame.resample(picture).shape[:2]
    ratio = min(LITE.size[0] / min(size), LITE.size[1] / max(size))
    assert abs(height - size[0] * ratio) <= max(0.5, 1 - size[0] * ratio)
    assert abs(width - size[1] * ratio) <= max(0.5, 1 - size[1] * ratio)
    step, (padded_height, padded_width) = LITE.pad_multiple, frame.input_size
    assert padded_height % step == padded_width % step == 0
    assert 0 <= padded_height - height < step and 0 <= padded_width - width < step
    fitted = frame.fit(picture)
    assert not fitted[:, height:].any() and not fitted[:, :, width:].any()


@pytest.mark.parametrize("spec", [SCHP, LITE], ids=["warp-corner", "shortest-edge"])
@given(
    size=st.tuples(st.integers(40, 400), st.integers(40, 400)), protocol=st.sampled_from(["extract", "paper"])
)
@settings(deadline=None, max_examples=25)
def test_labels_painted_at_the_input_come_back_in_place(
    spec: InputSpec, size: tuple[int, int], protocol: Protocols
) -> None:
    """Quarters of the picture, painted as one-hot logits where each is seen, come back as quarters."""
    y, x = np.mgrid[: size[0], : size[1]]
    quarters = (2 * (y >= size[0] / 2) + (x >= size[1] / 2)).astype(np.uint8)
    painted = np.repeat((quarters * 80)[..., None], 3, axis=2)
    frame = Frame(size, replace(spec, channels="rgb"))
    seen = frame.resample(painted)[..., 0].float().div(80).round().long()
    logits = torch.zeros(4, *frame.input_size)
    logits[:, : seen.shape[0], : seen.shape[1]] = torch.nn.functional.one_hot(seen, 4).permute(2, 0, 1)
    labels, _ = frame.back(logits, protocol)
    slack = 2 + max(size) / 100
    far = (abs(y + 0.5 - size[0] / 2) > slack) & (abs(x + 0.5 - size[1] / 2) > slack)
    inner = (np.minimum(y, size[0] - 1 - y) > 1) & (np.minimum(x, size[1] - 1 - x) > 1)
    assert np.array_equal(labels[far & inner], quarters[far & inner])


def test_an_input_that_is_not_square_keeps_the_aspect() -> None:
    wide = replace(SCHP, size=(200, 400), channels="rgb")
    picture = np.full((100, 100, 3), 255, dtype=np.uint8)
    seen = Frame((100, 100), wide).resample(picture).numpy()[..., 0] > 127
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert abs((rows[-1] - rows[0]) - (columns[-1] - columns[0])) <= 2
    assert abs((columns[-1] + columns[0]) / 2 - 199.5) <= 1


@pytest.mark.parametrize("spec", [SCHP, LITE], ids=["warp-corner", "shortest-edge"])
@pytest.mark.parametrize(("size", "named"), [((0, 5), "5x0"), ((5, 0), "0x5"), ((0, 0), "0x0")])
def test_an_empty_picture_has_no_frame(size: tuple[int, int], named: str, spec: InputSpec) -> None:
    with pytest.raises(ImageError, match=f"{named} pixels"):
        Frame(size, spec)


def test_one_step_logits_with_aligned_corners_are_resized_corner_to_corner() -> None:
    spec = model_info("ce2p-v1-lip").input
    logits = torch.randn(20, 119, 119, generator=torch.Generator().manual_seed(3))
    for size in ((61, 97), (300, 150), (119, 119), (1, 5)):
        labels, _ = Frame(size, spec).back(logits)
        full = torch.nn.functional.interpolate(logits[None], size, mode="bilinear", align_corners=True)[0]
        first, second = full.topk(2, dim=0).values
        differ = torch.from_numpy(labels) != full.argmax(0)
        assert not (differ & (first - second > 1e-4)).any() and differ.float().mean() < 0.01


@pytest.mark.parametrize(
    ("name", "size", "expected"),
    [
        ("ssseg-ce2p-r50-os8-voc", (375, 500), (512, 683)),
        ("ssseg-ce2p-r50-os8-voc", (100, 1000), (205, 2048)),
        ("ssseg-upernet-r50-os8-cityscapes", (1024, 2048), (1024, 2048)),
        ("ssseg-ce2p-r50-os8-lip", (830, 550), (473, 473)),
        ("ce2p-lip", (830, 550), (384, 384)),
    ],
)
def test_the_ce2p_family_sees_its_originals_sizes(
    name: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Frame(size, model_info(name).input).input_size == expected


def test_the_half_pixel_warp_is_the_scripts_own_example() -> None:
    """specs: ce2p §4.3 works a picture of 300x200 out: k=1.284281, tx=64.214047, ty=0."""
    fit = Frame((300, 200), model_info("ce2p-lip").input)._fit
    assert isinstance(fit, _Warp)
    (down, top), (across, left) = fit._axis(0), fit._axis(1)
    assert down == across == pytest.approx(1.284281, abs=1e-6)
    assert (top, left) == pytest.approx((0, 64.214047), abs=1e-6)


@pytest.mark.parametrize(
    ("photo", "resized", "padded"),
    [
        ((257, 431), (248, 416), (256, 416)),
        ((61, 97), (256, 407), (256, 416)),
        ((431, 257), (416, 248), (416, 256)),
        ((1, 1), (256, 256), (256, 256)),
        ((1, 5000), (1, 416), (32, 416)),
    ],
)
def test_a_photo_becomes_as_large_as_both_limits_allow(
    photo: tuple[int, int], resized: tuple[int, int], padded: tuple[int, int]
) -> None:
    spec = model_info("smp-r50-mhpv2").input
    for limits in ((416, 256), (256, 416)):
        frame = Frame(photo, replace(spec, size=limits))
        assert (frame.content_size, frame.input_size) == (resized, padded)
    fitted = frame.fit(np.full((*photo, 3), 255, np.uint8))
    assert fitted.shape == (3, *padded) and not fitted[:, resized[0] :].any()
    white = (np.float32(255) - np.float32(123.675)) / np.float32(58.395)
    assert fitted[0, 0, 0] == white
