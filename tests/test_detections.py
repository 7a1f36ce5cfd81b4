"""People in every form that users have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from humanparse import PeopleError
from humanparse.detections import masks_from_boxes, read_people, read_people_in_pixels
from humanparse.formats import encode_rle
from humanparse.ops.jpeg import jpeg_round_trip
from humanparse.pipelines.crops import arrange, choose, enlarge
from humanparse.pipelines.rules import RULES

SIZE = (40, 60)
BOXES = [[5, 4, 20, 36], [30, 2, 55, 40]]


def masks() -> npt.NDArray[np.bool_]:
    found = np.zeros((2, *SIZE), dtype=bool)
    found[0, 4:36, 5:20] = found[1, 2:40, 30:55] = True
    return found


@dataclass
class Supervision:
    """What supervision's `Detections` has."""

    xyxy: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_] | None = None
    confidence: npt.NDArray[np.float32] | None = None
    class_id: npt.NDArray[np.int64] | None = None
    data: dict[str, Any] = field(default_factory=dict)


def coco_results() -> list[dict[str, Any]]:
    return [
        {"image_id": 7, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for (x0, y0, x1, y1), score in zip(BOXES, (0.9, 0.8), strict=True)
    ]


FORMS: dict[str, Any] = {
    "list": BOXES,
    "array": np.array(BOXES),
    "tensor": torch.tensor(BOXES, dtype=torch.float32),
    "masks": masks(),
    "mask tensor": torch.from_numpy(masks()),
    "mask numbers": masks().astype(np.uint8) * 255,
    "mapping": {"boxes": BOXES, "scores": [0.9, 0.8]},
    "mapping of masks": {"masks": masks()},
    "torchvision": {
        "boxes": torch.tensor([*BOXES, [0, 0, 5, 5]], dtype=torch.float32),
        "scores": torch.tensor([0.9, 0.8, 0.99]),
        "labels": torch.tensor([1, 1, 18]),
        "masks": torch.from_numpy(np.concatenate((masks(), masks()[:1])))[:, None].float(),
    },
    "coco": coco_results(),
    "coco with other classes": [*coco_results(), {"category_id": 18, "bbox": [0, 0, 3, 3], "score": 1.0}],
    "coco masks": [
        {**one, "segmentation": encode_rle(mask)} for one, mask in zip(coco_results(), masks(), strict=True)
    ],
    "coco compressed": [
        {"segmentation": coco.encode(np.asfortranarray(mask.astype(np.uint8))), "score": 0.5}
        for mask in masks()
    ],
    "coco polygons": [
        {"segmentation": [[x0, y0, x1 - 1, y0, x1 - 1, y1 - 1, x0, y1 - 1]]} for x0, y0, x1, y1 in BOXES
    ],
    "supervision": Supervision(np.array(BOXES, np.float32), masks(), np.array([0.9, 0.8], np.float32)),
    "supervision with names": Supervision(
        np.array([[0, 0, 4, 4], *BOXES], np.float32),
        class_id=np.array([16, 0, 0]),
        data={"class_name": np.array(["dog", "person", "person"])},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_people(form: str) -> None:
    found = read_people(FORMS[form], SIZE)
    assert np.array_equal(found.boxes, np.array(BOXES, dtype=np.float64))
    assert found.scores.shape == (2,) and found.scores.dtype == np.float64
    if found.masks is not None:
        assert np.array_equal(found.masks, masks())


@pytest.mark.parametrize("nobody", [[], np.zeros((0, 4)), np.zeros((0, *SIZE), bool), {"boxes": []}])
def test_nobody_is_nobody(nobody: Any) -> None:
    assert len(read_people(nobody, SIZE)) == 0


def test_scores_are_kept_or_one() -> None:
    assert read_people(FORMS["coco"], SIZE).scores.tolist() == [0.9, 0.8]
    assert read_people(BOXES, SIZE).scores.tolist() == [1.0, 1.0]


def test_a_box_is_cut_to_the_picture() -> None:
    assert read_people([[-5, -5.5, 10, 99]], SIZE).boxes.tolist() == [[0, 0, 10, 40]]


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ([[60, 0, 70, 10]], "holds no pixel of the 60x40 picture"),
        ([[5, 5, 5, 9]], "holds no pixel"),
        ([[0, 0, float("nan"), 3]], "finite"),
        ([[1, 2, 3]], r"boxes \(N, 4\) or masks \(N, H, W\)"),
        ([[1, 2, 3, 4], [1, 2]], "not a regular array"),
        ("everyone", "must be numbers"),
        (object(), "must be numbers"),
        (np.ones((2, 9, 9), bool), r"masks are \(9, 9\) but the picture is \(40, 60\)"),
        (np.zeros((1, *SIZE), bool), "mask of person 0 has no pixel"),
        ({"people": BOXES}, "a mapping of people needs boxes or masks"),
        ({"boxes": BOXES, "scores": [1.0]}, "1 and 2 boxes, scores and masks"),
        ([{"category_id": 1}], "neither bbox nor segmentation"),
        ([{"bbox": [0, 0, 5, 5]}, {"segmentation": encode_rle(masks()[0])}], "pass the same for all"),
        ([{"segmentation": {"size": [40, 60]}}], "not a run-length mask"),
        ([{"segmentation": [[0, 0, 1, 1]]}], "three corners"),
        (Supervision(np.array(BOXES, np.float32), class_id=np.array([0, 2])), "class_id == 0"),
    ],
)
def test_what_is_no_people_is_a_clear_error(people: Any, words: str) -> None:
    with pytest.raises(PeopleError, match=words):
        read_people(people, SIZE)


@given(
    boxes=st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(1, 30), st.integers(1, 30)),
        min_size=1,
        max_size=6,
    )
)
@settings(deadline=None)
def test_masks_from_boxes_share_out_the_boxes_pixels(boxes: list[tuple[int, int, int, int]]) -> None:
    found = read_people([[x, y, x + w, y + h] for x, y, w, h in boxes], SIZE)
    shared = masks_from_boxes(found.boxes, SIZE)
    assert shared.sum(axis=0).max() == 1
    union = np.zeros(SIZE, dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(shared, found.boxes.astype(int), strict=True):
        union[y0:y1, x0:x1] = True
        assert mask[y0:y1, x0:x1].sum() == mask.sum()
    assert np.array_equal(shared.any(axis=0), union)


def test_of_two_identical_boxes_the_first_gets_all() -> None:
    one, two = masks_from_boxes(np.array([BOXES[0], BOXES[0]], dtype=np.float64), SIZE)
    assert one.sum() == 15 * 32 and not two.any()


SCHP, MCE2P = RULES["schp"], RULES["mce2p"]


def test_crops_are_enlarged_and_rounded_as_each_original_does() -> None:
    # SCHP: 20 - 3, 50 + 3 and 10 - 2, 30 + 2, the last pixel inside
    assert enlarge((20, 10, 50, 30), (100, 200), SCHP) == (17, 8, 54, 33)
    assert enlarge((20.4, 10.4, 50.2, 30.4), (100, 200), SCHP) == (17, 8, 54, 33)
    assert enlarge((0, 0, 200, 100), (100, 200), SCHP) == (0, 0, 200, 100)
    # M-CE2P: about the middle, cut towards zero
    assert enlarge((20, 10, 50, 30), (100, 200), MCE2P) == (17, 8, 53, 32)
    assert enlarge((21, 11, 50, 31), (100, 200), MCE2P) == (18, 9, 52, 33)
    assert enlarge((0, 0, 200, 100), (100, 200), MCE2P) == (0, 0, 200, 100)


@given(x=st.floats(0, 199), y=st.floats(0, 99), width=st.floats(0.01, 300), height=st.floats(0.01, 300))
@pytest.mark.parametrize("rule", [SCHP, MCE2P], ids=["schp", "mce2p"])
def test_a_crop_lies_in_the_picture_and_is_never_empty(
    rule: Any, x: float, y: float, width: float, height: float
) -> None:
    (box,) = read_people([[x, y, x + width, y + height]], (100, 200)).boxes.tolist()
    x0, y0, x1, y1 = enlarge(tuple(box), (100, 200), rule)
    assert 0 <= x0 < x1 <= 200 and 0 <= y0 < y1 <= 100


def scene(*rectangles: tuple[int, int], scores: list[float]) -> Any:
    """People who are columns `start` to `stop` of the picture."""
    found = np.zeros((len(rectangles), *SIZE), dtype=bool)
    for mask, (start, stop) in zip(found, rectangles, strict=True):
        mask[:, start:stop] = True
    return read_people({"masks": found, "scores": scores}, SIZE)


def test_schp_drops_weak_and_doubled_people_and_gives_shared_pixels_to_the_better() -> None:
    people = scene((0, 20), (15, 40), (2, 18), (50, 60), scores=[0.8, 0.9, 0.7, 0.4])
    people = people.take(arrange(people, SCHP))
    chosen = choose(people, SCHP)
    assert chosen.scores.tolist() == [0.9, 0.8]  # 0.7 lies in 0.8, 0.4 is too weak
    assert chosen.masks is not None
    assert chosen.masks[:, 0].sum(axis=1).tolist() == [25, 15]


def test_mce2p_puts_large_people_first_and_lets_them_overlap() -> None:
    people = scene((0, 10), (5, 40), (2, 18), scores=[0.8, 0.75, 0.6])
    people = people.take(arrange(people, MCE2P))
    chosen = choose(people, MCE2P)
    assert chosen.scores.tolist() == [0.75, 0.8]
    assert chosen.masks is not None and chosen.masks[:, 0].sum(axis=1).tolist() == [35, 10]


def test_nobody_may_be_left() -> None:
    chosen = choose(scene((0, 10), scores=[0.1]), SCHP)
    assert len(chosen) == 0 and chosen.masks is not None and chosen.masks.shape == (0, *SIZE)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (33, 47)])
def test_a_crop_that_was_a_jpeg_is_nearly_the_same(size: tuple[int, int]) -> None:
    smooth = np.linspace(0, 255, size[0] * size[1] * 3).reshape(*size, 3).astype(np.uint8)
    back = jpeg_round_trip(smooth, 95)
    assert back.shape == smooth.shape and back.dtype == np.uint8
    assert np.abs(back.astype(int) - smooth).mean() < 12


def test_boxes_in_fractions_of_the_picture_are_refused_by_name() -> None:
    for boxes in ([[0.1, 0.1, 0.9, 0.9]], np.array([[0, 0, 1, 1]]), {"boxes": [[0.0, 0.25, 1.0, 0.75]]}):
        with pytest.raises(PeopleError, match=r"fractions of the picture; give pixels: .* width, 60, .* 40"):
            read_people_in_pixels(boxes, SIZE)
    assert len(read_people_in_pixels(BOXES, SIZE)) == 2


def test_soft_masks_in_an_array_are_cut_at_a_half_as_those_of_a_mapping() -> None:
    soft = np.where(masks(), 0.8, 0.3).astype(np.float32)
    as_array, as_mapping = read_people(soft, SIZE), read_people({"boxes": BOXES, "masks": soft}, SIZE)
    for found in (as_array, as_mapping):
        assert found.masks is not None
        np.testing.assert_array_equal(found.masks, masks())
    np.testing.assert_array_equal(as_array.boxes, BOXES)
