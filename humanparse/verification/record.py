"""Results of `verify`, stored in the cache folder: one small file per model."""

from __future__ import annotations

import json
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from .. import hub
from ..durable import replacing
from ..registry import Spec


@dataclass(frozen=True)
class Record:
    """The outcome of the last verification of a model on this machine.

    Attributes:
        status: `verified`, `plausible` or `failed`.
        date: time of the verification, UTC, ISO 8601.
        humanparse: version of humanparse that verified it.
        weights: sha256 of each weight file, by the role of its network.
        equal: share of pixels that had the published label, 0-1; None if nothing was compared.
    """

    status: str
    date: str
    humanparse: str
    weights: dict[str, str]
    equal: float | None = None


def place(spec: Spec) -> Path:
    """The file of a model's record."""
    return hub.cache_dir() / "verified" / f"{spec.filename}.json"


def write(spec: Spec, record: Record) -> None:
    """Write a record; warns if the cache cannot be written."""
    path = place(spec)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        warnings.warn(f"{spec.name}: the result could not be written to {path}: {error}", stacklevel=2)


def read(spec: Spec) -> Record | None:
    """The record of a model; None if it was never verified, or if other weights were verified.

    A record that cannot be read counts as none, with a warning; verifying the model again replaces it.
    """
    path = place(spec)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        record = Record(**{item.name: values[item.name] for item in fields(Record)})
        found = dict(record.weights)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{path} cannot be read ({error!r}); verify {spec.name} again", stacklevel=2)
        return None
    pinned = {role: network.file.sha256 for role, network in spec.networks().items()}
    other = {role for role, sha256 in pinned.items() if sha256 is not None and found.get(role) != sha256}
    return None if other else record
