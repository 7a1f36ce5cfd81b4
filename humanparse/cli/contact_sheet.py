"""`humanparse contact-sheet`: shows the most doubtful outputs of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console import say


def contact_sheet(
    dest: Annotated[str, typer.Argument(help="Folder, or s3://…, that `humanparse label -o` wrote to.")],
    path: Annotated[Path, typer.Option("-o", "--output", help=".jpg or .png picture, or .html page.")],
    count: Annotated[int, typer.Option(help="Most outputs to show.")] = 100,
    order: Annotated[
        str,
        typer.Option(
            help="What is doubtful: confidence (a low mean), unsure (many pixels below the run's "
            "--min-confidence) or person (few pixels)."
        ),
    ] = "confidence",
    columns: Annotated[int, typer.Option(help="Columns of the picture.")] = 10,
    side: Annotated[int, typer.Option(help="Largest width and height of an output, in pixels.")] = 240,
) -> None:
    """Show the most doubtful outputs of a run in one picture or page."""
    from .. import bulk

    shown = bulk.contact_sheet(
        dest,
        path,
        count=count,
        order=order,  # type: ignore[arg-type]  # checked there
        columns=columns,
        side=side,
    )
    say(f"{shown} outputs in {path}")
