"""Where the command line prints: results to standard output, everything else to standard error."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from ..errors import HumanParseError
from ..messages import presentable, said

_ARGUMENT = re.compile(r"`(\w+)(?:=([^`]+))?`")  # an argument in the library's messages: `resume=True`

Item = TypeVar("Item")

_PIPE_WIDTH = 10_000  # in a file, each row of a table stays on one line


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_PIPE_WIDTH)


out = _console(stderr=False)
err = _console(stderr=True)


def say(line: str) -> None:
    """Print a result word for word, to standard output."""
    out.print(line, highlight=False, markup=False, soft_wrap=True)


def tell(line: str) -> None:
    """Print a note word for word, to standard error."""
    err.print(line, highlight=False, markup=False, soft_wrap=True)


class Commands(TyperGroup):
    """Commands whose errors name options instead of the library's arguments."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except HumanParseError as error:
            error.args = (with_options(str(error), self.commands[ctx.invoked_subcommand].params),)
            raise


def with_options(message: str, params: Iterable[Any]) -> str:
    """A message of the library, with its arguments written as a command's options.

    Args:
        message: names arguments as in Python: `` `batch` ``, `` `resume=True` ``, `` `device='cpu'` ``.
        params: click's parameters of the command; other arguments stay as they are.
    """
    options = {param.name: param for param in params if param.param_type_name == "option"}

    def option(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name not in options:
            return found[0]
        if value == "False":
            return str(next(iter(options[name].secondary_opts), found[0]))
        flag: str = max(options[name].opts, key=len)
        return flag if value in (None, "True") else " ".join((flag, value.strip("'")))

    return _ARGUMENT.sub(option, message)


def show(table: Table) -> None:
    """Print a table to standard output, without rich's trailing blanks."""
    with out.capture() as printed:
        out.print(table, highlight=False)
    lines = [line.rstrip(" ") for line in printed.get().splitlines()]
    sys.stdout.write("\n".join(lines) + "\n")


def with_progress(items: Sequence[Item], what: str, quiet: bool) -> Iterator[Item]:
    """Yield the items; if there are several and standard error is a terminal, show a progress bar."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = quiet or not err.is_terminal or len(items) == 1
    with Progress(*columns, console=err, disable=hidden, transient=True) as progress:
        task = progress.add_task(what, total=len(items))
        for item in items:
            yield item
            progress.advance(task)


def report(error: Exception, *, debug: bool, about: str = "") -> None:
    """Print an error: its first line in red, then the details. All but our own errors are called bugs.

    `about` is the input it happened to; our own errors name it themselves.
    """
    if debug:
        err.file.write(presentable("".join(traceback.format_exception(error))))
    if isinstance(error, HumanParseError):
        line, _, details = str(error).partition("\n")
        line = f"error: {line}"
    else:
        reason = presentable(f"{about and about + ': '}{said(error)}").partition("\n")[0]
        line = f"internal error: {reason}"
        details = "This is a bug: run it again with --debug, and report what that prints."
    err.print(Text(line, style="red"), soft_wrap=True)
    if details:
        err.print(Text(details), soft_wrap=True)
