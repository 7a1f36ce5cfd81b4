"""The command line: one small file per command over the same public API."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer
from rich.markup import escape

from ..errors import HumanParseError
from . import convert, doctor, download, models, predict
from .console import err

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("predict")(predict.predict)
app.command("models")(models.list_models)
app.command("info")(models.info)
app.command("download")(download.download)
app.command("convert")(convert.convert)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        from .. import __version__

        typer.echo(f"humanparse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Human parsing: for every pixel of a photo of people, which part of which person it is."""
    context.obj = debug


def main() -> None:
    """Run the command line; an error is one red line, a traceback only with `--debug`."""
    debug = "--debug" in sys.argv[1:2]
    try:
        app()
    except HumanParseError as error:
        if debug:
            traceback.print_exc()
        err.print(f"[red]error:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
