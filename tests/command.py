"""Run `humanparse ...` in the test's own process, in an empty folder with an empty cache."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from humanparse.cli import main


@dataclass(frozen=True)
class Done:
    """What a command did."""

    status: int
    out: str
    err: str


Run = Callable[..., Done]


def runner(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *before: str
) -> Run:
    """A function that runs `humanparse`, the words of `before`, and its own arguments."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HUMANPARSE_HOME", str(folder / "home"))
    monkeypatch.setenv("HF_HOME", str(folder / "hf"))

    def command(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["humanparse", *before, *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return command


def hear_ctrl_c() -> None:
    """For `preexec_fn`: a shell's `&` makes what it starts ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
