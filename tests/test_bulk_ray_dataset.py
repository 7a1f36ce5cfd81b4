"""Labels as columns of Ray Data datasets: from pictures, Parquet and WebDataset, on a real cluster."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from humanparse import BulkError, ParserOptions, Parsing, bulk

ray = pytest.importorskip("ray")

ONE_BY_ONE = bulk.Settings(formats=("png", "npz"), batch=1)
CHEAP = ParserOptions(device="cpu", test_size=(64, 96))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of noise."""
    folder = tmp_path_factory.mktemp("rows") / "photos"
    folder.mkdir()
    chance = np.random.default_rng(1)
    for number in range(6):
        pixels = chance.integers(0, 256, (50 + number, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def expected(photos: Path, ray_cluster: None) -> dict[str, bytes]:
    """What `label` makes of them, one by one."""
    dest = photos.parent / "local"
    bulk.label(photos, dest, model=CHEAP, settings=ONE_BY_ONE)
    return {path.name: path.read_bytes() for path in dest.glob("[0-9].*")}


def labelled(ds: Any, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
    """All rows, labelled by one worker."""
    from humanparse.bulk.ray import label_dataset

    made = label_dataset(ds, *arguments, model=CHEAP, settings=ONE_BY_ONE, concurrency=1, **options)
    rows: list[dict[str, Any]] = made.take_all()
    return rows


def test_read_images_gets_the_columns_and_the_files_of_a_run(
    photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    ds = ray.data.read_images(str(photos), include_paths=True)
    rows = labelled(ds, tmp_path / "out", key_column="path")
    assert len(rows) == 6
    for row in rows:
        name = Path(row["path"]).stem
        assert row["labels"] == expected[f"{name}.png"] and row["error"] == ""
        (tmp_path / "read.png").write_bytes(row["labels"])
        assert Parsing.load(tmp_path / "read.png").size == row["image"].shape[:2]
        assert (row["height"], row["width"]) == row["image"].shape[:2]
        assert 0 < row["confidence"] <= 1 and set(json.loads(row["parts"])) <= set(
            Parsing.load(tmp_path / "read.png").scheme.names
        )
    written = tmp_path / "out" / photos.relative_to("/")
    assert {path.name: path.read_bytes() for path in written.iterdir()} == expected


def test_a_broken_picture_in_parquet_is_a_row_with_its_reason(
    photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    import pyarrow
    from pyarrow import parquet

    good = [path.read_bytes() for path in sorted(photos.iterdir())]
    table = {"n": [0, 1, 2, 3], "bytes": [good[0], b"no picture", good[2][:200], None], "error": ["a"] * 4}
    parquet.write_table(pyarrow.table(table), tmp_path / "in.parquet")
    ds = ray.data.read_parquet(str(tmp_path / "in.parquet"))
    rows = sorted(labelled(ds, image_column="bytes", prefix="hp_"), key=lambda row: row["n"])
    assert rows[0]["hp_labels"] == expected["0.png"] and rows[0]["hp_error"] == ""
    for row, reason in zip(rows[1:], ("not a picture", "", "neither a picture nor the path"), strict=True):
        assert row["hp_labels"] is None and row["hp_confidence"] is None and row["error"] == "a"
        assert row["hp_error"] and reason in row["hp_error"]


@pytest.mark.parametrize(
    "decoder", [None, pytest.param(True, marks=pytest.mark.slow)], ids=["encoded", "decoded"]
)
def test_read_webdataset_gets_the_same_labels(
    decoder: bool | None, photos: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        for path in sorted(photos.iterdir()):
            for name, content in ((path.name, path.read_bytes()), (f"{path.stem}.cls", b"7")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    ds = ray.data.read_webdataset(str(tmp_path / "in.tar"), decoder=decoder)
    rows = labelled(ds, tmp_path / "out", image_column="png", key_column="__key__")
    assert {row["__key__"]: row["labels"] for row in rows} == {
        str(number): expected[f"{number}.png"] for number in range(6)
    }
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == expected


def test_what_cannot_be_is_said_at_once(ray_cluster: None, tmp_path: Path) -> None:
    from humanparse.bulk.ray import label_dataset

    ds = ray.data.range(4)
    with pytest.raises(BulkError, match="key_column"):
        label_dataset(ds, tmp_path / "out")
    with pytest.raises(BulkError, match="write_parquet"):
        label_dataset(ds, tmp_path / "out", key_column="id", settings=bulk.Settings(formats=("tar",)))
    with pytest.raises(BulkError, match=r"has 0 GPUs.*`gpus_per_worker=0.5`"):
        label_dataset(ds, model=ParserOptions(device="cuda"), gpus_per_worker=0.5)


def test_a_missing_column_and_one_that_is_there_already_end_the_execution() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from humanparse.bulk.ray.dataset import LabelRows, Rows

    here = (Path.cwd(), torch.get_num_threads())
    worker = LabelRows(Rows(CHEAP, ONE_BY_ONE, None, "image", None, "", *here))
    with pytest.raises(BulkError, match="no column 'image' among id"):
        worker(pyarrow.table({"id": [1]}))
    with pytest.raises(BulkError, match=r"columns labels already; .* another prefix"):
        worker(pyarrow.table({"image": [b""], "labels": [1]}))


def test_the_image_column_of_the_hub_is_labelled(photos: Path, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from humanparse.bulk.ray.dataset import LabelRows, Rows

    here = (Path.cwd(), torch.get_num_threads())
    worker = LabelRows(Rows(CHEAP, ONE_BY_ONE, None, "image", None, "", *here))
    picture = photos / "0.png"
    values = [
        {"bytes": picture.read_bytes(), "path": "0.png"},
        {"bytes": None, "path": str(picture)},
        {"bytes": None, "path": None},
    ]
    struct = pyarrow.struct([("bytes", pyarrow.large_binary()), ("path", pyarrow.string())])
    inside, by_path, empty = worker(pyarrow.table({"image": pyarrow.array(values, struct)})).to_pylist()
    assert inside["labels"] == by_path["labels"] is not None and inside["error"] == by_path["error"] == ""
    assert empty["labels"] is None and "neither a picture nor the path of one" in empty["error"]
