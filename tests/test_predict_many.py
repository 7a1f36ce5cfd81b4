"""Many photos at once: order, batches, bad photos, bounded reading."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from golden import SMALL

from humanparse import ImageError, ModelError, Parser, Parsing, checkpoint, image, models, registry
from humanparse.geometry import Frame
from humanparse.pipelines import batches, semantic
from humanparse.pipelines.batches import read_ahead
from humanparse.pipelines.lanes import shares
from humanparse.pipelines.semantic import Fitted, Semantic, passes

PHOTOS = sorted((SMALL / "images").iterdir())


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser(device="cpu")


def scenes() -> list[npt.NDArray[np.uint8]]:
    """Pieces of real photos, of three sizes, mixed."""
    photo = image.load(SMALL / "images" / "grace_hopper.jpg")
    return [
        np.ascontiguousarray(photo[10 * n : 10 * n + height, :width])
        for n, (height, width) in enumerate(
            [(300, 250), (400, 200), (300, 250), (500, 450)] * 2 + [(300, 250)]
        )
    ]


@pytest.mark.parametrize("batch_size", [1, 2, 8, 100])
def test_photos_of_any_sizes_come_in_order_with_the_labels_of_predict(
    parser: Parser, batch_size: int
) -> None:
    sources: list[Any] = [*PHOTOS, *scenes(), PHOTOS[0].read_bytes()]
    found = list(parser.predict_many(sources, batch_size=batch_size, confidence=True))
    assert len(found) == len(sources)
    for source, parsing in zip(sources, found, strict=True):
        alone = parser.predict(source, confidence=True)
        assert (parsing.labels == alone.labels).mean() >= 0.9999
        assert parsing.confidence is not None and parsing.logits is None


def test_answers_fetched_a_batch_late_as_on_cuda_are_the_same_in_the_same_order(
    parser: Parser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [*PHOTOS, tmp_path / "gone.jpg", *scenes()]
    expected = list(parser.predict_many(sources, batch_size=2, on_error="yield"))
    monkeypatch.setattr(batches, "_several", lambda start, pipeline: nullcontext((start, 1)))
    found = list(parser.predict_many(sources, batch_size=2, on_error="yield"))
    assert len(found) == len(sources) and isinstance(found[len(PHOTOS)], ImageError)
    assert [str(one) for one in found] == [str(one) for one in expected]
    assert all(
        ours == theirs for ours, theirs in zip(found, expected, strict=True) if isinstance(ours, Parsing)
    )


def test_equal_inputs_share_a_pass_and_on_a_cpu_each_has_its_own(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, seen = parser.pipeline, []
    network = pipeline.network

    def watched(batch: torch.Tensor) -> Any:
        seen.append(tuple(batch.shape))
        return network(batch)

    monkeypatch.setitem(pipeline.__dict__, "network", watched)
    alone = pipeline.parse_batch(scenes())
    assert [shape[0] for shape in seen] == [1] * 9
    seen.clear()
    monkeypatch.setattr(semantic, "passes", lambda frames, device: passes(frames, torch.device("cuda")))
    together = pipeline.parse_batch(scenes())
    sizes = Counter(Frame(scene.shape[:2], pipeline.input).input_size for scene in scenes())
    assert len(sizes) > 1 and {shape[2:]: shape[0] for shape in seen} == sizes
    assert len(seen) == len(sizes)
    for one, other in zip(alone, together, strict=True):
        assert (one.labels == other.labels).mean() > 0.9999


def test_on_a_cpu_photos_are_computed_at_the_same_time_with_the_labels_of_predict(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    meeting, inside = threading.Barrier(2, timeout=30), []
    real = Semantic.start

    def start(self: Semantic, *arguments: Any, **options: Any) -> Any:
        meeting.wait()  # breaks if the other photo waits for this one
        inside.append(torch.get_num_threads())
        return real(self, *arguments, **options)

    photos = scenes()[:8]
    try:
        expected = [parser.predict(photo).labels for photo in photos]
        monkeypatch.setattr(Semantic, "start", start)
        found = list(parser.predict_many(photos))
        assert inside == [1] * 8 and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for one, labels in zip(found, expected, strict=True):
        assert (one.labels == labels).mean() > 0.9999


@pytest.mark.parametrize(
    ("threads", "shared"), [(1, (1, 1)), (2, (2, 1)), (8, (8, 1)), (9, (4, 2)), (12, (6, 2)), (64, (8, 8))]
)
def test_lanes_share_out_the_threads(
    threads: int, shared: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert shares(True, torch.device("cpu")) == shared
    assert shares(True, torch.device("cuda")) == shares(False, torch.device("cpu")) == (1, threads)


def test_an_error_of_the_network_is_raised_after_the_results_before_it(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, photos = Semantic.start, scenes()
    broken = photos[3].shape[:2]

    def start(self: Semantic, batch: Any, *arguments: Any, **options: Any) -> Any:
        if batch[0].frame.image_size == broken:
            raise MemoryError("too large")
        return real(self, batch, *arguments, **options)

    monkeypatch.setattr(Semantic, "start", start)
    found = parser.predict_many(photos)
    assert [next(found).size for _ in range(3)] == [photo.shape[:2] for photo in photos[:3]]
    with pytest.raises(MemoryError, match="too large"):
        next(found)
    assert not list(found)


def test_logits_are_kept_when_asked_for_and_own_their_memory(parser: Parser) -> None:
    for parsing, scene in zip(parser.predict_many(scenes()[:3], keep_logits=True), scenes(), strict=False):
        alone = parser.predict(scene, keep_logits=True)
        assert parsing.logits is not None and alone.logits is not None
        owner: Any = parsing.logits.base
        assert owner is None or owner.untyped_storage().nbytes() == parsing.logits.nbytes
        assert np.abs(parsing.logits - alone.logits).max() <= 1e-4 * alone.logits.std()


def test_a_bad_photo_raises_in_its_place_after_those_before_it(parser: Parser, tmp_path: Path) -> None:
    parsings = parser.predict_many([PHOTOS[0], PHOTOS[1], tmp_path / "gone.jpg", PHOTOS[2]], batch_size=4)
    assert next(parsings) == parser.predict(PHOTOS[0])
    assert next(parsings) == parser.predict(PHOTOS[1])
    with pytest.raises(ImageError, match=r"gone\.jpg"):
        next(parsings)


def test_a_bad_photo_is_given_as_its_error_and_the_rest_go_on(parser: Parser, tmp_path: Path) -> None:
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((SMALL / "images" / "grace_hopper.jpg").read_bytes()[:5000])
    sources: list[Any] = [cut, PHOTOS[0], None, PHOTOS[1]]
    found = list(parser.predict_many(sources, batch_size=2, on_error="yield"))
    assert [type(one) for one in found] == [ImageError, Parsing, ImageError, Parsing]
    assert "cut.jpg" in str(found[0]) and found[3] == parser.predict(PHOTOS[1])


def test_the_network_failing_on_a_photo_is_given_as_its_error_and_its_batch_goes_on(
    parser: Parser, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tall = Semantic.start, scenes()[3].shape[0]

    def picky(pipeline: Semantic, batch: list[Fitted], **options: Any) -> Any:
        if any(one.frame.image_size[0] == tall for one in batch):
            raise MemoryError("too large")
        return real(pipeline, batch, **options)

    monkeypatch.setattr(Semantic, "start", picky)
    found = list(parser.predict_many(scenes()[:5], batch_size=5, on_error="yield"))
    assert [type(one) for one in found] == [Parsing, Parsing, Parsing, MemoryError, Parsing]
    with pytest.raises(MemoryError):
        list(parser.predict_many(scenes()[:5]))


def test_an_endless_source_is_read_only_as_far_as_needed(parser: Parser) -> None:
    taken = 0

    def endless() -> Iterator[npt.NDArray[np.uint8]]:
        nonlocal taken
        while True:
            taken += 1
            yield scenes()[0]

    parsings = parser.predict_many(endless(), batch_size=2)
    for _ in range(3):
        next(parsings)
    assert taken <= 3 + 3 * 2
    parsings.close()  # type: ignore[attr-defined]


def test_an_error_of_the_source_itself_is_raised(parser: Parser) -> None:
    def broken() -> Iterator[Path]:
        yield PHOTOS[0]
        raise RuntimeError("the list broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        list(parser.predict_many(broken(), on_error="yield"))


def test_reading_goes_on_while_the_caller_is_busy_but_not_without_bound() -> None:
    read, enough = [], threading.Event()

    def note(number: int) -> int:
        read.append(number)
        if len(read) >= 5:
            enough.set()
        return number

    numbers = read_ahead(range(100), note, ahead=5)
    assert next(numbers) == 0 and enough.wait(10)
    time.sleep(0.1)
    assert len(read) <= 6
    assert list(numbers) == list(range(1, 100))


def test_threads_end_when_the_caller_stops_early(parser: Parser) -> None:
    parsings = parser.predict_many(scenes(), batch_size=1)
    next(parsings)
    parsings.close()  # type: ignore[attr-defined]
    for _ in range(100):
        if not any(thread.name.startswith("humanparse-read") for thread in threading.enumerate()):
            return
        time.sleep(0.05)
    raise AssertionError("a reading thread is still there")


def test_no_photos_give_no_parsings(parser: Parser) -> None:
    assert list(parser.predict_many([])) == []


def test_flip_and_scales_work_in_batches_too() -> None:
    averaging = Parser(device="cpu", flip=True, scales=(0.75, 1.0))
    for parsing, scene in zip(averaging.predict_many(scenes()[:4]), scenes(), strict=False):
        assert (parsing.labels == averaging.predict(scene).labels).mean() >= 0.9999


def test_a_model_that_finds_people_takes_photos_one_by_one(tmp_path: Path) -> None:
    spec = registry.get("uniparser-r50-mhpv2")
    torch.manual_seed(0)
    checkpoint.save(models.build(spec).state_dict(), tmp_path / "random.safetensors", {})
    several = Parser(spec.name, weights=tmp_path / "random.safetensors", device="cpu", test_size=(64, 96))
    small = [scene[:60, :80] for scene in scenes()[:2]]
    found = list(several.predict_many([small[0], None, small[1]], on_error="yield"))
    assert isinstance(found[1], ImageError)
    assert [found[0], found[2]] == [several.predict(scene) for scene in small]


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"ahead": 0}, {"on_error": "ignore"}])
def test_wrong_options_are_refused_at_once(parser: Parser, options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(options))):
        parser.predict_many([], **options)


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ("photo.jpg", r"one str, photo\.jpg; pass a list, \[source\]"),
        (PHOTOS[0], r"pass a list"),
        (b"content", r"one picture, bytes \(7 B\); pass a list"),
        (np.zeros((30, 40, 3), np.uint8), r"one picture, array \(30, 40, 3\) uint8; .*predict\(source\)"),
    ],
    ids=["str", "path", "bytes", "array"],
)
def test_one_photo_where_several_belong_is_refused_by_name(parser: Parser, sources: Any, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        list(parser.predict_many(sources))


def test_a_generator_that_raises_gives_what_it_had_given_before(parser: Parser) -> None:
    first, second, *_ = scenes()

    def camera() -> Iterator[npt.NDArray[np.uint8]]:
        yield first
        yield second
        raise RuntimeError("unplugged")

    found = []
    with pytest.raises(RuntimeError, match="unplugged"):
        for parsing in parser.predict_many(camera()):
            found.append(parsing)
    assert [parsing.size for parsing in found] == [first.shape[:2], second.shape[:2]]
