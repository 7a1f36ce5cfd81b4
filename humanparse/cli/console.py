"""Where the command line prints: results to standard output, all else to standard error."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

_PIPE_WIDTH = 200  # a table sent to a file should not be squeezed into 80 columns


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_PIPE_WIDTH)


out = _console(stderr=False)
err = _console(stderr=True)


def report(message: str) -> None:
    """Print an error: red, and as long as it needs to be."""
    err.print(f"[red]error:[/red] {escape(message)}", highlight=False, soft_wrap=True)
