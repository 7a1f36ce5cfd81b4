"""Faster networks against the plain ones."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from humanparse import manifest, models
from humanparse.models import _blocks, _ssseg
from humanparse.models._blocks import InPlaceAbn
from humanparse.models.ce2p import Ce2p
from humanparse.models.ce2p_v1 import Ce2pV1
from humanparse.models.schp import Ce2pV2, Schp
from humanparse.models.smp import Smp, SmpMaps
from humanparse.models.tiny import Tiny
from humanparse.models.uniparser import UniParser, UniParserMaps
from humanparse.models.upernet import UperNet
from humanparse.runtimes.folded import folded
from humanparse.runtimes.pyramid import SplitPyramid

SHALLOW = (1, 2, 1, 1)
NETWORKS = {
    "schp": lambda: Schp(5, SHALLOW),
    "ce2p-v2": lambda: Ce2pV2(5, SHALLOW),
    "ce2p-v1": lambda: Ce2pV1(5, SHALLOW),
    "ssseg-ce2p": lambda: Ce2p(5, SHALLOW, 8),
    "ssseg-upernet": lambda: UperNet(5, SHALLOW, 16),
    "tiny": lambda: Tiny(5),
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
    assert {manifest.get(name).family for name in manifest.names()} <= set(NETWORKS)


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
    from humanparse import Parser

    network = Parser(device="cpu")._whole.network
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert models.build(manifest.get("tiny-atr")).state_dict().keys() != network.state_dict().keys()


@pytest.mark.parametrize("size", [(30, 30), (7, 12), (1, 1), (5, 3)])
@pytest.mark.parametrize("kind", ["originals", "ssseg"])
def test_a_split_pyramid_is_the_whole_one_on_any_grid(kind: str, size: tuple[int, int]) -> None:
    whole = nn.Sequential(
        _blocks.PyramidPooling(12, 5) if kind == "originals" else _ssseg.PyramidPooling(12, 5, slope=0.0)
    )
    fast = folded(copy.deepcopy(lively(whole)))
    assert isinstance(fast[0], SplitPyramid)
    features = torch.randn(2, 12, *size, generator=torch.Generator().manual_seed(2))
    for _ in range(2):  # the second time with the kept matrix
        assert torch.allclose(fast(features), whole(features), atol=1e-5)
