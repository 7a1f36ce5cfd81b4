"""Parsings as supervision's detections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from humanparse import Parser, Parsing, PeopleError, SchemeError, get_scheme, image
from humanparse.adapters.supervision import from_detections, to_detections

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
ATR = get_scheme("atr")


@pytest.fixture(scope="module")
def parsing() -> Parsing:
    boxes = {"boxes": [[100, 20, 440, 600], [0, 300, 200, 600]], "scores": [0.9, 0.6]}
    return Parser().predict(PHOTO, people=boxes, confidence=True)


def test_each_label_of_the_picture_is_a_detection(parsing: Parsing) -> None:
    found = to_detections(parsing)
    assert isinstance(found, sv.Detections)
    parts = parsing.parts()
    assert found.class_id is not None and found.class_id.tolist() == [part.label for part in parts]
    assert found.data["class_name"].tolist() == [part.name for part in parts]
    assert found.data["share"].tolist() == [part.share for part in parts]
    assert found.mask is not None
    for box, mask, part in zip(found.xyxy, found.mask, parts, strict=True):
        assert tuple(box) == part.box
        assert np.array_equal(mask, parsing.mask(part.name))


def test_the_masks_mean_confidence_is_the_detections_confidence() -> None:
    parsing = Parser().predict(PHOTO, confidence=True)
    found = to_detections(parsing)
    assert parsing.confidence is not None and found.confidence is not None
    for score, part in zip(found.confidence, parsing.parts(), strict=True):
        assert score == pytest.approx(
            parsing.confidence[parsing.mask(part.label)].astype(np.float64).mean(), abs=1e-6
        )
    assert to_detections(Parser().predict(PHOTO)).confidence is None


def test_people_can_be_drawn_filtered_and_given_back_to_a_parser(parsing: Parsing) -> None:
    found = to_detections(parsing, "people")
    assert found.data["person_id"].tolist() == [1, 2]
    assert found.confidence is not None and found.confidence.tolist() == pytest.approx([0.9, 0.6])
    again = Parser().predict(PHOTO, people=found[found.confidence > 0.7])
    assert len(again.people) == 1 and again.people[0].score == pytest.approx(0.9)


def test_zones_count_people(parsing: Parsing) -> None:
    height, width = parsing.size
    left_third = np.array([[0, 0], [width // 3, 0], [width // 3, height], [0, height]])
    zone = sv.PolygonZone(left_third, triggering_anchors=(sv.Position.CENTER,))
    assert zone.trigger(to_detections(parsing, "people")).tolist() == [False, True]
    assert zone.current_count == 1


def test_each_part_of_each_person_is_a_detection(parsing: Parsing) -> None:
    found = to_detections(parsing, "people-parts")
    expected = [(person.id, part.name) for person in parsing.people for part in person.parts()]
    names = zip(found.data["person_id"].tolist(), found.data["class_name"].tolist(), strict=True)
    assert list(names) == expected
    assert found.mask is not None
    assert np.array_equal(found.mask[0], parsing.people[0].part(expected[0][1]))


def test_annotators_draw_them(parsing: Parsing) -> None:
    photo = image.load(PHOTO)
    scene = sv.MaskAnnotator().annotate(photo[..., ::-1].copy(), to_detections(parsing))
    changed = (scene != photo[..., ::-1]).any(axis=2)
    assert changed[parsing.labels > 0].mean() > 0.95
    assert not changed[parsing.labels == 0].any()
    sv.LabelAnnotator().annotate(scene, to_detections(parsing, "people"))


def test_a_picture_of_nobody_gives_no_detections() -> None:
    empty = Parsing(np.zeros((4, 6), np.uint8), ATR)
    for what in ("parts", "people", "people-parts"):
        found = to_detections(empty, what)  # type: ignore[arg-type]
        assert len(found) == 0 and found.mask is not None and found.mask.shape == (0, 4, 6)
    assert from_detections(to_detections(empty), "atr", (4, 6)) == empty


@given(
    labels=arrays.arrays(
        np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 17)
    )
)
def test_detections_of_parts_lead_back_to_the_same_labels(labels: np.ndarray) -> None:
    parsing = Parsing(labels, ATR)
    assert from_detections(to_detections(parsing), "atr", parsing.size) == parsing


def test_what_cannot_be_is_refused(parsing: Parsing) -> None:
    with pytest.raises(PeopleError, match="parts, people"):
        to_detections(parsing, "persons")  # type: ignore[arg-type]
    with pytest.raises(SchemeError, match="height, width"):
        from_detections(to_detections(parsing), "atr", (5, 5))
    boxes = sv.Detections(xyxy=np.array([[0, 0, 2, 2]]))
    with pytest.raises(SchemeError, match="no mask"):
        from_detections(boxes, ATR, (4, 4))
    with pytest.raises(SchemeError, match="0 to 6"):
        from_detections(to_detections(parsing), "pascal", parsing.size)
