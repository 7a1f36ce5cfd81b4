"""From maps to people: SMP's and UniParser's decoders, and both models through `Parser`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from golden import Case, cases, synthetic_state
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import nn

from humanparse import ModelError, Parser, Parsing, models, registry
from humanparse.models.smp import SmpMaps
from humanparse.pipelines import _smp_decoder
from humanparse.pipelines.single_stage import People, SingleStage, decode_smp, decode_uniparser, find_decoder

SMP_MAPS = cases("smp/decode")
UNIPARSER_MAPS = cases("uniparser/decode")
NETWORKS = cases("smp/r50-mhpv2", "uniparser/r50-mhpv2", "uniparser/r50-light-cihp")


def size(array: npt.NDArray[Any]) -> tuple[int, int]:
    return int(array[0]), int(array[1])


def smp_maps(case: Case) -> dict[str, Any]:
    levels = range(len(case["grids"]))
    return {
        "category": [case[f"category{level}"] for level in levels],
        "kernel": [case[f"kernel{level}"] for level in levels],
        **{name: case[name] for name in ("heat", "offset", "mask_features")},
        **{name: size(case[name]) for name in ("img_shape", "ori_shape")},
    }


def uniparser_maps(case: Case) -> dict[str, Any]:
    return {
        **{name: case[name] for name in ("heat", "instance", "semantic", "class_vectors")},
        **{name: size(case[name]) for name in ("img_shape", "ori_shape")},
        **{name: float(case[name]) for name in ("ctr_score", "cate_score_thr")},
    }


def assert_people(people: People, case: Case) -> None:
    """As recorded; at most 2 pixels of a map may differ."""
    theirs = case["labels"]
    assert people.labels.shape == theirs.shape and people.labels.dtype == np.uint8
    assert ((people.labels != theirs).sum(axis=(1, 2)) <= 2).all()
    assert np.abs(people.scores - case["scores"]).max() <= 1e-6
    assert (people.merged != case["merged"]).sum() <= 2


def assert_nobody(people: People, shape: tuple[int, int]) -> None:
    assert people.labels.shape == (0, *shape) and people.merged.shape == shape and not people.merged.any()
    assert [len(part) for part in (people.scores, people.part_person, people.part_label)] == [0, 0, 0]


@pytest.mark.parametrize("case", SMP_MAPS, ids=str)
def test_smps_people_are_the_originals(case: Case) -> None:
    people = decode_smp(**smp_maps(case))
    if str(case["status"]) != "ok":
        assert_nobody(people, size(case["ori_shape"]))
        return
    assert_people(people, case)
    assert people.part_label.tolist() == case["part_label"].tolist()
    assert people.part_person.tolist() == case["part_human"].tolist()
    assert np.abs(people.part_score - case["part_score"]).max() <= 1e-5


@pytest.mark.parametrize("case", UNIPARSER_MAPS, ids=str)
def test_uniparsers_people_are_the_originals(case: Case) -> None:
    people = decode_uniparser(**uniparser_maps(case))
    if str(case["status"]) != "ok":
        assert_nobody(people, size(case["ori_shape"]))
        return
    assert_people(people, case)
    assert (np.diff(people.scores) >= 0).all() and len(people.part_label) == len(people.part_score)


def best_candidates(
    found: _smp_decoder._Candidates, places: npt.NDArray[np.float32], cells: int, threshold: float
) -> list[int]:
    """The search of one person's parts in plain loops."""
    across, down = places.max(axis=0) - places.min(axis=0)
    radius = int(0.5 * math.sqrt(across * down))
    away = []
    for row, column, part in zip(found.row, found.column, found.part, strict=True):
        x, y = (int(min(max(place, 0), cells - 1)) for place in places[int(part)])
        away.append(abs(int(column) - x) + abs(int(row) - y))
    near = torch.exp(-(torch.tensor(away) ** 2) / max(1, radius**2))  # far away it is 0 in float32
    weights = (found.score * near * bool(radius)).tolist()
    chosen = []
    for part in range(len(places)):
        of_part = [at for at in range(len(weights)) if found.part[at] == part]
        best = max(of_part, key=lambda at: weights[at], default=0)
        if weights and weights[best] > threshold:
            chosen.append(best)
        elif weights and not (of_part and weights[best]) and weights[0] > threshold:
            chosen.append(0)
    return chosen


@given(
    seed=st.integers(0, 10_000), candidates=st.integers(0, 60), spread=st.sampled_from([0.0, 1.0, 4.0, 15.0])
)
@example(seed=363, candidates=24, spread=1.0)
@settings(deadline=None, max_examples=60)
def test_the_search_of_parts_agrees_with_plain_loops(seed: int, candidates: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    cells, parts = 12, 7
    grid = [torch.from_numpy(rng.integers(0, end, candidates)) for end in (cells, cells, parts, 5)]
    score = torch.from_numpy(rng.uniform(0.1, 1, candidates).astype(np.float32))
    found = _smp_decoder._Candidates(*grid, score)
    places = (rng.uniform(0, cells, (1, 2)) + spread * rng.standard_normal((parts, 2))).astype(np.float32)
    chosen, _ = _smp_decoder._choose(found, torch.from_numpy(places), cells, 0.3)
    assert chosen.tolist() == best_candidates(found, places, cells, 0.3)


def one_person(heat: float = 0.9, score: float = 0.9, area: int = 16, cells: int = 10) -> dict[str, Any]:
    """Maps of one person, its centre in the middle, with part 1 as a square of `area`² pixels at stride 4."""
    category = [np.zeros((cells, cells, 2), np.float32) for _ in range(5)]
    category[0][5, 5, 0] = score
    kernel = [np.zeros((256, cells, cells), np.float32) for _ in range(5)]
    kernel[0][0] = 10
    warmth = np.zeros((cells, cells), np.float32)
    warmth[5, 5] = heat
    offset = np.zeros((2, 2, cells, cells), np.float32)
    offset[1] = 6  # the second part is looked for elsewhere, which gives the person an extent
    features = np.full((256, 24, 32), -1, np.float32)
    features[0, :area, :area] = 1
    return {
        "category": category, "kernel": kernel, "heat": warmth, "offset": offset, "mask_features": features,
        "img_shape": (96, 120), "ori_shape": (48, 60),
    }  # fmt: skip


def test_one_person_is_found_where_it_is() -> None:
    people = decode_smp(**one_person())
    assert people.labels.shape == (1, 48, 60) and people.scores.tolist() == [np.float32(0.9)]
    assert people.part_label.tolist() == [1, 1]  # it stands in for the second part, which has no candidate
    assert np.array_equal(people.labels[0], people.merged)
    rows, columns = np.nonzero(people.labels[0])
    assert (rows.max(), columns.max()) in {(31, 31), (32, 32), (32, 31), (31, 32)}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"heat": np.float32(0.1)}, 0),
        ({"heat": np.nextafter(np.float32(0.1), np.float32(1))}, 1),
        ({"score": np.float32(0.3)}, 0),
        ({"score": np.nextafter(np.float32(0.3), np.float32(1))}, 1),
        ({"area": 2}, 0),  # 4 of at least 9 pixels
        ({"area": 3}, 1),
    ],
)
def test_thresholds_are_strict(changes: dict[str, Any], found: int) -> None:
    people = decode_smp(**one_person(**changes))
    assert len(people.labels) == found


@pytest.mark.parametrize("limit", [None, 1, 3, 1000])
def test_of_more_people_than_the_limit_the_highest_scores_stay(limit: int | None) -> None:
    maps = one_person(cells=40)
    maps["heat"] = np.zeros((40, 40), np.float32)
    maps["heat"][2::6, 2::6] = np.linspace(0.2, 0.9, 49).reshape(7, 7)
    maps["category"] = [np.full((40, 40, 2), 0.9, np.float32) for _ in range(5)]
    people = decode_smp(**maps, max_people=limit)
    expected = np.linspace(0.9, 0.2, 49).astype(np.float32)[:limit]
    assert np.allclose(people.scores, expected)

    embedding = np.abs(np.random.default_rng(0).standard_normal((8, 24, 32))).astype(np.float32)
    again = decode_uniparser(
        maps["heat"], embedding, embedding, np.eye(8, dtype=np.float32), (96, 120), (48, 60), max_people=limit
    )
    assert np.allclose(again.scores, expected[::-1])


@pytest.mark.parametrize("photo", [(1, 1), (1, 7), (3, 2), (200, 31)])
def test_photos_of_any_size_get_labels_of_their_size(photo: tuple[int, int]) -> None:
    maps = {**one_person(area=24), "ori_shape": photo}
    assert decode_smp(**maps).labels.shape == (1, *photo)
    embedding = np.ones((4, 24, 32), np.float32)
    vectors = np.eye(4, dtype=np.float32) + 1
    people = decode_uniparser(maps["heat"], embedding, embedding, vectors, (96, 120), photo)
    assert people.labels.shape == (1, *photo) and (people.labels == 1).all()  # of equal classes, the first


def test_embeddings_of_zeros_belong_to_nobody() -> None:
    heat = one_person()["heat"]
    nothing = np.zeros((4, 24, 32), np.float32)
    people = decode_uniparser(heat, nothing, nothing, np.eye(4, dtype=np.float32), (96, 120), (48, 60))
    assert people.labels.shape == (1, 48, 60) and not people.labels.any() and not len(people.part_label)


class Given(nn.Module):
    """A network that has seen everything before."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        maps = smp_maps(case)
        self.maps = {key: value for key, value in maps.items() if not key.endswith("shape")}

    def forward(self, batch: torch.Tensor) -> SmpMaps:
        def batched(value: Any) -> Any:
            if isinstance(value, list):
                return [batched(each) for each in value]
            return torch.from_numpy(value).float()[None]

        return SmpMaps(**{key: batched(value) for key, value in self.maps.items()})


def given_parser(case: Case, protocol: str = "extract") -> SingleStage:
    spec = registry.get("smp-r50-mhpv2")
    assert spec.decode is not None
    input = replace(spec.input, size=size(case["img_shape"]))
    cpu = torch.device("cpu")
    return SingleStage(
        spec.name, Given(case), decode_smp, spec.decode, spec.scheme, input, cpu, protocol=protocol
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("case", [case for case in SMP_MAPS if case.stem == "three"], ids=str)
def test_people_come_in_descending_score_with_the_best_on_top(case: Case) -> None:
    photo = np.zeros((*size(case["ori_shape"]), 3), np.uint8)
    ((parsing,), (paper,)) = (given_parser(case, way).parse_batch([photo]) for way in ("extract", "paper"))
    assert [person.id for person in parsing.people] == [1, 2, 3]
    assert [person.score for person in parsing.people] == case["scores"].tolist()
    assert np.array_equal(paper.labels, case["merged"]) and (paper.labels != parsing.labels).any()
    seen = np.zeros_like(parsing.labels)
    for person, theirs in zip(parsing.people, case["labels"], strict=True):
        x0, y0, x1, y1 = person.box
        assert np.array_equal(person.mask, theirs > 0)
        assert np.array_equal(person.labels, theirs[y0:y1, x0:x1])
        assert person.mask[y0].any() and person.mask[y1 - 1].any() and not person.mask[y1:].any()
        assert person.mask[:, x0].any() and person.mask[:, x1 - 1].any() and not person.mask[:, x1:].any()
        assert set(person.part_scores) >= {part.name for part in person.parts()}
        seen = np.where(seen == 0, theirs, seen)
    assert np.array_equal(parsing.labels, seen)


@pytest.mark.parametrize("case", [case for case in SMP_MAPS if case.stem == "nobody"], ids=str)
def test_a_photo_without_people_is_all_background(case: Case) -> None:
    (parsing,) = given_parser(case).parse_batch([np.zeros((*size(case["ori_shape"]), 3), np.uint8)])
    assert parsing.people == () and not parsing.labels.any()


def test_what_these_models_cannot_do_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="smp-r50-mhpv2 cannot average several views"):
        Parser("smp-r50-mhpv2", weights=tmp_path / "none.pth", flip=True)
    with pytest.raises(ModelError, match="uniparser-r101-mhpv2 cannot average several views"):
        Parser("uniparser-r101-mhpv2", weights=tmp_path / "none.pth", scales=(0.5, 1.0))
    with pytest.raises(ModelError, match="leave keep_logits and confidence off"):
        given_parser(SMP_MAPS[0]).parse_batch([np.zeros((4, 4, 3), np.uint8)], keep_logits=True)


@pytest.mark.parametrize("name", [spec.name for spec in registry.networks()])
def test_thresholds_are_arguments_of_the_models_decoder(name: str) -> None:
    spec = registry.get(name)
    if spec.decode is not None:
        known = find_decoder(spec).__kwdefaults__
        assert set(spec.decode) <= set(known) and spec.decode["max_people"] == 100
        assert spec.input.fit == "keep-ratio" and not spec.flip and spec.scales == (1.0,)


MakeParser = Callable[..., Parser]


@pytest.fixture(scope="module")
def make_parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeParser]:
    """`Parser` on a file as published: under `state_dict`, keys with `module.`, beside `meta`."""
    files: dict[str, Path] = {}
    real = registry.get

    def made(case: Case, protocol: str) -> Parser:
        family, _, tail = case.name.partition("/")
        if case.name not in files:
            state = synthetic_state(f"{family}-{tail}", f"{family}-r50", recorded=case.name)
            files[case.name] = tmp_path_factory.mktemp("published") / "epoch_36.pth"
            content = {f"module.{key}": value for key, value in state.items()}
            torch.save({"meta": {"epoch": 36, "CLASSES": None}, "state_dict": content}, files[case.name])
        name = "uniparser-r101-light-cihp" if tail == "r50-light-cihp" else f"{family}-{tail}"
        spec = real(name)
        if tail == "r50-light-cihp":  # recorded with a shallower backbone than any published model has
            spec = replace(spec, architecture={**spec.architecture, "layers": (3, 4, 6, 3)})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(registry, "get", lambda _: spec)
            return Parser(
                name, weights=files[case.name], device="cpu", test_size=(416, 256), protocol=protocol
            )  # type: ignore[arg-type]

    yield made
    for file in files.values():
        file.unlink()


@pytest.mark.parametrize("case", NETWORKS, ids=str)
def test_parser_finds_the_recorded_people(case: Case, make_parser: MakeParser) -> None:
    parsing: Parsing = make_parser(case, "extract").predict(case.photo)
    paper: Parsing = make_parser(case, "paper").predict(case.photo)
    order = np.argsort(-case["scores"], kind="stable")
    assert len(parsing.people) == len(order) >= 2
    on_top = np.zeros_like(parsing.labels)
    for person, theirs, score in zip(
        parsing.people, case["labels"][order], case["scores"][order], strict=True
    ):
        x0, y0, x1, y1 = person.box
        ours = np.zeros_like(theirs)
        ours[y0:y1, x0:x1] = person.labels
        assert (ours != theirs).mean() <= 1e-4 and set(np.unique(ours)) == set(np.unique(theirs))
        assert abs(person.score - score) <= 1e-4
        on_top = np.where(on_top == 0, theirs, on_top)
    assert (parsing.labels != on_top).mean() <= 1e-4
    assert paper.labels.dtype == np.uint8 and (paper.labels != case["merged"]).mean() <= 1e-4


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkpoint of random weights, whose centres are everywhere."""
    torch.manual_seed(0)
    network = models.build(registry.get("uniparser-r50-mhpv2"))
    network.mask_head.center_heatmap.bias.data.fill_(1)  # type: ignore[union-attr]
    network.mask_head.seg_kernels.data.uniform_()  # type: ignore[union-attr]
    file = tmp_path_factory.mktemp("untrained") / "uniparser.pth"
    torch.save(network.state_dict(), file)
    yield file
    file.unlink()


@pytest.mark.parametrize("photo", [(1, 1), (3, 200), (90, 40)])
def test_parser_takes_tiny_and_long_photos(photo: tuple[int, int], untrained: Path) -> None:
    parser = Parser("uniparser-r50-mhpv2", weights=untrained, device="cpu", test_size=(96, 64))
    noise = np.random.default_rng(0).integers(0, 256, (*photo, 3)).astype(np.uint8)
    parsing = parser.predict(noise)
    assert parsing.labels.shape == photo and 1 <= len(parsing.people) <= 100
    scores = [person.score for person in parsing.people]
    assert scores == sorted(scores, reverse=True)
    assert "96x64" in repr(parser)


def test_bf16_finds_people_too(untrained: Path) -> None:
    parser = Parser(
        "uniparser-r50-mhpv2", weights=untrained, device="cpu", precision="bf16", test_size=(96, 64)
    )
    assert parser.predict(np.full((40, 60, 3), 128, np.uint8)).people
