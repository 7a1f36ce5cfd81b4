"""The examples in docstrings run, and every public class and function has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import shutil
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import humanparse
from humanparse import hub, metrics
from humanparse.video.writing import VideoFormat, encoding

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "humanparse"
ADAPTERS = re.findall(
    r"^::: (humanparse\.adapters\.\w+)$", (ROOT / "docs/api/adapters.md").read_text("utf-8"), re.M
)
NODES = {"humanparse.adapters.comfyui", "humanparse.adapters.comfyui_pictures"}
"""ComfyUI calls what is in these, and shows the docstrings to users who do not program."""

LOADED = cache(humanparse.Parser)
"""Loads each model once for all examples."""
LOADED.of = humanparse.Parser.of  # type: ignore[attr-defined]


def with_examples() -> list[str]:
    """The modules whose text has examples."""
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if ">>> " in file.read_text(encoding="utf-8")]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def imported(name: str) -> ModuleType:
    return importlib.import_module(name)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the examples and a short video in it, without a network."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("train_default"))
    with encoding(tmp_path / "clip.mp4", VideoFormat(size=(64, 48), rate=Fraction(25))) as film:
        for number in range(2):
            film.add(np.full((64, 48, 3), 60 * number, np.uint8), number / 25)
    monkeypatch.setattr(humanparse, "Parser", LOADED)
    monkeypatch.setenv("HUMANPARSE_OFFLINE", "1")
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def parameters() -> list[Any]:
    """The modules with examples; that of soft edges is compiled for a minute where it never ran."""
    slow = {"humanparse.adapters.matte": [pytest.mark.slow]}
    return [pytest.param(name, marks=slow.get(name, [])) for name in with_examples()]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", parameters())
def test_the_examples_of_docstrings_run(name: str) -> None:
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []
    for test in doctest.DocTestFinder().find(imported(name), name, globs={}):
        runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)
    source = Path(inspect.getsourcefile(imported(name)) or "").read_text(encoding="utf-8")
    assert runner.tries == source.count(">>> "), "some examples are in no docstring that doctest finds"


def public() -> dict[str, Any]:
    """The public classes and functions, by their full name."""
    found = [(humanparse, name) for name in humanparse.__all__ if name != "__version__"]
    found += [(module, name) for module in (hub, metrics) for name in module.__all__]
    for module in (imported(name) for name in ADAPTERS if name not in NODES):
        own = inspect.getmembers(module, lambda value, module=module: inspect.getmodule(value) is module)
        found += [(module, name) for name, value in own if callable(value) and not name.startswith("_")]
    return {f"{module.__name__}.{name}": getattr(module, name) for module, name in found}


def test_every_public_class_and_function_has_an_example() -> None:
    errors = humanparse.HumanParseError  # its docstring shows how to catch it and those derived from it
    without = [
        name
        for name, value in public().items()
        if ">>> " not in (inspect.getdoc(value) or "")
        and not (inspect.isclass(value) and issubclass(value, errors) and value is not errors)
    ]
    assert ADAPTERS and not without
