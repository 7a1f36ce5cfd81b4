"""Label columns for Hugging Face data sets."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from datasets.fingerprint import Hasher
from PIL import Image

from humanparse import DatasetError, Parser, ParserOptions, Parsing
from humanparse.adapters.datasets import label_columns

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
SIZE = (96, 128)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    datasets.disable_progress_bars()
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    with Image.open(PHOTO) as picture:
        return picture.convert("RGB").resize(SIZE)


def encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return buffer.getvalue()


def photos(rows: list[bytes | None], decode: bool) -> datasets.Dataset:
    column = [None if row is None else {"bytes": row, "path": None} for row in rows]
    features = datasets.Features({"image": datasets.Image(decode=decode), "id": datasets.Value("int64")})
    return datasets.Dataset.from_dict({"image": column, "id": list(range(len(rows)))}, features=features)


def expected(photo: Image.Image) -> Parsing:
    return Parser().predict(photo)


def test_each_row_gets_its_label_map_and_its_parts(photo: Image.Image) -> None:
    rows = [photo, photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), photo]
    data = photos([encoded(row) for row in rows], decode=True)
    columns = label_columns()
    labelled = data.map(columns, batched=True, batch_size=2, features=columns.features(data.features))
    assert labelled.column_names == ["image", "id", "labels", "parts", "error"]
    for row, found in zip(rows, labelled, strict=True):
        assert found["labels"].mode == "P" and found["labels"].format == "PNG"
        assert np.array_equal(np.asarray(found["labels"]), expected(row).labels)
        assert found["parts"] == [
            {"name": part.name, "pixels": part.pixels, "share": part.share} for part in expected(row).parts()
        ]
        assert found["error"] is None
    as_tensor = labelled.with_format("torch")[0]["labels"]
    assert np.array_equal(np.asarray(as_tensor).squeeze(), expected(photo).labels)


def test_a_broken_photo_leaves_its_reason_and_the_others_their_labels(photo: Image.Image) -> None:
    good = encoded(photo)
    data = photos([b"no picture", good, good[: len(good) // 2], None], decode=False)
    columns = label_columns()
    labelled = data.map(columns, batched=True, features=columns.features(data.features))
    assert labelled[0]["labels"] is None and labelled[0]["parts"] == []
    assert [bool(row["error"]) for row in labelled] == [True, False, True, True]
    assert np.array_equal(np.asarray(labelled[1]["labels"]), expected(photo).labels)


def test_forked_processes_give_the_same_columns_though_torch_had_threads(photo: Image.Image) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        Parser().predict(PHOTO)
        labelled = in_two_processes(photo)
    finally:
        torch.set_num_threads(threads)
    for row in labelled:
        assert np.array_equal(np.asarray(row["labels"]), expected(photo).labels)


def in_two_processes(photo: Image.Image) -> datasets.Dataset:
    data = photos([encoded(photo)] * 4, decode=False)
    columns = label_columns()
    features = columns.features(data.features)
    return data.map(columns, batched=True, batch_size=2, num_proc=2, features=features)


def test_paths_in_a_column_of_another_name_and_streams_are_taken(photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "1.png")
    columns = label_columns(image_column="file", label_column="mask")
    data = datasets.Dataset.from_dict({"file": [str(tmp_path / "1.png"), str(tmp_path / "none.png")]})
    stream = data.to_iterable_dataset().map(columns, batched=True, batch_size=2)
    first, second = list(stream)
    assert np.array_equal(np.asarray(first["mask"]), expected(photo).labels) and first["error"] is None
    assert second["mask"] is None and "none.png" in second["error"]


def test_its_fingerprint_is_of_what_it_does_and_not_of_what_it_has_done(photo: Image.Image) -> None:
    columns = label_columns()
    before = Hasher.hash(columns)
    columns({"image": [photo]})
    assert Hasher.hash(columns) == before == Hasher.hash(label_columns())
    assert Hasher.hash(label_columns(ParserOptions("lite-atr", flip=True))) != before
    assert len(pickle.dumps(columns)) < 2000
    assert pickle.loads(pickle.dumps(columns)) == columns


def test_a_missing_column_is_a_clear_error(photo: Image.Image) -> None:
    with pytest.raises(DatasetError, match="no column 'image', only photo"):
        label_columns()({"photo": [photo]})
