"""Faster networks against the plain ones."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
import torch
from golden import SMALL
from torch import nn

from humanparse import DeviceError, ModelError, Parser, WeightsError, checkpoint, hub, models, registry
from humanparse.models import _blocks, _ssseg
from humanparse.models._blocks import InPlaceAbn
from humanparse.models._fast import SplitJoined, SplitPyramid
from humanparse.models.ce2p_v1 import Ce2pV1
from humanparse.models.ce2p_v2 import Ce2pV2
from humanparse.models.lite import Lite
from humanparse.models.sapiens2 import Sapiens2
from humanparse.models.schp import Schp
from humanparse.models.segformer import Segformer
from humanparse.models.smp import Smp, SmpMaps
from humanparse.models.ssseg_ce2p import Ce2p
from humanparse.models.ssseg_upernet import UperNet
from humanparse.models.uniparser import UniParser, UniParserMaps
from humanparse.runtimes import onnx_graph
from humanparse.runtimes.folded import folded, split
from humanparse.runtimes.onnxruntime import OnnxRuntimeNetwork
from humanparse.runtimes.openvino import OpenVinoNetwork
from humanparse.runtimes.placement import choose_runtime

SHALLOW = (1, 2, 1, 1)
NETWORKS = {
    "schp": lambda: Schp(5, SHALLOW),
    "ce2p-v2": lambda: Ce2pV2(5, SHALLOW),
    "ce2p-v1": lambda: Ce2pV1(5, SHALLOW),
    "ssseg-ce2p": lambda: Ce2p(5, SHALLOW, 8),
    "ssseg-upernet": lambda: UperNet(5, SHALLOW, 16),
    "segformer": lambda: Segformer(5),
    "sapiens2": lambda: Sapiens2(5, 64, 4, (4, 2, 4), 96, deconv=(32, 24, 16, 8), conv=(8, 8)),
    "lite": lambda: Lite(5),
    "smp": lambda: Smp(5, SHALLOW),
    "uniparser": lambda: UniParser(5, SHALLOW),
}


def lively(network: nn.Module) -> nn.Module:
    """Norms as training leaves them: no mean at 0, no scale at 1, some scales negative."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | InPlaceAbn):
            nn.init.normal_(module.weight, 0.8, 0.6)
            nn.init.normal_(module.bias, 0, 0.3)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.3, 2)
    return network.eval().requires_grad_(False)


def test_every_family_is_compared() -> None:
    assert set(NETWORKS) == set(registry.FAMILIES)


def smooth(output: torch.Tensor | SmpMaps | UniParserMaps) -> list[torch.Tensor]:
    """Logits, or the maps that change with the weights as smoothly; peaks come and go by rounding."""
    if isinstance(output, SmpMaps):
        return [*output.kernel, output.offset, output.mask_features]
    if isinstance(output, UniParserMaps):
        return [output.instance, output.semantic]
    return [output]


@pytest.mark.parametrize("family", NETWORKS)
def test_a_folded_network_gives_the_plain_ones_logits(family: str) -> None:
    plain = lively(NETWORKS[family]())
    fast = folded(copy.deepcopy(plain))
    split(fast)
    assert not any(isinstance(module, nn.BatchNorm2d | InPlaceAbn) for module in fast.modules())
    picture = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = smooth(plain(picture)), smooth(fast(picture))
    for theirs, ours in zip(expected, found, strict=True):
        assert (ours - theirs).abs().max() <= 1e-4 * theirs.std()


def test_a_norm_that_follows_no_convolution_stays() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)).eval()
    picture = torch.randn(1, 3, 4, 4)
    expected = network(picture)
    assert torch.allclose(folded(network)(picture), expected, atol=1e-6)
    assert isinstance(network[0], nn.BatchNorm2d) and isinstance(network[3], nn.BatchNorm2d)


def test_the_bundled_model_is_used_folded() -> None:
    network = Parser(device="cpu").pipeline.network
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert models.build(registry.get("lite-atr")).state_dict().keys() != network.state_dict().keys()


@pytest.mark.parametrize("size", [(30, 30), (7, 12), (1, 1), (5, 3)])
@pytest.mark.parametrize("kind", ["originals", "ssseg"])
def test_a_split_pyramid_is_the_whole_one_on_any_grid(kind: str, size: tuple[int, int]) -> None:
    whole = nn.Sequential(
        _blocks.PyramidPooling(12, 5) if kind == "originals" else _ssseg.PyramidPooling(12, 5, slope=0.0)
    )
    fast = folded(copy.deepcopy(lively(whole)))
    split(fast)
    assert isinstance(fast[0], SplitPyramid)
    features = torch.randn(2, 12, *size, generator=torch.Generator().manual_seed(2))
    for _ in range(2):  # the second time with the kept matrix
        assert torch.allclose(fast(features), whole(features), atol=1e-5)


HOSTS = {"onnxruntime": OnnxRuntimeNetwork, "openvino": OpenVinoNetwork}
WITH_LOGITS = [name for name, family in registry.FAMILIES.items() if family.decoder is None]
PHOTOS = sorted((SMALL / "images").iterdir())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("family", WITH_LOGITS)
def test_a_graph_gives_the_networks_logits_for_any_batch_and_size(family: str, tmp_path: Path) -> None:
    network = folded(lively(NETWORKS[family]()))
    before = [type(module) for module in network.modules()]
    onnx_graph.write_graph(network, tmp_path / "graph.onnx", {})
    assert [type(module) for module in network.modules()] == before
    hosts = [host(tmp_path / "graph.onnx") for host in HOSTS.values()]
    sizes = [(32, 64), (96, 128)] if family == "lite" else [(33, 65), (97, 61), (96, 128)]
    for batch, size in enumerate(sizes, 1):
        picture = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            expected = network(picture)
        for host in hosts:
            found = host(picture)
            assert found.shape == expected.shape and found.dtype == expected.dtype
            assert (found - expected).abs().max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("length", [1, 5, 6, 30, 32])
def test_pooling_by_products_equals_adaptive_pooling(length: int) -> None:
    x = torch.randn(2, 3, length, 7, generator=torch.Generator().manual_seed(0))
    for cells in (1, 2, 3, 6):
        expected = nn.AdaptiveAvgPool2d(cells)(x)
        assert torch.allclose(onnx_graph.AveragePooling(cells)(x), expected, atol=1e-6)


@pytest.mark.parametrize("runtime", HOSTS)
@pytest.mark.parametrize("options", [{}, {"flip": True, "scales": (0.75, 1.0)}], ids=["once", "averaged"])
def test_the_bundled_model_gives_the_same_labels_in_every_runtime(
    runtime: Any, options: dict[str, Any], home: Path
) -> None:
    theirs, ours = Parser(device="cpu", **options), Parser(runtime=runtime, **options)
    assert (ours.runtime, str(ours.device), ours.precision) == (runtime, "cpu", "float32")
    assert repr(ours).endswith(f", {runtime})")
    for photo in PHOTOS:
        expected, found = (parser.predict(photo, keep_logits=True) for parser in (theirs, ours))
        assert expected.logits is not None and found.logits is not None
        assert np.abs(found.logits - expected.logits).max() <= 1e-4 * expected.logits.std()
        assert (found.labels == expected.labels).mean() >= 0.9999


def test_openvino_in_bf16_keeps_as_many_labels_as_torch_in_bf16(home: Path) -> None:
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(DeviceError, match="no bf16 on this CPU"):
            Parser(runtime="openvino", precision="bf16")
        return
    exact, torchs = (Parser(device="cpu", precision=precision) for precision in ("float32", "bf16"))
    openvinos = Parser(runtime="openvino", precision="bf16")
    assert openvinos.precision == "bf16"
    expected = np.concatenate([exact.predict(photo).labels.ravel() for photo in PHOTOS])
    shares = [
        (np.concatenate([half.predict(photo).labels.ravel() for photo in PHOTOS]) == expected).mean()
        for half in (torchs, openvinos)
    ]
    assert shares[1] >= max(0.995, shares[0] - 0.001)


@pytest.mark.skipif(sys.platform == "win32", reason="which has no stacks for signals")
def test_a_signal_after_two_openvino_parsers_are_gone_does_not_end_the_process(home: Path) -> None:
    code = (
        "import faulthandler, signal; faulthandler.enable(); from humanparse import Parser;"
        "signal.signal(signal.SIGUSR1, lambda *_: print('handled'));"
        "parsers = [Parser(runtime='openvino') for _ in range(2)]; del parsers[0]; parsers.clear();"
        "signal.raise_signal(signal.SIGUSR1)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "handled\n")


def test_auto_is_what_was_measured_to_be_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    resnet, lite, people = ([registry.get(name)] for name in ("schp-lip", "lite-atr", "smp-r50-mhpv2"))
    assert choose_runtime("auto", "cpu", "auto", resnet) == ("openvino", "cpu", "auto")
    assert choose_runtime("auto", "cpu", "bf16", resnet)[0] == "torch"
    assert choose_runtime("auto", "cuda", "auto", resnet) == ("torch", "cuda", "auto")
    assert choose_runtime("auto", "cpu", "float32", lite)[0] == "torch"
    assert choose_runtime("auto", "cpu", "auto", people)[0] == "torch"
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert choose_runtime("auto", "cpu", "auto", resnet)[0] == "onnxruntime"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert choose_runtime("auto", "cpu", "auto", resnet)[0] == "torch"
    assert Parser(device="cpu", runtime="auto").runtime == "torch"


SIZES = [((24, 32), (12, 16), (6, 8)), ((5, 7), (5, 7), (3, 4)), ((6, 8), (24, 32)), ((1, 1), (1, 1))]


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("sizes", SIZES)
def test_a_split_join_is_the_whole_one_for_maps_of_any_sizes(
    sizes: tuple[tuple[int, int], ...], align_corners: bool
) -> None:
    layers = (nn.Conv2d(4 * len(sizes), 6, 1, bias=False), InPlaceAbn(6, 0.01), nn.Conv2d(6, 3, 1))
    whole = nn.Sequential(_blocks.Joined(*layers, align_corners=align_corners, unused=1))
    fast = folded(copy.deepcopy(lively(whole)))
    split(fast)
    assert isinstance(fast[0], SplitJoined)
    maps = [torch.randn(2, 4, *size, generator=torch.Generator().manual_seed(2)) for size in sizes]
    expected = whole[0](*maps)
    assert expected.shape == (2, 6, *max(sizes))
    assert torch.allclose(fast[0](*maps), expected, atol=1e-5)


def test_a_graph_is_made_once_for_the_same_weights(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Parser(runtime="onnxruntime")
    (graph,) = (home / "graphs").iterdir()
    assert graph.name.startswith("lite-atr.") and {
        entry.key: entry.value for entry in onnx.load(graph).metadata_props
    } == {"model": "lite-atr"}
    state = checkpoint.load(hub.fetch(registry.get("lite-atr")))
    state["head.bias"] = state["head.bias"] + 1
    checkpoint.save(state, tmp_path / "mine.safetensors", {})
    Parser(runtime="onnxruntime", weights=tmp_path / "mine.safetensors")
    assert len(list((home / "graphs").iterdir())) == 2
    monkeypatch.setattr(onnx_graph, "write_graph", None)
    Parser(runtime="onnxruntime")
    Parser(runtime="openvino")


def test_networks_that_differ_in_stride_alone_have_graphs_of_their_own(home: Path) -> None:
    network = folded(lively(NETWORKS["ssseg-ce2p"]()))
    near, far = (registry.get(f"ssseg-ce2p-r50-os{stride}-lip") for stride in (8, 16))
    assert onnx_graph._fingerprint(network, near) != onnx_graph._fingerprint(network, far)


@pytest.mark.parametrize("runtime", HOSTS)
def test_a_damaged_graph_is_an_error_that_names_the_file(runtime: Any, home: Path) -> None:
    Parser(runtime="onnxruntime")
    (graph,) = (home / "graphs").iterdir()
    graph.write_bytes(graph.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=rf"{graph.name}.*remove the file"):
        Parser(runtime=runtime)


@pytest.mark.parametrize("runtime", HOSTS)
def test_a_runtime_that_is_not_installed_names_its_extra(
    runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, runtime, None)
    with pytest.raises(DeviceError, match=rf"needs {runtime}.*pip install 'humanparse\[{runtime}\]'"):
        Parser(runtime=runtime)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"runtime": "tensorrt"}, DeviceError, "auto, torch, onnxruntime, openvino"),
        (
            {"runtime": "onnxruntime", "precision": "bf16"},
            DeviceError,
            "float32; for bf16 use runtime='torch'",
        ),
        ({"runtime": "onnxruntime", "device": "cuda"}, DeviceError, "runs on the CPU"),
    ],
)
def test_impossible_runtimes_say_what_to_do(
    options: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        Parser(**options)


def test_a_model_of_many_maps_runs_in_torch_alone(tmp_path: Path) -> None:
    spec = registry.get("smp-r50-plain-mhpv2")
    checkpoint.save(models.build(spec).state_dict(), tmp_path / "smp.safetensors", {})
    with pytest.raises(ModelError, match="runtime='torch'"):
        Parser(spec.name, weights=tmp_path / "smp.safetensors", runtime="onnxruntime")
