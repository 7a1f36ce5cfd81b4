"""`humanparse download`: fetch weights now, for later."""

from __future__ import annotations

import fnmatch
from typing import Annotated

import typer

from .. import hub, registry
from ..errors import WeightsError
from .console import report, say


def download(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Models, by name or pattern such as 'schp-*'.")],
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Download and verify the weights of all networks of models, and print where they are."""
    wanted = [spec for name in names for spec in _files(name)]
    failed = False
    for name, spec in {spec.name: spec for spec in wanted}.items():
        try:
            path = hub.fetch(spec, progress=False if quiet else None)
        except WeightsError as error:
            failed = True
            report(error, debug=context.obj)
            continue
        say(f"{name}: {path}")
    if failed:
        raise typer.Exit(1)


def _files(name: str) -> list[registry.Published]:
    """The networks and detectors that a name or pattern stands for; a model may have several networks."""
    found: list[registry.Published] = [
        network for model in registry.names(name) for network in registry.get(model).networks().values()
    ]
    found += [registry.detector(key) for key in registry.detector_names() if fnmatch.fnmatchcase(key, name)]
    return found or [hub.find_network(name)]
