"""The ComfyUI nodes, loaded and run as ComfyUI does it."""

from __future__ import annotations

import importlib.util
import inspect
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from humanparse import ImageError, Parser, Parsing, PeopleError, SchemeError, image, list_models
from humanparse.adapters.agnostic import agnostic_image, agnostic_mask, agnostic_parsing
from humanparse.adapters.cutout import cutout
from humanparse.cleaning import edged

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
    assert set(declared) <= set(inputs) <= {*declared, *node.INPUT_TYPES().get("optional", {})}
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
        optional = declared.get("optional", {})
        assert list(parameters) == ["self", *declared["required"], *optional]
        assert all(parameters[name].default == optional[name][1]["default"] for name in optional)
        for kind, *options in (*declared["required"].values(), *optional.values()):
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


def test_labels_are_cleaned(nodes: ModuleType) -> None:
    parsings, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr")
    (clean,) = run(nodes, "HumanParseClean", parsing=parsings, min_area="0.5%", fill="200", smooth=2)
    assert clean == [one.cleaned("0.5%", 200, 2) for one in parsings] != parsings
    (same,) = run(nodes, "HumanParseClean", parsing=parsings, min_area="0", fill="0", smooth=0)
    assert same == parsings


def test_a_group_is_chosen_from_a_list(nodes: ModuleType) -> None:
    parsings, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr")
    offered = nodes.NODE_CLASS_MAPPINGS["HumanParseGroupMask"].INPUT_TYPES()["required"]["group"][0]
    assert {"clothes", "skin", "head", "upper", "lower", "arms"} <= set(offered)
    (skin,) = run(nodes, "HumanParseGroupMask", parsing=parsings, group="skin", invert=False)
    assert np.array_equal(skin[1].numpy() == 1, parsings[1].mask("skin"))
    (rest,) = run(nodes, "HumanParseGroupMask", parsing=parsings, group="skin", invert=True)
    assert torch.equal(rest, 1 - skin)


def test_each_person_is_a_mask_of_their_own(nodes: ModuleType) -> None:
    parsings, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr", people=True)
    found = [(number, person) for number, one in enumerate(parsings, 1) for person in one.people]
    masks, names = run(nodes, "HumanParsePeopleMasks", parsing=parsings)
    assert names == [f"image {number}, person {person.id}" for number, person in found] and len(names) >= 2
    for mask, (_, person) in zip(masks, found, strict=True):
        assert np.array_equal(mask[0].numpy() == 1, person.mask)
    alone, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr", people=False)
    with pytest.raises(PeopleError, match="switch `people` on"):
        run(nodes, "HumanParsePeopleMasks", parsing=alone)


def test_edges_of_masks_are_moved_and_softened(nodes: ModuleType) -> None:
    mask = torch.zeros(2, 20, 30)
    mask[0, 5:15, 5:25], mask[1, 2:4, 2:4] = 1, 0.4  # what is below a half does not count
    (found,) = run(nodes, "HumanParseEdgeMask", mask=mask, grow=2, shrink=1, feather=3)
    for one, before in zip(found, mask, strict=True):
        assert np.array_equal((one * 255).round().byte().numpy(), edged(before.numpy() > 0.5, 2, 1, 3))
    (single,) = run(nodes, "HumanParseEdgeMask", mask=mask[0], grow=2, shrink=1, feather=3)
    assert torch.equal(single, found[:1])


@pytest.mark.parametrize("matte", [False, True])
def test_parts_are_cut_out_with_their_opacity(nodes: ModuleType, matte: bool) -> None:
    parsings, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr")
    words: dict[str, Any] = {"grow": 0 if matte else 3, "shrink": 0, "feather": 0 if matte else 2}
    pictures, opacity = run(
        nodes, "HumanParseCutOut", image=batch(), parsing=parsings, parts="head", matte=matte, **words
    )
    expected = np.asarray(cutout(PHOTO, parsings[0], ["head"], matte=matte, **words))
    assert np.array_equal((pictures[0] * 255).round().byte().numpy(), expected[..., :3])
    assert np.array_equal((opacity[0] * 255).round().byte().numpy(), expected[..., 3])
    assert ((opacity[0] > 0) & (opacity[0] < 1)).any()
    with pytest.raises(ImageError, match="1 images but 2 parsings"):
        run(nodes, "HumanParseCutOut", image=batch()[:1], parsing=parsings, parts="", matte=matte, **words)


def test_garments_are_hidden_as_a_project_does(nodes: ModuleType) -> None:
    parsings, _ = run(nodes, "HumanParse", image=batch(), model="lite-atr")
    for project in ("viton-hd", "catvton", "ootdiffusion", "idm-vton", "fashn"):
        mask, grey, without = run(
            nodes, "HumanParseTryOn", image=batch(), parsing=parsings, project=project, cloth="upper"
        )
        options: dict[str, Any] = {"recipe": project}
        assert np.array_equal(mask[0].numpy() == 1, agnostic_mask(parsings[0], **options) > 0)
        expected = np.asarray(agnostic_image(PHOTO, parsings[0], **options))
        assert np.array_equal((grey[0] * 255).round().byte().numpy(), expected)
        assert without[1] == agnostic_parsing(parsings[1], **options)


# Workflows


def test_workflows_are_what_their_program_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")
    import make_workflows

    made = make_workflows.workflows()
    folder = ROOT / "examples" / "comfyui" / "example_workflows"
    assert {path.stem for path in folder.iterdir()} == set(made)
    for name, workflow in made.items():
        assert json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) == workflow


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples/comfyui/example_workflows").iterdir()), ids=lambda p: p.stem
)
def test_a_workflow_runs_from_its_photo_to_its_pictures(nodes: ModuleType, path: Path) -> None:
    """Follow its links as ComfyUI's executor does; of ComfyUI's own nodes there is what these files use."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    links = {link[0]: link for link in workflow["links"]}
    results: dict[int, tuple[Any, ...]] = {}
    seen = []
    for node in sorted(workflow["nodes"], key=lambda node: node["order"]):
        linked = {}
        for slot, plug in enumerate(node["inputs"]):
            number, start, out, goal, into, kind = links[plug["link"]]
            assert (goal, into, kind) == (node["id"], slot, plug["type"])
            source = next(other for other in workflow["nodes"] if other["id"] == start)
            assert source["outputs"][out]["type"] == kind and number in source["outputs"][out]["links"]
            linked[plug["name"]] = results[start][out]
        if node["type"] in nodes.NODE_CLASS_MAPPINGS:
            declared = nodes.NODE_CLASS_MAPPINGS[node["type"]].INPUT_TYPES()
            known = {**declared["required"], **declared.get("optional", {})}
            widgets = [name for name in known if name not in linked]
            values = dict(zip(widgets, node["widgets_values"], strict=True))
            results[node["id"]] = run(nodes, node["type"], **linked, **values)
        elif node["type"] == "LoadImage":
            results[node["id"]] = (batch()[:1], torch.zeros(1, 64, 64))
        elif node["type"] in ("MaskToImage", "InvertMask"):
            results[node["id"]] = (1 - linked["mask"] if node["type"] == "InvertMask" else linked["mask"],)
        elif node["type"] == "JoinImageWithAlpha":
            check("IMAGE", linked["image"])
            check("MASK", linked["alpha"])
            results[node["id"]] = (torch.cat([linked["image"], 1 - linked["alpha"][..., None]], dim=3),)
        else:
            assert node["type"] == "PreviewImage"
            seen.append(linked["images"])
    assert seen and all(len(one) for one in seen)
