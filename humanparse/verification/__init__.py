"""Verifies that a model's published weights work on this machine, by a known answer or by plausibility.

import humanparse
for verdict in humanparse.verify("schp-lip"):
    print(verdict.status, verdict.reasons)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from .. import hub, registry
from .._version import __version__
from ..durable import writing_file
from . import answers, record
from .picture import below
from .record import Record
from .verdict import Verdict as Verdict

if TYPE_CHECKING:
    from .run import Run


def verify(
    *models: str,
    device: str = "auto",
    offline: bool | None = None,
    progress: bool | None = None,
    pictures: Path | str | None = None,
) -> list[Verdict]:
    """Download models and check their labels.

    A model whose authors published an answer is run on that photo and must give that answer, within the
    tolerance in `weights_manifest.json`. Every model must give plausible labels on the photos that come with
    the package: people where people are, heads above trunks, nearly the same for the mirrored photo. What was
    found is kept in the cache folder, where `humanparse models` reads it.

    Args:
        models: names or shell patterns such as `"schp-*"`; none stands for all that have a known answer.
        device: as for `Parser`; always in float32.
        offline: only use what is here; what would be fetched is in `Verdict.missing`. None follows the
            environment, see `hub.offline`.
        progress: download progress bars; None shows them on a terminal.
        pictures: a folder, made if need be, for one PNG a model: photo, published labels, ours, difference;
            without a known answer: photo, labels, those of the mirrored photo, difference.

    Returns:
        One verdict for each model, by name.

    Raises:
        ModelError: no model has such a name.
        DeviceError: the device is not available.
        FormatError: a picture cannot be written.
    """
    chosen = select(models)
    return list(verdicts(chosen, device=device, offline=offline, progress=progress, pictures=pictures))


def select(patterns: Iterable[str]) -> list[str]:
    """The models that names and patterns stand for; without any, those that have a known answer.

    Raises:
        ModelError: a name or pattern fits nothing; the message lists the nearest names.
    """
    patterns = list(patterns)
    found: set[str] = set() if patterns else set(answers.known())
    for pattern in patterns:
        found.update(registry.names(pattern) or [hub.find_model(pattern).name])
    return sorted(found)


def verdicts(
    models: Iterable[str],
    *,
    device: str = "auto",
    offline: bool | None = None,
    progress: bool | None = None,
    pictures: Path | str | None = None,
) -> Iterator[Verdict]:
    """As `verify`, one verdict at a time; `models` are names, as `select` gives them."""
    from .run import Run  # which needs torch; whoever only lists models does not

    for model in models:
        run = Run(hub.find_model(model, offline=offline), device, offline, progress)
        verdict = run.verdict()
        if pictures is not None and run.rows:
            verdict = replace(verdict, picture=_drawn(run, Path(pictures)))
        if verdict.status in ("verified", "plausible", "failed"):
            date = datetime.now(timezone.utc).isoformat(timespec="seconds")
            equal = None if verdict.agreement is None else verdict.agreement.equal
            record.write(run.spec, Record(verdict.status, date, __version__, verdict.weights, equal))
        yield verdict


def _drawn(run: Run, folder: Path) -> Path:
    path = folder / f"{run.spec.name}.png"
    with writing_file(path, make_folder=True) as part:
        below(run.rows).save(part, "PNG")
    return path
