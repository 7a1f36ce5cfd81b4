"""What differs between Linux, macOS and Windows, as far as it can be tried on any of them."""

from __future__ import annotations

import ast
import mimetypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from command import Run, runner
from golden import SMALL
from http_server import Answer, Server

from humanparse import bulk, checkpoint, durable, hub, registry
from humanparse.bulk import naming
from humanparse.bulk.stores import FolderStore
from humanparse.cli import doctor
from humanparse.errors import BulkError, WeightsError
from humanparse.registry import Source, WeightFile

ROOT = Path(__file__).parents[1]
HOPPER = SMALL / "images" / "hopper_97x61.png"
FOLDERS = ("humanparse", "examples", "benchmarks", "docs")
PROGRAMS = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(tmp_path, monkeypatch, capsys)


# --- encodings


def without_encoding(code: str) -> list[int]:
    """Lines that read or write text in the system's own encoding, whatever that is."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, ast.Call) or any(key.arg in ("encoding", None) for key in node.keywords):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        told = {key.arg for key in node.keywords}
        is_plain = isinstance(node.func, ast.Name) and name == "open"
        words = [each.value if isinstance(each, ast.Constant) else "" for each in node.args]
        mode = next(iter(words[1:2] if is_plain else words[:1]), "r" if is_plain else "")
        mode = mode if isinstance(mode, str) and set(mode) <= set("rwaxbt+") else ""
        if (
            (name == "read_text" and not node.args)
            or (name == "write_text" and len(node.args) < 2)
            or (name == "open" and mode and "b" not in mode)
            or (name in ("run", "Popen", "check_output") and told & {"text", "universal_newlines"})
        ):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_is_read_and_written_in_a_named_encoding(path: Path) -> None:
    assert without_encoding(path.read_text(encoding="utf-8")) == []


def test_the_check_of_encodings_finds_what_it_should() -> None:
    plain = (
        "p.read_text()",
        "p.write_text(x)",
        "open(p)",
        "p.open('w')",
        "open(p, 'a')",
        "run(c, text=True)",
    )
    for bad in plain:
        assert without_encoding(bad) == [1], bad
    for good in ("p.read_text(encoding='utf-8')", "open(p, 'rb')", "p.open('xb')", "Image.open(p)", "run(c)"):
        assert without_encoding(good) == [], good


def test_a_terminal_without_the_letters_of_a_name_ends_no_run(tmp_path: Path) -> None:
    (tmp_path / "日本.png").write_bytes(HOPPER.read_bytes())
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "HUMANPARSE_HOME": str(tmp_path)}

    def predict(*photos: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "humanparse", "predict", *photos, "-o", "größe"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)

    done = predict("日本.png", "もう.png")
    assert done.returncode == 1 and b"Traceback" not in done.stderr and b"no such file" in done.stderr
    assert rb"\u3082\u3046.png" in done.stderr
    done = predict("日本.png")
    assert done.returncode == 0 and rb"results in gr\xf6\xdfe" in done.stdout


# --- names


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("con.jpg", "_con"),
        ("a/NUL/lpt1.tar.jpg", "a/_NUL/_lpt1.tar"),
        ("console.jpg", "console"),
        ("trailing dot./space .jpg", "trailing dot%2E/space%20"),
        ("a:b?.jpg", "a%3Ab%3F"),
    ],
)
def test_outputs_get_names_that_windows_takes(name: str, key: str) -> None:
    assert naming.key_of_path(name) == key


@pytest.fixture
def two_cases(tmp_path: Path) -> Path:
    """A folder with two photos whose names differ in case only."""
    folder = tmp_path / "photos"
    for place in ("a/Photo.png", "b/photo.png"):
        (folder / place).parent.mkdir(parents=True)
        (folder / place).write_bytes(HOPPER.read_bytes())
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' disks fold case")
def test_names_that_differ_in_case_are_two_files_on_a_disk_of_linux(two_cases: Path, run: Run) -> None:
    assert not durable.folds_case(two_cases) and not durable.folds_case(two_cases / "to" / "be made")
    assert len(list(two_cases.iterdir())) == 2, "nothing is left behind"
    done = run("predict", two_cases / "a" / "Photo.png", two_cases / "b" / "photo.png", "-o", "out")
    assert done.status == 0 and len(list(Path("out").iterdir())) == 2


def test_a_run_finds_that_out_without_writing(tmp_path: Path) -> None:
    """A file for a trial would stay among the labels of a run that is killed at that moment."""
    (tmp_path / ".humanparse").mkdir()
    os.utime(tmp_path, (0, 0))
    assert FolderStore(tmp_path).folds_case == durable.folds_case(tmp_path / ".humanparse")
    assert tmp_path.stat().st_mtime == 0


def test_where_they_are_one_file_predict_and_label_refuse_them_by_name(
    two_cases: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("humanparse.cli.photos.folds_case", lambda folder: True)
    done = run("predict", two_cases / "a" / "Photo.png", two_cases / "b" / "photo.png", "-o", "out")
    assert done.status == 1 and "differ in case only" in done.err and not Path("out").exists()
    (two_cases / "b" / "photo.png").rename(two_cases / "a" / "photo.png")
    (tmp_path / "labels" / ".HUMANPARSE").mkdir(parents=True)  # as a disk answers that folds case
    if len(list((two_cases / "a").iterdir())) == 2:  # this disk can hold both
        with pytest.raises(BulkError, match=r"Photo\.png and .*photo\.png would have the same output"):
            bulk.label(two_cases, tmp_path / "labels")
        assert not list((tmp_path / "labels").rglob("*.png"))
    assert durable.folded("A\u0308.PNG") == durable.folded("ä.png"), "macOS writes letters in two ways"


# --- files in use


@pytest.fixture
def locked_while_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """As on Windows: a file that this process has open or mapped cannot be removed, renamed or replaced."""
    if sys.platform != "linux":
        pytest.skip("open files are listed in /proc")
    checked = 0

    def in_use() -> set[str]:
        opened = set()
        for handle in Path("/proc/self/fd").iterdir():
            try:
                opened.add(os.readlink(handle))
            except FileNotFoundError:
                continue
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
        return opened | {line.split(maxsplit=5)[5] for line in maps if len(line.split(maxsplit=5)) == 6}

    def guarded(name: str) -> None:
        real = getattr(os, name)

        def checking(*paths: Any, **options: Any) -> Any:
            nonlocal checked
            checked += 1
            used = in_use()
            for path in paths:
                if options.get("dir_fd") is None and os.path.realpath(path) in used:
                    raise PermissionError(13, f"in use, {name} is refused", str(path))
            return real(*paths, **options)

        monkeypatch.setattr(os, name, checking)

    for name in ("unlink", "remove", "rename", "replace"):
        guarded(name)
    yield lambda: checked


def test_downloads_never_touch_a_file_that_is_open(
    locked_while_open: Callable[[], int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))
    for name in ("HUMANPARSE_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)

    def fetch(url: str) -> Path:
        file = WeightFile("w.pth", (Source("url", url),))
        return hub.fetch(replace(registry.network("schp-lip"), file=file))

    with Server() as server:
        with pytest.raises(WeightsError, match="a web page instead of a file"):
            fetch(server.answer("/page", Answer(b"<!DOCTYPE html>")))
        with pytest.warns(UserWarning, match="trusted on first use"):
            assert fetch(server.answer("/good", Answer(b"good"))).read_bytes() == b"good"
        hub.place(registry.network("schp-lip")).with_name("w.pth").write_bytes(b"other")
        with pytest.warns(UserWarning, match="was renamed to"):
            assert fetch(f"{server.url}/good").read_bytes() == b"good"
    assert locked_while_open() > 3


def test_results_of_every_kind_are_written_without_touching_a_file_that_is_open(
    locked_while_open: Callable[[], int], run: Run, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        (photos / f"{number}.png").write_bytes(HOPPER.read_bytes())
    every = ("--overlay", "--legend", "--json", "--npz", "--format", "coco", "--format", "labelme")
    assert run("predict", photos, "-o", "out", *every).status == 0
    formats = [word for kind in ("png", "npz", "coco", "overlay", "tar") for word in ("--format", kind)]
    done = run("label", photos, "-o", "labels", *formats, "-q")
    assert done.status == 0, done.err
    done = run("label", photos, "-o", "labels", *formats, "--restart", "-q")
    assert done.status == 0, done.err
    done = run("contact-sheet", "labels", "-o", "sheet.html")
    assert done.status == 0, done.err
    assert locked_while_open() > 20


def test_weights_are_converted_and_timed_without_touching_a_file_that_is_open(
    locked_while_open: Callable[[], int], run: Run, tmp_path: Path
) -> None:
    spec = registry.network(registry.DEFAULT)
    state = checkpoint.load(hub.fetch(spec))
    torch.save({"state_dict": state}, tmp_path / "old.pth")
    done = run("convert", "old.pth", "new.safetensors", "-m", spec.name)
    assert done.status == 0, done.err
    done = run("bench", spec.name, "--random", "--runs", "1", "--size", "64x64", "--device", "cpu")
    assert done.status == 0, done.err


@pytest.mark.parametrize("ffmpeg", [True, False])
def test_videos_are_written_without_touching_a_file_that_is_open(
    ffmpeg: bool, locked_while_open: Callable[[], int], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ffmpeg and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    clip = cv2.VideoWriter("clip.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 12, (96, 64))
    for level in range(0, 60, 10):
        clip.write(np.full((64, 96, 3), level, np.uint8))
    clip.release()
    if not ffmpeg:
        monkeypatch.setenv("PATH", "")
    done = run("predict", "clip.mp4", "-o", "tinted.mp4", "--labels", "maps", "-q")
    assert done.status == 0, done.err
    assert Path("tinted.mp4").is_file() and len(list(Path("maps").iterdir())) == 6
    assert locked_while_open() > 6


def test_networks_are_exported_without_touching_a_file_that_is_open(
    locked_while_open: Callable[[], int], run: Run
) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    spec = registry.network(registry.DEFAULT)
    for name in ("net.onnx", "net.xml"):
        kind = "onnx" if name.endswith("onnx") else "openvino"
        for _ in range(2):  # the second takes the place of the first
            done = run("export", spec.name, "-o", name, "--to", kind, "--force")
            assert done.status == 0, done.err
    assert locked_while_open() > 2


# --- processes, the service, the machine


def test_a_missing_drive_does_not_keep_doctor_looking_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert "NOT there" in doctor._cache(Path("/z/nowhere"))


def test_the_pages_scripts_are_javascript_whatever_the_system_calls_them() -> None:
    testclient = pytest.importorskip("fastapi.testclient")
    from humanparse.serve import create_app

    mimetypes.init()
    before = dict(mimetypes.types_map)
    mimetypes.add_type("text/plain", ".js")  # as some Windows registries have it
    try:
        client = testclient.TestClient(create_app())
        kind = client.get("/page/app.js").headers["content-type"]
        assert kind.startswith("text/javascript")
    finally:
        mimetypes.types_map.clear()
        mimetypes.types_map.update(before)


def test_a_process_is_told_from_one_that_is_gone() -> None:
    metrics = pytest.importorskip("humanparse.serve.metrics")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert metrics._is_running(os.getpid()) and not metrics._is_running(gone.pid)


def test_no_module_of_the_package_needs_what_windows_lacks_to_be_imported() -> None:
    lacking = {"fcntl", "pty", "termios", "tty", "resource", "pwd", "grp", "curses", "readline", "syslog"}
    for path in (ROOT / "humanparse").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not lacking & {name.partition(".")[0] for name in names}, path
