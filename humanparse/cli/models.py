"""`humanparse models` and `humanparse info`: all models, and one in detail."""

from __future__ import annotations

import json as jsonlib
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from .. import hub, registry
from ..errors import ModelError
from ..registry import ModelSpec, Spec
from ..verification.record import read as read_record
from .console import say, show


def list_models(
    patterns: Annotated[
        list[str] | None, typer.Argument(help="Shell patterns, such as 'schp-*' (default: all models).")
    ] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only models whose weights may be used commercially.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print records as JSON.")] = False,
) -> None:
    """List the models: labels, input, claimed accuracy, size, licence; which are here, which verified.

    The column `commercial` says whether the weights may be used commercially: yes, no or unclear; `humanparse
    info MODEL` says why.
    """
    specs = _matching(patterns or ["*"])
    if commercial:
        specs = [spec for spec in specs if spec.licence.commercial == "yes"]
        if not specs:
            asked = " or ".join(patterns or ["*"])
            raise ModelError(f"no model that matches {asked} has weights cleared for commercial use")
    if json:
        typer.echo(jsonlib.dumps([_record(spec) for spec in specs], indent=2))
        return
    table = Table(box=None, pad_edge=False)
    titles = ("name", "labels", "input", "accuracy", "size", "weights licence", "commercial", "here")
    for title in (*titles, "verified"):
        table.add_column(title, no_wrap=title in ("name", "commercial"), overflow="fold")
    for spec in specs:
        table.add_row(
            spec.name,
            f"{len(spec.scheme)} {spec.scheme_key}",
            _input(spec),
            _claim(spec),
            _megabytes(spec),
            spec.licence.weights.partition(";")[0],
            spec.licence.commercial,
            _here(spec),
            _verified(spec)[0],
        )
    show(table)
    for title, texts in (
        ("papers", [spec.paper for spec in specs]),
        ("claims", [claim.citation for spec in specs for claim in spec.accuracy]),
    ):
        if texts:
            say(f"{title}: {'; '.join(dict.fromkeys(texts))}")


def info(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    json: Annotated[bool, typer.Option("--json", help="Print the record as JSON.")] = False,
) -> None:
    """Show everything about one model: labels, input, files and where they come from, claims, licences."""
    spec = hub.find_model(name)
    if json:
        typer.echo(jsonlib.dumps(_record(spec), indent=2))
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, text in _facts(spec):
        table.add_row(title, escape(text))
    show(table)
    if spec.bundled:
        card = hub.fetch(registry.single(spec)).with_suffix(".md").read_text(encoding="utf-8")
        say(f"\n{card}")


def _matching(patterns: list[str]) -> list[Spec]:
    found: dict[str, Spec] = {}
    for pattern in patterns:
        names = registry.names(pattern)
        if not names:
            raise ModelError(f"no model matches {pattern!r}; known models: {', '.join(registry.names())}")
        found.update((name, registry.get(name)) for name in names)
    return list(found.values())


def _facts(spec: Spec) -> list[tuple[str, str]]:
    labels = ", ".join(f"{number} {label}" for number, label in enumerate(spec.scheme.names))
    networks = [*spec.networks().values()]
    return [
        ("name", spec.name),
        ("paper", spec.paper),
        ("origin", spec.origin),
        ("labels", f"{spec.scheme_key}: {labels}"),
        *(_single(networks[0]) if len(networks) == 1 else _several(spec)),
        *[("accuracy", f"{a.metric} {a.value} on {a.split} ({a.citation})") for a in spec.accuracy],
        ("code licence", spec.licence.code),
        ("weights licence", spec.licence.weights),
        ("data", spec.licence.data),
        ("commercial use", f"{spec.licence.commercial}: {spec.licence.reason}"),
        *(_files(networks[0]) if len(networks) == 1 else [("files", _megabytes(spec))]),
        ("here", _here(spec)),
        ("verified", " ".join(_verified(spec))),
    ]


def _single(spec: ModelSpec) -> list[tuple[str, str]]:
    return [
        ("input", f"{spec.input.extent}, {spec.input.fit}, {spec.input.channels}"),
        ("test time", f"flip {'on' if spec.flip else 'off'}, scales {', '.join(map(str, spec.scales))}"),
    ]


def _several(spec: Spec) -> list[tuple[str, str]]:
    return [
        ("networks", "\n".join(f"{role}: {part.name}" for role, part in spec.networks().items())),
        ("rule", spec.rule),
    ]


def _files(spec: ModelSpec) -> list[tuple[str, str]]:
    sources = [f"{s.kind}: {s.url}" + (f" ({s.note})" if s.note else "") for s in spec.file.sources]
    return [
        ("file", f"{spec.file.filename}, {_megabytes(spec)}"),
        ("sha256", spec.file.sha256 or "not on public record"),
        ("sources", "\n".join(sources) or "none public: bring your own checkpoint with weights="),
        *([] if spec.bundled else [("place", str(hub.place(spec)))]),
    ]


def _record(spec: Spec) -> dict[str, Any]:
    record = asdict(spec)
    record["scheme"] = {"key": spec.scheme_key, "names": list(spec.scheme.names)}
    record["here"] = _here(spec)
    record["verified"] = _verified(spec)[0]
    del record["scheme_key"]
    return record


def _input(spec: Spec) -> str:
    networks = spec.networks()
    return " + ".join(networks) if len(networks) > 1 else networks["network"].input.extent


def _claim(spec: Spec) -> str:
    """The first claim; `info` shows the others."""
    return next((f"{a.metric} {a.value} {a.split}" for a in spec.accuracy), "none claimed")


def _megabytes(spec: Spec) -> str:
    files = [network.file for network in spec.networks().values()]
    known = [size for file in files if (size := file.size or file.about) is not None]
    if len(known) < len(files):
        return "unknown size"
    rounded = any(file.size is None for file in files)
    return f"about {sum(known) / 1e6:.0f} MB" if rounded else f"{sum(known) / 1e6:.1f} MB"


def _here(spec: Spec) -> str:
    if spec.bundled:
        return "bundled"
    return "yes" if all(map(hub.cached, spec.networks().values())) else "no"


def _verified(spec: Spec) -> tuple[str, str]:
    """The last result of `humanparse verify` with these weights on this machine, and its details."""
    record = read_record(spec)
    if record is None:
        return "never", f"(humanparse verify {spec.name})"
    equal = "" if record.equal is None else f", {record.equal:.3%} of a known answer's pixels equal"
    return record.status, f"(humanparse {record.humanparse}, {record.date}{equal})"
