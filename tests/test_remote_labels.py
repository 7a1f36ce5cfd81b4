"""Runs that write to a bucket: equal bytes, interruptions, another machine, faults."""

from __future__ import annotations

import json
import random
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import s3
import torch
from command import Run, runner
from killed_runs import after, forked
from outputs import differing, files
from PIL import Image

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from humanparse import BulkError, ParserOptions, bulk, remote
from humanparse.bulk import disk, handover
from humanparse.bulk.stores import BucketStore
from humanparse.errors import StorageError

CHEAP = ParserOptions(device="cpu", test_size=(32, 48))
SETTINGS = bulk.Settings(formats=("png", "npz", "coco", "tar"), batch=2, pack_size=10)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen photos of noise in two folders, and one that is none."""
    folder = tmp_path_factory.mktemp("labels") / "photos"
    return noise(folder, 14)


def noise(folder: Path, count: int) -> Path:
    (folder / "more").mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (30 + number % 9, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("more" if number % 3 else ".") / f"{number:03d}.png")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def source(bucket: s3.Bucket, photos: Path) -> str:
    return bucket.put_folder(photos, "photos")


@pytest.fixture(scope="module")
def expected(photos: Path) -> dict[str, bytes]:
    """What a run from disk to disk makes of them."""
    dest = photos.parent / "labels"
    label(photos, dest)
    return files(dest)


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder where a machine keeps its own files."""
    return enter(monkeypatch, tmp_path / "machine")


def enter(patch: pytest.MonkeyPatch, home: Path) -> Path:
    patch.setenv("HUMANPARSE_HOME", str(home))
    return home


def label(source: str | Path, dest: str | Path, **options: Any) -> bulk.Summary:
    how = bulk.RunOptions(resume=True, workers=2, **options)
    return bulk.label(source, dest, model=CHEAP, settings=SETTINGS, options=how)


def rows(bucket: s3.Bucket, dest: str, folder: Path) -> list[tuple[str, str]]:
    """Place and state of each input in the copy of the journal."""
    path = folder / "copy.sqlite"
    path.write_bytes(bucket.get(f"{dest}/.humanparse/all/journal.sqlite"))
    return sqlite3.connect(path).execute("SELECT place, state FROM inputs ORDER BY number").fetchall()


def test_bucket_to_bucket_gives_the_bytes_of_disk_to_disk(
    bucket: s3.Bucket, source: str, expected: dict[str, bytes], machine: Path, tmp_path: Path
) -> None:
    done = label(source, f"s3://{s3.NAME}/labels")
    assert (done.counts.done, done.counts.failed, done.stopped) == (14, 1, False)
    assert not differing(bucket.files("labels"), expected)
    assert not list(tmp_path.rglob("*.part")) and not list(machine.rglob("spool/*"))
    again = label(source, f"s3://{s3.NAME}/labels")
    assert again.fresh == 0
    secrets = [*s3.KEYS.values()]
    kept = [bucket.get(key) for key in bucket.keys("labels/.humanparse")]
    kept += [path.read_bytes() for path in machine.rglob("*") if path.is_file()]
    assert kept and not any(secret.encode() in content for secret in secrets for content in kept)


def test_status_and_contact_sheet_work_from_another_machine(
    bucket: s3.Bucket, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = f"s3://{s3.NAME}/seen"
    label(source, dest)
    enter(monkeypatch, tmp_path / "other")
    counts, errors, about = bulk.status(dest)
    assert (counts.done, counts.failed, counts.todo) == (14, 1, 0) and about["source"] == source
    assert [place for place, _ in errors] == ["broken.jpg"]
    assert bulk.contact_sheet(dest, tmp_path / "sheet.html", count=5) == 5
    assert "without its photo" not in (tmp_path / "sheet.html").read_text(encoding="utf-8")
    with pytest.raises(BulkError, match="no run has written here"):
        bulk.status(f"s3://{s3.NAME}/nothing")
    with pytest.raises(StorageError, match="no such bucket"):
        bulk.status("s3://no-such-bucket/labels")


def test_the_command_takes_addresses(
    bucket: s3.Bucket,
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = runner(tmp_path, monkeypatch, capsys)
    dest = f"s3://{s3.NAME}/command"
    source += "/[0b]*"
    done = run("label", source, "-o", dest, "--device", "cpu", "-q")
    assert done.status == 1 and "1 failed; see humanparse label --status s3://" in done.err
    status = run("label", "--status", dest)
    assert status.status == 1 and "5 of 6 labelled, 1 failed, 0 to go" in status.out
    refused = run("label", source, "-o", dest, "-q")
    assert refused.status == 1 and "already holds a run; resume it with --resume" in refused.err
    deleted = run("label", source, "-o", dest, "--restart", "-q", "--format", "npz", "--device", "cpu")
    assert deleted.status == 1 and {name[-4:] for name in bucket.files("command")} == {".npz"}


def test_a_run_goes_on_on_another_machine_from_the_copy_of_its_journal(
    bucket: s3.Bucket,
    source: str,
    expected: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dest = f"s3://{s3.NAME}/moved"
    asked = iter(range(100))
    first = label(source, dest, stopping=lambda: next(asked) > 5)
    assert first.stopped and first.fresh
    enter(monkeypatch, tmp_path / "other")
    second = label(source, dest)
    assert second.fresh < 15 and second.counts.done == 14
    assert not differing(bucket.files("moved"), expected)
    assert [state for _, state in rows(bucket, "moved", tmp_path)].count("done") == 14
    enter(monkeypatch, tmp_path / "machine")  # whose own journal is older now
    assert label(source, dest).fresh == 0


def test_a_run_that_lives_on_another_machine_is_left_alone_and_a_dead_one_taken_over(
    bucket: s3.Bucket, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest, told = f"s3://{s3.NAME}/leased", []
    monkeypatch.setattr(handover, "BEAT", 0.2)
    store, label_file = BucketStore(dest), ".humanparse/all/lease.json"
    lease = {"owner": "another", "beat": 1, "machine": "elsewhere", "ended": False}
    store.put(label_file, json.dumps(lease).encode())

    def beats(line: str) -> None:
        told.append(line)
        store.put(label_file, json.dumps({**lease, "beat": 2}).encode())

    with pytest.raises(BulkError, match=r"another run is writing to s3://.*, on elsewhere"):
        label(source, dest, telling=beats)
    assert label(source, dest, telling=told.append).counts.done == 14
    assert len(told) == 2 and "did not end properly; waiting" in told[1]


def test_a_run_whose_lease_was_taken_stops(
    bucket: s3.Bucket, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest = f"s3://{s3.NAME}/taken"
    monkeypatch.setattr(handover, "BEAT", 0.05)

    def steal(progress: bulk.Progress) -> None:
        lease = {"owner": "another", "beat": 1, "machine": "elsewhere", "ended": False}
        BucketStore(dest).put(".humanparse/all/lease.json", json.dumps(lease).encode())
        time.sleep(0.5)

    with pytest.raises(BulkError, match="another run has taken over"):
        label(source, dest, progress=steal)


def test_outputs_that_vanished_or_were_cut_are_written_again(
    bucket: s3.Bucket, source: str, expected: dict[str, bytes]
) -> None:
    dest = f"s3://{s3.NAME}/mended"
    label(source, dest)
    bucket.delete("mended/000.npz")
    bucket.put("mended/more/001.png", b"cut")
    bucket.delete("mended/labels-000001.tar")
    assert label(source, dest).fresh == 7
    assert not differing(bucket.files("mended"), expected)


def test_an_output_that_cannot_be_written_fails_its_input_only(
    bucket: s3.Bucket, source: str, expected: dict[str, bytes]
) -> None:
    dest = f"s3://{s3.NAME}/unwritten"
    bucket.faults.add("PUT", "unwritten/more/004.png", *[s3.Fault(503)] * 40)
    bucket.faults.add("PUT", "unwritten/more/005.png", *[s3.Fault(500, "InternalError")] * 2)
    done = label(source, dest)
    bucket.faults._set.clear()
    assert (done.counts.done, done.counts.failed) == (13, 2)
    assert "its outputs cannot be written" in dict(bulk.status(dest)[1])["more/004.png"]
    assert "unwritten/more/004.png" not in bucket.keys("unwritten")
    assert label(source, dest, retry_failed=True).counts.done == 14
    assert not differing(bucket.files("unwritten"), expected)


def test_a_multipart_upload_that_breaks_leaves_nothing(bucket: s3.Bucket, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(101 << 20)
    bucket.faults.add("PUT", "partNumber=2", *[s3.Fault(403, "AccessDenied")] * 5)
    with pytest.raises(StorageError, match="access was refused"):
        remote.write(f"s3://{s3.NAME}/large/a.tar", path)
    bucket.faults._set.clear()
    assert bucket.uploads() == [] and bucket.keys("large") == []


def test_unfinished_uploads_are_discarded_page_by_page_even_if_an_answer_is_lost(
    bucket: s3.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "uploads_per_page", 2)
    names = [f"paged/{number}" for number in range(5)] + ["paged/0", "paged/other", "pages"]
    for name in names:
        bucket.client.create_multipart_upload(Bucket=s3.NAME, Key=name)
    bucket.faults.add("DELETE", "paged/3", s3.Fault(cut_after=0, length=9))
    remote.abort_uploads(f"s3://{s3.NAME}/paged", lambda name: name != "other")
    assert [one["Key"] for one in bucket.uploads()] == ["paged/other", "pages"]
    for one in bucket.uploads():
        bucket.client.abort_multipart_upload(Bucket=s3.NAME, Key=one["Key"], UploadId=one["UploadId"])


@pytest.mark.parametrize("how", ["resume", "restart"])
def test_only_the_uploads_of_this_shard_are_discarded(how: str, bucket: s3.Bucket, source: str) -> None:
    root = f"shards-{how}"
    run = partial(bulk.label, dest=f"s3://{s3.NAME}/{root}", model=CHEAP, settings=SETTINGS)
    for number in (1, 2):
        run(source, shard=(number, 2))
    last = [keys_of(bucket, root, shard)[-1] for shard in ("1of2", "2of2")]
    mine, others = (
        [f"{key}.npz", f"labels-{shard}-000007.tar", f".humanparse/{shard}/journal.sqlite"]
        for key, shard in zip(last, ("1of2", "2of2"), strict=True)
    )
    others.append("of another program")
    for name in mine + others:
        bucket.client.create_multipart_upload(Bucket=s3.NAME, Key=f"{root}/{name}")
    again = source if how == "resume" else f"{source}/more/*"  # where keys are other ones
    run(again, shard=(1, 2), options=bulk.RunOptions(**{how: True}))
    left = bucket.uploads()
    assert sorted(one["Key"] for one in left) == sorted(f"{root}/{name}" for name in others)
    for one in left:
        bucket.client.abort_multipart_upload(Bucket=s3.NAME, Key=one["Key"], UploadId=one["UploadId"])


def keys_of(bucket: s3.Bucket, dest: str, shard: str) -> list[str]:
    """The keys of the inputs of a shard, from the copy of its journal."""
    journal = sqlite3.connect(":memory:")
    journal.deserialize(bucket.get(f"{dest}/.humanparse/{shard}/journal.sqlite"))
    return [key for (key,) in journal.execute("SELECT key FROM inputs ORDER BY key")]


def test_a_journal_elsewhere_is_copied_beside_the_labels_and_refused_on_nfs(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "state" / "run.sqlite"
    journal.parent.mkdir()
    assert label(photos, tmp_path / "out", journal=journal).counts.done == 14
    assert journal.is_file() and bulk.status(tmp_path / "out")[0].done == 14
    assert label(photos, tmp_path / "out").fresh == 0  # the copy is the journal now
    assert label(photos, tmp_path / "out", journal=journal).fresh == 0  # and here again
    with pytest.raises(BulkError, match="give it as text"):
        label(photos, Path(f"s3://{s3.NAME}/path"))
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/data {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(disk, "MOUNTS", mounts)
    with pytest.raises(BulkError, match=r"network file system \(nfs4\).*`journal`"):
        label(photos, tmp_path / "out", journal=journal)
    told: list[str] = []
    label(photos, tmp_path / "shared", telling=told.append)
    assert "does without a write-ahead log" in told[0]
    found = sqlite3.connect(tmp_path / "shared/.humanparse/all/journal.sqlite")
    assert found.execute("PRAGMA journal_mode").fetchone() != ("wal",)


@pytest.mark.slow
@pytest.mark.posix
def test_forty_kills_and_a_hundred_faults_lose_and_tear_nothing(
    bucket: s3.Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)  # the forks could not use other threads
    photos = noise(tmp_path / "photos", 300)
    source, dest = bucket.put_folder(photos, "hard/photos"), f"s3://{s3.NAME}/hard/labels"
    label(photos, tmp_path / "labels")
    expected, before = files(tmp_path / "labels"), bucket.faults.met
    monkeypatch.setattr(handover, "_COPY", 0.5)
    monkeypatch.setattr(handover, "BEAT", 0.2)
    moments, kills, through = random.Random(3), 0, 0
    while kills < 40 or bucket.faults.met < before + 100:
        bucket.faults.at_random(0.06, seed=kills)
        if not killed(bucket, source, dest, moments.randrange(10, 120)):
            through += 1  # before there were enough kills: begin again
            assert not differing(bucket.files("hard/labels"), expected)
            bucket.faults.at_random(0)
            remote.remove(f"s3://{s3.NAME}/{key}" for key in bucket.keys("hard/labels"))
            enter(monkeypatch, tmp_path / f"fresh{through}")
            continue
        kills += 1
        if kills % 10 == 0:  # another machine goes on
            enter(monkeypatch, tmp_path / f"machine{kills}")
    bucket.faults.at_random(0)
    label(source, dest, retry_failed=True)
    assert not differing(bucket.files("hard/labels"), expected)
    found = rows(bucket, "hard/labels", tmp_path)
    assert [state for _, state in found].count("done") == 300 and len(dict(found)) == len(found) == 301


def killed(bucket: s3.Bucket, source: str, dest: str, requests: int) -> bool:
    """Let a fork label for so many requests, then kill it; whether it was killed before its end."""
    goal, late = len(bucket.requests) + requests, after(120)
    through = forked(
        lambda: label(source, dest, retry_failed=True), lambda: len(bucket.requests) >= goal or late()
    )
    assert through or not late(), "a run hangs"
    return not through


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `humanparse predict` in this process, in an empty folder."""
    return runner(tmp_path, monkeypatch, capsys, "predict", "--device", "cpu")


def test_predict_writes_to_a_bucket_what_it_writes_to_a_disk(
    bucket: s3.Bucket, photos: Path, tmp_path: Path, run: Run
) -> None:
    kinds = ("--json", "--overlay", "--format", "coco")
    source, dest = bucket.put_folder(photos / "more", "predicted"), f"s3://{s3.NAME}/predicted/here"
    assert run(source, "-o", tmp_path / "disk", *kinds).status == 0
    bucket.faults.add("PUT", "predicted/here", s3.Fault(503), s3.Fault(503))
    done = run(source, "-o", f"{dest}/", *kinds)
    assert done.status == 0, done.err
    here, there = files(tmp_path / "disk"), bucket.files("predicted/here")
    names = {path.stem for path in (photos / "more").glob("*.png")}
    endings = (".png", ".json", "_overlay.png", ".coco.json")
    assert set(there) == {f"{name}{ending}" for name in names for ending in endings}
    for name, content in there.items():
        if name.endswith(".coco.json"):
            (image,) = json.loads(content)["images"]
            assert image["file_name"] == f"../{name.removesuffix('.coco.json')}.png"
        else:
            assert here[name] == content
    again = run(source, "-o", dest)  # nothing there is an input
    assert f"{len(names)} of {len(names)} parsed" in again.out


def test_predict_into_a_bucket_loses_no_photo_and_says_what_cannot_be_written(
    bucket: s3.Bucket, photos: Path, run: Run
) -> None:
    photo = photos / "000.png"
    source = bucket.put("own/a.png", photo.read_bytes())
    for words, reason in (
        ((source, f"s3://{s3.NAME}/own"), "own/a.png is itself an input"),
        ((f"s3://{s3.NAME}/own", f"s3://{s3.NAME}/own/"), "own/a.png is itself an input"),
        ((photo, "nothing://bucket/own"), "nothing"),
        ((photo, f"s3://me:pw@{s3.NAME}/own"), "password"),
    ):
        done = run(words[0], "-o", words[1])
        assert done.status == 1 and reason in done.err and "Traceback" not in done.err, done.err
    assert bucket.get("own/a.png") == photo.read_bytes() and bucket.keys("own") == ["own/a.png"]
    bucket.faults.add("PUT", "denied", *[s3.Fault(403, "AccessDenied")] * 9)
    done = run(photo, "-o", f"s3://{s3.NAME}/denied")
    bucket.faults._set.clear()
    assert done.status == 1 and "0 of 1 parsed" in done.out and "denied/000.png" in done.err
    assert bucket.keys("denied") == [] and bucket.uploads() == []
