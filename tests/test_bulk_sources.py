"""Where the inputs of a run come from, and what becomes of bad ones."""

from __future__ import annotations

import csv
import io
import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden import SMALL
from http_server import Answer, Server
from PIL import Image

from humanparse import BulkError, Parser, ParserOptions, Parsing, bulk
from humanparse.bulk.naming import key_of_path, key_of_url

HOPPER = SMALL / "images" / "hopper_97x61.png"
CHEAP = ParserOptions(device="cpu", test_size=(64, 96))


def label(source: Path | str, dest: Path, **options: object) -> bulk.Summary:
    """A run with a cheap network that goes on with what is there."""
    return bulk.label(source, dest, model=CHEAP, options=bulk.RunOptions(resume=True), **options)  # type: ignore[arg-type]


def names(dest: Path) -> list[str]:
    """The outputs below the destination."""
    return sorted(p.relative_to(dest).as_posix() for p in dest.rglob("*.png") if ".humanparse" not in p.parts)


def failures(dest: Path) -> dict[str, str]:
    """Place -> reason."""
    return dict(bulk.status(dest)[1])


def photo(path: Path, seed: int = 0) -> Path:
    """A small photo of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_a_folder_skips_hidden_files_other_kinds_and_its_own_outputs(tmp_path: Path) -> None:
    for name in ("a.jpg", "deep/er/b.PNG", ".hidden.jpg", ".git/c.jpg"):
        photo(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    assert label(tmp_path, tmp_path / "labels").counts.total == 2
    assert label(tmp_path, tmp_path / "labels").counts.total == 2
    assert names(tmp_path / "labels") == ["a.png", "deep/er/b.png"]


def test_names_that_are_no_utf_8_are_labelled(tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path / "in") + b"/caf\xe9.jpg"
    os.mkdir(tmp_path / "in")
    Path(os.fsdecode(odd)).write_bytes(photo(tmp_path / "a.jpg").read_bytes())
    assert label(tmp_path / "in", tmp_path / "out").counts.done == 1
    assert label(tmp_path / "in", tmp_path / "out").fresh == 0
    assert len(names(tmp_path / "out")) == 1


def test_a_glob_is_mirrored_from_the_folder_of_all(tmp_path: Path) -> None:
    for name in ("x/1/a.jpg", "x/2/b.jpg", "x/2/c.txt"):
        photo(tmp_path / Path(name).with_suffix(".jpg")).rename(tmp_path / name)
    assert label(f"{tmp_path}/x/*/*", tmp_path / "out").counts.done == 2
    assert names(tmp_path / "out") == ["1/a.png", "2/b.png"]


@pytest.mark.parametrize("kind", ["txt", "csv", "parquet"])
def test_a_list_may_hold_paths_and_urls(kind: str, tmp_path: Path) -> None:
    photo(tmp_path / "photos" / "a.jpg")
    with Server() as server:
        server.answer("/far/b.jpg", Answer(HOPPER.read_bytes()))
        server.answer("/gone.jpg", Answer(status=404))
        entries = ["photos/a.jpg", "photos/a.jpg", f"{server.url}/far/b.jpg?w=1", f"{server.url}/gone.jpg"]
        listed = tmp_path / f"list.{kind}"
        if kind == "txt":
            listed.write_text("\n".join(entries) + "\n")
        elif kind == "csv":
            with listed.open("w", newline="") as file:
                csv.writer(file).writerows([["id", "Path"], *([str(n), e] for n, e in enumerate(entries))])
        else:
            parquet = pytest.importorskip("pyarrow.parquet")
            parquet.write_table(pytest.importorskip("pyarrow").table({"path": entries}), listed)
        counts = label(listed, tmp_path / "out").counts
    assert (counts.total, counts.done, counts.failed) == (3, 2, 1)
    assert "404" in next(iter(failures(tmp_path / "out").values()))
    assert "photos/a.png" in names(tmp_path / "out")


def test_a_list_without_a_known_column_asks_for_it(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    (tmp_path / "list.csv").write_text("id,where\n1,a.jpg\n")
    with pytest.raises(BulkError, match=r"no column url or path .* among id, where"):
        label(tmp_path / "list.csv", tmp_path / "out")
    assert label(tmp_path / "list.csv", tmp_path / "out", column="where").counts.done == 1


def tar(path: Path, members: dict[str, bytes]) -> Path:
    """A tar of these files."""
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_a_webdataset_tar_is_read_from_its_middle_and_a_cut_one_gives_reasons(tmp_path: Path) -> None:
    whole = photo(tmp_path / "a.png", 1).read_bytes()
    members = {"s/001.png": whole, "s/001.json": b"{}", "s/002.seg.png": whole, "003.jpg": b"no picture"}
    counts = label(tar(tmp_path / "x.tar", members), tmp_path / "out").counts
    assert (counts.done, counts.failed) == (2, 1)
    assert names(tmp_path / "out") == ["s/001.png", "s/002.png"]
    for name in ("1.tar", "2.tar"):
        tar(tmp_path / name, {"a.png": whole})
    assert label(f"{tmp_path}/[12].tar", tmp_path / "two").counts.done == 2
    assert names(tmp_path / "two") == ["1/a.png", "2/a.png"]


def test_of_a_video_every_nth_frame_is_labelled(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for number in range(10):
        video.write(np.full((48, 64, 3), 20 * number, np.uint8))
    video.release()
    assert label(path, tmp_path / "out", every=4).counts.done == 3
    assert names(tmp_path / "out") == [f"clip/{number:06d}.png" for number in (0, 4, 8)]
    (tmp_path / "out" / "clip" / "000004.png").unlink()
    assert label(path, tmp_path / "out", every=4).fresh == 1


@pytest.mark.posix
def test_bad_inputs_are_rows_with_reasons(tmp_path: Path) -> None:
    whole = photo(tmp_path / "in" / "good.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "empty.jpg").write_bytes(b"")
    os.symlink(tmp_path / "nowhere.jpg", tmp_path / "in" / "dangling.jpg")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    listed = sorted(os.listdir(tmp_path / "in"))
    (tmp_path / "list.txt").write_text("".join(f"in/{name}\n" for name in listed))
    counts = label(tmp_path / "list.txt", tmp_path / "out").counts
    assert (counts.done, counts.failed) == (1, 4)
    reasons = failures(tmp_path / "out")
    assert "truncated" in reasons["in/cut.png"] and "empty" in reasons["in/empty.jpg"]
    assert "no such file" in reasons["in/dangling.jpg"] and "not a regular file" in reasons["in/pipe.jpg"]


@pytest.mark.linux
def test_a_file_that_grows_while_it_is_read_is_not_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = photo(tmp_path / "in" / "growing.png")
    real, asked = os.fstat, []

    def fstat(handle: int) -> os.stat_result:
        if os.readlink(f"/proc/self/fd/{handle}") == str(growing):
            asked.append(handle)
            if len(asked) == 2:
                with growing.open("ab") as file:
                    file.write(b"more")
        return real(handle)

    monkeypatch.setattr(os, "fstat", fstat)
    assert label(tmp_path / "in", tmp_path / "out").counts.failed == 1
    assert "changed while it was read" in failures(tmp_path / "out")["growing.png"]
    monkeypatch.undo()
    assert label(tmp_path / "in", tmp_path / "out").counts.done == 1  # another size than it was listed with


def test_an_input_that_changed_is_labelled_again_and_a_touched_one_is_not(tmp_path: Path) -> None:
    changed, touched = photo(tmp_path / "in" / "a.png", 1), photo(tmp_path / "in" / "b.png", 2)
    assert label(tmp_path / "in", tmp_path / "out").fresh == 2
    photo(changed, 3)
    os.utime(touched, (1, 1))
    assert label(tmp_path / "in", tmp_path / "out").fresh == 1
    expected = Parser(device="cpu", test_size=(64, 96)).predict(changed).labels
    assert np.array_equal(Parsing.load(tmp_path / "out" / "a.png").labels, expected)


def test_an_input_that_breaks_after_it_was_labelled_loses_its_labels(tmp_path: Path) -> None:
    for number in range(3):
        photo(tmp_path / "in" / f"{number}.png", number)
    settings = bulk.Settings(formats=("png", "tar"))
    label(tmp_path / "in", tmp_path / "out", settings=settings)
    (tmp_path / "in" / "1.png").write_bytes(b"no picture")
    assert label(tmp_path / "in", tmp_path / "out", settings=settings).counts.failed == 1
    assert names(tmp_path / "out") == ["0.png", "2.png"]
    with tarfile.open(tmp_path / "out" / "labels-000000.tar") as archive:
        assert [name for name in archive.getnames() if name.endswith(".png")] == ["0.png", "2.png"]


def test_an_input_that_vanishes_keeps_its_labels_or_is_a_failure(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        photo(tmp_path / name)
    (tmp_path / "list.txt").write_text("a.png\nb.png\n")

    def vanishing(progress: bulk.Progress) -> None:
        (tmp_path / "b.png").unlink(missing_ok=True)

    options = bulk.RunOptions(progress=vanishing)
    settings = bulk.Settings(batch=1)
    first = bulk.label(
        tmp_path / "list.txt", tmp_path / "out", model=CHEAP, settings=settings, options=options
    )
    assert (first.counts.done, first.counts.failed) == (1, 1)
    (tmp_path / "a.png").unlink()
    go_on = bulk.RunOptions(resume=True)
    again = bulk.label(tmp_path / "list.txt", tmp_path / "out", model=CHEAP, settings=settings, options=go_on)
    assert again.counts == first.counts and names(tmp_path / "out") == ["a.png"]


def test_output_names_are_safe_and_do_not_leave_the_destination() -> None:
    assert key_of_path("a/b.c.jpg") == "a/b.c"
    assert key_of_path("/abs/../x/.env.jpg") == "abs/__/x/_env"
    assert key_of_path("a/b.jpg", keep_suffix=True) == "a/b.jpg"
    assert key_of_url("https://h.org/a%20b/c.jpg") == "h.org/a b/c"
    assert key_of_url("https://h.org/c.jpg?w=1") != key_of_url("https://h.org/c.jpg?w=2")
    assert len(key_of_path(f"{'ä' * 300}.jpg").encode()) <= 180
