"""People and parts in the formats of others: CIHP and LV-MHP folders, COCO, LabelMe."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..arrays import Labels, Mask
from ..durable import replacing
from ..errors import FormatError
from ..people import Person, paint_people
from ..schemes import IGNORE, LabelScheme, voc_palette
from .photo import PhotoName
from .rle import encode_rle

People = tuple[Person, ...]


def export(
    kind: str, folder: Path, stem: str, photo: PhotoName, labels: Labels, scheme: LabelScheme, people: People
) -> list[Path]:
    """Write one photo's people in a format of others.

    Args:
        kind: `"cihp"`: `global_parsing/`, `instance_parsing/` and `global_tag/`, as CIHP and M-CE2P for
            LV-MHP submit them. `"mhp"`: one label PNG per person, `<stem>_<people>_<id>.png`, as LV-MHP is
            annotated. `"coco"`: `<stem>.coco.json`, run lengths per part, and per person where people were
            told apart. `"labelme"`: `<stem>.labelme.json`, a mask per part, grouped by person likewise
            (LabelMe 5.3 or newer).
        folder: must exist; sub-folders are made.
        stem: name of the files without what their format adds.
        photo: as COCO and LabelMe name it.
        labels: uint8 (H, W).
        scheme: what they mean.
        people: may be empty.

    Returns:
        The files.

    Raises:
        FormatError: unknown kind, or a file cannot be written.
    """
    if kind not in _KINDS:
        raise FormatError(f"unknown format {kind!r}; use {', '.join(_KINDS)}")
    files = _KINDS[kind](stem, photo, labels, scheme, people)
    for name, content in files.items():
        path = folder / name
        try:
            if path.parent != folder:
                path.parent.mkdir(exist_ok=True)
            with replacing(path) as part:
                part.write_bytes(content)
        except OSError as error:
            raise FormatError(
                f"cannot write {path}: {error.strerror or error}; check that the folder exists"
            ) from error
    return [folder / name for name in files]


def export_names(kind: str, stem: str) -> list[str]:
    """The files that `export` always writes for a photo (`"mhp"` has one per person)."""
    names = {
        "cihp": [f"global_parsing/{stem}.png", f"instance_parsing/{stem}.png", f"global_tag/{stem}.png"],
        "coco": [f"{stem}.coco.json"],
        "labelme": [f"{stem}.labelme.json"],
        "mhp": [],
    }
    if kind not in names:
        raise FormatError(f"unknown format {kind!r}; use {', '.join(names)}")
    return names[kind]


def _cihp(
    stem: str, photo: PhotoName, labels: Labels, scheme: LabelScheme, people: People
) -> dict[str, bytes]:
    """The submission of CIHP: line k of a text belongs to id k of the picture beside it."""
    size = (labels.shape[0], labels.shape[1])
    tags = paint_people(people, size)
    instances = np.zeros(size, dtype=np.int32)
    parts: list[str] = []
    persons: list[str] = []
    for person in people:
        mine = tags == person.id
        for part in person.parts():
            here = mine & person.part(part.label)
            if here.any():
                instances[here] = len(parts) + 1
                parts.append(f"{part.label} {person.part_scores.get(part.name, person.score)}\n")
        x0, y0, x1, y1 = person.box
        persons.append(f"{person.score:.6f} {y0} {x0} {y1} {x1}\n")
    return {
        f"global_parsing/{stem}.png": _png(labels),
        f"instance_parsing/{stem}.png": _png(instances),
        f"instance_parsing/{stem}.txt": "".join(parts).encode(),
        f"global_tag/{stem}.png": _png(tags),
        f"global_tag/{stem}.txt": "".join(persons).encode(),
    }


def _mhp(
    stem: str, photo: PhotoName, labels: Labels, scheme: LabelScheme, people: People
) -> dict[str, bytes]:
    files = {}
    for person in people:
        whole = np.zeros_like(labels)
        x0, y0, x1, y1 = person.box
        whole[y0:y1, x0:x1] = person.labels
        files[f"{stem}_{len(people):02d}_{person.id:02d}.png"] = _png(whole)
    return files


def coco(photo: PhotoName, labels: Labels, scheme: LabelScheme, people: People) -> dict[str, Any]:
    """One photo's parts, and who they belong to where people were told apart, in COCO's form.

    Parts keep their label as category; `person` is the next number after the labels. Run lengths are not
    compressed.

    Args:
        photo: what the photo is called.
        labels: uint8 (H, W).
        scheme: what they mean.
        people: may be empty.
    """
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
        for part in person.parts():
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
    image = {"id": 1, "file_name": photo.file, "height": height, "width": width}
    return {
        "images": [{**image, "coco_url": photo.url} if photo.url else image],
        "annotations": annotations,
        "categories": categories,
    }


def _coco(
    stem: str, photo: PhotoName, labels: Labels, scheme: LabelScheme, people: People
) -> dict[str, bytes]:
    return {f"{stem}.coco.json": json.dumps(coco(photo, labels, scheme, people)).encode()}


def _nobodys(labels: Labels, scheme: LabelScheme) -> Person:
    """All parts, where nobody was told apart."""
    return Person.cut(0, (0, 0, 0, 0), 1.0, labels, labels != IGNORE, scheme)


def _labelme(
    stem: str, photo: PhotoName, labels: Labels, scheme: LabelScheme, people: People
) -> dict[str, bytes]:
    shapes: list[dict[str, Any]] = []
    for person in people or (_nobodys(labels, scheme),):
        for part in person.parts():
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
                    "mask": base64.b64encode(_png(mask.astype(np.uint8))).decode("ascii"),
                }
            )
    content = {
        "version": "5.3.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": photo.file,
        "imageData": None,
        "imageHeight": labels.shape[0],
        "imageWidth": labels.shape[1],
    }
    return {f"{stem}.labelme.json": json.dumps(content).encode()}


def _png(ids: npt.NDArray[Any]) -> bytes:
    """P mode with the PASCAL-VOC palette; 16-bit grey where there are more than 255 ids."""
    height, width = ids.shape
    if ids.max(initial=0) > 255:
        picture = Image.frombytes("I;16", (width, height), ids.astype("<u2").tobytes())
    else:
        picture = Image.frombytes("P", (width, height), ids.astype(np.uint8).tobytes())
        picture.putpalette([value for colour in voc_palette() for value in colour])
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


_KINDS: dict[str, Callable[[str, PhotoName, Labels, LabelScheme, People], dict[str, bytes]]] = {
    "cihp": _cihp,
    "mhp": _mhp,
    "coco": _coco,
    "labelme": _labelme,
}
