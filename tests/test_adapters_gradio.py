"""The gradio page, served and called as a visitor's program calls it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from humanparse import ModelError, Parser, Parsing
from humanparse.serve import demo

PHOTO = Path(__file__).parents[1] / "examples" / "grace_hopper.jpg"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of the page, on this machine."""
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
    page = demo()
    _, url, _ = page.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, share=False)
    yield Client(url, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
    page.close()
    monkeypatch.undo()


def test_a_photo_gives_tinted_parts_a_table_and_files(client: Client) -> None:
    overlay, table, files = client.predict(
        handle_file(str(PHOTO)), "lite-atr", "as the model", False, api_name="/parse"
    )
    parsing = Parser().predict(PHOTO)
    names, colours = [part.name for part in parsing.parts()], parsing.scheme.palette("display")
    assert [one["label"] for one in overlay["annotations"]] == names
    for one in overlay["annotations"]:
        with Image.open(one["image"]) as mask:
            pixels = np.asarray(mask)
        where = parsing.mask(one["label"])
        assert np.array_equal(pixels[..., 3] > 0, where)
        assert tuple(pixels[where][0][:3]) == colours[parsing.scheme.index(one["label"])]
    assert table["headers"] == ["Part", "Label", "Pixels", "Share (%)"]
    assert [row[0] for row in table["data"]] == names
    assert [row[2] for row in table["data"]] == [part.pixels for part in parsing.parts()]
    assert [Path(file).name for file in files] == ["labels.png", "overlay.png", "parts.json"]
    assert Parsing.load(files[0]) == parsing
    assert json.loads(Path(files[2]).read_text(encoding="utf-8"))["model"] == "lite-atr"


def test_another_label_set_can_be_chosen(client: Client) -> None:
    overlay, table, files = client.predict(
        handle_file(str(PHOTO)), "lite-atr", "pascal", True, api_name="/parse"
    )
    assert Parsing.load(files[0]) == Parser().predict(PHOTO).remap("pascal", approximate=True)
    assert {row[0] for row in table["data"]} <= {"Head", "Torso", "Lower Arms", "Upper Legs", "Lower Legs"}
    assert len(overlay["annotations"]) == len(table["data"])


@pytest.mark.parametrize(
    ("photo", "labels", "said"),
    [
        (None, "as the model", "Choose a photo"),
        (PHOTO, "pascal", "no exact"),
    ],
)
def test_what_is_wrong_is_told(client: Client, photo: Path | None, labels: str, said: str) -> None:
    given = None if photo is None else handle_file(str(photo))
    with pytest.raises(AppError, match=said):
        client.predict(given, "lite-atr", labels, False, api_name="/parse")


def test_the_parser_that_is_given_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Counting(Parser):
        """Says when it is asked."""

        def predict(self, source: object, **options: object) -> Parsing:
            asked.append(source)
            return super().predict(source, **options)

    page = demo(Counting())
    (function,) = [one for one in page.fns.values() if one.api_name == "parse"]
    photo = np.zeros((32, 24, 3), np.uint8)
    _, _, files = function.fn(photo, "lite-atr", "as the model", False)
    assert len(asked) == 1 and Parsing.load(files[0]).size == (32, 24)


def test_old_results_are_removed() -> None:
    (function,) = [one for one in demo().fns.values() if one.api_name == "parse"]
    photo = np.zeros((32, 24, 3), np.uint8)
    results = [function.fn(photo, "lite-atr", "as the model", False)[2] for _ in range(18)]
    assert not Path(results[0][0]).exists() and not Path(results[1][0]).exists()
    assert all(Path(file).is_file() for file in results[2])


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelError, match="lite-atr"):
        demo(models=["tiny-art"])
