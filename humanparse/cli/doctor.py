"""`humanparse doctor`: what this machine has, and what may cause problems."""

from __future__ import annotations

import os
import platform
import shutil
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from .. import hub, registry
from ..errors import WeightsError
from .console import show

_PACKAGES = (
    "humanparse",
    "torch",
    "torchvision",
    "numpy",
    "pillow",
    "opencv-python-headless",
    "huggingface-hub",
    "safetensors",
)
_HUBS = ("https://huggingface.co", "https://github.com", "https://drive.google.com")


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not contact the hubs.")] = False,
) -> None:
    """Show versions, the device and the reason for it, the cache, and which hubs answer."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("python", f"{platform.python_version()} on {platform.platform()}")
    for package in _PACKAGES:
        table.add_row(package, _version(package))
    table.add_row("OpenCV", escape(_opencv()))
    table.add_row("device", escape(_device()))
    table.add_row("cache", escape(_cache(hub.cache_dir())))
    table.add_row("default model", escape(_bundled()))
    for address in _HUBS:
        table.add_row(
            address.removeprefix("https://"), escape(_answer(address, hub.offline(offline or None)))
        )
    show(table)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed under this name"


def _opencv() -> str:
    try:
        import cv2
    except ImportError as error:
        return f"NOT usable: {error}; install opencv-python-headless again"
    generation = cv2.__version__.partition(".")[0]
    return f"generation {generation}; warps are our own and give OpenCV 4's numbers with any"


def _device() -> str:
    import torch

    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name()}, torch {torch.__version__}"
    reason = (
        "this torch was built without CUDA" if torch.version.cuda is None else "no CUDA device is visible"
    )
    level = torch.backends.cpu.get_cpu_capability()
    return f"cpu, because {reason}; {torch.get_num_threads()} threads, {level}, torch {torch.__version__}"


def _cache(folder: Path) -> str:
    there = folder
    while not there.exists() and there != there.parent:  # a drive may be missing altogether
        there = there.parent
    if not there.exists():
        return f"{folder}: NOT there and cannot be made: set HUMANPARSE_HOME to another folder"
    state = "writable" if os.access(there, os.W_OK) else "NOT writable: set HUMANPARSE_HOME to another folder"
    used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    return f"{folder}: {state}, {used / 1e6:.0f} MB used, {shutil.disk_usage(there).free / 1e9:.0f} GB free"


def _bundled() -> str:
    spec = registry.network(registry.DEFAULT)
    try:
        return f"{spec.name}: {hub.fetch(spec, offline=True)}, verified"
    except WeightsError as error:
        return f"NOT usable: {error}"


def _answer(address: str, offline: bool) -> str:
    if offline:
        return "not tried (offline)"
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=5):
            return "answers"
    except urllib.error.HTTPError as error:
        return f"answers (HTTP {error.code})"
    except OSError as error:
        return f"does not answer ({getattr(error, 'reason', error)})"
