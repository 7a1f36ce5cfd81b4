"""What counts as a picture by its name, and that nothing which looks like one is passed by in silence."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest
from command import Run, runner
from golden import SMALL
from http_server import Answer, Server
from PIL import Image

from humanparse import BulkError, ParserOptions, bulk, decode, suffixes

HOPPER = SMALL.parent / "portrait_102x120.png"
CHEAP = ParserOptions(device="cpu", test_size=(64, 96))


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `humanparse` in this process, in an empty folder with an empty cache."""
    return runner(tmp_path, monkeypatch, capsys)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Four pictures that are read, three files that look like pictures and are not, and one other."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(HOPPER) as photo:
        for name in ("a.jpg", "b.JP2", "c.pgm", "d.jpe"):
            photo.convert("L" if name == "c.pgm" else "RGB").save(folder / name)
    for name in ("e.heic", "f.HEIC", "g.psd", "notes.txt"):
        (folder / name).write_bytes(b"whatever")
    return folder


def stdin(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))


def names(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).glob("*.png"))


def test_every_suffix_of_a_format_that_is_read_is_in_the_list() -> None:
    Image.init()
    known = {suffix for suffix, form in Image.registered_extensions().items() if form in decode.FORMATS}
    assert known - suffixes.SUFFIXES - set(suffixes.PLUGINS) == {".pfm"}  # which decode refuses
    assert not suffixes.SUFFIXES & (suffixes.UNREAD | set(suffixes.PLUGINS))
    assert suffixes.is_picture("A/B.JPG") and not suffixes.looks_like_picture("A/B.JPG")
    assert not suffixes.is_picture("jpg") and not suffixes.looks_like_picture("notes.txt")


def test_a_plugins_suffix_is_taken_once_the_plugin_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    assert suffixes.looks_like_picture("a.heic") and not suffixes.is_picture("a.heic")
    monkeypatch.setitem(Image.OPEN, "HEIF", (Image.Image, None))
    assert suffixes.is_picture("a.heic") and not suffixes.looks_like_picture("a.heic")


def test_predict_and_label_take_the_same_files_of_a_folder_and_count_the_rest(run: Run, photos: Path) -> None:
    predicted, labelled = run("predict", photos, "-o", "one"), run("label", photos, "-o", "two")
    assert (predicted.status, labelled.status) == (0, 0)
    assert names("one") == names("two") == ["a.png", "b.png", "c.png", "d.png"]
    for done in (predicted, labelled):
        assert "left out: 3 files that look like pictures (2 .heic, 1 .psd); convert them" in done.err
    assert "left out" not in run("predict", photos, "-o", "three", "-q").err


def test_globs_tars_and_single_files_say_what_they_leave_out(run: Run, photos: Path) -> None:
    told = "1 file that looks like a picture (1 .psd); convert it to JPEG or PNG"
    assert told in run("label", f"{photos}/[a-dg].*", "-o", "globbed").err
    with tarfile.open("x.tar", "w") as archive:
        for name in ("a.jpg", "g.psd", "notes.txt"):
            archive.add(photos / name, name)
    assert told in run("label", "x.tar", "-o", "unpacked").err
    for source in (photos / "g.psd", f"{photos}/*.psd"):
        done = run("label", source, "-o", "none")
        assert done.status == 1 and told in done.err


def test_an_empty_source_is_said_to_be_empty(run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("empty").mkdir()
    shutil.copy(photos / "e.heic", Path("empty"))
    Path("list.txt").write_text("\n\n")
    tarfile.open("x.tar", "w").close()
    stdin(monkeypatch, b"")
    for source, name in (
        ("empty", "empty"),
        ("list.txt", "list.txt"),
        ("x.tar", "x.tar"),
        ("-", "standard input"),
    ):
        done = run("label", source, "-o", f"out of {name}")
        assert done.status == 1 and f"{name}: no pictures in it" in done.err, done.err
    assert "1 .heic" in run("label", "empty", "-o", "out").err
    done = run("predict", "empty")
    assert done.status == 1 and "no pictures in this folder" in done.err and "1 .heic" in done.err
    done = run("predict", "-")
    assert done.status == 1 and "standard input: it is empty" in done.err


def test_a_shard_without_inputs_and_a_source_that_was_emptied_are_no_errors(
    photos: Path, tmp_path: Path
) -> None:
    for number in range(1, 21):  # more than there are pictures
        bulk.label(photos, tmp_path / "shards", model=CHEAP, shard=(number, 20))
    assert bulk.status(tmp_path / "shards")[0].done == 4
    bulk.label(photos, tmp_path / "out", model=CHEAP)
    shutil.rmtree(photos)
    photos.mkdir()
    again = bulk.label(photos, tmp_path / "out", model=CHEAP, options=bulk.RunOptions(resume=True))
    assert again.counts.done == 4 and again.left_out == {}
    with pytest.raises(BulkError, match="no pictures in it"):
        bulk.label(photos, tmp_path / "new", model=CHEAP)


def test_a_list_on_standard_input_may_be_resumed(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = b"photos/caf\xe9.jpg"
    shutil.copy(photos / "a.jpg", odd.decode("utf-8", "surrogateescape"))
    stdin(monkeypatch, b"photos/a.jpg\n\n" + odd + b"\n")
    assert run("label", "-", "-o", "out").status == 0
    stdin(monkeypatch, b"photos/a.jpg\n" + odd + b"\nphotos/d.jpe\n")
    assert "3 of 3 labelled (1 now" in run("label", "-", "-o", "out", "--resume").out
    assert (Path("out") / "photos" / "a.png").is_file()
    assert run("contact-sheet", "out", "-o", "sheet.html").status == 0
    assert "without its photo" not in Path("sheet.html").read_text()


def test_one_photo_is_read_from_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    content = HOPPER.read_bytes()
    stdin(monkeypatch, content)
    assert run("predict", "-", "-o", "out").status == 0 and names("out") == ["stdin.png"]
    assert run("predict", HOPPER, "-o", "out").status == 0
    assert (Path("out") / "stdin.png").read_bytes() == (Path("out") / HOPPER.name).read_bytes()
    stdin(monkeypatch, content[:500])
    done = run("predict", "-", "-o", "cut")
    assert done.status == 1 and "standard input: the PNG picture is damaged" in done.err
    assert "name it once" in run("predict", "-", "-", "-o", "out").err
    for command in (("cutout", "-", "-o", "head.png"), ("agnostic", "-", "-o", "mask.png")):
        stdin(monkeypatch, content)
        assert run(*command).status == 0 and Path(command[-1]).is_file()


@pytest.mark.parametrize("stem", ["x" * 251, "ä" * 125, "x" * 221])
def test_names_that_are_too_long_are_shortened(stem: str, run: Run, tmp_path: Path) -> None:
    shutil.copy(HOPPER, tmp_path / f"{stem}.png")
    shutil.copy(HOPPER, tmp_path / f"{stem[:-1]}.png")
    wanted = ("--overlay", "--json", "--npz", "--format", "coco", "--format", "labelme")
    assert run("predict", f"{stem}.png", f"{stem[:-1]}.png", "-o", "out", *wanted).status == 0
    written = [path.name for path in Path("out").iterdir()]
    assert len(written) == 12 and all(name.startswith(stem[:80]) for name in written)
    assert all(len(name.encode()) <= 240 for name in written)


def test_a_name_that_fits_is_kept(run: Run, tmp_path: Path) -> None:
    shutil.copy(HOPPER, tmp_path / f"{'x' * 220}.png")
    assert run("predict", f"{'x' * 220}.png", "-o", "out", "--format", "labelme").status == 0
    assert names("out") == [f"{'x' * 220}.png"]


def test_addresses_that_end_alike_get_different_names(run: Run, tmp_path: Path) -> None:
    shutil.copy(HOPPER, tmp_path / "me.png")
    with Server() as server:
        places = ("/a/me.png", "/b/me.png", "/b/me.jpg", "/c/you.png")
        for place in places:
            server.answer(place, Answer(HOPPER.read_bytes()))
        addresses = [f"{server.url}{place}" for place in places]
        done = run("predict", *addresses, "me.png", "-o", "out")
        assert done.status == 0, done.err
        made = names("out")
        assert run("predict", *reversed(addresses), "me.png", "-o", "other").status == 0
        assert names("other") == made and len(made) == 5 and {"me.png", "you.png"} < set(made)
        assert run("predict", addresses[0], "me.png", "-o", ".").status == 1  # me.png would overwrite itself
        assert run("predict", addresses[0], "-o", "alone").status == 0 and names("alone") == ["me.png"]
        done = run("predict", addresses[0], addresses[0], "-o", "twice")
        assert done.status == 1 and "name it once" in done.err


def test_addresses_of_a_list_that_end_alike_get_different_names(run: Run, tmp_path: Path) -> None:
    with Server() as server:
        places = ("/me.png", "/me.jpg", "//me.png", "/me.png?a=1", "/me.png#top")
        for place in places[:4]:
            server.answer(place, Answer(HOPPER.read_bytes()))
        Path("list.txt").write_text("\n".join(f"{server.url}{place}" for place in places))
        done = run("label", "list.txt", "-o", "out")
        assert done.status == 0, done.err
        assert len(list(Path("out").rglob("me*.png"))) == len(places)
        assert "(0 now)" in run("label", "list.txt", "-o", "out", "--resume").out
