"""`humanparse download`: fetch weights now, for later."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import hub, manifest
from ..errors import WeightsError
from .console import out, report


def download(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Models, by name or pattern such as 'schp-*'.")],
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress bar.")] = False,
) -> None:
    """Download and verify weights; prints where each file is."""
    wanted = [spec for name in names for spec in (manifest.names(name) or [manifest.get(name).name])]
    failed = False
    for name in dict.fromkeys(wanted):
        try:
            path = hub.fetch(manifest.get(name), progress=False if quiet else None)
        except WeightsError as error:
            failed = True
            report(error, debug=context.obj)
            continue
        out.print(f"{name}: {path}", highlight=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)
