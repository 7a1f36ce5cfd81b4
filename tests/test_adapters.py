"""What all adapters share: foreign packages come when they are used, and are named when they are missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from humanparse import HumanParseError, Parsing, get_scheme
from humanparse.adapters import cvat, datasets, gradio, supervision
from humanparse.adapters.cutout import cutout

ROOT = Path(__file__).parents[1]
PHOTO, CLOTHES = np.zeros((2, 2, 3), np.uint8), Parsing(np.full((2, 2), 4, np.uint8), get_scheme("atr"))
PARSING = Parsing(np.zeros((2, 2), np.uint8), get_scheme("atr"))

CALLS: dict[str, tuple[str, Callable[[], object]]] = {
    "supervision": ("supervision", lambda: supervision.to_detections(PARSING)),
    "datasets": ("datasets", lambda: datasets.label_columns().features({})),  # type: ignore[arg-type]
    "gradio": ("gradio", gradio.demo),
    "cvat_sdk": ("cvat", cvat.create),
    "pymatting": ("matting", lambda: cutout(PHOTO, CLOTHES, matte=True)),
}


@pytest.mark.parametrize("package", CALLS)
def test_a_missing_package_is_an_error_that_names_its_extra(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra, call = CALLS[package]
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(HumanParseError, match=rf'pip install "humanparse\[{extra}\]"'):
        call()
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()


def test_importing_every_adapter_imports_no_foreign_package() -> None:
    names = sorted(path.stem for path in (ROOT / "humanparse" / "adapters").glob("[a-z]*.py"))
    assert len(names) == 15
    foreign = {*CALLS, "transformers", "label_studio_sdk"}
    code = (
        "import importlib, sys\n"
        f"for name in {names}: importlib.import_module('humanparse.adapters.' + name)\n"
        f"print(sorted({foreign} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
