"""Where the command line prints: results to standard output, all else to standard error."""

from __future__ import annotations

from rich.console import Console

_PIPE_WIDTH = 160  # a table sent to a file should not be squeezed into 80 columns


def _console(stderr: bool) -> Console:
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=_PIPE_WIDTH)


out = _console(stderr=False)
err = _console(stderr=True)
