"""Inputs in a bucket: folders, globs, tars, lists; what breaks on the way; a million objects."""

from __future__ import annotations

import io
import sqlite3
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import s3
from outputs import differing, files
from PIL import Image

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from humanparse import BulkError, ParserOptions, bulk, remote
from humanparse.bulk.items import Listing
from humanparse.bulk.objects import ObjectSource, _matcher, open_objects
from humanparse.bulk.sources import open_source
from humanparse.errors import GoneError, ImageError, StorageError

CHEAP = ParserOptions(device="cpu", test_size=(32, 48))
SETTINGS = bulk.Settings(formats=("png", "npz", "coco", "tar"), batch=4, pack_size=10)


def png(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (30 + number, 24, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos in folders whose order tells a walk from a listing of keys, a broken one, and hidden ones."""
    folder = tmp_path_factory.mktemp("s3") / "photos"
    names = ("b.png", "a/1.png", "a/2.png", "a.b/1.png", "a-b.png", "c/d/e.png", "c/ä ö.png", "z.png")
    for number, name in enumerate((*names, ".hidden.png", ".git/x.png", "c/._z.png")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "raw.dng").write_bytes(b"raw")
    (folder / "notes.txt").write_bytes(b"notes")
    return folder


@pytest.fixture(scope="module")
def prefix(bucket: s3.Bucket, photos: Path) -> str:
    return bucket.put_folder(photos, "photos")


def label(source: str | Path, dest: str | Path, **options: Any) -> bulk.Summary:
    how = bulk.RunOptions(resume=True, workers=2, **options)
    return bulk.label(source, dest, model=CHEAP, settings=SETTINGS, options=how)


def test_a_prefix_gives_the_inputs_of_the_same_folder_in_the_same_order(photos: Path, prefix: str) -> None:
    there, here = open_source(prefix, ""), open_source(str(photos), photos.parent / "out")
    found = [(one.place, one.key, one.size) for one in there.listing()]
    assert found == [(one.place, one.key, one.size) for one in here.listing()]
    assert len(found) == 9 and found == sorted(found)
    assert there.left_out() == here.left_out()


def test_labels_of_a_prefix_are_those_of_the_folder(photos: Path, prefix: str, tmp_path: Path) -> None:
    done = label(prefix, tmp_path / "there")
    assert (done.counts.done, done.counts.failed, done.stopped) == (8, 1, False)
    label(photos, tmp_path / "here")
    there, here = files(tmp_path / "there"), files(tmp_path / "here")
    for name in here:
        if name.endswith(".coco.json"):  # names its photo by the address
            assert f"{prefix}/".encode() in there.pop(name)
    assert there == {name: content for name, content in here.items() if not name.endswith(".coco.json")}


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.png", ["a-b.png", "b.png", "z.png"]),
        ("a/*.png", ["1.png", "2.png"]),
        ("?/[12].png", ["a/1.png", "a/2.png"]),
        ("**/[!a-y].png", ["a.b/1.png", "a/1.png", "a/2.png", "z.png"]),
        (
            "**/*.png",
            ["a-b.png", "a.b/1.png", "a/1.png", "a/2.png", "b.png", "c/d/e.png", "c/ä ö.png", "z.png"],
        ),
    ],
)
def test_globs_match_as_on_a_disk(pattern: str, names: list[str], photos: Path, prefix: str) -> None:
    there = open_source(f"{prefix}/{pattern}", "")
    assert [one.place for one in there.listing()] == names
    here = open_source(f"{photos}/{pattern}", photos.parent / "out")
    assert sorted(one.size or 0 for one in here.listing()) == sorted(one.size or 0 for one in there.listing())
    assert _matcher("a[").fullmatch("a[") and not _matcher("*").fullmatch(".a")


def test_one_object_a_list_and_a_table_of_addresses(bucket: s3.Bucket, prefix: str, tmp_path: Path) -> None:
    one = open_source(f"{prefix}/a/1.png", "")
    assert [found.place for found in one.listing()] == ["1.png"]
    (tmp_path / "list.txt").write_text(f"{prefix}/a/1.png\n{prefix}/gone.png\n")
    done = label(tmp_path / "list.txt", tmp_path / "out")
    assert (done.counts.done, done.counts.failed) == (1, 1)
    assert dict(bulk.status(tmp_path / "out")[1]) == {
        f"{prefix}/gone.png": f"{prefix}/gone.png: there is no such object"
    }
    assert (tmp_path / "out" / s3.NAME / "photos/a/1.png").is_file()
    listed = bucket.put("lists/list.csv", b"path\n../photos/b.png\n../photos/z.png\n")
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    parquet.write_table(
        pyarrow.table({"url": [f"{prefix}/b.png", f"{prefix}/z.png"]}), tmp_path / "t.parquet"
    )
    assert label(tmp_path / "t.parquet", tmp_path / "rows").counts.done == 2
    assert [found.key for found in open_source(listed, "").listing()] == ["__/photos/b", "__/photos/z"]


def test_predict_takes_what_lies_in_a_bucket(prefix: str) -> None:
    from humanparse.cli.photos import find_photos, read_photo

    told: list[str] = []
    found = find_photos([prefix, f"{prefix}/a/*.png"], told.append)
    assert found[-2:] == [f"{prefix}/a/1.png", f"{prefix}/a/2.png"] and len(found) == 11
    assert "1 .dng" in told[0] and "hidden" in told[0]
    assert (read_photo(found[-1]) == np.asarray(Image.open(io.BytesIO(png(2))))).all()
    with pytest.raises(ImageError, match="no such object"):
        read_photo(f"{prefix}/none.png")
    with pytest.raises(ImageError, match="no pictures there"):
        find_photos([f"{prefix}/nothing"], told.append)


@pytest.mark.parametrize("name", ["samples.tar", "*.tar"])
def test_tars_are_read_in_parts_and_never_copied(
    name: str, bucket: s3.Bucket, photos: Path, tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "samples.tar", "w") as archive:
        for path in sorted(photos.rglob("*.png")):
            archive.add(path, path.relative_to(photos).as_posix())
    address = bucket.put("tars/samples.tar", (tmp_path / "samples.tar").read_bytes())
    there = label(address.replace("samples.tar", name), tmp_path / "there")
    here = label(tmp_path / "samples.tar", tmp_path / "here")
    assert there.counts == here.counts and there.counts.done == 8
    assert not differing(files(tmp_path / "there"), files(tmp_path / "here"))
    bucket.put("tars/samples.tar", (tmp_path / "samples.tar").read_bytes() + bytes(10240))
    (changed, *_) = open_source(str(tmp_path / "samples.tar"), "").listing()
    with pytest.raises(ImageError, match="changed after it was listed"):
        open_source(address, "").read(Listing(changed.place, "", changed.start, changed.size, 1))


FAULTS = {
    "503": [s3.Fault(503)] * 2,
    "500": [s3.Fault(500, "InternalError")] * 2,
    "cut": [s3.Fault(cut_after=50)] * 2,
    "wrong length": [s3.Fault(length=10)] * 2,
}


@pytest.mark.parametrize("kind", list(FAULTS))
def test_what_goes_away_by_itself_is_tried_again(kind: str, bucket: s3.Bucket) -> None:
    address = bucket.put(f"faults/{kind}.png", png(1))
    before = bucket.faults.met
    bucket.faults.add("GET", f"{kind}.png", *FAULTS[kind])
    assert remote.read(address, len(png(1)), 0 or remote.info(address).mark) == png(1)  # type: ignore[union-attr]
    assert bucket.faults.met == before + 2


@pytest.mark.parametrize("extra", [-20, 20])
def test_a_wrong_size_in_the_answer_to_head_is_asked_again(extra: int, bucket: s3.Bucket) -> None:
    address = bucket.put(f"faults/head{extra}.png", png(1))
    bucket.faults.add("HEAD", f"head{extra}.png", s3.Fault(length=extra))
    assert remote.read(address) == png(1)


def test_what_stays_is_a_failure_of_that_input_with_its_reason(
    bucket: s3.Bucket, prefix: str, tmp_path: Path
) -> None:
    bucket.faults.add("GET", "photos/b.png", *[s3.Fault(503)] * 40)
    bucket.faults.add("GET", "photos/z.png", s3.Fault(403, "ExpiredToken"))
    done = label(prefix, tmp_path / "out")
    bucket.faults._set.clear()
    assert (done.counts.done, done.counts.failed) == (6, 3)
    reasons = dict(bulk.status(tmp_path / "out")[1])
    assert "failed after 5 attempts" in reasons["b.png"]
    assert "access was refused" in reasons["z.png"] and "check the credentials" in reasons["z.png"]
    assert s3.KEYS["AWS_SECRET_ACCESS_KEY"] not in str(reasons)
    again = label(prefix, tmp_path / "out", retry_failed=True)
    assert (again.counts.done, again.counts.failed) == (8, 1)


def test_an_object_that_changes_or_vanishes_after_the_listing_fails(bucket: s3.Bucket) -> None:
    root = bucket.put("moving/a.png", png(1)).removesuffix("/a.png")
    bucket.put("moving/b.png", png(2))
    bucket.put("moving/c.png", png(3))
    source = ObjectSource(root)
    listed = list(source.listing())
    bucket.put("moving/a.png", png(9))
    same = bytearray(png(2))
    same[-20] ^= 1
    bucket.put("moving/b.png", bytes(same))  # of the same size
    bucket.delete("moving/c.png")
    for one, reason in zip(listed, ("changed after", "changed after", "no such object"), strict=True):
        with pytest.raises(ImageError, match=reason):
            source.read(one)


def test_objects_that_changed_between_two_runs_are_labelled_again(bucket: s3.Bucket, tmp_path: Path) -> None:
    root = bucket.put("again/a.png", png(1)).removesuffix("/a.png")
    bucket.put("again/b.png", png(2))
    assert label(root, tmp_path / "out").fresh == 2
    assert label(root, tmp_path / "out").fresh == 0
    bucket.put("again/b.png", png(3))
    bucket.put("again/c.png", png(4))
    assert label(root, tmp_path / "out").fresh == 2


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("s3://no-such-bucket/photos", "no such bucket"),
        (f"s3://{s3.NAME}/empty", "no pictures in it"),
        (f"s3://{s3.NAME}/empty/*.tar", "no tars match"),
        (f"s3://{s3.NAME}/photos/film.mp4", "film.mp4: there is no such object"),
        (f"s3://{s3.NAME}/none.txt", "no such object"),
        (f"s3://me:pw@{s3.NAME}/photos", "leave the password out"),
        ("s3://*/photos", "name the bucket"),
        ("nowhere://bucket/photos", r"humanparse\[remote\]"),
    ],
)
def test_bad_addresses_are_one_clear_sentence(
    address: str, reason: str, bucket: s3.Bucket, prefix: str, tmp_path: Path
) -> None:
    with pytest.raises(BulkError, match=reason) as caught:
        label(address, tmp_path / "out")
    assert "pw" not in str(caught.value) and len(str(caught.value)) < 300


def test_no_permission_is_one_clear_sentence(bucket: s3.Bucket, prefix: str, tmp_path: Path) -> None:
    bucket.faults.add("GET", "list-type", *[s3.Fault(403, "AccessDenied")] * 5)
    with pytest.raises(StorageError, match=r"access was refused .*check the credentials"):
        label(prefix, tmp_path / "out")
    bucket.faults._set.clear()


class Endless:
    """A storage with a million objects, of which each page is made when it is asked for."""

    protocol = ("s3", "s3a")

    def __init__(self, count: int) -> None:
        self.count, self.pages = count, 0

    def _strip_protocol(self, path: str) -> str:
        return path.partition("://")[2]

    def call_s3(self, method: str, **asked: Any) -> dict[str, Any]:
        self.pages += 1
        start = int(asked.get("ContinuationToken", 0))
        end = min(self.count, start + asked["MaxKeys"])
        found = [
            {"Key": f"photos/{number:08d}.jpg", "Size": 9, "ETag": f'"{number}"'}
            for number in range(start, end)
        ]
        return {"Contents": found, "IsTruncated": end < self.count, "NextContinuationToken": str(end)}


def test_memory_stays_flat_while_many_objects_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Endless(30_000)
    monkeypatch.setattr("humanparse.remote.listing.file_system", lambda address: store)
    tracemalloc.start()
    listing = ObjectSource("s3://bucket/photos").listing()
    next(listing)
    assert store.pages == 1
    first = tracemalloc.get_traced_memory()[1]
    assert sum(1 for _ in listing) == 29_999
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * first, (first, peak)


def test_labels_come_while_the_bucket_is_still_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = Endless(1_000_000)
    monkeypatch.setattr("humanparse.remote.listing.file_system", lambda address: store)
    monkeypatch.setattr("humanparse.bulk.sources.read_object", read_noise)
    seen: list[bulk.Progress] = []
    done = label("s3://bucket/photos", tmp_path / "out", progress=seen.append, stopping=lambda: len(seen) > 2)
    assert done.stopped and done.counts.done >= 4 and store.pages < 100
    assert bulk.status(tmp_path / "out")[0].total < 100_000
    journal = sqlite3.connect(tmp_path / "out/.humanparse/all/journal.sqlite")
    assert journal.execute("SELECT value FROM run WHERE key = 'listing'").fetchone() == ("partly",)


def read_noise(address: str, name: str, size: int | None = None, mark: int | None = None) -> Any:
    from humanparse.bulk.sources import decoded

    return decoded(png(3), name)


def test_a_storage_that_is_no_bucket_is_walked_folder_by_folder() -> None:
    names = ("b.png", "a/1.png", "a.b/1.png", "c/d/e.png")
    for number, name in enumerate(names):
        remote.write(f"memory://walk/{name}", png(number))
    source = open_objects("memory://walk", "", None, None, keep_suffix=False)
    found = list(source.listing())
    assert [one.place for one in found] == sorted(names)
    assert source.read(found[0]).pixels.shape[0] == 30 + 2
    remote.remove(f"memory://walk/{name}" for name in names)
    with pytest.raises(GoneError):
        list(remote.listed("memory://walk"))
