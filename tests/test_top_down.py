"""Several people: fusion against recordings of SCHP's and M-CE2P's own code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from golden import SMALL, recording, roots

from humanparse import ModelError, PeopleError
from humanparse.pipelines.canvas import EnlargedLogits, Exact, fuse_logits
from humanparse.pipelines.instances import Fusion
from humanparse.pipelines.top_down import fuse

ROOT = Path(__file__).parents[1]

Arrays = dict[str, npt.NDArray[Any]]


def recordings(folder: str) -> list[Any]:
    """Every file of a folder of recordings, wherever it is to be had."""
    return [
        pytest.param(recording(root, f"{folder}/{path.stem}"), id=f"{root.parent.name}-{path.stem}")
        for root in roots()
        for path in sorted((root / folder).glob("*.npz"))
    ]


def fused_as_schp(case: Arrays, rule: str) -> Fusion:
    boxes = case["boxes"] + np.array([0, 0, 1, 1])  # the recorded corners are inclusive
    local = [
        case[f"local_logits_{number}"].astype(np.float32).transpose(2, 0, 1) for number in range(len(boxes))
    ]
    masks = np.stack([case["person_mask"] == number + 1 for number in range(len(boxes))])
    whole = case["global_logits"].astype(np.float32).transpose(2, 0, 1)
    return fuse(whole, [local], boxes, case["scores"], masks, rule=rule)


@pytest.mark.parametrize("case", recordings("schp-fusion"))
def test_schp_fusion_equals_the_recordings(case: Arrays) -> None:
    fusion = fused_as_schp(case, "schp-original")
    assert np.array_equal(fusion.labels, case["global_parsing"])
    assert np.array_equal(fusion.instances, case["instance_parsing"])
    assert np.array_equal(fusion.person_map, case["global_tag"])
    lines = [line.split() for line in str(case["instance_txt"]).splitlines()]
    assert fusion.instance_classes.tolist() == [int(part) for part, _ in lines]
    assert np.allclose(fusion.instance_scores, [float(score) for _, score in lines], rtol=0, atol=1e-6)
    assert np.array_equal(fusion.person_order, np.arange(len(case["boxes"])))
    for index, mask in enumerate(fusion.masks):
        assert np.array_equal(mask, case["global_tag"] == index + 1)


@pytest.mark.parametrize("case", recordings("mce2p-fusion"))
def test_mce2p_fusion_equals_the_recordings(case: Arrays) -> None:
    local = [list(case[name].astype(np.float64)) for name in ("local_mrcnn", "local_gt")]
    masks = case["masks"].transpose(2, 0, 1).astype(bool)
    fusion = fuse(
        case["global"].astype(np.float64), local, case["boxes"], case["scores"], masks, rule="mce2p"
    )
    assert np.array_equal(fusion.labels, case["labels"])
    assert np.array_equal(fusion.instances, case["instances"])
    assert np.array_equal(fusion.instance_classes, case["class_map"])
    assert np.allclose(fusion.instance_scores, case["confidences"], rtol=0, atol=1e-6)
    assert np.array_equal(fusion.masks, case["masks_refined"].transpose(2, 0, 1).astype(bool))
    assert np.array_equal(fusion.person_map, case["global_tag"])
    assert np.array_equal(fusion.person_order, case["person_order"])


@pytest.mark.parametrize("case", recordings("mce2p-fusion"))
def test_mce2p_logits_are_resized_pasted_and_added_as_recorded(case: Arrays) -> None:
    height, width = (int(side) for side in case["size"])
    boxes = [tuple(int(value) for value in box) for box in case["boxes"]]
    branches = [
        [
            EnlargedLogits(torch.from_numpy(crop), (y1 - y0, x1 - x0))
            for crop, (x0, y0, x1, y1) in zip(case[name], boxes, strict=True)
        ]
        for name in ("local_mrcnn", "local_gt")
    ]
    whole = EnlargedLogits(torch.from_numpy(case["global"]), (height, width))
    classes = int(case["num_classes"])
    nothing = Exact(torch.zeros((classes, height, width), dtype=torch.float64))
    fused = fuse_logits(whole, branches, boxes, (height, width), classes)
    assert np.allclose(fused.best[::4, ::4], case["fused"].max(axis=0), rtol=0, atol=1e-6)
    first = fuse_logits(nothing, branches[:1], boxes, (height, width), classes)
    assert np.allclose(first.best[::8, ::8], case["mrcnn_canvas"].max(axis=0), rtol=0, atol=1e-6)


def test_by_default_a_vanished_person_costs_nobody_else_their_parts() -> None:
    """Person 2 of this recording owns no pixel; the original then gives person 4 no parts."""
    case = recording(SMALL, "schp-fusion/case2")
    original, fixed = fused_as_schp(case, "schp-original"), fused_as_schp(case, "schp")
    assert sorted(set(original.instance_people.tolist())) == [0, 2]
    assert sorted(set(fixed.instance_people.tolist())) == [0, 2, 3]
    assert np.array_equal(fixed.labels, original.labels)
    for index in (0, 2, 3):
        parts = fixed.instance_people == index
        ids = np.flatnonzero(parts) + 1
        assert not fixed.masks[index][~np.isin(fixed.instances, ids)].any()


def test_by_default_there_is_no_limit_on_the_number_of_parts() -> None:
    logits = np.zeros((20, 20, 15), dtype=np.float32)
    logits[np.arange(15) + 1, :, np.arange(15)] = 5
    boxes = np.array([[0, row, 15, row + 1] for row in range(20)])
    masks = np.stack([np.arange(20)[:, None] * np.ones(15) == row for row in range(20)])
    local = [[logits[:, row : row + 1] for row in range(20)]]
    for rule in ("schp", "mce2p"):
        assert fuse(logits, local, boxes, np.ones(20), masks, rule=rule).instances.max() == 300
    assert fuse(logits, local, boxes, np.ones(20), masks, rule="schp-original").instances.max() == 255


def test_people_may_come_in_any_order_and_the_higher_score_gets_the_first_tag() -> None:
    case = recording(SMALL, "schp-fusion/case2")
    boxes = case["boxes"] + np.array([0, 0, 1, 1])
    local = [case[f"local_logits_{number}"].astype(np.float32).transpose(2, 0, 1) for number in range(4)]
    masks = np.stack([case["person_mask"] == number + 1 for number in range(4)])
    whole = case["global_logits"].astype(np.float32).transpose(2, 0, 1)
    straight = fuse(whole, [local], boxes, case["scores"], masks)
    back = fuse(whole, [local[::-1]], boxes[::-1], case["scores"][::-1], masks[::-1])
    assert np.array_equal(straight.instances, back.instances)
    assert np.array_equal(straight.person_map, back.person_map)
    assert back.person_order.tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("rule", ["schp", "schp-original", "mce2p"])
def test_without_people_all_is_background(rule: str) -> None:
    fusion = fuse(np.ones((20, 6, 8)), [[]], np.zeros((0, 4), int), [], np.zeros((0, 6, 8), bool), rule=rule)
    assert not fusion.labels.any() and not fusion.instances.any() and fusion.masks.shape == (0, 6, 8)
    assert len(fusion.instance_classes) == len(fusion.person_order) == 0


def ones(**changes: Any) -> dict[str, Any]:
    """Arguments of `fuse` for one person in a picture of 6 x 8."""
    arguments = {
        "global_logits": np.zeros((5, 6, 8), np.float32),
        "local_logits": [[np.zeros((5, 3, 4), np.float32)]],
        "boxes": np.array([[1, 2, 5, 5]]),
        "scores": [0.5],
        "masks": np.ones((1, 6, 8), bool),
    }
    return {**arguments, **changes}


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"rule": "ce2p"}, ModelError, "schp, schp-original, mce2p"),
        ({"boxes": np.array([[1, 2, 9, 5]])}, PeopleError, "does not lie inside the 8x6 picture"),
        ({"boxes": np.array([[3, 2, 3, 5]])}, PeopleError, "does not lie inside"),
        ({"boxes": np.array([[1.0, 2, 5, 5]])}, PeopleError, "must be int"),
        ({"scores": [0.5, 0.5]}, PeopleError, "1 boxes, 2 scores and 1 masks"),
        ({"masks": np.ones((6, 8), bool)}, PeopleError, r"bool \(N, H, W\)"),
        ({"local_logits": [[]]}, ModelError, "one per box and network"),
        ({"local_logits": []}, ModelError, "one per box and network"),
        ({"local_logits": [[np.zeros((5, 4, 4))]]}, ModelError, "must be equal"),
        ({"local_logits": [[np.zeros((4, 3, 4))]]}, ModelError, "of 4 and of 5 classes"),
        ({"global_logits": np.zeros((5, 6, 8), int)}, ModelError, r"float \(C, h, w\)"),
    ],
)
def test_what_does_not_fit_together_is_a_clear_error(
    changes: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        fuse(**ones(**changes))


@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory of a process is read from /proc")
def test_fusing_never_holds_all_people_and_classes_at_the_photos_size() -> None:
    code = """
import numpy as np
from humanparse.pipelines.top_down import fuse
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
height, width, people = 800, 1200, 8
boxes = np.array([[150 * n, 0, 150 * n + 150, height] for n in range(people)])
masks = np.stack([(np.arange(width) // 150 == n) * np.ones((height, 1), bool) for n in range(people)])
whole, crop = np.zeros((20, 60, 60), np.float32), np.zeros((20, 60, 60), np.float32)
whole[1, 20:40] = 1
run = lambda m, b: fuse(whole, [[crop] * people] * 2, b, np.ones(people), m, rule="mce2p")
run(masks[:, :8, :8], np.array([[n, 0, n + 1, 8] for n in range(people)]))
before = peak()
run(masks, boxes)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    grown = int(done.stdout) / 1024
    assert grown < 110, f"{grown:.0f} MB more, where the logits of the whole picture would take 146"
