"""What the documentation shows is run, word for word; its tables and pictures are those that programs make.

Of each page, `bash` and `python` blocks run from top to bottom in one folder with the examples in it; the
snippets of a page share their names. `humanparse serve` runs beside the rest of its page, at a free port.
Blocks of `text` hold commands that cannot run here: ours among them are checked for names of options, models
and data sets.
"""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from command import Run, runner
from PIL import Image

from humanparse import get_scheme, list_models, models, registry
from humanparse.cli import app
from humanparse.formats import FORMATS
from humanparse.metrics.layouts import LAYOUTS
from humanparse.schemes import scheme_names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
PORT = "8765"
"""The port that pages show, and that is another one here."""


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of each block of a page."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def lines(text: str) -> list[str]:
    """The commands of a block, each in one line."""
    return text.replace("\\\n", " ").splitlines()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the examples in it, without a network."""
    monkeypatch.setenv("HUMANPARSE_OFFLINE", "1")
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("train_default"))
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(folder, monkeypatch, capsys)


class Services:
    """Services that a page starts; they end with it."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, arguments: list[str], seconds: float = 60) -> None:
        """Start one at the page's port, and wait until it is ready."""
        assert f"--port {self.port}" in " ".join(arguments)
        process = subprocess.Popen([sys.executable, "-m", "humanparse", *arguments])
        self._processes.append(process)
        end = time.monotonic() + seconds
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5):
                    return
            except OSError:
                assert process.poll() is None, "the service ended"
                assert time.monotonic() < end, "the service does not get ready"
                time.sleep(0.2)

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(30)


@pytest.fixture
def services() -> Iterator[Services]:
    services = Services()
    yield services
    services.stop()


def cases() -> list[Any]:
    running = [page for page in PAGES if any(kind in ("bash", "python") for kind, _ in blocks(page))]
    return [pytest.param(page, id=page.stem) for page in running]


@pytest.mark.slow
@pytest.mark.parametrize("page", cases())
def test_all_that_a_page_shows_runs_from_top_to_bottom(
    page: Path, folder: Path, run: Run, services: Services, request: pytest.FixtureRequest
) -> None:
    if page.stem == "ray":
        request.getfixturevalue("ray_cluster")
    names: dict[str, Any] = {}
    for language, text in blocks(page):
        text = text.replace(PORT, services.port)
        if language == "python":
            exec(compile(text, page.name, "exec"), names)
        for command in lines(text) if language == "bash" else []:
            obey(command, folder, run, services)


def obey(command: str, folder: Path, run: Run, services: Services) -> None:
    """Do what one line of a `bash` block says."""
    program, *arguments = shlex.split(command, comments=True)
    if program == "pip":
        assert arguments[0] == "install", command
        assert arguments[1] == "." or extras(arguments[1]) <= declared_extras(), command
    elif program == "python":
        done = subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    elif arguments[0] == "serve":
        services.start(arguments)
    else:
        assert program == "humanparse", f"nobody runs {command}"
        outcome = run(*arguments)
        assert outcome.status == 0, f"{command}\n{outcome.err}"
        written = [name for option, name in pairwise(arguments) if option in ("-o", "--labels")]
        assert all((folder / name).exists() for name in written), command


def extras(requirement: str) -> set[str]:
    """`humanparse[a,b]` -> a and b."""
    found = re.fullmatch(r"(?:humanparse|\.)\[(.+)\]", requirement)
    assert found, requirement
    return set(found[1].split(","))


def declared_extras() -> set[str]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    section = text.partition("[project.optional-dependencies]")[2].partition("\n[project")[0]
    return set(re.findall(r"^(\w+) = \[", section, flags=re.M))


def understood(line: str) -> tuple[str, dict[str, Any]]:
    """Name and values of one of our commands, as far as its options exist."""
    _, name, *arguments = shlex.split(line)
    group: Any = typer.main.get_command(app)
    context = group.make_context("humanparse", [name])
    return name, group.get_command(context, name).make_context(name, arguments).params


SPELLED = [
    pytest.param(line, id=f"{page.stem}: {line[:60]}")
    for page in PAGES
    for language, text in blocks(page)
    for line in lines(text)
    if language == "text" and line.startswith("humanparse ")
]


@pytest.mark.parametrize("line", SPELLED)
def test_commands_that_cannot_run_here_are_spelled_right(line: str) -> None:
    name, values = understood(line)
    model = values.get("model") or values.get("name")
    others = {*(values.get("models") or ()), *([model] if model else ())} - set(list_models())
    assert all(other.startswith("hf:") or other.endswith("/") for other in others), line
    parts = getattr(registry.get(model), "parts", {}) if model and model not in others else {}
    roles = {given.partition("=")[0] for given in values.get("weights") or () if "=" in given}
    assert roles <= {*parts, "detector"}, line
    assert "dataset" not in values or values["dataset"] in LAYOUTS, line
    if name == "predict":
        assert set(values["formats"] or ()) <= set(FORMATS), line


MIGRATING = [
    case
    for case in SPELLED
    if str(case.id).startswith("migrating")
    and "--weights" in case.values[0]
    and ".onnx" not in case.values[0]  # tests/test_onnx_weights.py
]


@pytest.fixture
def data_sets(folder: Path) -> None:
    """One small photo as a folder, as LIP, as LV-MHP v2 and as IntegratedPIFu have photos; who is on it."""
    with Image.open(ROOT / "tests" / "data" / "golden" / "images" / "hopper_97x61.png") as picture:
        photo = picture.convert("RGB")
    subject = "ROOT/rendering_script/buffer_fixed_full_mesh/0001"
    for place in (
        "photos/a.jpg",
        "LIP/val_images/a.jpg",
        "LV-MHP-v2/val/images/a.jpg",
        f"{subject}/image_0.png",
    ):
        (folder / place).parent.mkdir(parents=True)
        photo.save(folder / place)
    for place in ("LIP/val_segmentations/a.png", "LV-MHP-v2/val/parsing_annos/a_01_01.png"):
        (folder / place).parent.mkdir(parents=True)
        Image.new("L", photo.size, 1).save(folder / place)
    for place in ("LIP/val_id.txt", "LV-MHP-v2/list/val.txt"):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text("a\n")
    for split in ("train", "test"):
        (folder / f"ROOT/{split}_set_list.txt").write_text("0001\n")
    (folder / "people.json").write_text('{"boxes": [[0, 0, 50, 97]]}')


@pytest.mark.slow
@pytest.mark.usefixtures("data_sets")
@pytest.mark.parametrize("line", MIGRATING)
def test_commands_with_a_checkpoint_run_on_untrained_networks(line: str, folder: Path, run: Run) -> None:
    name, values = understood(line)
    spec = registry.get(values["model"])
    networks = spec.networks()
    files = [folder / given.rpartition("=")[2] for given in values["weights"]]
    for given, file in zip(values["weights"], files, strict=True):
        file.parent.mkdir(exist_ok=True)
        torch.save(models.build(networks[given.rpartition("=")[0] or "network"]).state_dict(), file)
    done = run(*shlex.split(line)[1:])
    for file in files:
        file.unlink()  # each has some 200 MB
    assert done.status == 0, done.err
    if name == "eval":
        assert "mIoU" in done.out
        return
    results = {"predict": values.get("output"), "integratedpifu": values.get("dest")}[name]
    written = [path.relative_to(folder / results).as_posix() for path in (folder / results).rglob("*.*")]
    assert {"a.png", "0001/parse_0.npy"} & {*written}, written


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_models_and_commands_that_the_text_names_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    named = re.findall(
        r"`(?:-m )?((?:lite|schp|ce2p|mce2p|ssseg|smp|uniparser|segformer|sapiens2)-[a-z0-9.-]+)`", text
    )
    assert set(named) <= set(list_models())
    group: Any = typer.main.get_command(app)
    assert set(re.findall(r"`humanparse ([a-z-]+)", text)) <= set(group.commands)
    for file in re.findall(r"`(?:pytest |python )?((?:tests|benchmarks|examples|docs)/[\w./]+)", text):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("page", ["models.md", "labels.md", "serving.md"])
def test_tables_are_what_their_program_makes_of_the_manifest(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(DOCS)
    import make_tables

    stored = (DOCS / page).read_text(encoding="utf-8")
    assert stored == make_tables.filled(page), "run python docs/make_tables.py"
    assert all(f"| `{name}` |" in stored for name in list_models()) or page != "models.md"


@pytest.mark.parametrize("key", scheme_names())
def test_pictures_of_label_sets_show_their_colours(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    import make_pictures

    scheme, stored = get_scheme(key), Image.open(DOCS / "pictures" / f"labels_{key}.png").convert("RGB")
    for number, palette in enumerate(make_pictures.palettes(scheme)):
        for label in range(len(scheme)):
            x, y = make_pictures.place(scheme, label, number)
            assert stored.getpixel((x + 10, y + 10)) == scheme.palette(palette)[label], (label, palette)
    drawn = make_pictures.draw(scheme)
    assert drawn.size == stored.size
    apart = np.abs(np.asarray(drawn, np.int16) - np.asarray(stored)).mean()
    assert apart < 3, "run python docs/make_pictures.py"  # letters may differ by the version of their font
