"""People in our own npz and JSON files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arrays import Labels, Mask
from ..people import Person
from ..schemes import LabelScheme
from .rle import decode_rle


def describe(person: Person) -> dict[str, Any]:
    """A person's values, without the arrays."""
    return {
        "id": person.id,
        "box": list(person.box),
        "score": person.score,
        "part_scores": dict(person.part_scores),
    }


def to_arrays(people: tuple[Person, ...]) -> dict[str, npt.NDArray[Any]]:
    """For each person, two arrays of the size of the person's box."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for person in people:
        arrays[f"person{person.id}_labels"] = person.labels
        arrays[f"person{person.id}_silhouette"] = person.silhouette
    return arrays


def from_arrays(
    described: list[dict[str, Any]],
    arrays: Mapping[str, npt.NDArray[Any]],
    scheme: LabelScheme,
    size: tuple[int, int],
) -> tuple[Person, ...]:
    """The inverse of `describe` and `to_arrays`."""
    return tuple(
        _person(
            record,
            arrays[f"person{record['id']}_labels"],
            arrays[f"person{record['id']}_silhouette"],
            scheme,
            size,
        )
        for record in described
    )


def from_json(record: dict[str, Any], scheme: LabelScheme, size: tuple[int, int]) -> Person:
    """A person in a JSON file, whose run lengths cover the whole picture."""
    x0, y0, x1, y1 = record["box"]
    silhouette = decode_rle(record["rle"], (x0, y0, x1, y1))
    labels = np.zeros(silhouette.shape, dtype=np.uint8)
    for part in record["parts"]:
        labels[decode_rle(part["rle"], (x0, y0, x1, y1))] = part["label"]
    return _person(record, labels, silhouette, scheme, size)


def _person(
    record: dict[str, Any], labels: Labels, silhouette: Mask, scheme: LabelScheme, size: tuple[int, int]
) -> Person:
    x0, y0, x1, y1 = (int(value) for value in record["box"])
    scores = {str(name): float(score) for name, score in record["part_scores"].items()}
    box, score = (x0, y0, x1, y1), float(record["score"])
    return Person(int(record["id"]), box, score, labels, silhouette, size, scheme, scores)
