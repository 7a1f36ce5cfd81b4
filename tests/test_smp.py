"""The networks of SMP and UniParser: their keys, their parts, and recorded features of the originals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from golden import Case, cases, roots, synthetic_state
from torch import Tensor, nn
from torch.nn import functional as F

from humanparse import ModelSpec, WeightsError, checkpoint, image, models, registry
from humanparse.geometry import Frame
from humanparse.models._fpn import peaks, with_coordinates
from humanparse.models.smp import AdaptBlock, DeformableConv, Smp
from humanparse.models.uniparser import UniParser

R50 = (3, 4, 6, 3)
TEST_SIZE = (416, 256)  # of all recordings
PARAMETERS = {
    "smp-r50-mhpv2": 73_638_494,
    "smp-r50-plain-mhpv2": 72_767_231,
    "smp-r101-mhpv2": 93_688_617,
    "smp-r101-cihp": 83_388_444,
    "smp-r101-densepose": 82_067_909,
    "uniparser-r50-mhpv2": 35_855_138,
    "uniparser-r101-mhpv2": 55_905_261,
    "uniparser-r101-light-mhpv2": 50_138_093,
    "uniparser-r101-light-cihp": 50_133_101,
}
LISTS = [
    path
    for root in roots()
    for kind in ("smp", "uniparser")
    for path in (root / "specs").glob(f"{kind}-*.json")
]
FEATURES = {  # every a-th channel, b-th pixel
    "c2": (16, 4), "c3": (32, 2), "c4": (64, 1), "c5": (64, 1),
    "p2": (16, 4), "p3": (16, 2), "p4": (16, 1), "p5": (8, 1), "p6": (8, 1),
}  # fmt: skip


def spec_of(name: str) -> ModelSpec:
    """The manifest's model; `uniparser-r50-light-cihp` is none, but was recorded."""
    if name != "uniparser-r50-light-cihp":
        return registry.get(name)
    spec = registry.get("uniparser-r101-light-cihp")
    return replace(spec, architecture={**spec.architecture, "layers": R50})


@pytest.mark.parametrize("path", LISTS, ids=lambda path: f"{path.parents[1].name}-{path.stem}")
def test_keys_and_shapes_are_exactly_the_originals(path: Path) -> None:
    spec = spec_of(path.stem)
    with torch.device("meta"):
        network = models.build(spec)
    ours = {key: list(value.shape) for key, value in network.state_dict().items()}
    assert ours == json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes_are_those_of_the_released_code(name: str) -> None:
    with torch.device("meta"):
        network = models.build(registry.get(name))
    assert sum(parameter.numel() for parameter in network.parameters()) == PARAMETERS[name]


def test_a_checkpoint_of_another_kind_is_refused() -> None:
    def state(name: str) -> dict[str, Tensor]:
        with torch.device("meta"):
            state = models.build(registry.get(name)).state_dict()
        return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}

    deformable, plain = state("smp-r50-mhpv2"), state("smp-r50-plain-mhpv2")
    with pytest.raises(WeightsError, match=r"unexpected \(26\)(.|\n)*conv_offset"):
        checkpoint.check(deformable, plain, registry.get("smp-r50-plain-mhpv2"), "dcn.pth")
    with pytest.raises(WeightsError, match=r"smp\.pth does not fit uniparser-r50-mhpv2"):
        checkpoint.check(plain, state("uniparser-r50-mhpv2"), registry.get("uniparser-r50-mhpv2"), "smp.pth")


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (256, 32)])
def test_maps_have_the_promised_shapes(height: int, width: int) -> None:
    with torch.device("meta"):
        found = Smp(15, R50, grids=(80, 72, 48, 32, 24)).eval()(torch.zeros(2, 3, height, width))
        light = UniParser(20, R50, light=True).eval()(torch.zeros(2, 3, height, width))
    assert [tuple(level.shape) for level in found.category] == [(2, s, s, 14) for s in (80, 72, 48, 32, 24)]
    assert [tuple(level.shape) for level in found.kernel] == [(2, 256, s, s) for s in (80, 72, 48, 32, 24)]
    assert found.heat.shape == (2, 80, 80) and found.offset.shape == (2, 14, 2, 80, 80)
    assert found.mask_features.shape == (2, 256, height // 4, width // 4)
    assert light.instance.shape == light.semantic.shape == (2, 128, height // 4 + 2, width // 4 + 2)
    assert light.heat.shape == (2, 40, 40) and light.class_vectors.shape == (19, 128)
    assert found.of(1)[0][4].shape == (24, 24, 14) and light.of(1)[0].shape == (40, 40)


def test_peaks_are_compared_with_the_cells_above_and_to_the_left_only() -> None:
    logits = torch.tensor([[3.0, 2.0, 2.5], [2.0, 4.0, 1.0], [2.0, 1.0, 4.0]])
    kept = peaks(logits[None, None])[0, 0] > 0
    assert kept.tolist() == [[True, False, True], [False, True, False], [True, False, True]]
    assert peaks(torch.zeros(1, 1, 4, 4)).min() == 0.5  # equal neighbours all stay


def test_coordinates_are_column_then_row_from_minus_one_to_one() -> None:
    placed = with_coordinates(torch.zeros(2, 1, 3, 5))
    assert placed[1, 1].tolist() == [[-1, -0.5, 0, 0.5, 1]] * 3
    assert placed[1, 2].tolist() == [[-1] * 5, [0] * 5, [1] * 5]


@pytest.mark.parametrize("stride", [1, 2])
def test_a_deformable_convolution_that_moves_nothing_is_half_a_plain_one(stride: int) -> None:
    plain = nn.Conv2d(6, 4, 3, stride, padding=1, bias=False)
    conv = DeformableConv(plain)
    conv.weight = plain.weight
    nn.init.zeros_(conv.conv_offset.weight)
    nn.init.zeros_(conv.conv_offset.bias)  # type: ignore[arg-type]
    x = torch.randn(2, 6, 9, 8)
    torch.testing.assert_close(conv(x), plain(x) / 2)  # sigmoid(0), and no factor 2
    conv.conv_offset.bias.data[1:18:2] = 1.0  # type: ignore[union-attr]  # every second one moves to the right
    torch.testing.assert_close(conv(x)[..., 1:], plain(F.pad(x, (0, 1))[..., 1:])[..., 1:] / 2)


def test_an_adaptive_block_that_turns_by_a_quarter_sees_the_turned_window() -> None:
    block = AdaptBlock(3).eval()
    for conv in (block.transform_matrix_conv, block.translation_conv):
        nn.init.zeros_(conv.weight)
    block.transform_matrix_conv.bias.data = torch.tensor([0.0, 1.0, -1.0, 0.0])  # type: ignore[union-attr]
    block.translation_conv.bias.data = torch.zeros(2)  # type: ignore[union-attr]
    x = torch.randn(1, 3, 6, 6)
    weight = block.adapt_conv.weight.rot90(-1, (2, 3))  # the tap at (dy, dx) looks at (dx, -dy)
    expected = F.relu(block.bn(F.conv2d(x, weight, padding=1)) + x)
    torch.testing.assert_close(block(x), expected)


def test_half_precision_still_gives_float32_probabilities() -> None:
    network = UniParser(20, (1, 1, 1, 1), light=True).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        maps = network(torch.randn(1, 3, 64, 64))
    assert maps.heat.dtype == torch.float32 and torch.isfinite(maps.instance).all()


@pytest.fixture(scope="module")
def recorded_run() -> Iterator[Callable[[Case], tuple[Tensor, Any, dict[str, list[Any]]]]]:
    """(input, maps, what every module gave) for a photo of a recording, each run once."""
    networks: dict[str, nn.Module] = {}
    runs: dict[Case, tuple[Tensor, Any, dict[str, list[Any]]]] = {}

    def run(case: Case) -> tuple[Tensor, Any, dict[str, list[Any]]]:
        if case in runs:
            return runs[case]
        family, _, tail = case.name.partition("/")
        spec = spec_of(f"{family}-{tail}")
        if case.name not in networks:
            networks.clear()  # one in memory at a time
            network = models.build(spec)
            state = synthetic_state(spec_name(case), f"{family}-r50", recorded=case.name)
            network.load_state_dict(state, strict=True)
            networks[case.name] = network
        photo = image.load(case.photo)
        frame = Frame((photo.shape[0], photo.shape[1]), replace(spec.input, size=TEST_SIZE))
        assert frame.content_size == tuple(case["img_shape"]) and frame.image_size == tuple(case["ori_shape"])
        given: dict[str, list[Any]] = {}
        hooks = [
            module.register_forward_hook(lambda _, __, out, name=name: given.setdefault(name, []).append(out))
            for name, module in networks[case.name].named_modules()
        ]
        fitted = frame.fit(photo)
        with torch.inference_mode():
            maps = networks[case.name](fitted[None])
        for hook in hooks:
            hook.remove()
        runs[case] = fitted, maps, given
        return runs[case]

    yield run


def spec_name(case: Case) -> str:
    return case.name.replace("/", "-")


def assert_near(ours: Tensor, theirs: npt.NDArray[Any], tolerance: float) -> None:
    assert tuple(ours.shape) == theirs.shape
    assert np.abs(ours.numpy() - theirs).max() <= tolerance


def assert_peaks(ours: Tensor, theirs: npt.NDArray[Any]) -> None:
    """Equal but for a few cells, whose neighbour is equal to rounding and which are suppressed or not."""
    assert tuple(ours.shape) == theirs.shape
    assert (np.abs(ours.numpy() - theirs) > 1e-4).sum() <= 3


SMP_CASES = cases("smp/r50-mhpv2")
UNIPARSER_CASES = cases("uniparser/r50-mhpv2", "uniparser/r50-light-cihp")


@pytest.mark.parametrize("case", [*SMP_CASES, *UNIPARSER_CASES], ids=str)
def test_the_networks_input_is_the_originals(case: Case, recorded_run: Any) -> None:
    fitted, _, _ = recorded_run(case)
    step = 4 if case.name.startswith("smp") else 8
    assert tuple(fitted.shape) == tuple(case["input_shape"])
    assert np.array_equal(fitted[:, ::step, ::step].numpy(), case["input"])


@pytest.mark.parametrize("case", SMP_CASES, ids=str)
def test_smps_features_and_maps_are_the_originals(case: Case, recorded_run: Any) -> None:
    _, maps, given = recorded_run(case)
    levels = dict(zip(FEATURES, (*given["backbone"][0], *given["neck"][0]), strict=True))
    for name, (channels, pixels) in FEATURES.items():
        assert_near(levels[name][0, ::channels, ::pixels, ::pixels], case[name], 1e-3)
    fuse, field = given["mask_head.dekr_convs"][0], given["mask_head.offset_convs"][0]
    assert_near(maps.mask_features[0, ::8, ::2, ::2], case["mask_features"], 1e-3)
    assert_near(fuse[0, ::16, ::4, ::4], case["centre_fuse"], 1e-3)
    assert_near(field[0, ::8, ::4, ::4], case["offset_feature"], 1e-3)
    assert_near(maps.offset[0, :, :, ::4, ::4], case["offset"], 1e-3)
    for at in range(5):
        logits = given["mask_head.solo_cate"][at][0, ::4, ::2, ::2]
        assert_near(logits, case[f"category_logits{at}"], 1e-3)
        assert_near(maps.kernel[at][0, ::16, ::2, ::2], case[f"kernel{at}"], 1e-3)
        assert_peaks(maps.category[at][0, :, :, ::4], case[f"category{at}"])


@pytest.mark.parametrize("case", UNIPARSER_CASES, ids=str)
def test_uniparsers_features_and_embeddings_are_the_originals(case: Case, recorded_run: Any) -> None:
    _, maps, given = recorded_run(case)
    assert tuple(maps.instance.shape[2:]) == tuple(case["map_shape"])
    fuse, semantic = given["mask_head.dekr_convs"][0], given["mask_head.segment_converts"][0]
    assert_near(given["neck"][0][0][0, ::16, ::4, ::4], case["p2"], 1e-3)
    assert_near(given["neck"][0][3][0, ::16], case["p5"], 1e-3)
    assert_near(fuse[0, ::16, ::4, ::4], case["centre_fuse"], 1e-3)
    assert_near(semantic[0, ::16, ::4, ::4], case["semantic_fuse"], 1e-3)
    assert_near(maps.instance[0, ::4, ::4, ::4], case["instance"], 1e-3)
    assert_near(maps.semantic[0, ::4, ::4, ::4], case["semantic"], 1e-3)


@pytest.mark.parametrize("case", [*SMP_CASES, *UNIPARSER_CASES], ids=str)
def test_centres_are_the_originals(case: Case, recorded_run: Any) -> None:
    _, maps, given = recorded_run(case)
    assert_near(given["mask_head.center_heatmap"][0][0, 0], case["centre_logits"], 1e-3)
    assert_peaks(maps.heat[0], case["heat"])
