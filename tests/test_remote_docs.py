"""The worked examples of docs/ray.md are files that Ray, Slurm's shell and Kubernetes can read."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from humanparse.cli import app

PAGE = (Path(__file__).parents[1] / "docs" / "ray.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.M | re.S)


def one_with(key: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [yaml.safe_load(block) for block in blocks("yaml")]
    (one,) = [content for content in found if key in content]
    return one


def test_the_cluster_is_one_that_ray_takes() -> None:
    pytest.importorskip("ray")
    from ray.autoscaler._private.util import validate_config

    config = one_with("cluster_name")
    validate_config({**config, "cluster_synced_files": []})
    assert config["head_node_type"] in config["available_node_types"]
    assert config["available_node_types"]["spot"]["max_workers"] <= config["max_workers"]


def test_the_slurm_script_is_one_that_bash_takes(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    (script,) = blocks("sh")
    (tmp_path / "job.sh").write_text(script, encoding="utf-8")
    done = subprocess.run(["bash", "-n", str(tmp_path / "job.sh")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    options = re.findall(r"^#SBATCH (.*)$", script, flags=re.M)
    assert options and all(re.fullmatch(r"--[a-z-]+(=\S+)?", option) for option in options)
    assert_known(re.findall(r"^humanparse .*$", script, flags=re.M)[0])


def test_the_kubernetes_job_has_the_fields_of_a_rayjob() -> None:
    job = one_with("apiVersion")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        for container in group["template"]["spec"]["containers"]:
            assert {"name", "image", "resources"} <= set(container)
    assert_known(spec["entrypoint"])


def assert_known(command: str) -> None:
    """The options of a command are options of ours."""
    program, name, *words = shlex.split(command)
    assert program == "humanparse"
    known = {option for param in typer.main.get_command(app).commands[name].params for option in param.opts}  # type: ignore[attr-defined]
    assert {word for word in words if word.startswith("-")} <= known
