"""Full disks, destinations that cannot be written to, two runs at once, networks that fail, memory."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock
from PIL import Image

from humanparse import BulkError, ParserOptions, Parsing, bulk
from humanparse.bulk import labeller
from humanparse.pipelines.semantic import Semantic

CHEAP = ParserOptions(device="cpu", test_size=(64, 96))
SMALL_BATCHES = bulk.Settings(batch=2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve small photos of noise."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (50, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


def label(photos: Path, dest: Path, **options: Any) -> bulk.Summary:
    """A run in small batches that goes on with what is there."""
    how = bulk.RunOptions(resume=True, **options)
    return bulk.label(photos, dest, model=CHEAP, settings=SMALL_BATCHES, options=how)


def whole(dest: Path) -> int:
    """How many label PNGs there are; each must be readable, and no half-written one may lie about."""
    found = list(dest.glob("*.png"))
    for path in found:
        Parsing.load(path)
    assert not list(dest.glob(".*.part"))
    return len(found)


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fills_up_ends_the_run_and_nothing_is_torn(
    reason: int, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = os.fsync, []

    def full(handle: int) -> None:
        asked.append(handle)
        if len(asked) > 5:
            raise OSError(reason, os.strerror(reason))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BulkError, match=r"(?s)the disk is neither full nor read-only.*resume=True"):
        label(photos, tmp_path / "out")
    monkeypatch.undo()
    assert whole(tmp_path / "out") < 12
    assert label(photos, tmp_path / "out").counts.done == 12
    assert whole(tmp_path / "out") == 12


@pytest.mark.linux
def test_a_file_size_limit_of_the_system_is_a_clear_error(photos: Path, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from humanparse import ParserOptions, bulk;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000));"
        "bulk.label(sys.argv[1], sys.argv[2], model=ParserOptions(device='cpu', test_size=(64, 96)))"
    )
    command = [sys.executable, "-c", code, str(photos), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "BulkError" in done.stderr and "`resume=True`" in done.stderr
    assert whole(tmp_path / "out") < 12
    assert label(photos, tmp_path / "out").counts.done == 12


@pytest.mark.linux
def test_a_destination_that_is_no_folder_or_read_only_is_a_clear_error(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BulkError, match="cannot be written to"):
        label(photos, tmp_path / "file" / "out")
    with pytest.raises(BulkError, match="cannot be written to"):
        label(photos, Path("/proc/humanparse"))  # refuses root, too


def test_two_runs_into_one_folder_are_refused(photos: Path, tmp_path: Path) -> None:
    state = tmp_path / "out" / ".humanparse" / "all"
    state.mkdir(parents=True)
    with FileLock(state / "lock"), pytest.raises(BulkError, match="another run is writing to"):
        label(photos, tmp_path / "out")
    assert label(photos, tmp_path / "out").counts.done == 12


def test_half_written_files_of_a_killed_run_are_removed_and_those_of_others_are_not(
    photos: Path, tmp_path: Path
) -> None:
    label(photos, tmp_path / "out")
    (tmp_path / "out" / ".03.png.0123abcd.part").write_bytes(b"half")
    (tmp_path / "out" / ".mine.png.0123abcd.part").write_bytes(b"another's")
    label(photos, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").glob(".*.part")] == [".mine.png.0123abcd.part"]


def test_one_photo_that_the_network_cannot_take_does_not_fail_its_batch(
    photos: Path, tmp_path: Path, too_large: Callable[[int, int], None]
) -> None:
    Image.new("RGB", (40, 51)).save(photos / "05.png")
    too_large(0, 51)
    assert (label(photos, tmp_path / "out").counts.done, whole(tmp_path / "out")) == (11, 11)
    (failure,) = bulk.status(tmp_path / "out")[1]
    assert failure[0] == "05.png" and "MemoryError: too large" in failure[1]


def test_a_network_that_fails_on_everything_ends_the_run(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(Semantic, "start", broken)
    monkeypatch.setattr(labeller, "_PATIENCE", 5)
    with pytest.raises(BulkError, match=r"failed on 5 inputs in a row .*the device is gone"):
        label(photos, tmp_path / "out")


def test_a_run_that_is_asked_to_stop_goes_on_later(photos: Path, tmp_path: Path) -> None:
    asked: list[int] = []

    def stopping() -> bool:
        asked.append(1)
        return len(asked) > 6

    first = label(photos, tmp_path / "out", stopping=stopping)
    assert first.stopped and 0 < first.counts.done < 12 and whole(tmp_path / "out") == first.counts.done
    assert not label(photos, tmp_path / "out").stopped


def test_each_thread_of_torch_has_a_batch_of_its_own_in_the_network(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    meeting, inside = threading.Barrier(2, timeout=30), []
    real = labeller.Labeller.parse

    def parse(self: labeller.Labeller, batch: Any) -> Any:
        meeting.wait()  # breaks if the other batch waits for this one
        inside.append(torch.get_num_threads())
        return real(self, batch)

    monkeypatch.setattr(labeller.Labeller, "parse", parse)
    try:
        assert label(photos, tmp_path / "out").counts.done == 12
        assert inside == [1] * 6 and torch.get_num_threads() == 2
        monkeypatch.setattr(labeller.Labeller, "parse", lambda self, batch: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            label(photos, tmp_path / "other")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


@pytest.mark.linux
@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_inputs(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(photo)
    code = (
        "import resource, sys; from humanparse import ParserOptions, bulk;"
        "s = bulk.label(sys.argv[1], sys.argv[2], model=ParserOptions(device='cpu', test_size=(32, 32)));"
        "print(s.counts.done, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = {}
    for count in (100, 10_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            os.link(photo, folder / f"{number:05d}.jpg")
        command = [sys.executable, "-c", code, str(folder), str(tmp_path / f"out{count}")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        labelled, peak = map(int, done.stdout.split())
        assert labelled == count
        peaks[count] = peak / 1024  # MiB
    print(peaks)
    assert peaks[10_000] < peaks[100] + 40
