"""A run that is killed again and again ends as one that never was."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from outputs import differing, files
from PIL import Image

COUNT = 320
KILLS = 60


@pytest.mark.posix
@pytest.mark.slow
def test_killed_runs_end_with_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    for number in range(COUNT):
        photo = tmp_path / "photos" / f"{number % 7}" / f"{number:03d}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        size = (int(chance.integers(20, 60)), int(chance.integers(20, 60)), 3)
        Image.fromarray(chance.integers(0, 256, size, dtype=np.uint8)).save(photo)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HUMANPARSE_HOME": str(tmp_path / "home")}

    def run(*arguments: object) -> str:
        script = str(Path(__file__).with_name("killed_runs.py"))
        done = subprocess.run(
            [sys.executable, script, str(tmp_path / "photos"), *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    undisturbed = (
        "import sys; from pathlib import Path; from killed_runs import label;"
        f"label(Path({str(tmp_path / 'photos')!r}), Path({str(tmp_path / 'whole')!r}))"
    )
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    subprocess.run([sys.executable, "-c", undisturbed], env={**environment, "PYTHONPATH": path}, check=True)
    expected = files(tmp_path / "whole")
    assert sum(name.endswith(".png") for name in expected) == COUNT

    told = json.loads(run(tmp_path / "killed", KILLS))
    print(told)
    assert told["kills"] >= KILLS and max(told["rounds"]) >= 5
    for number in range(len(told["rounds"])):
        folder = tmp_path / "killed" / str(number)
        assert not differing(files(folder), expected)
        journal = sqlite3.connect(folder / ".humanparse" / "all" / "journal.sqlite")
        rows = journal.execute("SELECT state, count(*), count(DISTINCT place) FROM inputs GROUP BY state")
        assert sorted(rows) == [("done", COUNT, COUNT), ("failed", 1, 1)]
        assert not list((folder / ".humanparse" / "all" / "spool").iterdir())
