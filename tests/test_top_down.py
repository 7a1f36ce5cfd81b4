"""Several people: fusion against recordings of SCHP's and M-CE2P's own code."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from golden import recording, roots

from humanparse.pipelines.instances import Fusion
from humanparse.pipelines.top_down import fuse

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
