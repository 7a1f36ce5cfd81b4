"""People and parts in the formats of others: CIHP and LV-MHP folders, COCO, LabelMe."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from ..arrays import Labels, Mask
from ..people import Part, Person, paint_people
from ..schemes import IGNORE, LabelScheme
from .pictures import numbers_png
from .record import Photo, Record
from .rle import encode_rle

CIHP_FILES = (
    "global_parsing/*.png",
    "instance_parsing/*.png",
    "instance_parsing/*.txt",
    "global_tag/*.png",
    "global_tag/*.txt",
)
"""The files of `write_cihp`, with `*` for the photo's stem."""


def write_cihp(record: Record, stem: str) -> dict[str, bytes]:
    """CIHP's submission, and M-CE2P's for LV-MHP: line k of a text file is about id k of its picture."""
    labels, people = record.labels, record.people
    size = (labels.shape[0], labels.shape[1])
    tags = paint_people(people, size)
    instances = np.zeros(size, dtype=np.int32)
    parts: list[str] = []
    persons: list[str] = []
    for person in people:
        mine = tags == person.id
        for part in _parts(person):
            here = mine & person.part(part.label)
            if here.any():
                instances[here] = len(parts) + 1
                parts.append(f"{part.label} {person.part_scores.get(part.name, person.score)}\n")
        x0, y0, x1, y1 = person.box
        persons.append(f"{person.score:.6f} {y0} {x0} {y1} {x1}\n")
    return {
        f"global_parsing/{stem}.png": numbers_png(labels),
        f"instance_parsing/{stem}.png": numbers_png(instances),
        f"instance_parsing/{stem}.txt": "".join(parts).encode(),
        f"global_tag/{stem}.png": numbers_png(tags),
        f"global_tag/{stem}.txt": "".join(persons).encode(),
    }


def write_mhp(record: Record, stem: str) -> dict[str, bytes]:
    """A label PNG per person, `<stem>_<people>_<id>.png`, as in LV-MHP's annotations."""
    files = {}
    for person in record.people:
        whole = np.zeros_like(record.labels)
        x0, y0, x1, y1 = person.box
        whole[y0:y1, x0:x1] = person.labels
        files[f"{stem}_{len(record.people):02d}_{person.id:02d}.png"] = numbers_png(whole)
    return files


def write_coco(record: Record, photo: Photo) -> bytes:
    """The parts of one photo as COCO JSON, with the people that they belong to if people were told apart.

    The category of a part is its label; `person` is the next number after the labels. Run lengths are not
    compressed.
    """
    labels, scheme, people = record.labels, record.scheme, record.people
    height, width = labels.shape
    annotations: list[dict[str, Any]] = []

    def annotate(mask: Mask, category: int, box: tuple[int, ...], **more: Any) -> None:
        x0, y0, x1, y1 = box
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": 1,
                "category_id": category,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": int(np.count_nonzero(mask)),
                "segmentation": encode_rle(mask),
                "iscrowd": 0,
                **more,
            }
        )

    for person in people:
        annotate(person.mask, len(scheme), person.box, score=person.score, person_id=person.id)
        for part in _parts(person):
            score = person.part_scores.get(part.name, person.score)
            annotate(person.part(part.label), part.label, part.box, score=score, person_id=person.id)
    if not people:
        for part in _nobodys(labels, scheme).parts():
            annotate(labels == part.label, part.label, part.box)
    categories: list[dict[str, Any]] = [
        {"id": label, "name": name, "supercategory": "part"}
        for label, name in enumerate(scheme.names)
        if label != scheme.background
    ]
    if people:
        categories.append({"id": len(scheme), "name": "person", "supercategory": "person"})
    image = {"id": 1, "file_name": photo.name.file, "height": height, "width": width}
    content = {
        "images": [{**image, "coco_url": photo.name.url} if photo.name.url else image],
        "annotations": annotations,
        "categories": categories,
    }
    return json.dumps(content).encode()


def _parts(person: Person) -> list[Part]:
    """A person's parts, without unlabelled pixels (255)."""
    return [part for part in person.parts() if part.label != IGNORE]


def _nobodys(labels: Labels, scheme: LabelScheme) -> Person:
    """All parts of a photo, for results without people."""
    return Person.cut(0, (0, 0, 0, 0), 1.0, labels, labels != IGNORE, scheme)


def write_labelme(record: Record, photo: Photo) -> bytes:
    """A mask per part, grouped by person if people were told apart (LabelMe 5.3 or newer)."""
    shapes: list[dict[str, Any]] = []
    for person in record.people or (_nobodys(record.labels, record.scheme),):
        for part in _parts(person):
            x0, y0, x1, y1 = part.box
            mask = person.part(part.label)[y0:y1, x0:x1]
            shapes.append(
                {
                    "label": part.name,
                    "points": [[x0, y0], [x1 - 1, y1 - 1]],  # LabelMe's corners are both inside
                    "group_id": person.id or None,
                    "description": "",
                    "shape_type": "mask",
                    "flags": {},
                    "mask": base64.b64encode(numbers_png(mask.astype(np.uint8))).decode("ascii"),
                }
            )
    content = {
        "version": "5.3.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": photo.name.file,
        "imageData": None,
        "imageHeight": record.labels.shape[0],
        "imageWidth": record.labels.shape[1],
    }
    return json.dumps(content).encode()
