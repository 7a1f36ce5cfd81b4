"""SCHP through the public `Parser`, from the published form of checkpoint, against recorded answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from golden import Case, assert_same_labels, cases, synthetic_state

from humanparse import Parser, image, model_info
from humanparse.geometry import Frame

MakeParser = Callable[..., Parser]


@pytest.fixture(scope="module")
def make_parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeParser]:
    """`Parser` on a file as published: legacy pickle, under `state_dict`, keys with `module.`."""
    files: dict[str, Path] = {}
    parsers: dict[tuple[Any, ...], Parser] = {}

    def made(network: str, **options: Any) -> Parser:
        if network not in files:
            state = synthetic_state(f"schp-{network}", "schp")
            assert len(state) == 603
            files[network] = tmp_path_factory.mktemp("published") / f"{network}.pth"
            content = {"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 150}
            torch.save(content, files[network], _use_new_zipfile_serialization=False)
        key = (network, *sorted(options.items()))
        if key not in parsers:
            parsers.clear()  # one network in memory at a time
            parsers[key] = Parser(f"schp-{network}", weights=files[network], device="cpu", **options)
        return parsers[key]

    yield made
    for file in files.values():
        file.unlink()


def assert_same_logits(ours: npt.NDArray[np.float32], theirs: npt.NDArray[np.float32]) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 2e-3 * theirs.std()


@pytest.mark.parametrize("case", cases("schp/lip", "schp/atr", "schp/pascal"), ids=str)
def test_the_networks_input_equals_the_originals_byte_for_byte(case: Case) -> None:
    spec = model_info(f"schp-{case.name.partition('/')[2]}").input
    photo = image.load(case.photo)
    warped = Frame((photo.shape[0], photo.shape[1]), spec).resample(photo).numpy()
    assert np.array_equal(warped[::4, ::4], case["input_bgr_u8"])
    assert warped.sum(dtype=np.int64) == case["input_sum"]


@pytest.mark.parametrize("case", cases("schp/lip", "schp/atr", "schp/pascal"), ids=str)
def test_a_single_pass_gives_the_extractors_labels(case: Case, make_parser: MakeParser) -> None:
    parser = make_parser(case.name.partition("/")[2])
    parsing = parser.predict(case.photo, keep_logits=True)
    assert parsing.logits is not None
    assert_same_logits(parsing.logits[:, ::4, ::4], case["logits"])
    assert_same_labels(parsing.labels, case["labels"], case.mask("unsure", parsing.size))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_other_runtimes_give_the_extractors_labels_too(
    runtime: str, make_parser: MakeParser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(runtime)
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path))
    case = cases("schp/lip")[0]
    parsing = make_parser("lip", runtime=runtime).predict(case.photo, keep_logits=True)
    assert parsing.logits is not None
    assert_same_logits(parsing.logits[:, ::4, ::4], case["logits"])
    assert_same_labels(parsing.labels, case["labels"], case.mask("unsure", parsing.size))


@pytest.mark.parametrize("case", cases("schp/lip-flip", "schp/pascal-flip"), ids=str)
def test_flip_merges_logits_with_left_and_right_exchanged(case: Case, make_parser: MakeParser) -> None:
    network = case.name.partition("/")[2].removesuffix("-flip")
    parsing = make_parser(network, flip=True).predict(case.photo, keep_logits=True)
    assert parsing.logits is not None
    assert_same_logits(parsing.logits[:, ::4, ::4], case["logits"])
    assert_same_labels(parsing.labels, case["labels"], case.mask("unsure", parsing.size))


@pytest.mark.parametrize("case", cases("schp/lip-ms"), ids=str)
def test_flip_and_three_scales_with_the_papers_protocol(case: Case, make_parser: MakeParser) -> None:
    parser = make_parser("lip", flip=True, scales=(0.75, 1.0, 1.25), protocol="paper")
    parsing = parser.predict(str(case.photo), keep_logits=True)
    assert parsing.logits is not None
    assert_same_logits(parsing.logits[:, ::8, ::8], case["logits_mean"].transpose(2, 0, 1))
    network_labels = parsing.logits.argmax(axis=0).astype(np.uint8)
    assert_same_labels(network_labels, case["labels_network"], case.mask("unsure_network", (473, 473)))
    assert_same_labels(parsing.labels, case["labels"], case.mask("unsure", parsing.size))


def test_an_array_and_its_file_give_the_same_parsing(make_parser: MakeParser) -> None:
    case = cases("schp/lip")[0]
    parser = make_parser("lip")
    assert parser.predict(image.load(case.photo)) == parser.predict(case.photo.read_bytes())
