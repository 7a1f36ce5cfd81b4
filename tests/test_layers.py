"""Who may import whom: only rooms above one's own, and foreign packages only where they belong."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "humanparse"

ROOMS = [
    "_version", "addresses", "arrays", "messages", "errors", "durable", "palettes", "sides", "schemes",
    "people", "registry", "suffixes", "impostors", "metadata", "reduction", "decode", "fetching", "image",
    "remote", "ops", "cleaning", "geometry", "checkpoint", "hub", "models", "runtimes", "options", "render",
    "formats", "metrics", "detections", "results", "pipelines", "video", "parser", "bulk", "adapters",
    "serve", "bench", "verification", "cli", "__init__", "__main__",
]  # fmt: skip

ONLY_IN = {
    "torchvision": ("models/detector.py", "models/smp.py", "adapters/torchvision.py"),
    "huggingface_hub": ("hub/huggingface.py",),
    "filelock": ("hub/locking.py", "bulk/destination.py"),
    "safetensors": ("checkpoint.py",),
    "typer": ("cli/",),
    "cv2": (
        "ops/clean.py",
        "ops/resize.py",
        "ops/touching.py",
        "ops/components.py",
        "ops/jpeg.py",
        "cli/doctor.py",
        "decode.py",
        "video/smoothing.py",
        "adapters/cvat.py",
        "adapters/matte.py",
        "adapters/recipes.py",
        "render.py",
    ),
    "av": ("video/reading.py", "video/writing.py", "video/sound.py"),
    "rich": ("cli/", "hub/download.py"),
    "triton": ("ops/resample_argmax_triton.py",),
    "onnx": ("runtimes/onnx_graph.py", "runtimes/onnxruntime.py"),
    "onnxruntime": ("runtimes/onnxruntime.py",),
    "openvino": ("runtimes/openvino.py",),
    "pyarrow": ("bulk/packs.py", "bulk/tables.py", "bulk/ray/dataset.py"),
    "ray": ("bulk/ray/cluster.py",),
    "fsspec": ("remote/",),
    "s3fs": (),
    "supervision": ("adapters/supervision.py",),
    "datasets": ("adapters/datasets.py",),
    "gradio": ("adapters/gradio.py",),
    "cvat_sdk": ("adapters/cvat.py",),
    "pymatting": ("adapters/matte.py",),
    "transformers": (),
    "label_studio_sdk": (),
    "fastapi": ("serve/",),
    "starlette": ("serve/",),
    "uvicorn": ("serve/protocol.py", "serve/running.py"),
    "h11": ("serve/protocol.py",),
    "python_multipart": ("serve/uploads.py",),
    "prometheus_client": ("serve/metrics.py",),
}

NO_TORCH = (
    "_version",
    "addresses",
    "arrays",
    "messages",
    "errors",
    "durable",
    "palettes",
    "sides",
    "schemes",
    "people",
    "registry",
    "impostors",
    "metadata",
    "reduction",
    "decode",
    "fetching",
    "image",
    "remote",
    "cleaning",
    "hub",
    "options",
    "render",
    "formats",
    "metrics",
)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[str, int]]:
    """(absolute module name, line) of every import in the file; relative ones are resolved."""
    package = ["humanparse", *path.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *(node.module.split(".") if node.module else [])])
            found += [
                (f"{name}.{alias.name}" if name == "humanparse" else name, node.lineno)
                for alias in node.names
            ]
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_rooms_above_its_own(path: Path) -> None:
    own = ROOMS.index(room(path))
    for name, line in imported(path):
        parts = name.split(".")
        if parts[0] != "humanparse" or room(path) in ("__init__", "__main__"):
            continue
        other = parts[1] if len(parts) > 1 and parts[1] in ROOMS else "__init__"
        assert other == room(path) or ROOMS.index(other) < own, (
            f"{path.name}:{line} imports {name}, which is below it"
        )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_foreign_packages_are_imported_only_where_they_belong(path: Path) -> None:
    where = str(path.relative_to(PACKAGE))
    for name, line in imported(path):
        allowed = ONLY_IN.get(name.partition(".")[0])
        assert allowed is None or where.startswith(allowed), f"{where}:{line} imports {name}"
        if room(path) in NO_TORCH:
            assert name.partition(".")[0] != "torch", f"{where}:{line} imports torch"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_command_line_names_its_options_in_errors(path: Path) -> None:
    if room(path) == "cli" or path.name == "service.py":  # who runs a service is told how to start it
        return
    for node in ast.walk(ast.parse(path.read_text())):
        for part in ast.walk(node) if isinstance(node, ast.Raise) else ():
            said = part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
            assert not re.search(r"(?<![\w-])-(o|m|q|-[a-z]+)\b(?! install)", said), f"{path.name}: {said}"


def test_every_module_has_a_room_and_stays_short() -> None:
    for path in modules():
        assert room(path) in ROOMS, f"{path} stands in no room"
        assert len(path.read_text().splitlines()) <= 350, f"{path} has grown over 350 lines"
