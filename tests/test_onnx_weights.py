"""Models whose weights are an ONNX file: SCHP's as try-on projects carry it, and others of the same form."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden import SMALL
from torch import Tensor, nn

from humanparse import (
    DeviceError,
    ModelError,
    Parser,
    Parsing,
    WeightsError,
    checkpoint,
    image,
    models,
    registry,
)
from humanparse.runtimes.onnx_graph import write_graph

onnx = pytest.importorskip("onnx", reason="needs the extra onnxruntime")
pytest.importorskip("onnxruntime", reason="needs the extra onnxruntime")

PHOTO = image.load(SMALL / "images" / "hopper_97x61.png")
ATR = registry.network("schp-atr")
SHALLOW = replace(ATR, architecture={"layers": (1, 1, 1, 1)}, input=replace(ATR.input, size=(64, 64)))


class AsTheirs(nn.Module):
    """SCHP as its repository has it: parsing before fusion, fused logits, and edges."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x2, x3, x4, x5 = self.network.stages(image)
        part = self.network.decoder(self.network.context_encoding(x5), x2)
        edge = self.network.edge(x2, x3, x4)
        fused = self.network.fushion(part, *edge)
        return self.network.decoder.conv4(part), fused, self.network.edge.conv4(edge[0])


OUTPUTS = ("logits", "fused", "edge")


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return models.build(SHALLOW).requires_grad_(False)


@pytest.fixture(scope="module")
def exported(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three outputs, as torch writes them."""
    path = tmp_path_factory.mktemp("exported") / "whole.onnx"
    write_graph(AsTheirs(network).eval(), path, {}, OUTPUTS)
    return path


def write(exported: Path, path: Path, order: tuple[int, ...], size: tuple[int, int] | None) -> None:
    """The file of others: these outputs in this order, under names of nobody's; perhaps of a fixed size."""
    graph = onnx.load(exported).graph
    names = {"image": "input.1", **{name: f"{1000 + number}" for number, name in enumerate(OUTPUTS)}}
    outputs = [graph.output[place] for place in order]
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output):
        value.name = names[value.name]
    for place, side in enumerate((1, 3, *size) if size else ()):
        graph.input[0].type.tensor_type.shape.dim[place].dim_value = side
    kept = onnx.helper.make_graph(graph.node, "theirs", graph.input, outputs, graph.initializer)
    model = onnx.helper.make_model(kept, opset_imports=[onnx.helper.make_opsetid("", 17)])
    onnx.save(model, path)


@pytest.fixture(autouse=True)
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """`schp-atr` of a few layers; `schp-lip` as it is."""
    real = registry.get
    monkeypatch.setattr(registry, "get", lambda name: SHALLOW if name == "schp-atr" else real(name))


@pytest.fixture(scope="module")
def expected(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Parsing:
    """What the checkpoint gives."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "get", lambda name: SHALLOW)
        return plain(network, tmp_path_factory.mktemp("plain"))


def plain(network: nn.Module, folder: Path, **options: Any) -> Any:
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    checkpoint.save(state, folder / "plain.safetensors", {})
    return Parser("schp-atr", weights=folder / "plain.safetensors", device="cpu", **options).predict(
        PHOTO, keep_logits=True
    )


@pytest.mark.parametrize("order", [(1,), (0, 1, 2), (1, 0, 2), (2, 0, 1)], ids=str)
def test_the_fused_logits_are_taken_whichever_outputs_there_are(
    order: tuple[int, ...], expected: Parsing, exported: Path, tmp_path: Path
) -> None:
    file = tmp_path / "parsing_atr.onnx"
    write(exported, file, order, None)
    parser = Parser("schp-atr", weights=file)
    found = parser.predict(PHOTO, keep_logits=True)
    assert np.abs(found.logits - expected.logits).max() < 1e-4 * max(1.0, expected.logits.std())
    assert np.array_equal(found.labels, expected.labels)
    assert f"parsing_atr.onnx, output 1001 of {len(order)}" in repr(parser)
    assert parser.runtime == "onnxruntime" and parser.weights == {"network": file}


def test_a_fixed_batch_is_run_photo_by_photo(network: nn.Module, exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "atr.weights"  # known by its content
    write(exported, file, (1,), (64, 64))
    parser = Parser("schp-atr", weights=file, flip=True, device="cpu")
    expected = plain(network, tmp_path, flip=True)
    assert np.array_equal(parser.predict(PHOTO).labels, expected.labels)
    several = list(parser.predict_many([PHOTO, PHOTO[::-1].copy()], batch_size=2))
    assert np.array_equal(several[0].labels, expected.labels)
    held = pickle.loads(pickle.dumps(parser.pipeline.network))
    assert torch.equal(held(torch.ones(2, 3, 64, 64)), parser.pipeline.network(torch.ones(2, 3, 64, 64)))  # type: ignore[operator]
    with pytest.raises(ModelError, match="only takes pictures of 64x64, not 32x32: name the model"):
        Parser("schp-atr", weights=file, scales=(0.5,)).predict(PHOTO)
    with pytest.raises(WeightsError, match="only takes pictures of 64x64, not 96x64"):
        Parser("schp-atr", weights=file, test_size=(96, 64))


def test_files_of_other_models_and_options_that_cannot_be_are_refused(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "atr.onnx"
    write(exported, file, (2, 1), None)
    real = registry.get
    wide = replace(registry.network("schp-lip"), input=SHALLOW.input)
    monkeypatch.setattr(registry, "get", lambda name: wide if name == "schp-lip" else real(name))
    told = r"no output has 20 channels, one for each label; it has 1002 of 2 channels, 1001 of 18 channels"
    with pytest.raises(WeightsError, match=told):
        Parser("schp-lip", weights=file)
    with pytest.raises(DeviceError, match="only ONNX Runtime runs an ONNX file; leave `runtime` out"):
        Parser("schp-atr", weights=file, runtime="openvino")
    with pytest.raises(DeviceError, match="runs on the CPU"):
        Parser("schp-atr", weights=file, device="cuda")
    with pytest.raises(ModelError, match="outputs several kinds of maps"):
        Parser("smp-r50-mhpv2", weights=file)
    graph = onnx.load(file)
    graph.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    onnx.save(graph, file)
    with pytest.raises(
        WeightsError, match=r"its inputs are input.1 \[4, 3, .*; expected is one picture \(N, 3, H, W\)"
    ):
        Parser("schp-atr", weights=file)


def test_a_pointer_and_a_cut_off_graph_are_called_what_they_are(exported: Path, tmp_path: Path) -> None:
    file = tmp_path / "parsing_atr.onnx"
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:04c7\nsize 266859305\n")
    with pytest.raises(WeightsError, match=r"parsing_atr.onnx is a Git LFS pointer"):
        Parser("schp-atr", weights=file)
    write(exported, file, (1,), (64, 64))
    file.write_bytes(file.read_bytes()[:100_000])
    with pytest.raises(WeightsError, match=r"parsing_atr.onnx: cut off or damaged, 100000 bytes"):
        Parser("schp-atr", weights=file)


def test_without_onnx_runtime_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "parsing_atr.onnx"
    file.write_bytes(b"\x08\x07\x12\x07pytorch")
    monkeypatch.setattr("humanparse.runtimes.placement.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=r"pip install 'humanparse\[onnxruntime\]'"):
        Parser("schp-atr", weights=file)


@pytest.mark.slow
def test_the_whole_network_gives_the_checkpoints_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "get", lambda name: ATR)
    torch.manual_seed(1)
    whole = models.build(ATR).requires_grad_(False)
    write_graph(AsTheirs(whole).eval(), tmp_path / "whole.onnx", {}, OUTPUTS)
    write(tmp_path / "whole.onnx", tmp_path / "parsing_atr.onnx", (0, 1, 2), (512, 512))
    found = Parser("schp-atr", weights=tmp_path / "parsing_atr.onnx").predict(PHOTO)
    assert (found.labels == plain(whole, tmp_path).labels).mean() >= 0.9999
