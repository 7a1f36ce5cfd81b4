"""Labelling on a real Ray cluster of this machine: equal bytes, workers that die, datasets."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from humanparse import BulkError, bulk

ray = pytest.importorskip("ray")

CHEAP = bulk.ModelChoice(device="cpu", test_size=(64, 96))
SETTINGS = bulk.Settings(formats=("png", "npz", "tar"), batch=2, pack_size=10)


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A cluster of two workers, each with one thread, so that both fit on any machine."""
    before, handler = torch.get_num_threads(), signal.getsignal(signal.SIGTERM)
    torch.set_num_threads(1)
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        object_store_memory=200_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    yield
    ray.shutdown()
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four photos of noise in two folders, and one that is none."""
    folder = tmp_path_factory.mktemp("ray") / "photos"
    (folder / "more").mkdir(parents=True)
    chance = np.random.default_rng(0)
    for number in range(24):
        pixels = chance.integers(0, 256, (40 + number, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("more" if number % 3 else ".") / f"{number:02d}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="session")
def expected(photos: Path, cluster: None) -> dict[str, bytes]:
    """What the local engine makes of them."""
    dest = photos.parent / "local"
    bulk.label(photos, dest, model=CHEAP, settings=SETTINGS)
    found = outputs(dest)
    assert len(found) == 24 * 2 + 3
    return found


def outputs(folder: Path) -> dict[str, bytes]:
    """All files of a run but its own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".humanparse" not in path.parts
    }


def label(photos: Path, dest: Path, **conduct: Any) -> bulk.Summary:
    """A run with two workers that goes on with what is there."""
    from humanparse.bulk.ray import Cluster

    how = bulk.Conduct(resume=True, **conduct)
    engine = Cluster(concurrency=2)
    return bulk.label(photos, dest, model=CHEAP, settings=SETTINGS, conduct=how, engine=engine)


def rows(dest: Path) -> list[tuple[Any, ...]]:
    """What the journal says, in order."""
    journal = sqlite3.connect(dest / ".humanparse" / "all" / "journal.sqlite")
    return journal.execute(
        "SELECT place, state, sha256, outputs, error, confidence FROM inputs ORDER BY number"
    ).fetchall()


def test_outputs_and_journal_are_those_of_the_local_engine(
    photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    done = label(photos, tmp_path / "out")
    assert (done.counts.done, done.counts.failed, done.stopped) == (24, 1, False)
    assert outputs(tmp_path / "out") == expected
    assert rows(tmp_path / "out") == rows(photos.parent / "local")


def test_a_run_that_was_stopped_goes_on(photos: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    seen: list[int] = []
    stopped = label(
        photos,
        tmp_path / "out",
        progress=lambda progress: seen.append(progress.fresh),
        stopping=lambda: bool(seen and seen[-1]),
    )
    assert stopped.stopped and 0 < stopped.fresh < 25
    assert len(list((tmp_path / "out").rglob("*.npz"))) == stopped.counts.done  # all that began was recorded
    assert label(photos, tmp_path / "out").counts.todo == 0
    assert outputs(tmp_path / "out") == expected


def test_a_killed_worker_loses_nothing(photos: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(progress: bulk.Progress) -> None:
        if progress.fresh and not killed:
            killed.append(worker_pids()[0])
            os.kill(killed[0], signal.SIGKILL)

    done = label(photos, tmp_path / "out", progress=kill)
    assert killed and (done.counts.done, done.counts.failed) == (24, 1)
    assert outputs(tmp_path / "out") == expected


def worker_pids() -> list[int]:
    """Processes of this machine that label on Ray."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            name = path.read_bytes()
        except OSError:
            continue
        if name.startswith(b"ray::Worker"):
            found.append(int(path.parent.name))
    return found
