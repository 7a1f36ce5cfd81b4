"""What the README shows is run, word for word."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from humanparse import list_models, model_info

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the README's photos in it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns("train_default"))
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_the_readmes_python_runs(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    exec(compile(code, "README.md", "exec"), {})
    written = {name for name in re.findall(r'"([\w.]+\.(?:png|npz))"', code) if "/" not in name}
    assert len(written) >= 2 and {path.name for path in folder.iterdir()} >= written


COMMANDS = [
    line[line.index("humanparse ") :]
    for block in blocks("bash")
    for line in block.splitlines()
    if "humanparse " in line
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readmes_commands_run(command: str, folder: Path) -> None:
    arguments = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    if "--overlay" in command:
        assert (folder / "parsed" / "grace_hopper.png").is_file()
        assert (folder / "parsed" / "grace_hopper_overlay.png").is_file()


def test_ci_runs_the_readmes_test_command() -> None:
    command = next(line for block in blocks("bash") for line in block.splitlines() if "pytest" in line)
    assert command in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_table_of_models_is_complete_and_repeats_the_manifests_claims() -> None:
    for name in list_models():
        row = next((line for line in TEXT.splitlines() if line.startswith(f"| `{name}`")), None)
        assert row is not None, f"{name} is not in the README's table"
        for claim in model_info(name).accuracy:
            assert f"{claim.metric} {claim.value}" in row, (name, claim)


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
