"""The ComfyUI nodes, loaded and run as ComfyUI does it."""

from __future__ import annotations

import importlib.util
import inspect
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from humanparse import Parser, Parsing, SchemeError, image, list_models
from humanparse.adapters.agnostic import agnostic_mask

ROOT = Path(__file__).parents[1]
PHOTO = image.load(ROOT / "examples" / "grace_hopper.jpg")[::2, ::2]

KINDS = {"IMAGE", "MASK", "STRING", "BOOLEAN", "INT", "HUMAN_PARSING"}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The example folder, copied into a custom_nodes and loaded from there under the name of its path."""
    folder = tmp_path_factory.mktemp("custom_nodes") / "humanparse"
    shutil.copytree(ROOT / "examples" / "comfyui", folder)
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def run(nodes: ModuleType, name: str, **inputs: Any) -> tuple[Any, ...]:
    """Run a node as ComfyUI's executor does: a fresh object, its FUNCTION, inputs by name."""
    node = nodes.NODE_CLASS_MAPPINGS[name]
    declared = node.INPUT_TYPES()["required"]
    assert set(inputs) == set(declared)
    outputs = getattr(node(), node.FUNCTION)(**inputs)
    assert isinstance(outputs, tuple) and len(outputs) == len(node.RETURN_TYPES)
    listed = getattr(node, "OUTPUT_IS_LIST", (False,) * len(outputs))
    for output, kind, several in zip(outputs, node.RETURN_TYPES, listed, strict=True):
        for one in output if several else [output]:
            check(kind, one)
    return outputs


def check(kind: str, value: Any) -> None:
    """See that a value is what ComfyUI means by a type."""
    if kind in ("IMAGE", "MASK"):
        assert value.dtype == torch.float32 and value.device.type == "cpu"
        assert value.ndim == (4 if kind == "IMAGE" else 3) and value.min() >= 0 and value.max() <= 1
    elif kind == "STRING":
        assert isinstance(value, str)
    else:
        assert kind == "HUMAN_PARSING" and all(isinstance(one, Parsing) for one in value)


def batch() -> torch.Tensor:
    photos = np.stack([PHOTO, PHOTO[:, ::-1]])
    return torch.from_numpy(photos.astype(np.float32) / 255)


def test_every_node_keeps_comfyuis_contract(nodes: ModuleType) -> None:
    assert set(nodes.NODE_CLASS_MAPPINGS) == set(nodes.NODE_DISPLAY_NAME_MAPPINGS)
    for node in nodes.NODE_CLASS_MAPPINGS.values():
        declared = node.INPUT_TYPES()
        assert set(declared) <= {"required", "optional", "hidden"}
        parameters = inspect.signature(getattr(node, node.FUNCTION)).parameters
        assert list(parameters) == ["self", *declared["required"]]
        for kind, *options in declared["required"].values():
            assert isinstance(kind, list) or kind in KINDS
            assert len(options) <= 1
            if options and isinstance(kind, list):
                assert options[0]["default"] in kind
        assert isinstance(node.RETURN_TYPES, tuple) and set(node.RETURN_TYPES) <= KINDS
        assert len(node.RETURN_NAMES) == len(node.RETURN_TYPES)
        assert node.CATEGORY == "humanparse" and node.__doc__ == node.DESCRIPTION


def test_images_become_parsings_and_colours(nodes: ModuleType) -> None:
    parsings, colours = run(nodes, "HumanParse", image=batch(), model="lite-atr")
    assert parsings[0] == Parser().predict(PHOTO) and parsings[1].size == parsings[0].size
    assert colours.shape == (2, 300, 256, 3)
    assert np.array_equal((colours[0] * 255).round().byte().numpy(), np.asarray(parsings[0].colorize()))
    assert nodes.NODE_CLASS_MAPPINGS["HumanParse"].INPUT_TYPES()["required"]["model"][0] == list_models()


def test_values_that_overshoot_and_alpha_are_taken(nodes: ModuleType) -> None:
    rough = torch.cat([batch()[:1] * 1.02 - 0.01, torch.ones(1, 300, 256, 1)], dim=3)
    parsings, _ = run(nodes, "HumanParse", image=rough, model="lite-atr")
    assert parsings[0].mask("Face").any()


def test_named_parts_are_one_mask(nodes: ModuleType) -> None:
    parsings, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr")
    (mask,) = run(nodes, "HumanParsePartMask", parsing=parsings, parts="hair,\nFACE, arms", invert=False)
    for found, parsing in zip(mask, parsings, strict=True):
        assert np.array_equal(found.numpy() == 1, parsing.mask("Hair", "Face", "Left-arm", "Right-arm"))
    (everything,) = run(nodes, "HumanParsePartMask", parsing=parsings, parts=" ", invert=False)
    assert np.array_equal(everything[1].numpy() == 1, parsings[1].labels > 0)
    (rest,) = run(nodes, "HumanParsePartMask", parsing=parsings, parts="", invert=True)
    assert torch.equal(rest, 1 - everything)
    (clothes,) = run(nodes, "HumanParsePartMask", parsing=parsings, parts="clothes, arms", invert=False)
    assert np.array_equal(clothes[0].numpy() == 1, parsings[0].mask("clothes", "arms"))
    with pytest.raises(SchemeError, match=r"Labels: Background(.|\n)*Groups: clothes"):
        run(nodes, "HumanParsePartMask", parsing=parsings, parts="tail", invert=False)


def test_each_part_is_a_mask_of_its_own(nodes: ModuleType) -> None:
    parsings, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr")
    masks, names = run(nodes, "HumanParsePartMasks", parsing=parsings, parts="")
    assert set(names) == {part.name for one in parsings for part in one.parts()}
    (person,) = run(nodes, "HumanParsePartMask", parsing=parsings, parts="", invert=False)
    assert torch.equal(torch.stack(masks).sum(dim=0), person)
    masks, names = run(nodes, "HumanParsePartMasks", parsing=parsings, parts="skirt, face")
    assert names == ["Skirt", "Face"] and masks[0].shape == masks[1].shape == (2, 300, 256)


def test_labels_are_remapped_and_garments_masked(nodes: ModuleType) -> None:
    parsings, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr")
    (coarse,) = run(nodes, "HumanParseRemap", parsing=parsings, labels="coarse", approximate=False)
    assert coarse == [parsing.remap("coarse") for parsing in parsings]
    with pytest.raises(SchemeError, match="approximate"):
        run(nodes, "HumanParseRemap", parsing=parsings, labels="pascal", approximate=False)
    for grow, dilate in ((-1, None), (0, 0)):
        (mask,) = run(nodes, "HumanParseAgnosticMask", parsing=coarse, cloth="upper", grow=grow)
        assert np.array_equal(mask[0].numpy() == 1, agnostic_mask(coarse[0], "upper", dilate=dilate) > 0)
