"""Run the steps of a workflow on this machine, one by one.

python .ci/steps.py .github/workflows/tests.yml --list
python .ci/steps.py .github/workflows/published-weights.yml --job verify --step Verify --set matrix.shard=4/4

Only `run` steps are run, in bash, from the root of the repository, with the workflow's and the step's `env`.
What `uses` an action is named and left out. A matrix gives its first values unless `--set` says others.
Conditions (`if`) are printed, not evaluated. After a step that failed only those are run whose condition is
`always()` or `!cancelled()`.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
_EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


def values_of(job: dict[str, Any], settings: list[str]) -> dict[str, str]:
    """What expressions stand for, by name: the first entry of the matrix, the machine, and what was set."""
    values = {"github.workspace": str(ROOT), "github.ref": "local", "strategy.job-index": "0"}
    values["runner.os"] = {"darwin": "macOS", "win32": "Windows"}.get(sys.platform, "Linux")
    for name, entries in job.get("strategy", {}).get("matrix", {}).items():
        if name not in ("include", "exclude"):
            values[f"matrix.{name}"] = str(entries[0])
    return values | dict(setting.split("=", 1) for setting in settings)


def filled(text: object, values: dict[str, str]) -> str:
    """A text with its expressions replaced."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise SystemExit(f"what is {found[1]}? Say --set {found[1]}=VALUE")
        return values[found[1]]

    return _EXPRESSION.sub(value, str(text))


def title(step: dict[str, Any]) -> str:
    """What a step is called."""
    return str(step.get("name") or step.get("uses") or step["run"].splitlines()[0])


def run(step: dict[str, Any], values: dict[str, str], env: dict[str, str]) -> int:
    """Run one step; its exit status."""
    own = {key: filled(value, values) for key, value in step.get("env", {}).items()}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", filled(step["run"], values)]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **env, **own}, check=False).returncode


def main() -> int:
    """List or run steps; 0 where all that ran succeeded."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("workflow", type=Path)
    parser.add_argument("--job", help="by default all")
    parser.add_argument("--step", action="append", help="name or number; repeatable; by default all")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--list", action="store_true", help="only name them")
    asked = parser.parse_args()
    workflow = yaml.safe_load(asked.workflow.read_text(encoding="utf-8"))
    failed, ran = False, 0
    with tempfile.TemporaryDirectory() as folder:
        summary = Path(folder, "summary.md")
        summary.touch()
        for name, job in workflow["jobs"].items():
            if asked.job not in (None, name):
                continue
            values = values_of(job, asked.set)
            env = {"CI": "true", "GITHUB_WORKSPACE": str(ROOT), "GITHUB_STEP_SUMMARY": str(summary)}
            for number, step in enumerate(job["steps"], 1):
                if asked.step and str(number) not in asked.step and title(step) not in asked.step:
                    continue
                condition = f" (if {step['if']})" if "if" in step else ""
                print(f"== {name} {number}: {title(step)}{condition}", flush=True)
                anyway = re.search(r"always\(\)|!cancelled\(\)", str(step.get("if", "")))
                if "run" not in step:
                    print(f"   uses {step['uses']}: not run here")
                elif not asked.list and (anyway or not failed):
                    status = run(step, values, env)
                    ran += 1
                    print(f"   exit status {status}", flush=True)
                    failed |= status != 0
        if text := summary.read_text(encoding="utf-8"):
            print(f"== summary\n{text}")
    if not (ran or asked.list):
        raise SystemExit("no such step; see --list")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
