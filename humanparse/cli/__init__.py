"""The command line: one small file per command over the same public API."""

from __future__ import annotations

import io
import sys
import warnings
from typing import Annotated, Any

import typer
from rich.markup import escape

from .._version import __version__
from . import (
    agnostic,
    bench,
    contact_sheet,
    convert,
    cutout,
    doctor,
    download,
    evaluate,
    export,
    integratedpifu,
    label,
    models,
    predict,
    serve,
    verify,
)
from .console import Commands, err, report

app = typer.Typer(cls=Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command("predict")(predict.predict)
app.command("label")(label.label)
app.command("contact-sheet")(contact_sheet.contact_sheet)
app.command("integratedpifu")(integratedpifu.integratedpifu)
app.command("cutout")(cutout.cutout)
app.command("agnostic")(agnostic.agnostic)
app.command("eval")(evaluate.evaluate)
app.command("models")(models.list_models)
app.command("info")(models.info)
app.command("download")(download.download)
app.command("verify")(verify.verify)
app.command("convert")(convert.convert)
app.command("export")(export.export)
app.command("bench")(bench.bench)
app.command("serve")(serve.serve)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"humanparse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; works anywhere on the line.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Human parsing: for every pixel of a photo of people, which part of which person it is."""


def main() -> None:
    """Run the command line. An error is one red line; `--debug` adds its traceback.

    `--debug` is read before typer runs, because people add it at the end of the line that failed.
    """
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):  # characters that the terminal lacks must not end a run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments, prog_name="humanparse", obj=debug)
    except Exception as error:
        report(error, debug=debug)
        sys.exit(1)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    err.print(f"[yellow]warning:[/yellow] {escape(str(message))}", highlight=False, soft_wrap=True)
