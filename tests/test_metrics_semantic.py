"""Label maps against label maps: the originals' numbers, and what must hold for any."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from golden import recording, roots
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from humanparse import ScoreError
from humanparse.metrics import ConfusionMatrix, semantic_scores
from humanparse.metrics.semantic import Convention

Map = npt.NDArray[np.uint8]
Pair = tuple[Map, Map]

ROOTS = [root for root in roots() if (root / "metrics").is_dir()]
CONVENTIONS: list[Convention] = ["schp_ce2p", "mce2p", "ssseg"]


def expected(root: Path) -> dict[str, Any]:
    return json.loads((root / "metrics" / "expected.json").read_text())["semantic"]


def recorded_pairs(root: Path) -> list[Pair]:
    arrays = recording(root, "metrics/semantic")
    return [(arrays[f"{number}/pred"], arrays[f"{number}/gt"]) for number in range(len(arrays) // 2)]


def agree(ours: Any, theirs: Any) -> bool:
    """Equal to 1e-9, where null is NaN; theirs may lack keys."""
    if isinstance(theirs, dict):
        return all(agree(ours[key], value) for key, value in theirs.items())
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(agree, ours, theirs))
    return bool(np.isnan(ours)) if theirs is None else abs(ours - theirs) <= 1e-9


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.parent.name)
def test_the_originals_scores_come_out(root: Path, convention: Convention) -> None:
    scores = semantic_scores(recorded_pairs(root), 20, convention)
    assert agree(scores, expected(root)[convention])
    assert scores["confusion_matrix"] == expected(root)["confusion_matrix"]


@pytest.mark.parametrize("convention", ["schp_ce2p", "mce2p"])
@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.parent.name)
def test_each_pair_alone_scores_as_in_the_originals_even_when_all_of_it_is_ignored(
    root: Path, convention: Convention
) -> None:
    pairs = recorded_pairs(root)
    records = expected(root)["per_pair"]
    assert len(records) == len(pairs) == 6
    for pair, record in zip(pairs, records, strict=True):
        assert agree(semantic_scores([pair], 20, convention), record[convention])


@st.composite
def pairs(draw: st.DrawFn) -> list[Pair]:
    found = []
    for _ in range(draw(st.integers(1, 5))):
        shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=9))
        truth = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 2, 3, 255])))
        found.append((draw(hnp.arrays(np.uint8, shape, elements=st.integers(0, 4))), truth))
    return found


@settings(deadline=None)
@given(pairs=pairs(), workers=st.lists(st.integers(0, 2), min_size=5, max_size=5))
def test_workers_that_share_the_images_merge_to_one_pass(pairs: list[Pair], workers: list[int]) -> None:
    matrices = [ConfusionMatrix(5) for _ in range(3)]
    for worker, (predicted, truth) in zip(workers, pairs, strict=False):
        matrices[worker].add(predicted, truth)
    for other in matrices[1:]:
        matrices[0].merge(other)
    for convention in CONVENTIONS:
        whole = semantic_scores(pairs, 5, convention)
        assert repr(matrices[0].scores(convention)) == repr(whole)


@settings(deadline=None)
@given(pairs=pairs())
def test_the_scores_are_what_counting_pixel_by_pixel_gives(pairs: list[Pair]) -> None:
    seen = [
        (int(p), int(t))
        for pair in pairs
        for p, t in zip(pair[0].flat, pair[1].flat, strict=True)
        if t != 255
    ]
    ious: list[float | None] = []
    for label in range(5):
        both = sum(p == label == t for p, t in seen)
        either = sum(label in (p, t) for p, t in seen)
        ious.append(both / either if either else None)
    right = sum(p == t for p, t in seen) / len(seen) if seen else None
    known = [iou for iou in ious if iou is not None]
    mean = sum(known) / len(known) if known else None
    assert agree(semantic_scores(pairs, 5, "mce2p"), {"iou": ious, "pixel_accuracy": right, "mean_iou": mean})
    zeros = [iou or 0.0 for iou in ious]
    assert agree(semantic_scores(pairs, 5), {"iou": zeros, "mean_iou": sum(zeros) / 5})


@settings(deadline=None)
@given(pairs=pairs())
def test_perfect_predictions_score_one_unless_a_class_that_is_absent_counts_zero(pairs: list[Pair]) -> None:
    perfect = [(np.where(truth == 255, 4, truth).astype(np.uint8), truth) for _, truth in pairs]
    present = {int(label) for _, truth in pairs for label in np.unique(truth)} - {255}
    if present:
        ones = {"pixel_accuracy": 1.0, "mean_accuracy": 1.0, "mean_iou": 1.0, "frequency_weighted_iou": 1.0}
        assert agree(semantic_scores(perfect, 5, "mce2p"), ones)
        assert agree(semantic_scores(perfect, 5, "ssseg"), ones)
    assert agree(semantic_scores(perfect, 5, "schp_ce2p"), {"mean_iou": len(present) / 5})


def test_what_is_predicted_at_ignored_pixels_does_not_matter_not_even_a_label_that_is_no_class() -> None:
    truth = np.array([[0, 1], [255, 7]], np.uint8)  # 7 is no class: not counted either, as in the originals
    scores = [
        semantic_scores([(np.array([[0, 1], [rest, rest]], np.uint8), truth)], 3) for rest in (0, 1, 255)
    ]
    assert scores[0] == scores[1] == scores[2]
    assert np.sum(scores[0]["confusion_matrix"]) == 2
    other = semantic_scores([(np.zeros((2, 2), np.uint8), truth)], 3, ignore=1)
    assert other["confusion_matrix"] == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_a_thousand_images_take_no_more_memory_than_a_few() -> None:
    def images(count: int) -> Iterator[Pair]:
        for number in range(count):
            yield np.full((200, 200), number % 5, np.uint8), np.full((200, 200), number % 3, np.uint8)

    def peak(count: int) -> int:
        tracemalloc.start()
        semantic_scores(images(count), 5)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    assert peak(300) < 1.5 * peak(3)


def test_what_cannot_be_compared_is_refused_with_the_reason() -> None:
    flat = np.zeros((2, 3), np.uint8)
    with pytest.raises(ScoreError, match=r"prediction of shape \(3, 2\), ground truth of shape \(2, 3\)"):
        semantic_scores([(flat.T, flat)], 5)
    with pytest.raises(ScoreError, match="predictions have labels 5, 9, but classes are 0 to 4"):
        semantic_scores([(np.array([[5, 9, 0]]), np.zeros((1, 3), np.uint8))], 5)
    with pytest.raises(ScoreError, match="predictions have labels -1"):
        semantic_scores([(flat.astype(int) - 1, flat)], 5)
    with pytest.raises(ScoreError, match="schp_ce2p, mce2p, ssseg, not 'lip'"):
        semantic_scores([], 5, "lip")  # type: ignore[arg-type]
    with pytest.raises(ScoreError, match="num_classes must be 1 or more"):
        ConfusionMatrix(0)
    with pytest.raises(ScoreError, match="only matrices with equal"):
        ConfusionMatrix(5).merge(ConfusionMatrix(6))
    with pytest.raises(ScoreError, match="only matrices with equal"):
        ConfusionMatrix(5).merge(ConfusionMatrix(5, ignore=0))
