"""The CE2P family through `Parser`, from each published form of checkpoint, against recorded answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from golden import Case, assert_same_labels, cases, synthetic_state
from torch import Tensor

from humanparse import Parser, image, model_info
from humanparse.geometry import Frame
from humanparse.ops.resample_argmax import resample_reference

SSSEG = (
    "ssseg-ce2p/r101-os16-lip",
    "ssseg-ce2p/r101-os8-atr",
    "ssseg-ce2p/r50-os16-cihp",
    "ssseg-ce2p/r50-os16-voc",
    "ssseg-ce2p/r50-os8-lip",
    "ssseg-upernet/r101-os8-ade20k",
    "ssseg-upernet/r50-os16-cityscapes",
    "ssseg-upernet/r50-os16-voc",
)
FLIPPED = "ssseg-ce2p/r101-os16-lip-flip"
V2, V1 = "ce2p-v2/lip", "mce2p/cihp"
TIE = 1e-3
"""Two best logits closer than this may change places: norms can be computed in two equivalent ways."""

MakeParser = Callable[..., Parser]


def model_of(recorded: str) -> str:
    folder, _, rest = recorded.partition("/")
    return {V2: "ce2p-lip", V1: "mce2p-cihp-global"}.get(recorded, f"{folder}-{rest.removesuffix('-flip')}")


def state_of(recorded: str) -> dict[str, Tensor]:
    folder, _, rest = recorded.partition("/")
    if recorded in (V2, V1):
        return synthetic_state(folder, folder, recorded=recorded)
    network = f"{folder}-{rest.partition('-')[0]}"
    classes = {"atr": 18, "voc": 21, "ade20k": 150, "cityscapes": 19}.get(rest.split("-")[2], 20)
    return synthetic_state(network, network, classes, recorded)


def publish(recorded: str, path: Path) -> None:
    """Write the file in the form its project published it in."""
    state = state_of(recorded)
    if recorded == V2:
        torch.save({f"module.{k}": v for k, v in state.items()}, path, _use_new_zipfile_serialization=False)
    elif recorded == V1:
        torch.save(state, path, _use_new_zipfile_serialization=False)
    else:
        torch.save({"epoch": 150, "model": state, "optimizer": {"state": {}, "param_groups": []}}, path)


@pytest.fixture(scope="module")
def make_parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeParser]:
    """`Parser` on a file as published; one file on disk and one network in memory at a time."""
    path = tmp_path_factory.mktemp("published") / "published.pth"
    held: dict[str, Any] = {"recorded": None, "parsers": {}}

    def made(recorded: str, **options: Any) -> Parser:
        if held["recorded"] != recorded:
            publish(recorded, path)
            held.update(recorded=recorded, parsers={})
        parsers = held["parsers"]
        key = tuple(sorted(options.items()))
        if key not in parsers:
            parsers.clear()
            parsers[key] = Parser(model_of(recorded), weights=path, device="cpu", **options)
        parser: Parser = parsers[key]
        return parser

    yield made
    path.unlink(missing_ok=True)


def frame_of(parser: Parser, photo: npt.NDArray[np.uint8]) -> Frame:
    return Frame((photo.shape[0], photo.shape[1]), parser.spec.input)


def near_ties(full: Tensor) -> npt.NDArray[np.bool_]:
    first, second = full.topk(2, dim=0).values
    return (first - second < TIE).numpy()


def assert_close(ours: Tensor | npt.NDArray[Any], theirs: npt.NDArray[Any], tolerance: float = 1e-3) -> None:
    assert tuple(ours.shape) == theirs.shape
    assert np.abs(np.asarray(ours) - theirs).max() <= tolerance


@pytest.mark.parametrize("case", cases(*SSSEG, V2, V1), ids=str)
def test_the_networks_input_equals_the_originals(case: Case) -> None:
    photo = image.load(case.photo)
    fitted = Frame((photo.shape[0], photo.shape[1]), model_info(model_of(case.name)).input).fit(photo)
    assert tuple(fitted.shape) == tuple(case["input_shape"])
    apart = np.abs(fitted[:, ::8, ::8].numpy() - case["input"])
    # Where OpenCV resizes floats, its last bit depends on the width of the CPU's vectors.
    assert (apart <= np.maximum(1e-6, np.spacing(np.abs(case["input"])))).all()


@pytest.mark.parametrize("case", cases(*SSSEG), ids=str)
def test_ssseg_gives_the_originals_logits_and_labels(case: Case, make_parser: MakeParser) -> None:
    parser, photo = make_parser(case.name), image.load(case.photo)
    parsing = parser.predict(photo, keep_logits=True)
    assert parsing.logits is not None and parsing.logits.shape == tuple(case["logits_shape"])
    assert_close(parsing.logits[:, ::4, ::4], case["logits"])
    size = (photo.shape[0], photo.shape[1])
    full = torch.nn.functional.interpolate(torch.from_numpy(parsing.logits)[None], size, mode="bilinear")[0]
    assert_same_labels(parsing.labels, case["labels"], near_ties(full), several=6)


@pytest.mark.parametrize("case", cases(FLIPPED, V1), ids=str)
def test_mirrored_passes_and_their_mean_are_the_originals(case: Case, make_parser: MakeParser) -> None:
    parser, photo = make_parser(case.name, flip=True), image.load(case.photo)
    frame = frame_of(parser, photo)
    fitted = frame.fit(photo)[None]
    with torch.inference_mode():
        plain, mirrored = parser.pipeline.network(torch.cat((fitted, fitted.flip(3))))
    assert_close(plain[:, ::4, ::4], case["logits"])
    assert_close(mirrored[:, ::4, ::4], case["logits_flip"])
    parsing = parser.predict(photo, keep_logits=True)
    assert parsing.logits is not None
    restored = mirrored[list(parser.scheme.flip_order())].flip(2)
    assert_close(parsing.logits, ((plain + restored) / 2).numpy(), 1e-5)
    full = full_size(frame, torch.from_numpy(parsing.logits))
    if case.name == V1:
        assert_close(full[:, ::8, ::8], case["fused"])
    assert_same_labels(parsing.labels, case["labels"], near_ties(full), several=6)


def full_size(frame: Frame, logits: Tensor) -> Tensor:
    """Logits at the picture's size, by the reference."""
    if frame.spec.upsampling == "two-step":
        size, align = frame.input_size, frame.spec.align_corners
        logits = torch.nn.functional.interpolate(logits[None], size, mode="bilinear", align_corners=align)[0]
    return resample_reference(logits, *frame._taps(logits))


@pytest.mark.parametrize("case", cases(V2), ids=str)
def test_ce2p_v2_gives_the_scripts_labels_and_those_of_exact_centres(
    case: Case, make_parser: MakeParser
) -> None:
    photo = image.load(case.photo)
    kept = make_parser(case.name).predict(photo, keep_logits=True)
    assert kept.logits is not None and kept.logits.shape == tuple(case["logits_shape"])
    assert_close(kept.logits[:, ::4, ::4], case["logits"])
    logits = torch.from_numpy(kept.logits)[None]
    full = torch.nn.functional.interpolate(logits, (384, 384), mode="bilinear", align_corners=True)[0]
    assert_same_labels(
        full.argmax(0).to(torch.uint8).numpy(), case["labels_network"], near_ties(full), several=6
    )
    for protocol, key in (
        ("extract", "labels_float_centre"),
        ("paper", "labels_float_centre"),
        ("score", "labels"),
    ):
        labels = make_parser(case.name, protocol=protocol).predict(photo).labels
        differ = labels != case[key]
        assert differ.mean() <= 1e-3, (protocol, differ.sum())
