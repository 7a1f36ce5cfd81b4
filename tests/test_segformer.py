"""SegFormer against transformers and fashn-human-parser: random weights in the hub's form, same photos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from golden import SMALL
from PIL import Image
from safetensors import safe_open

from humanparse import Parser, WeightsError, checkpoint, image, models, registry
from humanparse.geometry import Frame
from humanparse.runtimes.folded import folded
from humanparse.runtimes.loading import load_network
from humanparse.runtimes.onnx_graph import write_graph
from humanparse.runtimes.onnxruntime import OnnxRuntimeNetwork

from hub_folders import SIZES, assert_same_labels, noise, processor, save, segformer  # isort: skip  # skips

B0, FASHN = registry.network("segformer-b0-clothes"), registry.network("fashn")
PHOTOS = {
    "portrait": image.load(SMALL / "images" / "grace_hopper.jpg"),
    "landscape": noise(480, 733),
    "smaller than the input": noise(61, 47),
    "odd sides": noise(513, 301),
}


def spec_of(size: str) -> registry.ModelSpec:
    depths, widths, decoder = SIZES[size]
    return replace(B0, architecture={"depths": depths, "widths": widths, "decoder": decoder})


@pytest.fixture(scope="module")
def b0(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder in the hub's form, and transformers' network of it."""
    network = segformer("b0", B0.scheme.names)
    return save(tmp_path_factory.mktemp("b0"), network), network


@pytest.mark.parametrize("size", ["b0", "b1", "b2", pytest.param("b4", marks=pytest.mark.slow)])
def test_the_hubs_file_is_read_whole_and_gives_transformers_logits(size: str, tmp_path: Path) -> None:
    theirs = segformer(size, 18, seed=len(size))
    save(tmp_path, theirs)
    ours = load_network(spec_of(size), tmp_path / "model.safetensors", published=False)
    pixels = torch.randn(2, 3, 96, 130, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = theirs(pixels).logits, ours(pixels)
    assert found.shape == expected.shape == (2, 18, 24, 33)
    assert expected.std() > 0.3 and (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_every_published_size_has_the_hubs_keys(size: str) -> None:
    with torch.device("meta"):
        assert set(models.build(spec_of(size)).state_dict()) == set(_hub_keys(size))


def test_the_spelled_out_keys_are_those_that_transformers_writes(b0: tuple[Path, Any]) -> None:
    with safe_open(b0[0] / "model.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(_hub_keys("b0"))


def _hub_keys(size: str) -> Iterator[str]:
    """The keys of a published file."""
    depths = SIZES[size][0]
    block = (
        *("layer_norm_1", "attention.self.query", "attention.self.key", "attention.self.value"),
        *("attention.output.dense", "layer_norm_2", "mlp.dense1", "mlp.dwconv.dwconv", "mlp.dense2"),
    )
    for stage, depth in enumerate(depths):
        names = [f"patch_embeddings.{stage}.{name}" for name in ("proj", "layer_norm")]
        names.append(f"layer_norm.{stage}")
        for place in range(depth):
            reduced = ["attention.self.sr", "attention.self.layer_norm"] if stage < 3 else []
            names += [f"block.{stage}.{place}.{name}" for name in (*block, *reduced)]
        yield from (f"segformer.encoder.{name}.{end}" for name in names for end in ("weight", "bias"))
        yield from (f"decode_head.linear_c.{stage}.proj.{end}" for end in ("weight", "bias"))
    yield "decode_head.linear_fuse.weight"
    yield from (f"decode_head.classifier.{end}" for end in ("weight", "bias"))
    ends = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    yield from (f"decode_head.batch_norm.{end}" for end in ends)


def test_the_merged_decoder_is_the_plain_one_up_to_rounding(b0: tuple[Path, Any]) -> None:
    plain = models.build(B0)
    plain.load_state_dict(checkpoint.load(b0[0] / "model.safetensors"), strict=False)
    pixels = torch.randn(1, 3, 100, 76, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = plain(pixels)
        merged = folded(plain.requires_grad_(False))
        assert type(merged.decode_head).__name__ == "LinearDecoder"
        assert (merged(pixels) - expected).abs().max() < 2e-5


def test_a_graph_computes_the_same(b0: tuple[Path, Any], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="runs graphs with ONNX Runtime, which is not installed")
    network = load_network(B0, b0[0] / "model.safetensors", published=False)
    write_graph(network, tmp_path / "b0.onnx", {})
    pixels = torch.randn(3, 3, 64, 160, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        assert (OnnxRuntimeNetwork(tmp_path / "b0.onnx")(pixels) - network(pixels)).abs().max() < 1e-4


@pytest.mark.parametrize("side", [(512, 512), (96, 160)])
@pytest.mark.parametrize("photo", PHOTOS.values(), ids=PHOTOS)
def test_pixels_are_those_of_transformers_pillow_back_end(
    photo: npt.NDArray[np.uint8], side: tuple[int, int]
) -> None:
    raw = processor(*side, do_rescale=False, do_normalize=False)(images=Image.fromarray(photo))
    spec = replace(B0.input, size=side)
    frame = Frame((photo.shape[0], photo.shape[1]), spec)
    assert np.array_equal(
        frame.resample(photo).numpy(), np.asarray(raw["pixel_values"][0]).transpose(1, 2, 0)
    )
    ready = processor(*side)(images=Image.fromarray(photo), return_tensors="pt")["pixel_values"][0]
    assert (frame.fit(photo) - ready).abs().max() < 1e-6


@pytest.mark.parametrize("how", [2, 3, 1])
def test_other_resizes_of_pillow_are_its_own(how: int) -> None:
    name = {1: "pil-lanczos", 2: "pil-bilinear", 3: "pil-bicubic"}[how]
    for size in ((90, 41), (300, 400)):
        photo = noise(*size)
        raw = processor(128, 96, resample=how, do_rescale=False, do_normalize=False)(
            images=Image.fromarray(photo)
        )
        frame = Frame(size, replace(B0.input, size=(128, 96), interpolation=name))  # type: ignore[arg-type]
        assert np.array_equal(
            frame.resample(photo).numpy(), np.asarray(raw["pixel_values"][0]).transpose(1, 2, 0)
        )


@pytest.mark.parametrize("photo", PHOTOS, ids=str)
def test_labels_are_those_of_transformers_from_photo_to_map(photo: str, b0: tuple[Path, Any]) -> None:
    folder, network = b0
    pixels = PHOTOS[photo]
    found = Parser(B0.name, weights=folder / "model.safetensors", device="cpu").predict(
        pixels, keep_logits=True
    )
    inputs = processor()(images=Image.fromarray(pixels), return_tensors="pt")
    with torch.inference_mode():
        outputs = network(**inputs)
    assert np.abs(found.logits - outputs.logits[0].numpy()).max() < 1e-4
    (expected,) = processor().post_process_semantic_segmentation(outputs, target_sizes=[pixels.shape[:2]])
    large = torch.nn.functional.interpolate(outputs.logits, pixels.shape[:2], mode="bilinear")[0]
    assert_same_labels(found.labels, large, expected.numpy())


def test_labels_are_those_of_transformers_pipeline(b0: tuple[Path, Any]) -> None:
    from transformers import pipeline

    folder, network = b0
    pixels = PHOTOS["landscape"]
    segments = pipeline("image-segmentation", model=network, image_processor=processor(), device="cpu")(
        Image.fromarray(pixels)
    )
    expected = np.full(pixels.shape[:2], 255, dtype=np.uint8)
    for segment in segments:
        expected[np.asarray(segment["mask"]) > 0] = B0.scheme.index(segment["label"])
    found = Parser(B0.name, weights=folder / "model.safetensors", device="cpu").predict(pixels)
    assert (found.labels == expected).mean() >= 0.9999 and len(np.unique(expected)) > 2


def fashn_package() -> Any:
    return pytest.importorskip("fashn_human_parser", reason="pip install --no-deps fashn-human-parser")


def test_pixels_for_fashn_are_those_of_its_own_package() -> None:
    own = fashn_package().FashnHumanParser._preprocess_single
    for size in ((700, 500), (300, 400), (576, 384), (577, 385), (1200, 90), (30, 900), (1, 1)):
        photo = noise(*size)
        frame = Frame(size, FASHN.input)
        assert torch.equal(frame.fit(photo), own(None, photo))
        area = cv2.resize(photo, (384, 576), interpolation=cv2.INTER_AREA)
        assert np.array_equal(frame.resample(photo).numpy(), area)


def compare_with_fashn(folder: Path, parser: Parser, photos: list[npt.NDArray[np.uint8]]) -> None:
    own = fashn_package().FashnHumanParser(str(folder), device="cpu")
    for photo in photos:
        logits = own.predict(photo, return_logits=True)[0]
        assert_same_labels(parser.predict(photo).labels, logits, own.predict(photo))


def test_labels_for_fashn_are_those_of_its_own_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save(tmp_path, segformer("b0", FASHN.scheme.names, seed=3))
    spec = replace(FASHN, architecture=B0.architecture)
    monkeypatch.setattr(registry, "get", lambda name: spec)
    parser = Parser("fashn", weights=folder / "model.safetensors", device="cpu")
    compare_with_fashn(folder, parser, [PHOTOS["portrait"], noise(211, 399)])


@pytest.mark.slow
def test_labels_of_the_published_fashn_network_are_those_of_its_own_package(tmp_path: Path) -> None:
    folder = save(tmp_path, segformer("b4", FASHN.scheme.names, seed=4))
    parser = Parser("fashn", weights=folder / "model.safetensors", device="cpu")
    compare_with_fashn(folder, parser, [PHOTOS["odd sides"]])


def test_a_file_of_another_size_is_named(b0: tuple[Path, Any]) -> None:
    with pytest.raises(
        WeightsError, match=r"it is a SegFormer file \(depths 2 2 2 2, 18 classes\); use .*b0-clothes"
    ):
        Parser("segformer-b2-clothes", weights=b0[0] / "model.safetensors", device="cpu")
