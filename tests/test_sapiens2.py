"""Sapiens2 against transformers: random weights in the published form, small networks, the same photos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from humanparse import Parser, WeightsError, models, registry
from humanparse.geometry import Frame
from humanparse.runtimes.loading import load_network

from hub_folders import assert_same_labels, noise, scrambled, transformers  # isort: skip  # skips

if not hasattr(transformers, "Sapiens2ForSemanticSegmentation"):
    pytest.skip("compares with Sapiens2 in transformers, which came with 5.x", allow_module_level=True)

B04 = registry.network("sapiens2-0.4b")
NAMES = registry.names("sapiens2-*")
SMALL = replace(B04, architecture={"width": 64, "heads": 4}, input=replace(B04.input, size=(128, 96)))


def published(folder: Path, seed: int = 0, **config: Any) -> tuple[Path, Any]:
    """A checkpoint as Meta publishes it, and transformers' network of it."""
    made = transformers.Sapiens2Config(
        **{
            "hidden_size": 64,
            "intermediate_size": 96,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads_per_layer": [4, 2, 1, 4],
            "num_labels": 29,
            "image_size": (128, 96),
            "head_config": {"upsample_out_channels": [32, 24, 16, 8], "conv_out_channels": [8, 12]},
            **config,
        }
    )
    network = scrambled(transformers.Sapiens2ForSemanticSegmentation(made), seed)
    network.save_pretrained(folder)
    return folder / "model.safetensors", network


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    return published(tmp_path_factory.mktemp("small"))


@pytest.mark.parametrize("size", [(128, 96), (64, 160)])
def test_the_published_file_is_read_whole_and_gives_transformers_logits(
    size: tuple[int, int], small: tuple[Path, Any]
) -> None:
    file, theirs = small
    ours = load_network(SMALL, file, published=False)
    pixels = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = theirs(pixels).logits, ours(pixels)
    assert found.shape == expected.shape == (2, 29, *size)
    assert expected.std() > 0.3 and (found - expected).abs().max() < 1e-4


def test_what_no_public_record_tells_is_read_off_the_file(tmp_path: Path) -> None:
    head = {"upsample_out_channels": [24, 16, 16, 16], "conv_out_channels": [12]}
    file, theirs = published(tmp_path, num_register_tokens=2, intermediate_size=40, head_config=head)
    read = models.read_off(SMALL, load_file(file)).architecture
    assert read == {
        "width": 64, "heads": 4, "kv_heads": (4, 2, 1, 4), "inner": 40, "registers": 2,
        "deconv": (24, 16, 16, 16), "conv": (12,),
    }  # fmt: skip
    pixels = torch.randn(1, 3, 64, 48, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        found = load_network(SMALL, file, published=False)(pixels)
        assert (found - theirs(pixels).logits).abs().max() < 1e-4


def test_keys_of_no_use_are_left_out_and_others_refused(small: tuple[Path, Any], tmp_path: Path) -> None:
    state = load_file(small[0])
    more = {"backbone.mask_token": torch.zeros(1, 1, 64), "backbone.rope_embed.periods": torch.ones(4)}
    save_file({**state, **more}, tmp_path / "more.safetensors")
    load_network(SMALL, tmp_path / "more.safetensors", published=False)
    save_file({**state, "backbone.other": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"unexpected \(1\):\n    backbone\.other"):
        load_network(SMALL, tmp_path / "other.safetensors", published=False)
    with pytest.raises(WeightsError, match=r"does not fit sapiens2-0\.8b"):
        Parser("sapiens2-0.8b", weights=small[0], device="cpu")


@pytest.mark.parametrize("size", [(300, 200), (90, 120), (1, 1), (300, 40), (40, 300)])
def test_pixels_are_averaged_where_the_width_shrinks_and_cubic_elsewhere(size: tuple[int, int]) -> None:
    photo = noise(*size)
    how = cv2.INTER_AREA if size[1] > 96 else cv2.INTER_CUBIC
    expected = cv2.resize(photo, (96, 128), interpolation=how)
    assert np.array_equal(Frame(size, SMALL.input).resample(photo).numpy(), expected)


def test_labels_are_those_of_transformers_logits(
    small: tuple[Path, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, network = small
    monkeypatch.setattr(registry, "get", lambda name: SMALL)
    parser = Parser("sapiens2-0.4b", weights=file, device="cpu")
    half = Parser("sapiens2-0.4b", weights=file, device="cpu", precision="bf16")
    for photo in (noise(257, 190), noise(70, 81)):
        pixels = Frame((photo.shape[0], photo.shape[1]), SMALL.input).fit(photo)[None]
        with torch.inference_mode():
            logits = network(pixels).logits
        large = torch.nn.functional.interpolate(logits, photo.shape[:2], mode="bilinear")[0]
        found = parser.predict(photo)
        assert_same_labels(found.labels, large, large.argmax(0).numpy())
        assert (half.predict(photo).labels == found.labels).mean() > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_the_published_keys(name: str) -> None:
    spec = registry.network(name)
    layers = {"sapiens2-0.4b": 24, "sapiens2-0.8b": 32, "sapiens2-1b": 40, "sapiens2-5b": 56}[name]
    with torch.device("meta"):
        keys = set(models.build(spec).state_dict())
    both = ("weight", "bias")
    wanted = {"backbone.cls_token", "backbone.storage_tokens", "backbone.ln1.weight"}
    wanted |= {f"backbone.patch_embed.projection.{end}" for end in both}
    for layer in range(layers):
        here = f"backbone.blocks.{layer}"
        single = ("ln1", "ln2", "attn.q_norm", "attn.k_norm", "attn.gamma")
        wanted |= {f"{here}.{part}.weight" for part in single}
        linear = ("attn.wq", "attn.wk", "attn.wv", "attn.proj", "ffn.w12", "ffn.w3")
        wanted |= {f"{here}.{part}.{end}" for part in linear for end in both}
    wanted |= {f"decode_head.deconv_layers.{place}.weight" for place in (0, 3, 6, 9)}
    wanted |= {f"decode_head.{part}.{end}" for part in ("conv_layers.0", "conv_layers.3") for end in both}
    assert keys == wanted | {f"decode_head.conv_seg.{end}" for end in both}


@pytest.mark.slow
def test_the_smallest_published_size_gives_transformers_logits(tmp_path: Path) -> None:
    head = {"upsample_out_channels": [512, 256, 128, 64], "conv_out_channels": [64, 64]}
    sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
    file, theirs = published(
        tmp_path,
        num_attention_heads=16,
        num_key_value_heads_per_layer=None,
        image_size=(1024, 768),
        head_config=head,
        **sizes,
    )
    ours = load_network(B04, file, published=False)
    pixels = torch.randn(1, 3, 128, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert (ours(pixels) - theirs(pixels).logits).abs().max() < 1e-4
