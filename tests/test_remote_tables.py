"""Lists and Parquet tables in a bucket, whose pictures lie in them or elsewhere in the bucket."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import s3
from outputs import differing, files
from PIL import Image

pytest.importorskip("s3fs")
pytest.importorskip("moto")

from humanparse import BulkError, ImageError, ParserOptions, bulk
from humanparse.bulk.sources import open_source
from humanparse.remote import objects

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

CHEAP = ParserOptions(device="cpu", test_size=(32, 48))
STRUCT = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
ROWS, SIDE = 40, 500


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own for what a machine keeps."""
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "machine"))


def png(number: int, side: int = 30) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side + number, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def table(path: Path, values: list[Any], kind: Any = STRUCT, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table({"image": pyarrow.array(values, kind)}), path, **options)
    return path


def label(source: str | Path, dest: str | Path, **options: Any) -> bulk.Summary:
    how = bulk.RunOptions(resume=True, **options)
    return bulk.label(source, dest, model=CHEAP, settings=bulk.Settings(formats=("png", "npz")), options=how)


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A table of forty photos of 0.75 MB in a single group of rows, a page each."""
    values = [png(number, SIDE) for number in range(ROWS)]
    options = {"use_dictionary": False, "write_batch_size": 1, "compression": "none"}
    folder = tmp_path_factory.mktemp("large")
    return table(folder / "large.parquet", values, pyarrow.binary(), **options).read_bytes()


@pytest.fixture
def large(bucket: s3.Bucket, content: bytes) -> str:
    """The address of that table."""
    return bucket.put("tables/large.parquet", content)


def test_a_table_of_pictures_gives_the_outputs_of_the_same_table_on_a_disk(
    bucket: s3.Bucket, tmp_path: Path
) -> None:
    (tmp_path / "here" / "tables").mkdir(parents=True)
    (tmp_path / "here" / "beside.png").write_bytes(png(5))
    (tmp_path / "here" / "tables" / "near.png").write_bytes(png(6))
    values = [
        {"bytes": png(1), "path": "a.png"},
        {"bytes": png(2), "path": None},
        {"bytes": None, "path": "../beside.png"},
        {"bytes": None, "path": "./near.png"},
        {"bytes": b"no picture", "path": "b.png"},
        {"bytes": png(3), "path": "deep/c.jpg"},
        {"bytes": None, "path": "gone.png"},
    ]
    path = table(tmp_path / "here" / "tables" / "train.parquet", values, row_group_size=3)
    bucket.put_folder(tmp_path / "here", "rows")
    address = f"s3://{s3.NAME}/rows/tables/train.parquet"
    here, there = label(path, tmp_path / "out"), label(address, f"s3://{s3.NAME}/rows-out")
    assert here.counts == there.counts and (there.counts.done, there.counts.failed) == (5, 2)
    assert not differing(bucket.files("rows-out"), files(tmp_path / "out"))
    reasons = dict(bulk.status(f"s3://{s3.NAME}/rows-out")[1])
    assert list(reasons) == ["train.parquet row 4", "train.parquet row 6"]
    assert f"s3://{s3.NAME}/rows/tables/gone.png: there is no such object" in reasons["train.parquet row 6"]
    assert label(address, f"s3://{s3.NAME}/rows-out").fresh == 0
    bucket.put("rows/tables/train.parquet", table(path, [*values, {"bytes": png(9)}]).read_bytes())
    assert label(address, f"s3://{s3.NAME}/rows-out").counts.done == 6


def test_a_large_table_is_read_in_parts(large: str, content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = objects._range

    def seen(address: str, start: int, size: int) -> bytes:
        asked.append(size)
        return real(address, start, size)

    monkeypatch.setattr(objects, "_range", seen)
    before = pyarrow.total_allocated_bytes()
    source, peak = open_source(large, ""), 0
    for row, found in enumerate(source.listing()):
        assert source.read(found).pixels.shape == (SIDE + row, SIDE, 3)
        peak = max(peak, pyarrow.total_allocated_bytes() - before)
    assert row == ROWS - 1
    assert max(asked) <= 4 << 20 and sum(asked) < 1.5 * len(content)
    assert peak < len(content) / 2


def test_faults_while_a_table_is_read_are_tried_again_or_fail_its_rows(bucket: s3.Bucket, large: str) -> None:
    source = open_source(large, "")
    rows = list(source.listing())
    before = bucket.faults.met
    bucket.faults.add("GET", "large.parquet", s3.Fault(503), s3.Fault(cut_after=1000), s3.Fault(length=5))
    assert source.read(rows[0]).pixels.shape == (SIDE, SIDE, 3)
    assert bucket.faults.met == before + 3
    bucket.faults.add("GET", "large.parquet", *[s3.Fault(503)] * 20)
    with pytest.raises(ImageError, match=r"row 39: the table cannot be read.*failed after 5 attempts"):
        source.read(rows[39])
    bucket.faults._set.clear()
    assert source.read(rows[39]).pixels.shape == (SIDE + 39, SIDE, 3)


def test_a_table_that_changes_while_it_is_read_fails_its_rows(bucket: s3.Bucket, large: str) -> None:
    source = open_source(large, "")
    rows = list(source.listing())
    source.read(rows[0])
    bucket.put("tables/large.parquet", bucket.get("tables/large.parquet")[:-1] + b"?")
    with pytest.raises(ImageError, match=r"row 39: the table cannot be read.*changed after it was listed"):
        source.read(rows[39])
    bucket.delete("tables/large.parquet")
    with pytest.raises(ImageError, match=r"row 0: the table cannot be read.*no such object"):
        source.read(rows[0])


def test_lists_name_pictures_relative_to_their_folder(bucket: s3.Bucket, tmp_path: Path) -> None:
    bucket.put("named/photos/a.png", png(1))
    bucket.put("named/lists/b.png", png(2))
    text = bucket.put("named/lists/list.txt", "\ufeff../photos/a.png\nb.png\r\n".encode())
    names = ["../photos/a.png", "./b.png"]
    path = table(tmp_path / "list.parquet", names, pyarrow.string())
    rows = bucket.put("named/lists/list.parquet", path.read_bytes())
    for address in (text, rows):
        source = open_source(address, "", column="image" if address == rows else None)
        found = list(source.listing())
        assert [one.key for one in found] == ["__/photos/a", "b"]
        assert [source.read(one).pixels.shape[0] for one in found] == [31, 32]


def test_a_list_that_changes_while_it_is_read_is_refused(bucket: s3.Bucket, tmp_path: Path) -> None:
    address = bucket.put("changing/list.txt", b"a.png\n" * 10)
    listing = iter(open_source(address, "").listing())
    next(iter(listing))
    bucket.put("changing/list.txt", b"b.png\n" * 10)
    with pytest.raises(BulkError, match="changed after it was listed"):
        list(listing)
    bucket.put("changing/list.txt", b"\xff\xfe")
    with pytest.raises(BulkError, match="not a readable list"):
        label(address, tmp_path / "out")
    bucket.put("changing/rows.parquet", b"PAR1" + bytes(300_000))
    with pytest.raises(BulkError, match="not a readable Parquet file"):
        label(address.replace("list.txt", "rows.parquet"), tmp_path / "out")
