"""`humanparse verify`: checks that published weights work here."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from .. import hub
from .console import out
from .label import read_shard
from .options import optional

if TYPE_CHECKING:
    from ..verification import Verdict

_COLOURS = {"verified": "green", "plausible": "cyan", "failed": "red", "unreachable": "yellow"}


def verify(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Names, or patterns such as 'schp-*' (default: all with a known answer)."),
    ] = None,
    all_models: Annotated[
        bool, typer.Option("--all", help="All models that can be fetched automatically.")
    ] = False,
    shard: Annotated[str | None, optional(help="i/n: every n-th of the models, from the i-th.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps; always in float32.")] = "auto",
    offline: Annotated[
        bool, typer.Option("--offline", help="Fetch nothing; say what would be fetched.")
    ] = False,
    picture: Annotated[
        Path | None, optional(help="Folder for pictures: photo, theirs, ours, difference.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Fetch models, run them on photos with known answers, and print how closely the results agree.

    Exit status: 0 if all are verified or plausible; 1 if one failed; 3 if none failed, but files could not be
    fetched.
    """
    from ..verification import select, verdicts

    names = select(["*"] if all_models else models or ())
    number, count = read_shard(shard) or (1, 1)
    names = names[number - 1 :: count]
    options: dict[str, Any] = {"device": device, "offline": offline or None, "pictures": picture}
    found = []
    for verdict in verdicts(names, progress=False if quiet else None, **options):
        found.append(verdict)
        if not json:
            _show(verdict, hub.offline(offline or None))
    if json:
        typer.echo(jsonlib.dumps([_record(verdict) for verdict in found], indent=2))
    status = _status(found, all_models)
    if status:
        raise typer.Exit(status)


def _status(found: list[Verdict], all_models: bool) -> int:
    if any(verdict.status == "failed" for verdict in found):
        return 1
    lacking = any(verdict.missing or verdict.status == "unreachable" for verdict in found)
    return 3 if lacking or any(v.status == "skipped" for v in found if not all_models) else 0


def _show(verdict: Verdict, offline: bool) -> None:
    """Print one line, and below it one for each problem."""
    line = Text(f"{verdict.model}: ").append(verdict.status, style=_COLOURS.get(verdict.status, ""))
    facts = _facts(verdict)
    out.print(line.append("".join(f", {fact}" for fact in facts)), soft_wrap=True, highlight=False)
    said = [*verdict.reasons]
    said += [f"{'would fetch' if offline else 'not fetched'}: {file}" for file in verdict.missing]
    said += [f"picture: {verdict.picture}"] if verdict.picture else []
    for text in said:
        out.print(Text("  " + text.replace("\n", "\n  ")), soft_wrap=True, highlight=False)


def _facts(verdict: Verdict) -> list[str]:
    """The text after the status."""
    facts, agreement = [], verdict.agreement
    if agreement is not None:
        facts += [f"{agreement.equal:.3%} of the pixels equal", f"mIoU {agreement.mean_iou:.4f}"]
        if agreement.differing:
            share = agreement.at_borders
            place = f"{share:.0%} at borders of parts, {1 - share:.0%} in areas"
            theirs, ours, pixels = agreement.confusions[0]
            facts.append(f"differences {place}, most often {ours} for {theirs} ({pixels} pixels)")
        facts += [
            f"{found} of {count} {what} found" for what, (found, count) in (agreement.people or {}).items()
        ]
        facts += [] if verdict.binding else ["reported only"]
    if verdict.input_equal is not None:
        facts.append(f"network input {'equal' if verdict.input_equal else 'NOT equal'}")
    if verdict.load_seconds is not None:
        facts.append(f"loaded in {verdict.load_seconds:.1f} s")
    if verdict.predict_seconds is not None:
        facts.append(f"labelled in {verdict.predict_seconds:.1f} s")
    if verdict.peak_memory_mb is not None:
        facts.append(f"{verdict.peak_memory_mb:.0f} MB")
    return facts


def _record(verdict: Verdict) -> dict[str, Any]:
    record = asdict(verdict)
    record["picture"] = None if verdict.picture is None else str(verdict.picture)
    if verdict.agreement is not None:
        record["agreement"]["equal"] = verdict.agreement.equal
    return record
