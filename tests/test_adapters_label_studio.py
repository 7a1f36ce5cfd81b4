"""Pre-annotations for Label Studio, read back with its own package (pip install label-studio-sdk)."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from humanparse import FormatError, Parser, Parsing, Person, get_scheme
from humanparse.adapters.label_studio import encode_brush, labeling_config, tasks, write_tasks

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"
ATR = get_scheme("atr")


def bits_of(stroke: list[int]) -> str:
    return "".join(f"{byte:08b}" for byte in stroke)


def test_a_small_brush_stroke_bit_by_bit() -> None:
    header = f"{3 * 4:032b}" + "00111" + "0010" + "0011" + "0111" + "1111"
    runs = "1" + "00" + "011" + "0" * 8 + "1" + "00" + "111" + "1" * 8  # 4 zeros, then 8 times 255
    bits = bits_of(encode_brush(np.array([[False, True, True]])))
    assert bits.startswith(header + runs) and len(bits) == 88 and set(bits[len(header + runs) :]) <= {"0"}


@settings(deadline=None)
@given(mask=arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_label_studio_decodes_the_strokes(mask: np.ndarray) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="needs label-studio-sdk")
    decoded = brush.decode_rle(encode_brush(mask)).reshape(*mask.shape, 4)
    assert np.array_equal(decoded, np.repeat(mask[..., None], 4, axis=2) * np.uint8(255))


@pytest.mark.parametrize("pixels", [2, 4, 5, 64, 65, 16384, 16385, 40000])
def test_runs_of_every_length_are_decoded(pixels: int) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="needs label-studio-sdk")
    mask = np.zeros((1, pixels + 1), bool)
    mask[0, 1:] = True
    decoded = brush.decode_rle(encode_brush(mask)).reshape(1, -1, 4)
    assert np.array_equal(decoded[..., 3] == 255, mask)


def test_label_studio_reads_a_photos_prediction() -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush", reason="needs label-studio-sdk")
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(labeling_config(ATR))
    interface.validate()
    parsing = Parser().predict(PHOTO, confidence=True)
    (task,) = json.loads(json.dumps(tasks([("https://photos.example/1.jpg", parsing)])))
    (prediction,) = task["predictions"]
    assert interface.validate_prediction(prediction, return_errors=True) == []
    flat = [{**stroke, **stroke["value"]} for stroke in prediction["result"]]
    layers = brush.decode_from_annotation("parts", flat)
    for part in parsing.parts():
        assert np.array_equal(layers[f"parts-{part.name}-0"] == 255, parsing.mask(part.label))
    assert len(layers) == len(parsing.parts())


def test_the_task_says_where_the_photo_is_what_model_and_how_sure(tmp_path: Path) -> None:
    parsing = Parser().predict(PHOTO, confidence=True)
    path = write_tasks([("s3://bucket/1.jpg", parsing)], tmp_path / "tasks.json")
    (task,) = json.loads(path.read_text())
    assert task["data"] == {"image": "s3://bucket/1.jpg"}
    assert task["predictions"][0]["model_version"] == "lite-atr"
    first = task["predictions"][0]["result"][0]
    assert (first["original_width"], first["original_height"]) == (512, 600)
    assert first["type"] == "brushlabels" and 0 < first["score"] <= 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("https://h.org/a b/ü.jpg?x=1&y=2", "https://h.org/a%20b/%C3%BC.jpg?x=1&y=2"),
        ("https://h.org/a%20b.jpg", "https://h.org/a%20b.jpg"),
        ("https://h.org/100%.jpg", "https://h.org/100%25.jpg"),
        ('s3://bucket/it\'s "it".jpg', "s3://bucket/it's%20%22it%22.jpg"),
        ("/data/local-files/?d=a b/#1&2+3?.jpg", "/data/local-files/?d=a%20b/%231%262%2B3%3F.jpg"),
        ("/data/upload/1/a b#1.jpg", "/data/upload/1/a%20b%231.jpg"),
    ],
)
def test_addresses_are_escaped_and_what_is_escaped_stays(given: str, expected: str) -> None:
    assert tasks([(given, Parsing(np.array([[0]], np.uint8), ATR))])[0]["data"] == {"image": expected}


def test_files_get_the_address_under_which_label_studio_serves_them(tmp_path: Path) -> None:
    nobody = Parsing(np.array([[0]], np.uint8), ATR)
    photo = tmp_path / "a b" / "50%25 #1?.jpg"
    (task,) = json.loads(write_tasks([(photo, nobody)], tmp_path / "tasks.json", tmp_path).read_text())
    assert parse_qs(urlsplit(task["data"]["image"]).query) == {"d": ["a b/50%25 #1?.jpg"]}
    assert task["data"]["image"].startswith("/data/local-files/?d=")
    with pytest.raises(FormatError, match="the folder that Label Studio serves"):
        tasks([(photo, nobody)])
    with pytest.raises(FormatError, match="not in "):
        tasks([(tmp_path.parent / "b.jpg", nobody)], tmp_path)


def test_each_persons_parts_are_strokes_of_their_own() -> None:
    labels = np.array([[2, 2, 0, 2]], np.uint8)
    left = Person.cut(1, (0, 0, 2, 1), 0.75, labels, np.array([[True, True, False, False]]), ATR)
    right = Person.cut(2, (3, 0, 4, 1), 0.5, labels, np.array([[False, False, False, True]]), ATR)
    (task,) = tasks([("1.jpg", Parsing(labels, ATR, people=(left, right)))])
    strokes = task["predictions"][0]["result"]
    assert [stroke["meta"]["text"] for stroke in strokes] == [["person 1"], ["person 2"]]
    assert [stroke["score"] for stroke in strokes] == [0.75, 0.5]
    assert len({stroke["id"] for stroke in strokes}) == 2


def test_a_picture_of_nobody_has_an_empty_prediction_and_a_missing_folder_is_told(tmp_path: Path) -> None:
    nobody = Parsing(np.array([[0, 255]], np.uint8), ATR)
    assert tasks([("1.jpg", nobody)])[0]["predictions"] == [{"model_version": "humanparse", "result": []}]
    with pytest.raises(FormatError, match="folder exists"):
        write_tasks([("1.jpg", nobody)], tmp_path / "no" / "tasks.json")


def test_the_interface_offers_every_part_in_its_colour() -> None:
    text = labeling_config(ATR)
    assert text.count("<Label ") == len(ATR) - 1
    hat = "#{:02x}{:02x}{:02x}".format(*ATR.palette("display")[ATR.index("hat")])
    assert f'<Label value="Hat" background="{hat}" />' in text
