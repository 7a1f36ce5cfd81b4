"""`import humanparse` is quick and changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import humanparse


def python(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.strip()


def test_importing_humanparse_and_listing_models_leaves_torch_alone() -> None:
    code = "import sys, humanparse; humanparse.list_models('schp-*'); humanparse.model_info('schp-lip')"
    assert python(f"{code}; print(sorted({{'torch', 'cv2', 'numpy', 'PIL'}} & set(sys.modules)))") == "[]"


def test_importing_humanparse_takes_less_than_a_third_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import humanparse; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.3


def test_every_public_name_resolves_and_is_listed() -> None:
    for name in humanparse.__all__:
        assert getattr(humanparse, name) is not None
    assert dir(humanparse) == sorted(humanparse.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Praser'"):
        _ = humanparse.Praser
