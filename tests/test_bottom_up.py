"""People from a network's own head: grouping by centres, and one pass from photo to people."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from command import Run, runner
from hypothesis import given, settings
from hypothesis import strategies as st
from serving import serving
from test_group import check, detecting
from torch import Tensor, nn

from humanparse import (
    ModelError,
    Parser,
    ParserOptions,
    Parsing,
    PeopleError,
    Person,
    checkpoint,
    get_scheme,
    image,
    models,
    registry,
)
from humanparse.geometry import Frame
from humanparse.pipelines._halves import joined
from humanparse.pipelines._people_decoder import decode_people
from humanparse.pipelines.bottom_up import BottomUp
from humanparse.pipelines.pipeline import Pipeline
from humanparse.pipelines.semantic import Semantic
from humanparse.registry import InputSpec
from humanparse.serve import ServeSettings

STRIDE, UNIT = 4, 32.0
ATR = get_scheme("atr")
CLOTHES, LEFT_ARM, RIGHT_ARM = (ATR.index(name) for name in ("Upper-clothes", "Left-arm", "Right-arm"))
INPUT = InputSpec(
    size=(272, 432),
    fit="shortest-edge",
    channels="rgb",
    mean=(127.0, 127.0, 127.0),
    std=(128.0, 128.0, 128.0),
    scale="0-255",
    interpolation="area",
    pad_multiple=32,
    align_corners=False,
    upsampling="one-step",
)
Ids = npt.NDArray[np.int64]


def maps_of(who: Ids) -> Tensor:
    """What a perfect people head gives for ids (h, w): (3, h, w); nonsense where nobody is (0)."""
    noise = np.random.default_rng(0)
    rows, columns = np.mgrid[: who.shape[0], : who.shape[1]].astype(np.float32)
    made = np.stack((np.full(who.shape, -6.0), *noise.normal(0, 3, (2, *who.shape)))).astype(np.float32)
    for person in np.unique(who[who > 0]):
        mask = who == person
        y, x = rows[mask].mean(), columns[mask].mean()
        away = (rows - round(float(y))) ** 2 + (columns - round(float(x))) ** 2
        made[0] = np.maximum(made[0], 4 - away)
        made[1][mask], made[2][mask] = (
            (centre - place[mask]) * STRIDE / UNIT for centre, place in ((y, rows), (x, columns))
        )
    return torch.from_numpy(made)


class Painted(nn.Module):
    """Knows who is where from the picture's colours: red is the person's id by 40, green the label by 10."""

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> logits (B, 18, H/2, W/2)."""
        labels = (self.colours(image)[:, 1] / 10).round().long()[:, 1::2, 1::2].clamp(0, 17)
        return nn.functional.one_hot(labels, 18).permute(0, 3, 1, 2).float() * 12

    def colours(self, image: Tensor) -> Tensor:
        """The picture's colours, 0-255; padding is black, not grey."""
        return torch.where((image == 0).all(dim=1, keepdim=True), 0.0, image * 128 + 127)

    def with_people(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and people (B, 3, H/4, W/4)."""
        who = (self.colours(image)[:, 0] / 40).round().long()[:, 2::4, 2::4]
        people = torch.stack([maps_of(ids.numpy()) for ids in who.clamp(0, 6)])
        return self.forward(image), people


def parsed(pipeline: Pipeline, picture: npt.NDArray[np.uint8], **options: bool) -> Parsing:
    (parsing,) = pipeline.parse_batch([picture], **options)
    return parsing


def alone() -> Semantic:
    """The same network without its people head."""
    return Semantic("painted", Painted(), ATR, INPUT, torch.device("cpu"))


def painted(size: tuple[int, int], *people: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """A picture of people in clothes, as boxes x0, y0, x1, y1; the upper left quarter is a left arm."""
    picture = np.zeros((*size, 3), dtype=np.uint8)
    for person, (x0, y0, x1, y1) in enumerate(people, 1):
        picture[y0:y1, x0:x1] = (40 * person, 10 * CLOTHES, 0)
        picture[y0 : (y0 + y1) // 2, x0 : (x0 + x1) // 2, 1] = 10 * LEFT_ARM
    return picture


def pipeline(**options: Any) -> BottomUp:
    network = Painted()
    shared = {
        "name": "painted",
        "network": network,
        "scheme": ATR,
        "input": INPUT,
        "device": torch.device("cpu"),
    }
    return BottomUp(**{**shared, "with_people": network.with_people, "thresholds": {}, **options})


def whose(person: Person, picture: npt.NDArray[np.uint8]) -> int:
    """Number of the painted person whom a found one covers most."""
    return int(np.bincount(picture[..., 0][person.mask] // 40).argmax())


def alike(people: tuple[Person, ...], others: list[npt.NDArray[np.bool_]]) -> float:
    """The least IoU of a person's mask with the one of `others` that is nearest to it."""
    return min(
        max((person.mask & other).sum() / (person.mask | other).sum() for other in others)
        for person in people
    )


@pytest.mark.parametrize(
    ("size", "people"),
    [
        ((272, 400), [(20, 20, 120, 260), (202, 42, 302, 250)]),
        ((272, 400), [(20, 20, 120, 260), (120, 42, 220, 250), (220, 60, 300, 272)]),  # touching
        ((272, 400), [(20, 20, 160, 260), (100, 80, 240, 272)]),  # the second before the first
        ((272, 400), [(0, 0, 60, 272), (352, 100, 400, 272)]),  # cut off by the frame
        ((272, 400), [(100, 100, 124, 132), (200, 4, 396, 272)]),  # small and large
        ((272, 272), [(0, 0, 272, 272)]),
    ],
    ids=["apart", "touching", "overlapping", "cut off", "small and large", "the whole frame"],
)
def test_people_have_the_boxes_and_parts_that_were_painted(
    size: tuple[int, int], people: list[tuple[int, int, int, int]]
) -> None:
    picture = painted(size, *people)
    parsing = parsed(pipeline(), picture, confidence=True)
    check(parsing)
    assert np.array_equal(parsing.labels, parsed(alone(), picture).labels)
    assert sorted(whose(person, picture) for person in parsing.people) == list(range(1, len(people) + 1))
    for person in parsing.people:
        truth = picture[..., 0] == 40 * whose(person, picture)
        assert (person.mask & truth).sum() / (person.mask | truth).sum() > 0.99  # not all corners
        rows, columns = np.nonzero(truth)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.abs(np.subtract(person.box, box)).max() <= 2  # where people touch; half a cell
        assert 0.9 < person.score <= 1
        assert {part.name for part in person.parts()} <= {"Upper-clothes", "Left-arm"}


def test_nobody_is_found_where_nobody_is() -> None:
    parsing = parsed(pipeline(), painted((272, 300)), keep_logits=True)
    assert parsing.people == () and not parsing.labels.any()
    assert parsing.logits is not None and parsing.logits.shape == (18, 144, 160)


def test_borders_between_people_and_background_are_those_of_the_labels_in_a_large_photo() -> None:
    small = painted((272, 400), (20, 20, 120, 260), (120, 40, 220, 250))
    large = np.kron(small, np.ones((5, 5, 1), dtype=np.uint8))
    parsing = parsed(pipeline(), large)
    check(parsing)
    assert len(parsing.people) == 2
    assert np.array_equal(sum(person.mask for person in parsing.people) > 0, parsing.labels > 0)
    left, right = sorted(parsing.people, key=lambda person: person.box)
    assert (
        abs(left.box[2] - 600) <= 10 and abs(right.box[0] - 600) <= 10
    )  # half a cell: 4 pixels, 5 times as large


@given(
    boxes=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(3, 30), st.integers(3, 30)), max_size=6
    )
)
@settings(deadline=None, max_examples=60)
def test_grouping_finds_each_person_of_perfect_maps_and_shares_out_every_cell(
    boxes: list[tuple[int, int, int, int]],
) -> None:
    who = np.zeros((68, 100), dtype=np.int64)
    for number, (x, y, width, height) in enumerate(boxes, 1):
        who[y : y + height, x : x + width] = number
    large = [person for person in np.unique(who[who > 0]) if (who == person).sum() >= 6]
    centres = [tuple(round(float(at.mean())) for at in np.nonzero(who == person)) for person in large]
    near = any(max(abs(a - c), abs(b - d)) <= 3 for (a, b), (c, d) in itertools.combinations(centres, 2))
    someone = torch.from_numpy((who > 0).astype(np.float32))
    scores, closeness = decode_people(maps_of(who), someone, (STRIDE, STRIDE))
    owner = closeness.argmax(dim=0).numpy() if len(scores) else np.zeros(who.shape, dtype=np.int64)
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert all((owner[who > 0] == number).sum() >= 6 for number in range(len(scores)))
    if not near:
        assert len(scores) == len(large)
        for person in large:
            (number,) = np.unique(owner[who == person])
            assert (owner[who == person] == number).all()
        assert len({int(owner[who == person][0]) for person in large}) == len(large)


def test_people_below_the_smallest_size_or_score_give_their_cells_to_others() -> None:
    who = np.zeros((20, 30), dtype=np.int64)
    who[4:16, 2:12], who[4:6, 20:22] = 1, 2
    maps, someone = maps_of(who), torch.from_numpy((who > 0).astype(np.float32))
    stride = (STRIDE, STRIDE)
    assert len(decode_people(maps, someone, stride, min_cells=4).scores) == 2
    assert len(decode_people(maps, someone, stride, min_cells=5).scores) == 1
    assert len(decode_people(maps, someone, stride, max_people=1, min_cells=0).scores) == 1
    assert len(decode_people(maps, someone, stride, min_score=0.99, lone_share=1.1).scores) == 0
    faint = maps.clone()
    faint[0] -= 3  # the peaks are at 4
    assert decode_people(faint, someone, stride, min_cells=4).scores.tolist() == pytest.approx(
        [0.731] * 2, abs=1e-3
    )
    assert len(decode_people(faint, someone, stride, min_score=0.75, lone_share=1.1).scores) == 0


def test_who_has_no_clear_centre_is_one_person_where_enough_of_them_is_seen() -> None:
    who = np.zeros((20, 30), dtype=np.int64)
    who[4:16, 2:12] = 1  # a fifth of the cells
    maps, someone = maps_of(who), torch.from_numpy((who > 0).astype(np.float32))
    maps[0] -= 6  # the highest logit on the person is -2
    maps[0, 0, 29] = -1.5  # nobody is seen there
    stride = (STRIDE, STRIDE)
    scores, closeness = decode_people(maps, someone, stride, lone_share=0.2)
    assert scores.tolist() == pytest.approx([0.119], abs=1e-3) and closeness.shape == (1, 20, 30)
    assert len(decode_people(maps, someone, stride, lone_share=0.21).scores) == 0
    assert len(decode_people(maps, torch.zeros(20, 30), stride, lone_share=0).scores) == 0


def test_equal_neighbours_are_one_centre() -> None:
    who = np.zeros((20, 30), dtype=np.int64)
    who[4:16, 2:12] = 1
    maps, someone = maps_of(who), torch.from_numpy((who > 0).astype(np.float32))
    maps[0, 9:12, 6:9] = 5.0
    assert len(decode_people(maps, someone, (STRIDE, STRIDE)).scores) == 1


def test_the_score_falls_with_the_centres_and_with_the_parts_uncertainty() -> None:
    who = np.zeros((20, 60), dtype=np.int64)
    who[4:16, 2:12], who[4:16, 22:32], who[4:16, 42:52] = 1, 2, 3
    maps, someone = maps_of(who), torch.from_numpy((who > 0).astype(np.float32))
    maps[0, :, 20:40] -= 3
    someone[:, 40:] *= 0.6
    scores, closeness = decode_people(maps, someone, (STRIDE, STRIDE))
    assert scores.tolist() == pytest.approx([0.982, 0.731, 0.589], abs=1e-3)
    assert closeness.argmax(dim=0)[10, [6, 26, 46]].tolist() == [0, 1, 2]


def test_centres_in_the_padding_are_nobodys() -> None:
    class Haunted(Painted):
        def with_people(self, image: Tensor) -> tuple[Tensor, Tensor]:
            logits, people = super().with_people(image)
            people[:, 0, :, 70:] = 9.0  # the photo ends at column 68
            return logits, people

    picture = painted((272, 272), (40, 40, 272, 272))
    frame = Frame((272, 272), INPUT)
    assert frame.input_size == (288, 288)
    parsing = parsed(pipeline(with_people=Haunted().with_people), picture)
    assert [person.box for person in parsing.people] == [(40, 40, 272, 272)]
    assert parsing.people[0].score < 0.99  # not that of a centre in the padding


@pytest.mark.parametrize("options", [{"flip": True}, {"scales": (0.5, 1.0)}, {"scales": (1.5,)}], ids=str)
def test_mirrored_and_resized_passes_keep_people(options: dict[str, Any]) -> None:
    """Sides of a multiple of 64, so that half of the input is exactly half as large."""
    people = [(64, 64, 128, 256), (128, 32, 192, 256), (256, 64, 384, 256)]
    picture = painted((320, 384), *people)
    spec = replace(INPUT, size=(320, 512), pad_multiple=64)
    parsing = parsed(pipeline(input=spec, **options), picture)
    check(parsing)
    plain = parsed(pipeline(input=spec), picture)
    assert len(plain.people) == len(parsing.people) == 3
    assert alike(plain.people, [person.mask for person in parsing.people]) > 0.95


@pytest.mark.parametrize("flip", [False, True])
def test_a_mirrored_photo_has_the_mirrored_people(flip: bool) -> None:
    picture = painted((272, 384), (64, 64, 128, 256), (128, 32, 224, 256), (320, 32, 384, 272))
    both = pipeline(flip=flip)
    straight, mirrored = both.parse_batch([picture, np.ascontiguousarray(picture[:, ::-1])])
    assert len(straight.people) == len(mirrored.people) == 3
    assert alike(straight.people, [person.mask[:, ::-1] for person in mirrored.people]) > 0.97


def test_photos_of_a_batch_have_the_people_that_each_has_alone() -> None:
    pictures = [
        painted((272, 300), (20, 20, 120, 260)),
        painted((272, 310), (20, 20, 120, 260), (180, 40, 300, 250)),  # the same input size
        painted((272, 300)),
    ]
    both = pipeline()
    assert both.parse_batch(pictures, True, True) == [
        parsed(both, each, keep_logits=True, confidence=True) for each in pictures
    ]


HEAD = {"offset_unit": 32, "min_score": 0.3, "min_cells": 6, "max_people": 100}
CREW = Path(__file__).parents[1] / "examples" / "astronaut.png"


@pytest.fixture(scope="module")
def lively(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of an untrained network whose centre map finds somebody nearly everywhere."""
    torch.manual_seed(3)
    network = models.build(lite_spec())
    network.people_head.bias.data = torch.tensor([1.0, 0.0, 0.0])
    network.head.weight.data *= 3
    path = tmp_path_factory.mktemp("lite") / "lively.safetensors"
    checkpoint.save(network.state_dict(), path, {})
    return path


def lite_spec() -> registry.ModelSpec:
    found = registry.network("lite-atr")
    return replace(found, name="lite-test", family="lite", architecture={}, input=INPUT, people_head=HEAD)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A model with a people head in the manifest, and an empty cache folder."""
    real = registry.get
    monkeypatch.setattr(registry, "get", lambda name: lite_spec() if name == "lite-test" else real(name))
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_detect_uses_the_models_own_head_without_a_download(precision: Any, lively: Path) -> None:
    parser = Parser("lite-test", weights=lively, device="cpu", precision=precision, offline=True)
    assert not parser.finds_people and parser.detector is None
    parsing = parser.predict(CREW, people="detect", confidence=True, keep_logits=True)
    check(parsing)
    assert len(parsing.people) > 1
    plain = parser.predict(CREW, confidence=True, keep_logits=True)
    assert plain.people == () and replace(parsing, people=()) == plain
    many = list(parser.predict_many([CREW, CREW], people="detect", batch_size=2, confidence=True))
    assert [len(each.people) for each in many] == [len(parsing.people)] * 2
    assert pickle.loads(pickle.dumps(parsing)) == parsing


def test_people_are_looked_for_at_their_own_size_unless_another_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, lively: Path
) -> None:
    spec = replace(lite_spec(), input=replace(INPUT, people_size=(128, 192)))
    monkeypatch.setattr(registry, "get", lambda name: spec)
    larger = Parser("lite-test", weights=lively, device="cpu")
    one_size = Parser("lite-test", weights=lively, device="cpu", test_size=(128, 192))
    kept: Any = {"keep_logits": True, "confidence": True}
    expected = one_size.predict(CREW, people="detect", **kept)
    assert larger.predict(CREW, people="detect", **kept) == expected
    assert larger.predict(CREW, **kept) != replace(expected, people=())
    assert replace(expected, people=()) == one_size.predict(CREW, **kept)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_every_runtime_finds_the_same_people(runtime: Any, lively: Path, tmp_path: Path) -> None:
    theirs = Parser("lite-test", weights=lively, device="cpu")
    ours = Parser("lite-test", weights=lively, runtime=runtime)
    (plain,) = (tmp_path / "home" / "graphs").glob("*.onnx")
    expected, found = (parser.predict(CREW, people="detect").people for parser in (theirs, ours))
    assert len(expected) == len(found) > 1
    scores, others = ([person.score for person in people] for people in (expected, found))
    assert np.allclose(scores, others, atol=1e-3)
    assert alike(expected, [person.mask for person in found]) > 0.99
    assert len(list((tmp_path / "home" / "graphs").glob("*.onnx"))) == 2
    import onnx

    used = {initializer.name for initializer in onnx.load(plain).graph.initializer}
    assert used and not any("people" in name for name in used)  # which nobody asked for


@pytest.mark.usefixtures("known")
def test_a_detector_that_is_asked_for_finds_people_instead(lively: Path) -> None:
    name = "fasterrcnn_mobilenet_v3_large_320_fpn"
    parser = Parser("lite-test", weights=lively, device="cpu", detector=name)
    assert parser.detector == name
    detecting(
        parser,
        boxes=torch.tensor([[100.0, 100, 400, 500]]),
        scores=torch.tensor([0.625]),
        labels=torch.tensor([1]),
    )
    assert [person.score for person in parser.predict(CREW, people="detect").people] == [0.625]
    assert [len(each.people) for each in parser.predict_many([CREW], people="detect")] == [1]
    own_file = Parser("lite-test", weights={"network": lively, "detector": "mine.pth"}, device="cpu")
    assert own_file.detector == registry.detector_names()[0]
    found = registry.detector_for(registry.get("schp-lip"), None, own_file=False)  # which has no people head
    assert found is not None and found.name == registry.detector_names()[0]


@pytest.mark.usefixtures("known")
def test_people_who_are_given_are_still_taken(lively: Path) -> None:
    parser = Parser("lite-test", weights=lively, device="cpu")
    (person,) = parser.predict(CREW, people=[[100, 0, 400, 257]]).people
    assert person.score == 1.0
    with pytest.raises(PeopleError, match='"detect" or say where'):
        parser.predict(CREW, people="detekt")
    with pytest.raises(PeopleError, match="call predict for other people"):
        parser.predict_many([CREW], people=[[100, 0, 400, 257]])


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of five frames, over which the picture moves."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    frames = [image.load(CREW)[60:188, at : at + 160, ::-1] for at in range(0, 40, 8)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 128))
    for frame in frames:
        writer.write(np.ascontiguousarray(frame))
    writer.release()
    return path


@pytest.mark.usefixtures("known")
def test_each_frame_of_a_video_has_the_people_that_it_has_as_a_photo(lively: Path, clip: Path) -> None:
    parser = Parser("lite-test", weights=lively, device="cpu")
    frames = list(parser.predict_video(clip, people="detect", batch_size=1))
    assert len(frames) == 5 and all(frame.parsing.people for frame in frames)
    assert all(frame.parsing == parser.predict(frame.image, people="detect") for frame in frames)
    assert len([frame for frame in parser.predict_video(clip, people="detect") if frame.parsing.people]) == 5
    for frame in parser.predict_video(clip, people="detect", smooth="exponential"):
        check(frame.parsing)
    assert not any(frame.parsing.people for frame in parser.predict_video(clip))
    detector = "fasterrcnn_mobilenet_v3_large_320_fpn"
    other = Parser("lite-test", weights=lively, device="cpu", detector=detector)
    detecting(other, boxes=torch.zeros(0, 4), scores=torch.zeros(0), labels=torch.zeros(0))
    assert [frame.parsing.people for frame in other.predict_video(clip, people="detect")] == [()] * 5
    with pytest.raises(ModelError, match="leave smooth out"):
        other.predict_video(clip, people="detect", smooth="flow")


@pytest.mark.usefixtures("known")
def test_the_command_line_tells_people_apart_in_photos_videos_and_data_sets(
    lively: Path, clip: Path, run: Run, tmp_path: Path
) -> None:
    options = ("-m", "lite-test", "--weights", lively, "--people", "detect", "--offline")
    expected = Parser("lite-test", weights=lively, device="cpu").predict(CREW, people="detect")
    assert run("predict", CREW, "-o", "out", "--json", *options).status == 0
    assert Parsing.load("out/astronaut.json").people == expected.people
    assert run("predict", clip, "-o", "film.mp4", *options).status == 0
    refused = run("predict", clip, "-o", "film.mp4", *options[:4], "--people", "who.json")
    assert refused.status == 1 and "--people FILE is for photos" in refused.err
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "crew.png").write_bytes(CREW.read_bytes())
    assert run("label", "photos", "-o", "labels", "--format", "npz,coco", *options).status == 0
    assert Parsing.load("labels/crew.npz").people == expected.people
    again = run("label", "photos", "-o", "labels", "--format", "npz,coco", "--resume", *options[:4])
    assert again.status == 1 and "people: detect before, None now" in again.err
    assert run("label", "photos", "-o", "new", *options[:4], "--people", "all").status == 1


@pytest.mark.usefixtures("known")
def test_a_service_offers_people_without_a_detector(lively: Path) -> None:
    parser = Parser("lite-test", weights=lively, device="cpu")
    content = CREW.read_bytes()
    alone = parser.predict(CREW, people="detect").people
    with serving(ServeSettings(models=("lite-test",), people=False), {"lite-test": parser}) as service:
        assert service.client.get("/v1/models").json()["models"][0]["people"] is True
        answer = service.post(content, people="detect").json()
        assert service.post(content).json()["people"] == []
    assert [(one["score"], tuple(one["box"])) for one in answer["people"]] == [
        (person.score, person.box) for person in alone
    ]
    asked = ServeSettings((ParserOptions("lite-test", detector=registry.detector_names()[1]),), people=False)
    with serving(asked, {"lite-test": parser}) as service:
        assert service.client.get("/v1/models").json()["models"][0]["people"] is False


def figure(size: tuple[int, int], *parts: tuple[str, int, int, int, int]) -> npt.NDArray[np.uint8]:
    """ATR labels: each part is a rectangle from (x0, y0) to (x1, y1)."""
    labels = np.zeros(size, np.uint8)
    for name, x0, y0, x1, y1 in parts:
        labels[y0:y1, x0:x1] = ATR.index(name)
    return labels


HEAD_AND_TRUNK = (("Face", 20, 0, 30, 12), ("Upper-clothes", 12, 12, 38, 50))
HIPS_AND_FEET = (("Pants", 14, 50, 36, 95), ("Left-shoe", 14, 95, 24, 100), ("Right-shoe", 26, 95, 36, 100))


def test_the_halves_of_a_person_who_was_found_twice_are_joined() -> None:
    labels = figure((100, 120), *HEAD_AND_TRUNK, *HIPS_AND_FEET, ("Face", 90, 40, 110, 60))
    owner = np.full(labels.shape, 255, np.uint8)
    owner[:56][labels[:56] > 0] = 2  # the first half has some of the pants
    owner[56:][labels[56:] > 0] = 0
    owner[:, 80:][labels[:, 80:] > 0] = 1
    found = joined(owner.copy(), labels, ATR, 3)
    assert (found[labels > 0][found[labels > 0] != 1] == 2).all() and (found == 1).sum() == 400


@pytest.mark.parametrize(
    "second",
    [
        (*HIPS_AND_FEET, ("Hair", 20, 56, 30, 62)),  # has a head
        (("Upper-clothes", 12, 50, 38, 90),),  # has no legs
        tuple((name, x0 + 60, y0, x1 + 60, y1) for name, x0, y0, x1, y1 in HIPS_AND_FEET),  # stands beside
    ],
    ids=["head", "no legs", "beside"],
)
def test_others_are_not_joined(second: tuple[Any, ...]) -> None:
    labels = figure((100, 120), *HEAD_AND_TRUNK, *second)
    owner = np.full(labels.shape, 255, np.uint8)
    owner[:50][labels[:50] > 0] = 0
    owner[50:][labels[50:] > 0] = 1
    owner[:, 60:][labels[:, 60:] > 0] = 1
    assert np.array_equal(joined(owner.copy(), labels, ATR, 2), owner)
