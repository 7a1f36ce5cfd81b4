"""What the README shows is run, word for word."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from PIL import Image

from humanparse import list_models

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the README's photos in it, a data set of one, and an empty cache."""
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "home"))
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("train_default"))
    for name in ("JPEGImages", "SegmentationClassAug"):
        (tmp_path / "ATR" / "humanparsing" / name).mkdir(parents=True)
    photo = ROOT / "examples" / "grace_hopper.jpg"
    shutil.copy(photo, tmp_path / "ATR" / "humanparsing" / "JPEGImages")
    truth = Image.new("L", Image.open(photo).size)
    truth.save(tmp_path / "ATR" / "humanparsing" / "SegmentationClassAug" / "grace_hopper.png")
    (tmp_path / "ATR" / "test_id.txt").write_text("grace_hopper\n")
    (tmp_path / "label_maps").mkdir()
    truth.save(tmp_path / "label_maps" / "grace_hopper.png")
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_the_readmes_python_runs(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    exec(compile(code, "README.md", "exec"), {})
    saved = re.findall(r'save\("([^"]+)"\)', code)
    assert {path.name for path in folder.iterdir()} >= {*saved}


def test_the_readmes_first_python_saves_three_files() -> None:
    assert re.findall(r'save\("([^"]+)"\)', blocks("python")[0]) == [
        "coarse.npz",
        "overlay.png",
        "labels.png",
    ]


COMMANDS = [re.findall(r"(?:humanparse|python examples/).*", block) for block in blocks("bash")]


SLOW = ("humanparse bench",)


@pytest.mark.parametrize(
    "commands",
    [
        pytest.param(each, id=each[0], marks=[pytest.mark.slow] if each[0].startswith(SLOW) else [])
        for each in COMMANDS
        if each
    ],
)
def test_the_readmes_commands_run_one_after_the_other(commands: list[str], folder: Path) -> None:
    for command in commands:
        arguments = [sys.executable, "-m", *shlex.split(command, comments=True)]
        if command.startswith("python"):
            arguments = [sys.executable, *shlex.split(command)[1:]]
        done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        if "-o scores.json" in command:
            assert (folder / "scores.json").is_file()
        if "--overlay" in command:
            assert (folder / "parsed" / "grace_hopper.png").is_file()
            assert (folder / "parsed" / "grace_hopper_overlay.png").is_file()
        if "--count" in command:
            assert "astronaut" in (folder / "doubtful.html").read_text()


def test_ci_runs_the_readmes_test_command() -> None:
    command = next(line for block in blocks("bash") for line in block.splitlines() if "pytest" in line)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_each_model_is_in_one_row_of_the_readmes_table() -> None:
    cells = [line.split("|")[1] for line in TEXT.splitlines() if line.startswith("| `")]
    rows = [re.findall(r"`([^`]+)`", cell) for cell in cells]
    for name in list_models():
        fitting = [row for row in rows if any(fnmatch(name, pattern) for pattern in row)]
        assert len(fitting) == 1, (name, fitting)


def test_the_readmes_counts_are_the_manifests() -> None:
    for pattern, count in re.findall(r"`([a-z0-9-]+\*)` \((\d+)\)", TEXT):
        assert len(list_models(pattern)) == int(count), pattern


def test_the_readme_is_short_and_its_links_lead_somewhere() -> None:
    assert len(TEXT.splitlines()) <= 150
    for target in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (ROOT / target).exists(), target


def test_the_example_writes_its_four_files(folder: Path) -> None:
    arguments = [sys.executable, "examples/parse_photo.py", "examples/grace_hopper.jpg", "out"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Face" in done.stdout
    written = {path.name for path in (folder / "out").iterdir()}
    assert written == {"labels.png", "parts.json", "overlay.png", "upper_clothes.png"}


def test_the_group_example_tells_its_two_people_apart(folder: Path) -> None:
    arguments = [sys.executable, "examples/group.py", "group.jpg"]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Face ") == 2 and (folder / "group.jpg").is_file()
