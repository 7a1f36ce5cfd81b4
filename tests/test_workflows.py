"""The workflows: run step by step on this machine, and in step with what the package says of itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from humanparse import list_models, registry

ROOT = Path(__file__).parents[1]
BUNDLED = registry.DEFAULT
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def workflow(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        (ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8")
    )
    return content


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A root of a repository with nothing but the workflows and their programs."""
    for name in (".ci", ".github"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def steps(folder: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run steps of a workflow without a network."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HUMANPARSE_OFFLINE": "1",
        "HUMANPARSE_HOME": str(folder / "home"),
    }
    file = folder / ".github" / "workflows" / name
    return subprocess.run(
        [sys.executable, str(folder / ".ci" / "steps.py"), str(file), *arguments],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_every_step_is_listed_and_what_uses_an_action_is_named(folder: Path) -> None:
    for name in ("tests.yml", "published-weights.yml"):
        done = steps(folder, name, "--list")
        assert done.returncode == 0, done.stderr
        count = sum(len(job["steps"]) for job in workflow(name)["jobs"].values())
        assert len(re.findall(r"^== ", done.stdout, flags=re.M)) == count
        assert "uses actions/checkout" in done.stdout
    assert not (folder / "verified").exists()


@pytest.mark.posix  # its steps are bash's
def test_the_weekly_steps_run_here_and_say_what_would_be_fetched(folder: Path) -> None:
    verify = ("--job", "verify", "--step", "Verify", "--step", "Table of these models")
    done = steps(folder, "published-weights.yml", *verify, "--set", "matrix.shard=1/1")
    assert done.returncode == 1 and "exit status 3" in done.stdout, done.stderr
    verdicts = json.loads((folder / "verified" / "verdicts.json").read_text(encoding="utf-8"))
    assert [verdict["model"] for verdict in verdicts] == list_models()
    found = {verdict["model"]: verdict["status"] for verdict in verdicts}
    assert found[BUNDLED] == "plausible" and found["schp-lip"] == "unreachable"
    assert (folder / "verified" / "pictures" / f"{BUNDLED}.png").is_file()
    assert f"== summary\n{len(verdicts)} models: " in done.stdout
    assert re.search(rf"^\| `{BUNDLED}` \| plausible \|", done.stdout, flags=re.M)
    assert re.search(r"^\| `schp-lip` \| unreachable \|.*not fetched: demo\.jpg", done.stdout, flags=re.M)
    assert re.search(r"^\| `smp-r50-mhpv2` \| skipped \|", done.stdout, flags=re.M)

    for number in range(2):
        (folder / "all" / f"verified-{number}").mkdir(parents=True)
        half = json.dumps(verdicts[number::2])
        (folder / "all" / f"verified-{number}" / "verdicts.json").write_text(half, encoding="utf-8")
    done = steps(folder, "published-weights.yml", "--job", "table", "--step", "Table")
    assert done.returncode == 0, done.stdout + done.stderr
    table = (folder / "verified.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z0-9.-]+)` \|", table, flags=re.M) == list_models()


@pytest.mark.posix
def test_a_failing_step_ends_a_job_but_for_those_that_run_anyway(folder: Path) -> None:
    content = """
    jobs:
      one:
        steps:
          - run: echo "${{ matrix.word }} $OWN" && exit 7
            env: {OWN: "${{ runner.os }}"}
          - run: echo never
          - if: always()
            run: echo anyway
    """
    (folder / ".github" / "workflows" / "x.yml").write_text(content, encoding="utf-8")
    done = steps(folder, "x.yml", "--set", "matrix.word=hello")
    assert done.returncode == 1 and "hello" in done.stdout and "exit status 7" in done.stdout
    assert "anyway\n" in done.stdout and "never\n   exit" not in done.stdout
    assert "Say --set matrix.word=VALUE" in steps(folder, "x.yml").stderr
    assert "no such step" in steps(folder, "x.yml", "--step", "nothing").stderr


def test_pull_requests_are_tested_on_all_systems_with_the_oldest_and_newest_versions() -> None:
    jobs = workflow("tests.yml")["jobs"]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    oldest = re.search(r'requires-python = ">=([\d.]+)"', PROJECT)
    assert oldest is not None and matrix["python"][0] == oldest[1]
    named = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
    assert matrix["python"][-1] == named[-1]
    assert {entry["torch"] for entry in matrix["include"]} == {"oldest"}


def test_the_oldest_versions_are_those_that_the_package_allows() -> None:
    section = PROJECT.partition("\ndependencies = [")[2].partition("]")[0]
    allowed = dict(re.findall(r'"([a-z-]+)>=([\d.]+)"', section))
    text = (ROOT / ".ci" / "oldest.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([a-z-]+)==([\d.]+)$", text, flags=re.M))
    assert set(pinned) == set(allowed)
    for name, version in allowed.items():
        assert pinned[name] == version or pinned[name].startswith(f"{version}."), name
