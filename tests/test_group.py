"""Group photos through `Parser`: the bundled network on given people, ensembles, detectors."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from golden import SMALL, synthetic_state
from PIL import Image
from torch import nn

from humanparse import (
    ModelError,
    Parser,
    Parsing,
    PeopleError,
    Person,
    WeightsError,
    image,
    registry,
)
from humanparse.detections import masks_from_boxes
from humanparse.geometry import Frame
from humanparse.models.detector import Detector
from humanparse.pipelines.crops import enlarge
from humanparse.pipelines.rules import RULES
from humanparse.pipelines.top_down import fuse

CCP = Path(os.environ.get("HUMANPARSE_CCP", Path(__file__).parents[2] / "shared" / "data" / "ccp"))
PHOTOS = SMALL / "images"
HOPPER, CREW = image.load(PHOTOS / "grace_hopper.jpg"), image.load(PHOTOS / "astronaut_431x257.png")


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser(device="cpu")


def side_by_side(photos: list[npt.NDArray[np.uint8]]) -> tuple[npt.NDArray[np.uint8], list[int]]:
    """One picture with the photos in a row, and where each begins."""
    height, width = max(len(photo) for photo in photos), sum(photo.shape[1] for photo in photos)
    canvas = np.full((height, width, 3), 255, dtype=np.uint8)
    starts = [sum(photo.shape[1] for photo in photos[:number]) for number in range(len(photos))]
    for photo, left in zip(photos, starts, strict=True):
        canvas[: len(photo), left : left + photo.shape[1]] = photo
    return canvas, starts


def own_labels(person: Person) -> npt.NDArray[np.uint8]:
    whole = np.zeros(person.size, dtype=np.uint8)
    x0, y0, x1, y1 = person.box
    whole[y0:y1, x0:x1] = person.labels
    return whole


def part_iou(labels: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> float:
    """Mean over the parts that are in `truth`."""
    parts = [part for part in np.unique(truth) if 0 < part < 255]
    shares = [((labels == p) & (truth == p)).sum() / ((labels == p) | (truth == p)).sum() for p in parts]
    return float(np.mean(shares))


@pytest.mark.skipif(not CCP.is_dir(), reason="the Clothing Co-Parsing photos are not here")
@pytest.mark.parametrize("given", ["boxes", "masks"])
def test_on_a_canvas_of_three_photos_parts_land_on_the_right_person(given: str, parser: Parser) -> None:
    stems = ["0028", "0254", "0547"]
    photos = [image.load(CCP / "images" / f"{stem}.jpg") for stem in stems]
    truths = [np.array(Image.open(CCP / "labels_atr" / f"{stem}.png")) for stem in stems]
    canvas, starts = side_by_side(photos)
    masks = np.zeros((3, *canvas.shape[:2]), dtype=bool)
    for mask, truth, left in zip(masks, truths, starts, strict=True):
        mask[: len(truth), left : left + truth.shape[1]] = truth > 0
    boxes = [Image.fromarray(mask).getbbox() for mask in masks]
    parsing = parser.predict(canvas, people=boxes if given == "boxes" else masks)
    assert [person.id for person in parsing.people] == [1, 2, 3]
    for person, photo, truth, left in zip(parsing.people, photos, truths, starts, strict=True):
        labels = own_labels(person)
        there = labels[: len(truth), left : left + truth.shape[1]]
        assert np.count_nonzero(there) == np.count_nonzero(labels)  # none on another's photo
        assert part_iou(there, truth) >= 0.9 * part_iou(parser.predict(photo).labels, truth)


def check(parsing: Parsing) -> None:
    """What holds for any group: people share out the parts, and each survives as a value."""
    owned = np.zeros(parsing.size, dtype=int)
    for number, person in enumerate(parsing.people, 1):
        assert person.id == number
        owned += person.mask
        assert np.array_equal(own_labels(person), np.where(person.mask, parsing.labels, 0))
        assert set(person.part_scores) <= set(parsing.scheme.names)
    assert owned.max(initial=0) <= 1
    assert not (parsing.labels[owned > 0] == 0).any()
    scores = [person.score for person in parsing.people]
    assert scores == sorted(scores, reverse=True)
    assert pickle.loads(pickle.dumps(parsing)) == parsing


def test_nobody_in_the_picture_leaves_background(parser: Parser) -> None:
    parsing = parser.predict(HOPPER, people=[])
    check(parsing)
    assert not parsing.labels.any() and parsing.people == ()


def test_one_person_who_fills_the_frame_gets_nearly_what_the_photo_alone_gives(parser: Parser) -> None:
    height, width = HOPPER.shape[:2]
    parsing = parser.predict(HOPPER, people=[[0, 0, width, height]])
    check(parsing)
    (person,) = parsing.people
    assert np.array_equal(parsing.labels, parser.predict(HOPPER).labels)  # both networks see the same
    assert person.part("Face").sum() == parsing.mask("Face").sum() > 10_000
    assert person.score == 1.0 and person.part_scores["Face"] > 0


def test_forty_people_are_parsed(parser: Parser) -> None:
    canvas = np.tile(HOPPER[::4, ::4], (5, 8, 1))
    height, width = HOPPER[::4, ::4].shape[:2]
    boxes = [[x * width, y * height, (x + 1) * width, (y + 1) * height] for y in range(5) for x in range(8)]
    parsing = parser.predict(canvas, people=boxes)
    check(parsing)
    assert len(parsing.people) == 40 and all(person.mask.any() for person in parsing.people)


def test_two_identical_boxes_are_one_person_and_an_empty_one(parser: Parser) -> None:
    box = [100, 50, 400, 500]
    parsing = parser.predict(HOPPER, people=[box, box])
    check(parsing)
    one, two = parsing.people
    assert one.part("Face").any() and not two.mask.any() and two.box == (100, 50, 400, 500)
    assert np.array_equal(one.mask, parser.predict(HOPPER, people=[box]).people[0].mask)


def test_people_of_one_pixel_and_at_the_border_are_parsed(parser: Parser) -> None:
    height, width = HOPPER.shape[:2]
    boxes = [[250, 280, 251, 281], [0, 0, 1, 1], [width - 1, height - 1, width, height], [-50, -50, 120, 900]]
    parsing = parser.predict(HOPPER, people=boxes)
    check(parsing)
    assert [person.box[:2] for person in parsing.people[:2]] == [(250, 280), (0, 0)]


@pytest.mark.parametrize(
    ("people", "words"),
    [
        (np.zeros((1, 600, 512), bool), "has no pixels; leave that person out"),
        ([[600, 0, 700, 90]], "holds no pixel of the 512x600 picture"),
        ("detekt", '"detect" or say where'),
    ],
)
def test_people_who_cannot_be_are_a_clear_error(people: Any, words: str, parser: Parser) -> None:
    with pytest.raises(PeopleError, match=words):
        parser.predict(HOPPER, people=people)


@pytest.mark.parametrize("rule", ["schp", "schp-original", "mce2p"])
def test_every_rule_tells_overlapping_people_apart(rule: str) -> None:
    canvas, (_, left) = side_by_side([HOPPER, HOPPER[:, ::-1]])
    boxes = np.array([[0, 0, 560, 600], [left - 40, 0, 1024, 600]])
    parsing = Parser(device="cpu", rule=rule).predict(canvas, people={"boxes": boxes, "scores": [0.6, 0.9]})
    assert [person.score for person in parsing.people] == [0.9, 0.6]
    right, middle = (np.average(np.nonzero(person.part("Face"))[1]) for person in parsing.people)
    assert middle < left < right


def test_fusion_of_a_given_group_is_that_of_the_logits_at_full_size(parser: Parser) -> None:
    """The pipeline makes logits a strip at a time; `fuse` gets the same ones whole."""
    boxes = [(20, 10, 300, 250), (230, 20, 431, 257)]
    size = (CREW.shape[0], CREW.shape[1])
    corners = [enlarge(box, size, RULES["schp"]) for box in boxes]
    semantic = parser.pipeline
    found = semantic.logits([CREW, *(CREW[y0:y1, x0:x1] for x0, y0, x1, y1 in corners)])
    sides = [size, *((y1 - y0, x1 - x0) for x0, y0, x1, y1 in corners)]
    whole, *crops = (
        frame.windowed(logits).window(0, height, 0, width)
        for (frame, logits), (height, width) in zip(found, sides, strict=True)
    )
    masks = masks_from_boxes(np.array(boxes, dtype=np.float64), size)
    fusion = fuse(whole, [crops], np.array(corners), [1.0, 1.0], masks)
    parsing = parser.predict(CREW, people=boxes, confidence=True)
    check(parsing)
    assert np.array_equal(fusion.labels, parsing.labels)
    for person, mask in zip(parsing.people, fusion.masks, strict=True):
        assert np.array_equal(person.mask, mask)
    assert parsing.confidence is not None and parsing.confidence.dtype == np.float16
    assert parsing.confidence.min() > 0 and parsing.confidence.max() == 1


@pytest.mark.parametrize("model", ["lite-atr", "schp-lip"])
def test_logits_brought_to_the_picture_give_the_labels_of_the_extractor(model: str) -> None:
    frame = Frame((CREW.shape[0], CREW.shape[1]), registry.get(model).input)
    logits = torch.randn(
        7, *(side // 4 for side in frame.input_size), generator=torch.Generator().manual_seed(0)
    )
    whole = frame.windowed(logits)
    assert np.array_equal(whole.window(0, 257, 0, 431).argmax(dim=0).numpy(), frame.back(logits)[0])
    part = whole.window(100, 140, 30, 90)
    assert torch.equal(part, whole.window(0, 257, 0, 431)[:, 100:140, 30:90])


def test_people_need_the_extract_protocol() -> None:
    with pytest.raises(ModelError, match='must be "extract"'):
        Parser(device="cpu", protocol="paper").predict(HOPPER, people=[[0, 0, 9, 9]])


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model of three networks, each of them the bundled one."""
    parts = {"global": "lite-atr", "mrcnn": "lite-atr", "gt": "lite-atr"}
    spec = replace(registry.get("mce2p-cihp"), name="triplets", parts=parts, scheme_key="atr")
    real = registry.get
    monkeypatch.setattr(registry, "get", lambda name: spec if name == "triplets" else real(name))
    return spec


def test_a_model_of_several_networks_fuses_them_by_its_own_rule(twins: Any, tmp_path: Path) -> None:
    weights = Path(registry.__file__).parents[1] / "weights" / "lite-atr.safetensors"
    parser = Parser("triplets", device="cpu", weights={"global": weights, "gt": weights})
    assert repr(parser) == (
        "Parser(triplets: 18 atr labels, short side 320, at most 512, cpu, float32, "
        "global + mrcnn + gt, rule mce2p)"
    )
    parsing = parser.predict(CREW, people=[[100, 0, 400, 257]])
    assert parsing.model == "triplets" and parsing.people[0].part("Face").any()


def test_weights_of_several_networks_are_given_by_what_each_does(twins: Any) -> None:
    with pytest.raises(ModelError, match=r'has 3 networks; pass weights=\{"global": PATH, "mrcnn": PATH'):
        Parser("triplets", device="cpu", weights="one.pth")
    with pytest.raises(ModelError, match="has the networks global, mrcnn, gt and a detector, not local"):
        Parser("triplets", device="cpu", weights={"local": "one.pth"})
    with pytest.raises(ModelError, match="rule must be one of"):
        Parser("triplets", device="cpu", rule="best")


@pytest.mark.parametrize(
    "name", [name for name in registry.names() if len(registry.get(name).networks()) > 1]
)
def test_every_model_of_several_networks_is_made_of_single_models_with_its_labels(name: str) -> None:
    spec = registry.get(name)
    assert spec.rule in RULES and next(iter(spec.parts)) == "global"
    assert all((spec.paper, spec.origin, spec.licence.code, spec.licence.weights, spec.licence.data))
    assert all(part.scheme_key == spec.scheme_key for part in spec.networks().values())


def test_the_published_schp_files_load_and_both_networks_count(tmp_path: Path) -> None:
    """CIHP's files are flat, their keys prefixed; the two networks differ here in their last bias only."""
    state = synthetic_state("schp-lip", "schp")
    files = {}
    for role, shift in (("global", 0.0), ("local", 1000.0)):
        changed = dict(state)
        changed["fushion.3.bias"] = state["fushion.3.bias"] + torch.eye(20)[13] * shift
        files[role] = tmp_path / f"{role}.pth"
        torch.save({f"module.{key}": value for key, value in changed.items()}, files[role])
    parser = Parser("schp-cihp", device="cpu", weights=files)
    parsing = parser.predict(PHOTOS / "hopper_97x61.png", people=[[20, 5, 70, 61]])
    x0, y0, x1, y1 = 15, 0, 76, 61  # the box, enlarged
    assert (parsing.labels[y0:y1, x0:x1] == 13).all() and not parsing.labels[:, x1:].any()
    with pytest.raises(WeightsError, match="does not fit schp-cihp-local"):
        weights = Path(registry.__file__).parents[1] / "weights" / "lite-atr.safetensors"
        Parser("schp-cihp", device="cpu", weights={**files, "local": weights})


class Found(nn.Module):
    """A network that finds what it is told to."""

    def __init__(self, **answer: Any) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, images: list[torch.Tensor]) -> list[dict[str, torch.Tensor]]:
        assert images[0].dtype == torch.float32 and images[0].max() <= 1
        return [self.answer]


MASK_RCNN = "maskrcnn_resnet50_fpn_v2"


def detecting(parser: Parser, **answer: Any) -> Parser:
    detector = Detector("fasterrcnn_mobilenet_v3_large_320_fpn")
    detector.network = Found(**answer)
    parser._model._detect.__dict__["network"] = detector
    return parser


def test_detected_people_are_parsed_and_other_things_are_not() -> None:
    masks = torch.zeros(4, 1, 600, 512)
    masks[0, 0, 100:500, 100:400] = masks[1, 0, 0:50, 0:50] = masks[2, 0, 110:490, 110:390] = 0.8
    parser = detecting(
        Parser(device="cpu", detector=MASK_RCNN),
        boxes=torch.tensor([[100.0, 100, 400, 500], [0, 0, 50, 50], [110, 110, 390, 490], [3, 3, 9, 9]]),
        scores=torch.tensor([0.95, 0.9, 0.8, 0.7]),
        labels=torch.tensor([1, 17, 1, 1]),  # a person, a cat, the person again, one whose mask is empty
        masks=masks,
    )
    parsing = parser.predict(HOPPER, people="detect")
    check(parsing)
    assert [round(person.score, 2) for person in parsing.people] == [0.95]
    assert parsing.people[0].part("Face").any()


def test_a_detector_without_masks_gives_boxes() -> None:
    parser = detecting(
        Parser(device="cpu", detector=MASK_RCNN),
        boxes=torch.tensor([[100.0, 100, 400, 500]]),
        scores=torch.tensor([0.6]),
        labels=torch.tensor([1]),
    )
    check(parser.predict(HOPPER, people="detect"))


def test_without_people_a_model_of_several_networks_detects_them(twins: Any) -> None:
    nothing = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0)}
    parsing = detecting(Parser("triplets", device="cpu"), **nothing).predict(HOPPER)
    assert parsing.people == () and not parsing.labels.any()


def test_without_a_detector_on_disk_and_without_network_the_error_says_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path))
    parser = Parser(device="cpu", detector=MASK_RCNN, offline=True)
    with pytest.raises(WeightsError) as caught:
        parser.predict(HOPPER, people="detect")
    said = str(caught.value)
    assert "maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth" in said and "Download it yourself" in said
    assert 'weights={"detector": PATH}' in said and "people=boxes" in said
    with pytest.raises(ModelError, match="known: maskrcnn_resnet50_fpn_v2, fasterrcnn"):
        Parser(device="cpu", detector="yolo")


def test_a_detectors_own_file_is_loaded_and_another_refused(tmp_path: Path) -> None:
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    torch.manual_seed(0)
    file = tmp_path / "detector.pth"
    torch.save(Detector(name).network.state_dict(), file)
    small = CREW[::4, ::4]
    parsing = Parser(device="cpu", detector=name, weights={"detector": file}).predict(small, people="detect")
    assert parsing.size == small.shape[:2]
    torch.save({"conv.weight": torch.zeros(3, 3)}, file)
    with pytest.raises(WeightsError, match=rf"detector\.pth does not fit {name}"):
        Parser(device="cpu", detector=name, weights={"detector": file}).predict(small, people="detect")


@pytest.mark.parametrize("name", registry.detector_names())
def test_every_detector_is_built_and_its_file_is_on_public_record(name: str) -> None:
    spec = registry.detector(name)
    assert spec.file.sha256 is not None and spec.file.filename.endswith(f"-{spec.file.sha256[:8]}.pth")
    with torch.device("meta"):
        state = Detector(spec.name).network.state_dict()
    assert any("mask" in key for key in state) == spec.masks
    size = sum(value.numel() * value.element_size() for value in state.values())
    assert spec.file.size is not None and abs(spec.file.size - size) < 1_000_000
