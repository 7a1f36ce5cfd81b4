"""Videos in a bucket: copied whole, labelled as on a disk, and removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import s3
from outputs import differing, files

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from humanparse import BulkError, ParserOptions, bulk
from humanparse.bulk.job import Job
from humanparse.bulk.video import VideoSource
from humanparse.errors import StorageError
from humanparse.remote import RemoteFile, objects

CHEAP = ParserOptions(device="cpu", test_size=(32, 48))
SETTINGS = bulk.Settings(formats=("png", "npz"), batch=4)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "walk.avi", 12)


@pytest.fixture(scope="module")
def address(bucket: s3.Bucket, clip: Path) -> str:
    return bucket.put("films/walk.avi", clip.read_bytes())


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where a machine keeps its own files."""
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "machine"))
    return tmp_path / "machine"


def film(path: Path, count: int) -> Path:
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.5, (48, 64))
    for number in range(count):
        video.write(np.random.default_rng(number).integers(0, 256, (64, 48, 3), dtype=np.uint8))
    video.release()
    return path


def label(source: str | Path, dest: str | Path, **options: Any) -> bulk.Summary:
    how = bulk.RunOptions(resume=True, **options)
    return bulk.label(source, dest, model=CHEAP, settings=SETTINGS, options=how, every=3)


def test_a_video_gives_the_outputs_of_the_same_video_on_a_disk(
    bucket: s3.Bucket, address: str, clip: Path, machine: Path, tmp_path: Path
) -> None:
    dest, told = f"s3://{s3.NAME}/frames", list[str]()
    label(clip, tmp_path / "here")
    bucket.faults.add("GET", "walk.avi", s3.Fault(503), s3.Fault(cut_after=1000), s3.Fault(length=3))
    done = label(address, dest, telling=told.append)
    assert done.counts.done == 4 and not differing(bucket.files("frames"), files(tmp_path / "here"))
    assert told[0].startswith(f"copying {address} to {machine}")
    assert bulk.contact_sheet(dest, tmp_path / "sheet.html", count=2) == 2
    assert "without its photo" not in (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert label(address, dest).fresh == 0
    bucket.put("films/walk.avi", film(tmp_path / "walk.avi", 15).read_bytes())
    assert label(address, dest).fresh == 5
    bucket.put("films/walk.avi", clip.read_bytes())
    assert not list(tmp_path.rglob("video"))


def test_the_copy_of_a_run_that_was_killed_is_replaced_and_one_that_cannot_be_written_is_an_error(
    address: str, tmp_path: Path
) -> None:
    state = tmp_path / "run.sqlite.run"
    (state / "video").mkdir(parents=True)
    (state / "video" / "other.avi").write_bytes(b"left")
    assert label(address, tmp_path / "out", journal=tmp_path / "run.sqlite").counts.done == 4
    assert not (state / "video").exists()
    (state / "video").write_bytes(b"in the way")
    with pytest.raises(BulkError, match=r"its copy cannot be written.*make room"):
        label(address, tmp_path / "out", journal=tmp_path / "run.sqlite")


def test_a_video_that_changes_while_it_is_copied_is_refused(
    bucket: s3.Bucket, clip: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address = bucket.put("films/moving.avi", clip.read_bytes())
    real = objects._range

    def then_changed(address: str, start: int, size: int) -> bytes:
        content = real(address, start, size)
        bucket.put("films/moving.avi", content[:-1] + b"?")
        return content

    monkeypatch.setattr(objects, "_range", then_changed)
    with pytest.raises(StorageError, match="changed after it was listed"):
        label(address, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("video"))


def test_ray_refuses_a_video_that_its_workers_may_not_reach(address: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from humanparse.bulk.ray import Cluster

    with VideoSource(RemoteFile(address)).on_disk(tmp_path, print) as source:
        job = Job(source, {}, tmp_path / "out", CHEAP, SETTINGS)
        with pytest.raises(BulkError, match="label it without Ray"):
            Cluster()(job, None, bulk.RunOptions())  # type: ignore[arg-type]
