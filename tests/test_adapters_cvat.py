"""Annotations for CVAT, read back with its own package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from cvat_sdk import auto_annotation, masks, models
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from humanparse import FormatError, Parser, Parsing, Person, get_scheme
from humanparse.adapters.cvat import create, project_labels, run_lengths, to_xml, write_xml

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
ATR = get_scheme("atr")


def decoded(mask: ElementTree.Element, image: ElementTree.Element) -> np.ndarray:
    """What CVAT makes of a mask element, by its own package."""
    left, top, width, height = (int(mask.attrib[key]) for key in ("left", "top", "width", "height"))
    runs = [int(run) for run in mask.attrib["rle"].split(",")]
    points = [*runs, left, top, left + width - 1, top + height - 1]
    size = {f"image_{key}": int(image.attrib[key]) for key in ("width", "height")}
    return masks.decode_mask(points, **size)


@settings(deadline=None)
@given(mask=arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_are_cvats(mask: np.ndarray) -> None:
    height, width = mask.shape
    assert run_lengths(mask) == masks.encode_mask(mask, [0, 0, width, height])[:-4]


def test_every_part_of_every_photo_comes_back_from_the_xml(tmp_path: Path) -> None:
    parsing = Parser().predict(PHOTO)
    small = Parsing(np.array([[0, 2, 2], [255, 0, 2]], np.uint8), ATR)
    root = ElementTree.parse(
        write_xml([("a/1.jpg", parsing), ("ü&2.jpg", small)], tmp_path / "a.xml")
    ).getroot()
    assert root.findtext("version") == "1.1"
    images = root.findall("image")
    assert [image.attrib["name"] for image in images] == ["a/1.jpg", "ü&2.jpg"]
    for image, expected in zip(images, (parsing, small), strict=True):
        found = {mask.attrib["label"]: decoded(mask, image) for mask in image.findall("mask")}
        assert list(found) == [part.name for part in expected.parts() if part.label != 255]
        for name, mask in found.items():
            assert np.array_equal(mask, expected.mask(name))
    names = [label.findtext("name") for label in root.iter("label")]
    assert names == list(ATR.names[1:])


def test_parts_of_one_person_are_one_group() -> None:
    labels = np.array([[2, 11, 0, 2]], np.uint8)
    left = Person.cut(1, (0, 0, 2, 1), 0.75, labels, np.array([[True, True, False, False]]), ATR)
    right = Person.cut(2, (3, 0, 4, 1), 0.5, labels, np.array([[False, False, False, True]]), ATR)
    root = ElementTree.fromstring(to_xml([("1.jpg", Parsing(labels, ATR, people=(left, right)))]))
    assert [mask.attrib["group_id"] for mask in root.iter("mask")] == ["1", "1", "2"]


def test_photos_are_named_as_they_were_uploaded_with_every_character_that_xml_has() -> None:
    one = Parsing(np.zeros((1, 1), np.uint8), ATR)
    names = ["a b#1.jpg", "50%25.jpg", "what?.jpg", 'it\'s "it" & <me>.jpg', "grün/line\nbreak\t.v2.jpg"]
    images = ElementTree.fromstring(to_xml([(name, one) for name in names])).findall("image")
    assert [image.attrib["name"] for image in images] == names
    (image,) = ElementTree.fromstring(to_xml([(Path("a") / "b.jpg", one)])).findall("image")
    assert image.attrib["name"] == "a/b.jpg"
    for name in ("bell\x07.jpg", "half\ud800.jpg"):
        with pytest.raises(FormatError, match=r"XML.* cannot hold every character of this name"):
            to_xml([(name, one)])


def test_files_of_no_photo_or_two_schemes_are_refused(tmp_path: Path) -> None:
    one = Parsing(np.zeros((1, 1), np.uint8), ATR)
    with pytest.raises(FormatError, match="here are 2"):
        to_xml([("1", one), ("2", Parsing(one.labels, get_scheme("lip")))])
    with pytest.raises(FormatError, match="here are 0"):
        to_xml([])
    with pytest.raises(FormatError, match="folder exists"):
        write_xml([("1", one)], tmp_path / "no" / "a.xml")


def test_labels_for_a_new_project_are_what_cvat_takes() -> None:
    labels = project_labels(ATR)
    assert len(labels) == len(ATR) - 1
    for label in labels:
        models.PatchedLabelRequest(**label)


@dataclass
class Frame(auto_annotation.DetectionFunctionContext):
    """What CVAT says about a frame."""

    conf_threshold: float | None = None
    conv_mask_to_poly: bool = False
    frame_name: str = "1.jpg"


def test_cvats_automatic_annotation_gets_masks() -> None:
    function = create("lite-atr")
    assert isinstance(function.spec, auto_annotation.DetectionFunctionSpec)
    ids = {label.id: label.name for label in function.spec.labels}
    with Image.open(PHOTO) as photo:
        shapes = function.detect(Frame(), photo)
    parsing = Parser().predict(PHOTO)
    assert [ids[shape.label_id] for shape in shapes] == [part.name for part in parsing.parts()]
    for shape in shapes:
        assert shape.type.value == "mask" and shape.frame == 0
        mask = masks.decode_mask(shape.points, image_width=512, image_height=600)
        assert np.array_equal(mask, parsing.mask(shape.label_id))


def test_unsure_parts_are_left_out_and_polygons_given_when_cvat_says_so() -> None:
    function = create("lite-atr")
    with Image.open(PHOTO) as photo:
        photo.load()
        every, sure = function.detect(Frame(), photo), function.detect(Frame(0.9), photo)
        polygons = function.detect(Frame(conv_mask_to_poly=True), photo)
    assert {shape.label_id for shape in sure} < {shape.label_id for shape in every}
    assert {shape.label_id for shape in polygons} <= {shape.label_id for shape in every}
    face = ATR.index("Face")
    drawn = Image.new("1", (512, 600))
    from PIL import ImageDraw

    for shape in polygons:
        assert shape.type.value == "polygon" and len(shape.points) >= 6
        if shape.label_id == face:
            ImageDraw.Draw(drawn).polygon(shape.points, fill=1)
    truth = Parser().predict(PHOTO).mask("Face")
    overlap = np.logical_and(np.array(drawn), truth).sum() / np.logical_or(np.array(drawn), truth).sum()
    assert overlap > 0.97


def test_people_that_were_told_apart_are_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    from humanparse.adapters.cvat import PartsFunction

    class WithBoxes(Parser):
        """A parser that needs no detector's weights."""

        def predict(self, source: object, **options: object) -> Parsing:
            return super().predict(source, people=[[0, 0, 250, 600], [250, 0, 512, 600]])

    with Image.open(PHOTO) as photo:
        shapes = PartsFunction(WithBoxes(), "detect").detect(Frame(0.5), photo)
    assert {shape.group for shape in shapes} == {1, 2}
