"""Arrays and a label scheme -> files, and back: P-mode PNG, npz, JSON; `export` to formats of others.

Every file says in itself which scheme and model it comes from, so that it can be read back without being
told.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from ..arrays import Labels, tight_box
from ..cleaning import Cleaning
from ..durable import writing_file
from ..errors import FormatError, SchemeError
from ..people import Person
from ..schemes import IGNORE, LabelScheme, get_scheme, voc_palette
from . import person_records
from .exchange import coco as coco
from .exchange import export as export
from .exchange import export_names as export_names
from .photo import PhotoName as PhotoName
from .photo import photo_name as photo_name
from .rle import decode_rle as decode_rle
from .rle import encode_rle as encode_rle

_TAG = "humanparse"


@dataclass(frozen=True)
class Record:
    """What a file holds.

    Attributes:
        labels: uint8 (H, W).
        scheme: what the numbers mean.
        model: name of the model that made them, may be empty.
        confidence: float16 (H, W), 0-1, or None.
        logits: float32 (C, h, w), or None.
        people: who is there; PNG files don't keep them.
        cleaning: how the labels were cleaned, the first step first.
    """

    labels: Labels
    scheme: LabelScheme
    model: str = ""
    confidence: npt.NDArray[np.float16] | None = None
    logits: npt.NDArray[np.float32] | None = None
    people: tuple[Person, ...] = ()
    cleaning: tuple[Cleaning, ...] = ()


def write(record: Record, path: Path) -> None:
    """Write by suffix: `.png` (labels, P mode, PASCAL-VOC palette), `.npz` (all), `.json` (parts, RLE).

    The file appears under its name only when it is whole.

    Raises:
        FormatError: unknown suffix, no pixels, or the file cannot be written.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise FormatError(f"{path}: unknown suffix; use {', '.join(_WRITERS)}")
    if not record.labels.size:
        raise FormatError(f"cannot write {path}: labels of shape {record.labels.shape} hold no pixel")
    with writing_file(path) as part, part.open("wb") as file:
        writer(record, file)


def encode(record: Record, kind: str) -> bytes:
    """The bytes that `write` puts into a file.

    Args:
        record: what to write.
        kind: `"png"`, `"npz"` or `"json"`.

    Raises:
        FormatError: unknown kind, or no pixels.
    """
    writer = _WRITERS.get(f".{kind}")
    if writer is None:
        raise FormatError(f"unknown kind {kind!r}; use {', '.join(name[1:] for name in _WRITERS)}")
    if not record.labels.size:
        raise FormatError(f"labels of shape {record.labels.shape} hold no pixel; there is nothing to encode")
    buffer = io.BytesIO()
    writer(record, buffer)
    return buffer.getvalue()


def read(path: Path, scheme: LabelScheme | None = None) -> Record:
    """Read what `write` wrote, or any 8-bit label PNG when the scheme is given.

    Args:
        path: `.png`, `.npz` or `.json`.
        scheme: what the numbers mean; None takes what the file says.

    Raises:
        FormatError: missing, damaged, no label map, labels outside its scheme, or a PNG that does not say it.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise FormatError(f"{path}: unknown suffix; use {', '.join(_READERS)}")
    try:
        record = reader(path, scheme)
    except FormatError:
        raise
    except Exception as error:  # decoders stumble over damaged bytes in many ways
        raise FormatError(f"{path}: not a readable label file ({error})") from error
    if scheme is not None:
        renamed = tuple(replace(person, scheme=scheme) for person in record.people)
        record = replace(record, scheme=scheme, people=renamed)
    try:
        for labels in (record.labels, *(person.labels for person in record.people)):
            check_labels(labels, record.scheme)
    except SchemeError as error:
        raise FormatError(f"{path}: {error}") from error
    return record


def stated_scheme(path: Path) -> LabelScheme | None:
    """The label scheme that a PNG of ours names in itself; None where it does not, or is no PNG."""
    try:
        with Image.open(path) as picture:
            text = picture.info.get(_TAG)
        return _from_meta(text).scheme if isinstance(text, str) else None
    except (OSError, ValueError, KeyError):
        return None


def check_labels(labels: npt.NDArray[Any], scheme: LabelScheme) -> None:
    """See that labels are uint8 (H, W), each one of the scheme's or 255.

    Raises:
        SchemeError: another shape or type, or labels that the scheme does not have.
    """
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise SchemeError(f"labels must be uint8 (H, W), not {labels.dtype} {labels.shape}")
    if labels.size and labels.max() >= len(scheme):
        present = np.flatnonzero(np.bincount(labels.ravel())).tolist()
        outside = [str(label) for label in present if len(scheme) <= label != IGNORE]
        if outside:
            raise SchemeError(
                f"{scheme.key} has labels 0 to {len(scheme) - 1}, but here are {', '.join(outside)}; "
                "pass the scheme that these labels were made in"
            )


def parts(labels: Labels, scheme: LabelScheme, background: bool = False) -> list[dict[str, Any]]:
    """Per label that is there: number, name, pixel count, share of the picture, box.

    Args:
        labels: uint8 (H, W).
        scheme: gives the names.
        background: whether the background is listed too.

    Returns:
        Dicts with `label`, `name`, `pixels`, `share` (0-1), `box` (x0, y0, x1, y1 in pixels, half-open).
    """
    found = []
    for label in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)).tolist():
        if label == scheme.background and not background:
            continue
        mask = labels == label
        pixels = int(np.count_nonzero(mask))
        found.append(
            {
                "label": label,
                "name": scheme.name(label),
                "pixels": pixels,
                "share": pixels / labels.size,
                "box": tight_box(mask),
            }
        )
    return found


def _meta(record: Record) -> str:
    meta = {"scheme": record.scheme.key, "names": record.scheme.names, "model": record.model}
    log = [step.words() for step in record.cleaning]
    return json.dumps({**meta, "cleaning": log} if log else meta)


def _from_meta(text: str) -> Record:
    """A record without pixels."""
    meta = json.loads(text)
    key, names = str(meta["scheme"]), tuple(str(name) for name in meta["names"])
    log = tuple(Cleaning.of_words(words) for words in meta.get("cleaning", ()))
    try:
        known = get_scheme(key)
    except SchemeError:
        known = LabelScheme(key, ())
    scheme = known if known.names == names else LabelScheme(key, names)
    return Record(np.empty((0, 0), np.uint8), scheme, str(meta["model"]), cleaning=log)


def _write_png(record: Record, file: IO[bytes]) -> None:
    height, width = record.labels.shape
    picture = Image.frombytes("P", (width, height), record.labels.tobytes())
    picture.putpalette([value for colour in voc_palette() for value in colour])
    info = PngImagePlugin.PngInfo()
    info.add_text(_TAG, _meta(record))
    picture.save(file, format="PNG", pnginfo=info)


def _read_png(path: Path, scheme: LabelScheme | None) -> Record:
    with Image.open(path) as picture:
        if picture.mode not in ("P", "L"):
            raise FormatError(f"{path}: a {picture.mode} picture is no label map; labels are P or L")
        labels = np.array(picture, dtype=np.uint8)
        text = picture.info.get(_TAG)
    if text is not None:
        return replace(_from_meta(text), labels=labels)
    if scheme is None:
        raise FormatError(f'{path}: does not say its label scheme; pass scheme="lip" or another')
    return Record(labels, scheme)


def _write_npz(record: Record, file: IO[bytes]) -> None:
    meta = json.loads(_meta(record))
    if record.people:
        meta["people"] = [person_records.describe(person) for person in record.people]
    arrays: dict[str, Any] = {"labels": record.labels, "meta": np.array(json.dumps(meta))}
    arrays.update(person_records.to_arrays(record.people))
    if record.confidence is not None:
        arrays["confidence"] = record.confidence
    if record.logits is not None:
        arrays["logits"] = record.logits
    np.savez_compressed(file, **arrays)


def _read_npz(path: Path, scheme: LabelScheme | None) -> Record:
    with np.load(path, allow_pickle=False) as archive:
        own = _from_meta(str(archive["meta"]))
        extra = {key: archive[key] for key in ("confidence", "logits") if key in archive.files}
        labels, described = archive["labels"], json.loads(str(archive["meta"])).get("people", [])
        found = person_records.from_arrays(described, archive, own.scheme, labels.shape)
        return replace(own, labels=labels, **extra, people=found)


def _write_json(record: Record, file: IO[bytes]) -> None:
    content = json.loads(_meta(record))
    content["size"] = list(record.labels.shape)
    content["parts"] = [
        {**part, "segmentation": encode_rle(record.labels == part["label"])}
        for part in parts(record.labels, record.scheme)
    ]
    if record.people:
        content["people"] = [person_records.to_json(person) for person in record.people]
    file.write(json.dumps(content).encode())


def _read_json(path: Path, scheme: LabelScheme | None) -> Record:
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    labels = np.zeros(content["size"], dtype=np.uint8)
    for part in content["parts"]:
        labels[decode_rle(part["segmentation"])] = part["label"]
    own = _from_meta(text)
    size = (labels.shape[0], labels.shape[1])
    found = tuple(person_records.from_json(person, own.scheme, size) for person in content.get("people", []))
    return replace(own, labels=labels, people=found)


_WRITERS: dict[str, Callable[[Record, IO[bytes]], None]] = {
    ".png": _write_png,
    ".npz": _write_npz,
    ".json": _write_json,
}
_READERS: dict[str, Callable[[Path, LabelScheme | None], Record]] = {
    ".png": _read_png,
    ".npz": _read_npz,
    ".json": _read_json,
}
