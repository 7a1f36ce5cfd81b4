"""Kernels against their references."""

from __future__ import annotations

import resource
import subprocess
import sys
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
def test_resample_argmax_agrees_with_its_reference_outside_near_ties(
    rows: tuple[Taps, int], columns: tuple[Taps, int], classes: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(classes, rows[1], columns[1], generator=random)
    labels, sure = resample_argmax(logits, rows[0], columns[0], confidence=True)
    expected, probability = resample_argmax_reference(logits, rows[0], columns[0], confidence=True)
    assert labels.dtype == torch.uint8 and labels.shape == (len(rows[0]), len(columns[0]))
    assert torch.equal(labels, expected)  # the sums are taken in the same order
    assert sure is not None and probability is not None and sure.dtype == torch.float16
    assert torch.allclose(sure.float(), probability.float(), atol=2e-3)


def test_of_equal_classes_the_first_wins() -> None:
    taps = resize_taps(1.0, 5, 5)
    labels, sure = resample_argmax(torch.zeros(4, 5, 5), taps, taps)
    assert not labels.any() and sure is None


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


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is counted in kilobytes on Linux alone")
def test_the_way_back_never_holds_all_classes_at_the_photos_size() -> None:
    code = """
import resource, torch
from humanparse.ops.resample_argmax import resample_argmax
from humanparse.ops.taps import resize_taps
logits = torch.randn(20, 473, 473)
resample_argmax(logits, resize_taps(1, 473, 473), resize_taps(1, 473, 473))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resample_argmax(logits, resize_taps(473 / 4000, 4000, 473), resize_taps(473 / 5000, 5000, 473))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    grown = int(done.stdout) / 1024
    assert grown < 200, f"{grown:.0f} MB more, where all logits at once would take 1600"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0


def test_a_blob_takes_the_label_it_touches_most() -> None:
    labels = np.array([[1, 9, 2], [1, 9, 0], [0, 0, 0], [0, 9, 0]], dtype=np.uint8)
    chosen = touching_label(labels == 9, labels, (2, 1), default=255)
    assert chosen.tolist() == [[0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 255, 0]]


def test_of_labels_touched_alike_the_first_is_taken() -> None:
    labels = np.array([[1, 9, 2]], dtype=np.uint8)
    assert touching_label(labels == 9, labels, (2, 1), default=255)[0, 1] == 2
    assert not touching_label(labels == 7, labels, (2, 1), default=255).any()
