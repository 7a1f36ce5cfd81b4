"""Labelling on a real Ray cluster of this machine: equal bytes, workers that die, datasets."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import hear_ctrl_c
from outputs import differing, files
from PIL import Image

from humanparse import BulkError, ParserOptions, bulk
from humanparse.bulk.items import Content, Listing, Source
from humanparse.bulk.job import Job, run
from humanparse.bulk.sources import open_source

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.linux

CHEAP = ParserOptions(device="cpu", test_size=(64, 96))
DEADLY = "more/07.png"
SETTINGS = bulk.Settings(formats=("png", "npz", "tar"), batch=2, pack_size=10)


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def expected(photos: Path, ray_cluster: None) -> dict[str, bytes]:
    """What the local engine makes of them."""
    dest = photos.parent / "local"
    bulk.label(photos, dest, model=CHEAP, settings=SETTINGS)
    found = files(dest)
    assert len(found) == 24 * 2 + 3
    return found


def label(photos: Path, dest: Path, **options: Any) -> bulk.Summary:
    """A run with two workers that goes on with what is there."""
    from humanparse.bulk.ray import Cluster

    how = bulk.RunOptions(resume=True, **options)
    engine = Cluster(concurrency=2)
    return bulk.label(photos, dest, model=CHEAP, settings=SETTINGS, options=how, engine=engine)


def rows(dest: Path, which: str = "true") -> list[tuple[Any, ...]]:
    """What the journal says, in order."""
    journal = sqlite3.connect(dest / ".humanparse" / "all" / "journal.sqlite")
    return journal.execute(
        f"SELECT place, state, sha256, outputs, error, confidence FROM inputs WHERE {which} ORDER BY number"
    ).fetchall()


def worker_pids() -> list[int]:
    """Processes that label on the cluster of this process: children of its child, the raylet."""

    def parent(pid: int) -> int:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        return int(status.partition("PPid:")[2].split()[0])

    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        pid = int(path.parent.name)
        with suppress(OSError):
            if path.read_bytes().startswith(b"ray::Worker") and parent(parent(pid)) == os.getpid():
                found.append(pid)
    return found


def test_outputs_and_journal_are_those_of_the_local_engine(
    photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    done = label(photos, tmp_path / "out")
    assert (done.counts.done, done.counts.failed, done.stopped) == (24, 1, False)
    assert not differing(files(tmp_path / "out"), expected)
    assert rows(tmp_path / "out") == rows(photos.parent / "local")


@pytest.mark.slow
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
    assert not differing(files(tmp_path / "out"), expected)


def test_a_killed_worker_loses_nothing(photos: Path, expected: dict[str, bytes], tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(progress: bulk.Progress) -> None:
        if progress.fresh and not killed:
            killed.append(worker_pids()[0])
            os.kill(killed[0], signal.SIGKILL)

    done = label(photos, tmp_path / "out", progress=kill)
    assert killed and (done.counts.done, done.counts.failed) == (24, 1)
    assert not differing(files(tmp_path / "out"), expected)


@dataclass(frozen=True)
class Deadly:
    """A source with an input that no process survives, as files do that break a decoder."""

    inner: Source
    in_order = False

    def listing(self) -> Iterable[Listing]:
        return self.inner.listing()

    def read(self, found: Listing) -> Content:
        if found.place == DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.inner.read(found)

    def left_out(self) -> Counter[str]:
        return self.inner.left_out()

    def photo(self, found: Listing) -> Path | str:
        return self.inner.photo(found)


@pytest.mark.slow
def test_an_input_that_kills_every_worker_fails_and_the_rest_is_labelled(
    photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    from humanparse.bulk.ray import Cluster

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers know no tests
    dest = tmp_path / "out"
    source = Deadly(open_source(str(photos), dest))
    job = Job(source, {}, dest, CHEAP, replace(SETTINGS, formats=("png", "npz")))
    try:
        done = run(job, bulk.RunOptions(), Cluster(concurrency=2))
    finally:
        ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    assert (done.counts.done, done.counts.failed) == (23, 2)
    reasons = dict(bulk.status(dest)[1])
    assert "every worker that took it died" in reasons[DEADLY]
    same = {name: content for name, content in expected.items() if not name.endswith(".tar")}
    for name in ("more/07.png", "more/07.npz"):
        del same[name]
    found = files(dest)
    assert set(found) == set(same)
    assert {name for name in same if found[name] != same[name]} <= {"more/05.npz"}  # labelled without 07


def test_workers_that_cannot_begin_end_the_run_with_the_reason(
    photos: Path, ray_cluster: None, tmp_path: Path
) -> None:
    from humanparse.bulk.ray import Cluster

    source = Deadly(open_source(str(photos), tmp_path / "out"))  # of a module that workers do not have
    job = Job(source, {}, tmp_path / "out", CHEAP, SETTINGS)
    with pytest.raises(BulkError, match=r"(?s)workers die before they can begin.*No module named"):
        run(job, bulk.RunOptions(), Cluster(concurrency=1))


def test_a_destination_that_cannot_be_written_to_ends_the_run(
    photos: Path, ray_cluster: None, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "more").write_bytes(b"a file where a folder must be")
    with pytest.raises(BulkError, match=r"outputs cannot be written to .*`resume=True`"):
        label(photos, tmp_path / "out")
    assert not list((tmp_path / "out").rglob(".*.part"))


def test_a_worker_refuses_other_weights_than_those_of_the_run(photos: Path, tmp_path: Path) -> None:
    from humanparse.bulk.ray.worker import Task, Worker

    source, here = open_source(str(photos), tmp_path / "out"), (Path.cwd(), torch.get_num_threads())
    task = Task(CHEAP, {"global": "0" * 64}, source, SETTINGS, tmp_path / "out", tmp_path / "out", *here, 1)
    assert "the weights here are others" in Worker(task).load()
    assert "did you mean" in Worker(replace(task, model=ParserOptions("tiny-art"))).load()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"concurrency": 0}, "`concurrency` takes"),
        ({"gpus_per_worker": -1}, "`gpus_per_worker` takes"),
        ({"gpus_per_worker": 1}, "the model runs on cpu here"),
    ],
)
def test_impossible_workers_are_refused(
    options: dict[str, Any], reason: str, photos: Path, tmp_path: Path
) -> None:
    from humanparse.bulk.ray import Cluster

    with pytest.raises(BulkError, match=reason):
        bulk.label(photos, tmp_path / "out", model=CHEAP, engine=Cluster(**options))


@pytest.mark.slow
def test_the_command_starts_a_cluster_and_ctrl_c_ends_it_after_what_is_under_way(
    photos: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "humanparse", "label", str(photos), "-o", str(tmp_path / "out")]
    options = [
        "--batch",
        "2",
        "--engine",
        "ray",
        "--address",
        "local",
        "--concurrency",
        "1",
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "HUMANPARSE_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        preexec_fn=hear_ctrl_c,
    ) as process:
        while not list((tmp_path / "out").glob("*.png")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "--resume" in err and "of 25 labelled" in out
    assert not list((tmp_path / "out").rglob(".*.part"))
    assert len(rows(tmp_path / "out", "state = 'done'")) == len(files(tmp_path / "out"))
    again = [*command, *options, "--resume", "-q"]
    done = subprocess.run(again, capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and done.stdout == ""  # one photo is none
    assert done.stderr.startswith("1 failed; see humanparse label --status"), done.stderr
    assert len(files(tmp_path / "out")) == 24
