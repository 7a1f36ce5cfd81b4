"""`Parser` with the bundled model: options, devices, errors."""

from __future__ import annotations

import pickle
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import SMALL
from http_server import Answer, Server

from humanparse import (
    DeviceError,
    FormatError,
    ImageError,
    ModelError,
    Parser,
    Parsing,
    WeightsError,
    checkpoint,
    get_scheme,
    hub,
    image,
    registry,
)
from humanparse.registry import Source, WeightFile

PHOTO = SMALL / "images" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def parser() -> Parser:
    return Parser(device="cpu")


def test_the_default_model_needs_no_network_and_finds_the_person(parser: Parser) -> None:
    parsing = Parser(device="cpu", offline=True).predict(PHOTO)
    assert parsing.size == (600, 512)
    assert parsing.scheme == get_scheme("atr") and parsing.model == "lite-atr"
    shares = {part.name: part.share for part in parsing.parts()}
    assert shares["Face"] > 0.08 and shares["Upper-clothes"] > 0.15
    assert parsing.labels[10, 450] == 0  # sky
    assert parsing.labels[280, 250] == parsing.scheme.index("Face")


def test_a_mirrored_photo_gives_nearly_the_mirrored_labels_with_flip() -> None:
    both = Parser(device="cpu", flip=True)
    photo = image.load(PHOTO)
    straight = both.predict(photo)
    mirrored = both.predict(np.ascontiguousarray(photo[:, ::-1]))
    swap = np.array(both.scheme.flip_order(), dtype=np.uint8)
    assert (swap[mirrored.labels[:, ::-1]] == straight.labels).mean() > 0.97


def test_confidence_and_logits_come_only_when_asked_for(parser: Parser) -> None:
    plain = parser.predict(PHOTO)
    assert plain.confidence is None and plain.logits is None
    full = parser.predict(PHOTO, keep_logits=True, confidence=True)
    assert np.array_equal(full.labels, plain.labels)
    assert full.confidence is not None and full.confidence.dtype == np.float16
    assert full.confidence.shape == full.size
    assert float(full.confidence.min()) >= 1 / 18 - 1e-3 and float(full.confidence.max()) <= 1
    assert full.logits is not None and full.logits.dtype == np.float32 and full.logits.shape[0] == 18


def test_several_scales_give_mean_logits_at_input_size() -> None:
    parsing = Parser(device="cpu", scales=(0.75, 1.0)).predict(PHOTO, keep_logits=True)
    assert parsing.logits is not None and parsing.logits.shape == (18, 384, 320)


def test_test_size_changes_the_networks_input() -> None:
    parsing = Parser(device="cpu", test_size=(160, 256)).predict(PHOTO, keep_logits=True)
    assert parsing.logits is not None and parsing.logits.shape[1:] == (96, 80)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (40, 1200)])
def test_photos_of_any_size_and_aspect_are_parsed(parser: Parser, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert parser.predict(noise).size == size


def test_the_same_photo_twice_gives_the_same_value_and_survives_pickling(parser: Parser) -> None:
    one = parser.predict(PHOTO, confidence=True)
    assert pickle.loads(pickle.dumps(one)) == one == parser.predict(PHOTO, confidence=True)


def test_bf16_on_the_cpu_gives_nearly_the_same_labels(parser: Parser) -> None:
    fast = Parser(device="cpu", precision="bf16")
    assert fast.precision == "bf16"
    assert (fast.predict(PHOTO).labels == parser.predict(PHOTO).labels).mean() > 0.97


def test_neither_threads_nor_tf32_nor_gradients_are_switched_globally(parser: Parser) -> None:
    before = (torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.is_grad_enabled())
    parser.predict(PHOTO)
    assert (torch.get_num_threads(), torch.backends.cudnn.allow_tf32, torch.is_grad_enabled()) == before


def test_the_repr_says_what_a_person_wants_to_know(parser: Parser) -> None:
    assert repr(parser) == "Parser(lite-atr: 18 atr labels, short side 320, at most 512, cpu, float32)"


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"model": "tiny-art"}, ModelError, "did you mean lite-atr"),
        ({"device": "gpu"}, DeviceError, "use auto, cpu, cuda"),
        ({"device": "xpu"}, DeviceError, "not supported"),
        ({"precision": "fp8"}, DeviceError, "precision must be"),
        ({"precision": "fp16"}, DeviceError, "needs CUDA"),
        ({"protocol": "exact"}, ModelError, "extract, paper, score"),
        ({"scales": ()}, ModelError, "scales must be"),
        ({"scales": (0.0, 1.0)}, ModelError, "scales must be"),
        ({"test_size": (5, 500)}, ModelError, "at least 32"),
        ({"weights": "nowhere.pth"}, WeightsError, "no such file"),
    ],
)
def test_impossible_options_say_what_to_do(
    options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        Parser(**{"device": "cpu", **options})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_that_is_not_there_is_an_error_not_a_cpu() -> None:
    assert Parser().device.type == "cpu"
    with pytest.raises(DeviceError, match="use device='cpu'"):
        Parser(device="cuda")


def test_another_models_checkpoint_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"conv.weight": torch.zeros(3, 3)}, file)
    with pytest.raises(WeightsError, match=r"other.pth does not fit lite-atr(.|\n)*missing(.|\n)*unexpected"):
        Parser(weights=file, device="cpu")


def test_without_network_a_model_that_is_not_here_says_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with pytest.raises(WeightsError, match="weights=") as caught:
        Parser("schp-lip", device="cpu", offline=True)
    assert str(tmp_path / "models" / "schp-lip" / "exp-schp-201908261155-lip.pth") in str(caught.value)


def test_a_downloaded_pickle_is_converted_once_and_the_copy_is_used_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parser: Parser
) -> None:
    published = tmp_path / "published.pth"
    state = checkpoint.load(hub.fetch(parser.spec))
    torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, published)
    content = published.read_bytes()
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))
    with Server() as server:
        server.answer("/lite.pth", Answer(content))
        file = WeightFile(
            "lite.pth", (Source("url", f"{server.url}/lite.pth"),), len(content), sha256(content).hexdigest()
        )
        remote = replace(parser.spec, name="lite-remote", file=file)
        monkeypatch.setattr(registry, "get", lambda name: remote)
        assert np.array_equal(
            Parser("lite-remote", device="cpu").predict(PHOTO).labels, parser.predict(PHOTO).labels
        )
    kept = {path.suffix: path for path in hub.place(remote).parent.iterdir()}
    assert set(kept) >= {".pth", ".safetensors"}
    monkeypatch.setattr(torch, "load", None)  # the pickle is not opened again
    assert np.array_equal(
        Parser("lite-remote", device="cpu").predict(PHOTO).labels, parser.predict(PHOTO).labels
    )


def test_a_broken_picture_is_an_image_error_that_names_it(parser: Parser, tmp_path: Path) -> None:
    file = tmp_path / "cut.jpg"
    file.write_bytes(PHOTO.read_bytes()[:5000])
    with pytest.raises(ImageError, match=r"cut\.jpg"):
        parser.predict(file)


def test_a_parsing_saved_in_each_format_is_read_back(parser: Parser, tmp_path: Path) -> None:
    parsing = parser.predict(PHOTO)
    for suffix in (".png", ".npz", ".json"):
        assert Parsing.load(parsing.save(tmp_path / f"labels{suffix}")) == parsing
    with pytest.raises(FormatError, match=r"\.png, \.npz, \.json"):
        parsing.save(tmp_path / "labels.jpg")
