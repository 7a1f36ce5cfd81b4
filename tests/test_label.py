"""`humanparse label`, as a person uses it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from command import Run, hear_ctrl_c, runner
from golden import SMALL
from PIL import Image

from humanparse import Parser, Parsing, formats

HOPPER = SMALL.parent / "portrait_102x120.png"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `humanparse` in this process, in an empty folder with an empty cache."""
    return runner(tmp_path, monkeypatch, capsys)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three small photos in two folders."""
    folder = tmp_path / "photos"
    (folder / "summer").mkdir(parents=True)
    with Image.open(HOPPER) as photo:
        rgb = photo.convert("RGB")
    rgb.save(folder / "a.jpg")
    rgb.rotate(90, expand=True).save(folder / "summer" / "b.png")
    rgb.resize((40, 70)).save(folder / "summer" / "c.jpg")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Path below the folder -> content, of all outputs."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".humanparse" not in path.parts
    }


def test_a_folder_is_mirrored_with_the_labels_that_predict_gives(run: Run, photos: Path) -> None:
    done = run("label", photos, "-o", "out")
    assert done.status == 0, done.err
    assert "3 of 3 labelled" in done.out and "lite-atr" in done.err
    assert list(files(Path("out"))) == ["a.png", "summer/b.png", "summer/c.png"]
    expected = Parser(device="cpu").predict(photos / "summer" / "b.png")
    assert np.array_equal(Parsing.load("out/summer/b.png").labels, expected.labels)


def test_every_format_is_written(run: Run, photos: Path) -> None:
    pytest.importorskip("pyarrow")
    done = run("label", photos, "-o", "out", "--format", "png,npz,coco,overlay,tar,parquet")
    assert done.status == 0, done.err
    names = {f"a{ending}" for ending in (".png", ".npz", ".coco.json", "_overlay.jpg")}
    assert names | {"labels-000000.tar", "labels-000000.parquet"} <= set(files(Path("out")))
    assert Parsing.load("out/a.npz").confidence is not None
    with tarfile.open("out/labels-000000.tar") as archive:
        assert archive.getnames()[:2] == ["a.json", "a.png"]
        packed = archive.extractfile("summer/c.png")
        assert packed is not None and packed.read() == Path("out/summer/c.png").read_bytes()


@pytest.mark.parametrize("one", formats.FORMATS.values(), ids=list(formats.FORMATS))
def test_each_format_is_written_alone_or_refused(one: formats.Format, run: Run, photos: Path) -> None:
    done = run("label", photos / "a.jpg", "-o", "out", "--format", one.kind)
    if not one.of_any_photo:
        assert done.status == 1 and "--format takes png, npz, json," in done.err
        return
    assert done.status == 0, done.err
    (name,) = files(Path("out"))
    ending = "_overlay.jpg" if one.kind == "overlay" else one.ending  # of data sets they are smaller
    assert name == f"a{ending}"
    if one.reader is not None:
        assert np.array_equal(
            one.read(Path("out") / name).labels, Parser(device="cpu").predict(photos / "a.jpg").labels
        )
        assert run("contact-sheet", "out", "-o", "sheet.jpg").status == 0


def test_formats_whose_files_could_meet_are_refused_together(run: Run, photos: Path) -> None:
    done = run("label", photos, "-o", "out", "--format", "coco,json")
    assert (
        done.status == 1 and "coco of a.jpg and json of a.coco.jpg would be one file, a.coco.json" in done.err
    )


def test_a_broken_photo_is_a_row_with_its_reason_and_does_not_stop_the_rest(run: Run, photos: Path) -> None:
    (photos / "b.jpg").write_bytes(b"no picture")
    done = run("label", photos, "-o", "out")
    assert done.status == 1 and "3 of 4 labelled" in done.out and "1 failed" in done.err
    told = run("label", "--status", "out")
    assert told.status == 1 and re.search(r"^b\.jpg: not a picture", told.out, flags=re.MULTILINE)
    Image.open(HOPPER).convert("RGB").save(photos / "b.jpg")
    assert run("label", photos, "-o", "out", "--resume").status == 0  # its file changed, so it is new
    assert run("label", "--status", "out").status == 0


def test_failures_are_tried_again_on_request_only(run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("photos/a.jpg\nphotos/later.jpg\n")
    assert run("label", "list.txt", "-o", "out").status == 1
    again = run("label", "list.txt", "-o", "out", "--resume")
    assert again.status == 1 and "(0 now)" in again.out
    retried = run("label", "list.txt", "-o", "out", "--resume", "--retry-failed")
    assert retried.status == 1 and "(1 now" in retried.out
    shutil.copy(photos / "a.jpg", photos / "later.jpg")
    assert run("label", "list.txt", "-o", "out", "--resume", "--retry-failed").status == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("label", "nowhere", "-o", "out"), "no such file or folder"),
        (("label", "list.csv", "-o", "out"), "name it with --column"),
        (("label", "*.jpg", "-o", "out"), "no pictures or tars match"),
        (("label", "photos", "-o", "photos"), "choose another folder with --output"),
        (("label", "photos", "-o", "out", "--format", "pdf"), "--format takes png"),
        (("label", "photos", "-o", "out", "--shard", "3"), "--shard takes i/n"),
        (("label", "photos", "-o", "out", "--shard", "9/8"), "--shard takes i/n"),
        (("label", "photos", "-o", "out", "--min-confidence", "7"), "--min-confidence must be above 0"),
        (
            ("label", "photos", "-o", "out", "--min-confidence", "0.5", "--no-confidence"),
            "--min-confidence needs confidence; leave --no-confidence out",
        ),
        (("label", "photos", "-o", "out", "-m", "schp-lpi"), "did you mean schp-lip"),
        (("label", "photos"), "humanparse label SOURCE -o DEST"),
        (("label", "photos", "-o", "photos/a.jpg"), "cannot be written to"),
        (("label", "--status", "photos"), "no run has written here"),
        (("label", "https://example.org/a.jpg", "-o", "out"), "write addresses into a text file"),
    ],
)
def test_a_mistake_is_one_red_line_with_the_repair(
    arguments: tuple[str, ...], reason: str, run: Run, photos: Path
) -> None:
    Path("list.csv").write_text("number,note\n1,none\n")
    done = run(*arguments)
    assert done.status == 1 and re.search(f"error: .*({reason})", done.err), done.err


def test_two_photos_for_one_output_are_refused_unless_suffixes_are_kept(run: Run, photos: Path) -> None:
    shutil.copy(HOPPER, photos / "a.png")
    done = run("label", photos, "-o", "out")
    assert done.status == 1 and "a.jpg and a.png would have the same output, a;" in done.err
    assert run("label", photos, "-o", "out", "--keep-suffix").status == 0  # it had not begun
    assert {"a.jpg.png", "a.png.png"} <= set(files(Path("out")))


def test_a_second_run_is_refused_goes_on_or_begins_anew_as_told(run: Run, photos: Path) -> None:
    assert run("label", photos, "-o", "out").status == 0
    refused = run("label", photos, "-o", "out")
    assert refused.status == 1 and "--resume" in refused.err and "--restart" in refused.err
    assert "(0 now)" in run("label", photos, "-o", "out", "--resume").out
    Path("out/a.png").unlink()
    Path("out/summer/b.png").write_bytes(b"cut")
    assert "(2 now" in run("label", photos, "-o", "out", "--resume").out
    assert "(3 now" in run("label", photos, "-o", "out", "--restart").out


def test_other_settings_or_another_model_are_never_mixed_in(run: Run, photos: Path) -> None:
    assert run("label", photos, "-o", "out").status == 0
    done = run("label", photos, "-o", "out", "--resume", "--format", "npz", "--flip")
    assert done.status == 1 and "holds a run with other settings" in done.err
    assert "flip: None before, True now" in done.err and "formats: ['png'] before" in done.err


def test_unsure_pixels_become_255(run: Run, photos: Path) -> None:
    assert run("label", photos / "a.jpg", "-o", "all", "--format", "npz").status == 0
    assert run("label", photos / "a.jpg", "-o", "sure", "--min-confidence", "0.9").status == 0
    whole, sure = Parsing.load("all/a.npz"), Parsing.load("sure/a.png").labels
    assert whole.confidence is not None
    unsure = whole.confidence < 0.9
    assert unsure.any() and (sure[unsure] == 255).all()
    assert np.array_equal(sure[~unsure], whole.labels[~unsure])


def test_shards_share_the_work_and_give_what_one_run_gives(run: Run, photos: Path) -> None:
    assert run("label", photos, "-o", "whole").status == 0
    for number in (1, 2):
        assert run("label", photos, "-o", "parts", "--shard", f"{number}/2").status == 0
    assert files(Path("parts")) == files(Path("whole"))
    assert "3 of 3 labelled" in run("label", "--status", "parts").out
    mixed = run("label", photos, "-o", "parts", "--resume")
    assert mixed.status == 1 and "of 2 shards" in mixed.err


@pytest.mark.posix
def test_ctrl_c_finishes_what_is_under_way_and_says_how_to_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(HOPPER) as photo:
        for number in range(200):
            photo.convert("RGB").save(folder / f"{number:03d}.jpg")
    command = [sys.executable, "-m", "humanparse", "label", str(folder), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "HUMANPARSE_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        [*command, "--batch", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=hear_ctrl_c,
    ) as process:
        while not list((tmp_path / "out").glob("*.png")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "--resume" in err and re.search(r"(\d+) of 200 labelled", out)
    journal = sqlite3.connect(tmp_path / "out" / ".humanparse" / "all" / "journal.sqlite")
    (done,) = journal.execute("SELECT count(*) FROM inputs WHERE state = 'done'").fetchone()
    assert 0 < done < 200 and done == len(files(tmp_path / "out"))


def test_without_ray_its_engine_is_refused_before_anything_is_written(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = run("label", photos, "-o", "out", "--engine", "ray")
    assert done.status == 1 and 'pip install "humanparse[ray]"' in done.err and not Path("out").exists()
