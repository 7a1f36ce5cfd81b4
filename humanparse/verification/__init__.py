"""Checks that a model's published weights work on this machine.

Labels are compared with the answer that the model's authors published, if there is one; and they must be
plausible.
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
    the package: people where people are, heads above trunks, and nearly the same labels for the mirrored
    photo. The result is stored in the cache folder, where `humanparse models` reads it.

    Args:
        models: names or shell patterns such as `"schp-*"`; without any, all models with a known answer.
        device: as for `Parser`. Models run in float32.
        offline: use only files that are already here and list the others in `Verdict.missing`. None follows
            the environment, see `hub.offline`.
        progress: show download progress bars; None shows them on a terminal.
        pictures: a folder for one PNG per model; it is created if needed. The PNG shows the photo, the
            published labels, ours and the difference. Without a known answer it shows the photo, its labels,
            the labels of the mirrored photo and the difference.

    Returns:
        One verdict per model, sorted by name.

    Raises:
        ModelError: no model has such a name.
        DeviceError: the device is not available.
        FormatError: a picture cannot be written.

    Examples:
        >>> from humanparse import verify
        >>> [verdict] = verify("lite-atr", device="cpu")
        >>> verdict.status
        'plausible'
    """
    chosen = select(models)
    return list(verdicts(chosen, device=device, offline=offline, progress=progress, pictures=pictures))


def select(patterns: Iterable[str]) -> list[str]:
    """The models that fit names and patterns; without any, those that have a known answer.

    Raises:
        ModelError: a name or pattern fits no model; the message lists the nearest names.
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
    """Like `verify`, but yields one verdict at a time. `models` are names, as `select` returns them."""
    from .run import Run  # imported here because it needs torch, which listing models does not

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
