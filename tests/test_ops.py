"""Kernels against their references."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from humanparse.ops.resample_argmax import resample_argmax, resample_argmax_reference
from humanparse.ops.taps import Taps, resize_taps, warp_taps
from humanparse.ops.touching import touching_label
from humanparse.ops.warp import warp_uint8, warp_uint8_reference

ROOT = Path(__file__).parents[1]


@st.composite
def axes(draw: st.DrawFn, is_row: bool) -> tuple[Taps, int]:
    """Taps of a random axis (partly outside the input), and the input's length."""
    outputs, inputs = draw(st.integers(1, 60)), draw(st.integers(1, 40))
    scale = draw(st.floats(0.1, 8))
    if draw(st.booleans()):
        return resize_taps(inputs / outputs, outputs, inputs), inputs
    return warp_taps(scale, draw(st.floats(-30, 30)), outputs, inputs, is_row=is_row), inputs


@given(rows=axes(True), columns=axes(False), classes=st.integers(1, 25), seed=st.integers(0, 99))
@settings(deadline=None)
def test_resample_argmax_equals_its_reference(
    rows: tuple[Taps, int], columns: tuple[Taps, int], classes: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(classes, rows[1], columns[1], generator=random)
    labels, confidence = resample_argmax([(logits, rows[0], columns[0])], confidence=True)
    expected, probability = resample_argmax_reference([(logits, rows[0], columns[0])], confidence=True)
    assert labels.dtype == torch.uint8 and labels.shape == (len(rows[0]), len(columns[0]))
    assert torch.equal(labels, expected)  # the sums are taken in the same order
    assert confidence is not None and probability is not None and confidence.dtype == torch.float16
    assert torch.allclose(confidence.float(), probability.float(), atol=2e-3)


@given(
    rows=axes(True),
    columns=axes(False),
    classes=st.integers(1, 25),
    calm=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None)
def test_labels_alone_equal_the_reference_in_calm_areas_and_at_borders(
    rows: tuple[Taps, int], columns: tuple[Taps, int], classes: int, calm: bool, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(classes, rows[1], columns[1], generator=random)
    if calm:  # large areas of one class, as photos have
        logits[seed % classes, : rows[1] // 2] += 9
        logits[0, :, columns[1] // 2 :] += 9
    view = (logits, rows[0], columns[0])
    labels, confidence = resample_argmax([view])
    assert confidence is None
    assert torch.equal(labels, resample_argmax_reference([view])[0])
    assert torch.equal(labels, resample_argmax([view], confidence=True)[0])


@given(factor=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_confidence_is_the_softmax_of_the_chosen_class(factor: int, seed: int) -> None:
    logits = 4 * torch.randn(7, 12, 9, generator=torch.Generator().manual_seed(seed))
    rows, columns = resize_taps(1 / factor, 12 * factor, 12), resize_taps(1 / factor, 9 * factor, 9)
    labels, confidence = resample_argmax([(logits, rows, columns)], confidence=True)
    size = (12 * factor, 9 * factor)
    full = torch.nn.functional.interpolate(logits[None], size=size, mode="bilinear", align_corners=False)[0]
    chosen = full.softmax(dim=0).gather(0, labels.long()[None])[0]
    assert confidence is not None and torch.allclose(confidence.float(), chosen, atol=2e-3)
    margin = full.topk(2, dim=0).values
    clear = margin[0] - margin[1] > 1e-4  # another order of sums may decide near-ties otherwise
    assert torch.equal(labels[clear].long(), full.argmax(dim=0)[clear])


def test_of_equal_classes_the_first_wins() -> None:
    taps = resize_taps(1.0, 5, 5)
    labels, confidence = resample_argmax([(torch.zeros(4, 5, 5), taps, taps)])
    assert not labels.any() and confidence is None


@pytest.mark.skipif(find_spec("triton") is None, reason="triton comes with torch for CUDA on Linux only")
def test_the_kernel_for_cuda_equals_the_reference_in_tritons_interpreter() -> None:
    code = """
import torch
from humanparse.ops.resample_argmax import resample_argmax_reference
from humanparse.ops.resample_argmax_triton import resample_argmax_triton
from humanparse.ops.taps import corner_taps, resize_taps, warp_taps
random = torch.Generator().manual_seed(0)
for classes, taps in (
    (20, (warp_taps(0.4, 3.0, 50, 31, is_row=True), warp_taps(0.4, -9.5, 37, 23, is_row=False))),
    (1, (resize_taps(0.5, 20, 10), resize_taps(2.0, 6, 12))),
    (59, (corner_taps(1, 9), corner_taps(300, 11))),
):
    logits = 3 * torch.randn(classes, *(int(axis.second.max()) + 2 for axis in taps), generator=random)
    labels, confidence = resample_argmax_triton(logits, *taps, confidence=True)
    expected, probability = resample_argmax_reference([(logits, *taps)], confidence=True)
    assert torch.equal(labels, expected), (labels != expected).sum()
    assert torch.allclose(confidence.float(), probability.float(), atol=2e-3)
    assert resample_argmax_triton(logits, *taps)[1] is None
print("equal")
"""
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "equal\n", done.stderr


@given(rows=axes(True), columns=axes(False), seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_uint8_warp_equals_its_reference(
    rows: tuple[Taps, int], columns: tuple[Taps, int], seed: int
) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (rows[1], columns[1], 3), dtype=np.uint8)
    image = torch.from_numpy(picture)
    rounded = [
        Taps(t.first, t.second, (t.weight_first * 32).round() / 32, (t.weight_second * 32).round() / 32)
        for t in (rows[0], columns[0])
    ]
    assert torch.equal(warp_uint8(image, *rounded), warp_uint8_reference(image, *rounded))


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory of a process is read from /proc")
def test_the_way_back_never_holds_all_classes_at_the_photos_size() -> None:
    """Peak of the process itself: `ru_maxrss` would start at the peak of the one that started it."""
    code = """
import torch
from humanparse.ops.resample_argmax import resample_argmax
from humanparse.ops.taps import resize_taps
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
logits = torch.randn(20, 600, 400)
resample_argmax([(logits, resize_taps(1, 600, 600), resize_taps(1, 400, 400))])
before = peak()
resample_argmax([(logits, resize_taps(600 / 3000, 3000, 600), resize_taps(400 / 2000, 2000, 400))])
print(peak() - before)
"""
    command = [sys.executable, "-c", code]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout for _ in range(3)
    ]
    grown = min(map(int, runs)) / 1024  # threads' arenas add some MB by chance
    labels = 3000 * 2000 / 2**20
    assert grown < labels + 40, f"{grown:.0f} MB more, where all logits at once would take 458"


def test_a_blob_takes_the_label_it_touches_most() -> None:
    labels = np.array([[1, 9, 2], [1, 9, 0], [0, 0, 0], [0, 9, 0]], dtype=np.uint8)
    chosen = touching_label(labels == 9, labels, (2, 1), default=255)
    assert chosen.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 255, 0]]


def test_of_labels_touched_alike_the_first_is_taken() -> None:
    labels = np.array([[1, 9, 2]], dtype=np.uint8)
    assert touching_label(labels == 9, labels, (2, 1), default=255)[0, 1] == 2
    assert not touching_label(labels == 7, labels, (2, 1), default=255).any()


def test_blobs_are_told_apart_and_each_asks_its_own_neighbours() -> None:
    labels = np.array(
        [
            [9, 1, 0, 2, 9],
            [9, 0, 0, 0, 9],
            [0, 0, 9, 0, 0],
            [0, 0, 0, 0, 0],
        ],
        dtype=np.uint8,
    )
    chosen = touching_label(labels == 9, labels, (1, 2), default=255)
    assert (chosen[0, 0], chosen[1, 0], chosen[0, 4], chosen[1, 4], chosen[2, 2]) == (1, 1, 2, 2, 255)
    assert not chosen[labels != 9].any()


def test_pixels_touch_across_corners_and_a_diagonal_blob_is_one() -> None:
    labels = np.array([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 1, 0]], dtype=np.uint8)
    chosen = touching_label(labels == 9, labels, (1, 2), default=255)
    assert chosen.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]


def test_a_picture_that_is_one_blob_touches_nothing() -> None:
    labels = np.full((3, 3), 9, dtype=np.uint8)
    assert (touching_label(labels == 9, labels, (1, 2), default=255) == 255).all()
