"""Files for others name the photo as it is, so that the others find it."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Run, runner
from golden import SMALL
from http_server import Answer, Server
from PIL import Image
from pycocotools.coco import COCO

from humanparse import FormatError, ParserOptions, Parsing, bulk, formats, get_scheme, image

HOPPER = SMALL.parent / "portrait_102x120.png"
NAMES = ["plain.png", "a b#1.png", "50%25.png", "what?.png", 'it\'s "it" & <me>.png', "grün.v2.png"]
CHEAP = ParserOptions(device="cpu", test_size=(64, 96))
PIXELS = image.load(HOPPER)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `humanparse` in this process, in an empty folder with an empty cache."""
    return runner(tmp_path, monkeypatch, capsys)


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(HOPPER, path)
    return path


def named(annotation: Path) -> Path:
    """The photo that a file names, found as COCO's users and LabelMe's loader do: beside the file."""
    content = json.loads(annotation.read_text())
    name = content["imagePath"] if "imagePath" in content else content["images"][0]["file_name"]
    return annotation.parent / name


def label(source: Path | str, dest: Path, **options: Any) -> None:
    settings = bulk.Settings(formats=("coco",))
    assert bulk.label(source, dest, model=CHEAP, settings=settings, **options).counts.failed == 0


@pytest.mark.parametrize("people", [(), ("--people", "people.json")], ids=["parts", "people"])
def test_predict_names_photos_with_their_suffix_and_all_characters(
    people: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    for name in NAMES:
        photo(tmp_path / "photos" / name)
    (tmp_path / "people.json").write_text(json.dumps({name: [[10, 0, 80, 61]] for name in NAMES}))
    wanted = ("--format", "coco", "--format", "labelme", *people)
    assert run("predict", "photos", "-o", "labels/of them", *wanted).status == 0
    for name in NAMES:
        for ending in ("coco", "labelme"):
            found = named(tmp_path / "labels" / "of them" / f"{Path(name).stem}.{ending}.json")
            assert found.name == name and ".." in found.parts
            assert np.array_equal(image.load(found), PIXELS)


def test_supervision_and_pycocotools_find_the_photo(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    supervision = pytest.importorskip("supervision")
    path = photo(tmp_path / "photos" / "a b#1.png")
    assert run("predict", path, "-o", "labels", "--format", "coco").status == 0  # beside the photos' folder
    assert run("predict", path, "-o", ".", "--format", "coco").status == 0  # above it
    for folder, annotation in (
        (path.parent, Path("labels/a b#1.coco.json")),
        (tmp_path, Path("a b#1.coco.json")),
    ):
        dataset = supervision.DetectionDataset.from_coco(str(folder), str(annotation))
        ((where, pixels, detections),) = list(dataset)
        assert Path(where).samefile(path) and np.array_equal(pixels[..., ::-1], PIXELS)
        assert len(detections) and detections.mask.shape[1:] == PIXELS.shape[:2]
        (entry,) = COCO(str(annotation)).dataset["images"]
        assert (annotation.parent / entry["file_name"]).samefile(path)


def test_label_names_photos_of_folders_globs_and_lists_from_every_folder(tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        photo(tmp_path / "in" / ("deep/er" if number % 2 else "") / name)
    (tmp_path / "list.txt").write_text("\n".join(str(path) for path in (tmp_path / "in").rglob("*.png")))
    for number, source in enumerate((tmp_path / "in", f"{tmp_path}/in/**/*.png", tmp_path / "list.txt")):
        dest = tmp_path / "labels" / str(number)
        label(source, dest)
        written = [path for path in dest.rglob("*.coco.json") if ".humanparse" not in path.parts]
        assert len(written) == len(NAMES)
        assert {named(path).resolve() for path in written} == {
            path.resolve() for path in (tmp_path / "in").rglob("*.png")
        }


def test_a_linked_folder_of_labels_leads_to_the_photo(run: Run, tmp_path: Path) -> None:
    path = photo(tmp_path / "photos" / "a.png")
    (tmp_path / "far" / "away").mkdir(parents=True)
    os.symlink(tmp_path / "far" / "away", tmp_path / "labels")
    assert run("predict", path, "-o", "labels", "--format", "labelme").status == 0
    assert named(Path("labels/a.labelme.json")).samefile(path)


def test_what_is_no_file_is_named_as_its_source_has_it(run: Run, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.add(HOPPER, "s/001.png")
    label(tmp_path / "x.tar", tmp_path / "tar")
    assert named(tmp_path / "tar" / "s" / "001.coco.json") == tmp_path / "tar" / "s" / "s" / "001.png"
    with Server() as server:
        server.answer("/a/b%20c.png", Answer(HOPPER.read_bytes()))
        secret = server.url.replace("http://", "http://user:secret@")
        assert formats.photo_name(f"{secret}/a/b%20c.png", tmp_path).url == f"{server.url}/a/b%20c.png"
        signed = formats.photo_name(f"{server.url}/a.png?w=9&signature=0123456789abcdef", tmp_path)
        assert (signed.file, signed.url) == ("a.png", f"{server.url}/a.png?w=9&signature=…")
        assert run("predict", f"{server.url}/a/b%20c.png", "-o", "web", "--format", "coco").status == 0
        (entry,) = json.loads(Path("web/b c.coco.json").read_text())["images"]
    assert (entry["file_name"], entry["coco_url"]) == ("b c.png", f"{server.url}/a/b%20c.png")


def test_export_names_the_photo_it_is_given_and_asks_for_one(tmp_path: Path) -> None:
    parsing = Parsing(np.array([[0, 2]], np.uint8), get_scheme("atr"))
    path = photo(tmp_path / "photos" / "a.png")
    (tmp_path / "labels").mkdir()
    for kind in ("coco", "labelme"):
        (written,) = parsing.export(kind, tmp_path / "labels", photo=path)
        assert written.name == f"a.{kind}.json" and named(written).samefile(path)
        (other,) = parsing.export(kind, tmp_path / "labels", "b", photo=str(path))
        assert other.name == f"b.{kind}.json" and named(other).samefile(path)
    with pytest.raises(FormatError, match="say what the photo is called"):
        parsing.export("coco", tmp_path)


def test_ray_rows_name_the_file_that_they_are_of(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from humanparse.bulk.items import Listing
    from humanparse.bulk.ray.dataset import Pictures

    path = photo(tmp_path / "a.png")
    rows = Pictures([HOPPER.read_bytes(), str(path), "http://h/b.png", b""])
    places = [str(path), "1", "2", "row 3"]
    found = [rows.photo(Listing(place, place, number)) for number, place in enumerate(places)]
    assert found == [path, path, "http://h/b.png", "row 3"]


def test_bytes_of_an_image_are_named_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(HOPPER.read_bytes())))
    assert run("predict", "-", "-o", "out", "--format", "coco").status == 0
    assert json.loads(Path("out/stdin.coco.json").read_text())["images"][0]["file_name"] == "stdin"
    with Image.open("out/stdin.png") as labels:
        assert labels.size == (102, 120)
