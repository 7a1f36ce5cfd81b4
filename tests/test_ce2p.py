"""The CE2P family's networks: keys of all published names, what the names decide, averages over scales."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden import CLASSIFIERS, SMALL, roots, synthetic_state
from torch import Tensor

from humanparse import Parser, image, models, registry
from humanparse.models.ce2p_v2 import Ce2pV2
from humanparse.models.ssseg_upernet import UperNet

NAMES = [*registry.names("ssseg-*"), "ce2p-lip", "ce2p-v1-lip", *registry.names("mce2p-*-*")]
SHALLOW = (1, 1, 1, 1)


def key_list(name: str) -> str:
    """The file of recorded keys and shapes that a model's checkpoints have."""
    if name.startswith("ssseg-"):
        return "-".join(name.split("-")[:3])
    return "ce2p-v2" if name == "ce2p-lip" else "mce2p"


def test_all_published_names_are_there() -> None:
    assert len(registry.names("ssseg-ce2p-*")) == 16 and len(registry.names("ssseg-upernet-*")) == 12
    assert {"ce2p-lip", "ce2p-v1-lip"} <= set(registry.names())
    assert len([name for name in registry.names("mce2p-*") if name.count("-") == 2]) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_network_has_exactly_the_keys_and_shapes_of_its_checkpoints(name: str) -> None:
    found = [root / "specs" / f"{key_list(name)}.json" for root in roots()]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        pytest.skip(f"the full recordings, which hold {key_list(name)}, are not here")
    spec = registry.get(name)
    with torch.device("meta"):
        network = models.build(spec)
    classes = len(spec.scheme)
    wanted = {
        key: [classes, *shape[1:]] if key.startswith(CLASSIFIERS) else shape
        for key, shape in json.loads(path.read_text()).items()
    }
    assert {key: list(value.shape) for key, value in network.state_dict().items()} == wanted


def test_output_strides_share_their_keys_but_not_their_answers() -> None:
    spec = registry.get("ssseg-ce2p-r50-os8-lip")
    state = synthetic_state("ssseg-ce2p-r50", "ssseg-ce2p-r50")
    eight, sixteen = models.build(spec), models.build(registry.get("ssseg-ce2p-r50-os16-lip"))
    for network in (eight, sixteen):
        network.load_state_dict(state, strict=True)
    picture = torch.randn(1, 3, 97, 129)
    with torch.inference_mode():
        first, second = eight(picture), sixteen(picture)
        assert eight.backbone_net(picture)[3].shape[2:] == (13, 17)
        assert sixteen.backbone_net(picture)[3].shape[2:] == (7, 9)
    assert first.shape == second.shape == (1, 20, 25, 33)
    assert (first - second).abs().max() > 0.1 * first.std()


def test_upernets_sum_over_levels_is_the_convolution_of_all_levels_together() -> None:
    torch.manual_seed(0)
    network = UperNet(5, SHALLOW, 16).eval()
    seen: list[Tensor] = []
    network.decoder[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    levels: list[Tensor] = []
    for conv in (*network.fpn_convs, network.ppm_net):
        conv.register_forward_hook(lambda _, __, output: levels.append(output))
    with torch.inference_mode():
        network(torch.randn(1, 3, 65, 97))
        levels.sort(key=lambda level: -level.shape[2])
        top = next(level for level in levels if level.shape[2] == 5)
        ordered = [level for level in levels if level is not top]
        upsampled = [F.interpolate(x, (17, 25), mode="bilinear") for x in (*ordered, top)]
        whole = network.decoder[0](torch.cat(upsampled, dim=1))
    assert len(ordered) == 3
    assert torch.allclose(seen[0], whole, atol=1e-5)


def test_the_decoders_corners_of_ce2p_v2_are_a_switch() -> None:
    torch.manual_seed(0)
    now, before = Ce2pV2(4, SHALLOW).eval(), Ce2pV2(4, SHALLOW, decoder_align_corners=False).eval()
    before.load_state_dict(now.state_dict())
    with torch.inference_mode():
        picture = torch.randn(1, 3, 64, 64)
        assert not torch.allclose(now(picture), before(picture))


@pytest.mark.slow
def test_several_scales_of_ssseg_are_averaged_at_the_photos_size(tmp_path: Path) -> None:
    name, scales = "ssseg-ce2p-r50-os8-lip", (0.75, 1.0, 1.25)
    torch.save(
        {"model": synthetic_state("ssseg-ce2p-r50", "ssseg-ce2p-r50", None, "ssseg-ce2p/r50-os8-lip")},
        tmp_path / "x.pth",
    )
    parser = Parser(name, weights=tmp_path / "x.pth", device="cpu", flip=True, scales=scales)
    photo = image.load(SMALL / "images" / "hopper_97x61.png")
    parsing = parser.predict(photo)
    network, order = parser.pipeline.network, list(parser.scheme.flip_order())
    small = torch.from_numpy(cv2.resize(photo, (473, 473))).float()
    x = ((small - torch.tensor([123.675, 116.28, 103.53])) / torch.tensor([58.395, 57.12, 57.375])).permute(
        2, 0, 1
    )[None]
    total = torch.zeros(20, 61, 97)
    with torch.inference_mode():
        for scale in scales:  # the original resizes every pass from its own size to the picture's
            scaled = F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
            for logits in (network(scaled)[0], network(scaled.flip(3))[0, order].flip(2)):
                total += F.interpolate(logits[None], (61, 97), mode="bilinear", align_corners=False)[0] / 6
    first, second = total.topk(2, dim=0).values
    differ = torch.from_numpy(parsing.labels) != total.argmax(0)
    assert not (differ & (first - second > 1e-3)).any() and differ.float().mean() < 1e-3
    assert len(np.unique(parsing.labels)) > 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak memory of a process is read from /proc")
def test_a_street_scene_of_two_megapixels_stays_under_four_gigabytes() -> None:
    """Random weights: memory does not depend on them. In a process of its own, whose peak is its own."""
    code = """
import numpy as np, torch
from humanparse import models, registry
from humanparse.pipelines.semantic import Semantic
spec = registry.get("ssseg-upernet-r101-os8-cityscapes")
network = models.build(spec).requires_grad_(False)
photo = np.random.default_rng(0).integers(0, 256, (1024, 2048, 3), dtype=np.uint8)
pipeline = Semantic(spec.name, network, spec.scheme, spec.input, torch.device("cpu"))
labels = pipeline.parse_batch([photo])[0].labels
assert labels.shape == (1024, 2048)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 4_000_000  # kilobytes
