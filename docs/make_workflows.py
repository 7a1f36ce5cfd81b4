"""Write the example workflows of the ComfyUI nodes, from what the nodes themselves declare.

python docs/make_workflows.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from humanparse.adapters import comfyui, comfyui_pictures

FOLDER = Path(__file__).parents[1] / "examples" / "comfyui" / "example_workflows"
NODES = {**comfyui.NODE_CLASS_MAPPINGS, **comfyui_pictures.NODE_CLASS_MAPPINGS}
WIDGETS = frozenset(("STRING", "INT", "FLOAT", "BOOLEAN"))

OWN: dict[str, tuple[dict[str, str], tuple[str, ...], tuple[Any, ...]]] = {
    "LoadImage": ({}, ("IMAGE", "MASK"), ("example.png", "image")),
    "MaskToImage": ({"mask": "MASK"}, ("IMAGE",), ()),
    "InvertMask": ({"mask": "MASK"}, ("MASK",), ()),
    "JoinImageWithAlpha": ({"image": "IMAGE", "alpha": "MASK"}, ("IMAGE",), ()),
    "PreviewImage": ({"images": "IMAGE"}, (), ()),
}
"""ComfyUI's own nodes: what is plugged in, what comes out, and values."""


class Workflow:
    """A graph in the form in which ComfyUI saves it."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []

    def add(self, kind: str, column: int, row: int, *sources: tuple[int, int], **values: Any) -> int:
        """Put a node at a place of a grid.

        Args:
            kind: key of the node's class.
            column, row: its place.
            sources: (node, output) for each plug, in order.
            values: of widgets, where they are not the default.

        Returns:
            Its number.
        """
        plugs, outputs, widgets = self._form(kind, values)
        number = len(self.nodes) + 1
        inputs = []
        for slot, ((name, sort), (start, out)) in enumerate(zip(plugs.items(), sources, strict=True)):
            link = len(self.links) + 1
            self.links.append([link, start, out, number, slot, sort])
            self.nodes[start - 1]["outputs"][out]["links"].append(link)
            inputs.append({"name": name, "type": sort, "link": link})
        self.nodes.append(
            {
                "id": number,
                "type": kind,
                "pos": [340 * column, 330 * row],
                "size": [300, 270],
                "flags": {},
                "order": number - 1,
                "mode": 0,
                "inputs": inputs,
                "outputs": [{"name": name, "type": sort, "links": []} for name, sort in outputs],
                "properties": {"Node name for S&R": kind},
                "widgets_values": widgets,
            }
        )
        return number

    def _form(
        self, kind: str, values: dict[str, Any]
    ) -> tuple[dict[str, str], list[tuple[str, str]], list[Any]]:
        """Plugs, outputs and values of widgets of a node."""
        if kind in OWN:
            plugs, sorts, fixed = OWN[kind]
            return plugs, [(sort, sort) for sort in sorts], list(fixed)
        node: Any = NODES[kind]
        declared = node.INPUT_TYPES()
        known = {**declared["required"], **declared.get("optional", {})}
        shown = {
            name: form for name, form in known.items() if isinstance(form[0], list) or form[0] in WIDGETS
        }
        assert set(values) <= set(shown)
        widgets = [values.get(name, form[1]["default"]) for name, form in shown.items()]
        plugs = {name: form[0] for name, form in known.items() if name not in shown}
        return plugs, list(zip(node.RETURN_NAMES, node.RETURN_TYPES, strict=True)), widgets

    def saved(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "last_node_id": len(self.nodes),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }


def _start(people: bool = False) -> tuple[Workflow, int, int]:
    """A workflow with a photo, its parsing and a picture of it; the numbers of photo and parsing."""
    flow = Workflow()
    photo = flow.add("LoadImage", 0, 0)
    parsing = flow.add("HumanParse", 1, 0, (photo, 0), people=people)
    flow.add("PreviewImage", 2, 1, (parsing, 1))
    return flow, photo, parsing


def _preview_mask(flow: Workflow, column: int, row: int, source: tuple[int, int]) -> None:
    flow.add("PreviewImage", column + 1, row, (flow.add("MaskToImage", column, row, source), 0))


def clothes_mask() -> Workflow:
    """The clothes as a mask for inpainting: cleaned, grown and feathered."""
    flow, _, parsing = _start()
    clean = flow.add("HumanParseClean", 2, 0, (parsing, 0))
    group = flow.add("HumanParseGroupMask", 3, 0, (clean, 0), group="clothes")
    edge = flow.add("HumanParseEdgeMask", 4, 0, (group, 0), grow=6, feather=4)
    _preview_mask(flow, 5, 0, (edge, 0))
    return flow


def people_masks() -> Workflow:
    """A mask for each person."""
    flow, _, parsing = _start(people=True)
    people = flow.add("HumanParsePeopleMasks", 2, 0, (parsing, 0))
    _preview_mask(flow, 3, 0, (people, 0))
    return flow


def cut_out() -> Workflow:
    """The person without the background, with soft hair."""
    flow, photo, parsing = _start()
    clean = flow.add("HumanParseClean", 2, 0, (parsing, 0))
    cut = flow.add("HumanParseCutOut", 3, 0, (photo, 0), (clean, 0), matte=True)
    transparent = flow.add("InvertMask", 4, 1, (cut, 1))
    joined = flow.add("JoinImageWithAlpha", 5, 0, (cut, 0), (transparent, 0))
    flow.add("PreviewImage", 6, 0, (joined, 0))
    return flow


def try_on() -> Workflow:
    """Mask and grey picture for a try-on network, by the project's name."""
    flow, photo, parsing = _start()
    hidden = flow.add("HumanParseTryOn", 2, 0, (photo, 0), (parsing, 0), project="catvton", cloth="upper")
    flow.add("PreviewImage", 3, 1, (hidden, 1))
    _preview_mask(flow, 3, 0, (hidden, 0))
    return flow


def workflows() -> dict[str, dict[str, Any]]:
    """Name -> content of the file."""
    return {make.__name__: make().saved() for make in (clothes_mask, people_masks, cut_out, try_on)}


def main() -> None:
    """Write them."""
    FOLDER.mkdir(exist_ok=True)
    for name, workflow in workflows().items():
        (FOLDER / f"{name}.json").write_text(json.dumps(workflow, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
