"""The command line, as a person uses it."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Run, hear_ctrl_c, runner
from golden import SMALL
from http_server import Answer, Server
from PIL import Image
from typer.main import get_command

from humanparse import Parser, Parsing, checkpoint, formats, hub, image, registry
from humanparse.bulk import pipeline
from humanparse.cli import app, results
from humanparse.cli.console import with_options

PHOTOS = SMALL / "images"
HOPPER, CREW = PHOTOS / "hopper_97x61.png", PHOTOS / "astronaut_431x257.png"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, in an empty folder with an empty cache."""
    return runner(tmp_path, monkeypatch, capsys)


def test_a_photo_becomes_a_label_png_of_its_own_size(run: Run, tmp_path: Path) -> None:
    done = run("predict", HOPPER, "-o", "out", "--overlay")
    assert done.status == 0, done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "hopper_97x61.png",
        "hopper_97x61_overlay.png",
    ]
    with Image.open("out/hopper_97x61.png") as labels, Image.open("out/hopper_97x61_overlay.png") as overlay:
        assert labels.mode == "P" and labels.size == (97, 61)
        assert overlay.mode == "RGB" and overlay.size == (97, 61)
    assert Parsing.load("out/hopper_97x61.png").scheme.key == "atr"
    assert "1 of 1 parsed, results in out" in done.out


def test_every_kind_of_result_is_written_when_asked_for(run: Run, tmp_path: Path) -> None:
    assert run("predict", HOPPER, "-o", "out", "--legend", "--json", "--npz", "--flip").status == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"hopper_97x61{ending}" for ending in (".json", ".npz", ".png", "_overlay.png")]
    full = Parsing.load("out/hopper_97x61.npz")
    assert full.confidence is not None
    assert np.array_equal(full.labels, Parsing.load("out/hopper_97x61.json").labels)
    with Image.open("out/hopper_97x61_overlay.png") as overlay:
        assert overlay.width > 97  # the legend


def test_another_runtime_gives_the_same_label_png(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert run("predict", HOPPER, "-o", "torch", "--device", "cpu").status == 0
    done = run("predict", HOPPER, "-o", "other", "--runtime", "onnxruntime")
    assert done.status == 0 and "onnxruntime" in done.err
    labels = [Parsing.load(tmp_path / folder / HOPPER.name).labels for folder in ("torch", "other")]
    assert (labels[0] == labels[1]).mean() >= 0.999


def test_folders_globs_and_urls_are_taken_and_one_bad_file_does_not_stop_the_rest(
    run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(HOPPER, folder / "a.png")
    (folder / "b.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    shutil.copy(CREW, tmp_path / "c1.png")
    with Server() as server:
        server.answer("/crew%20one.png", Answer(CREW.read_bytes(), kind="image/png"))
        done = run("predict", folder, "c*.png", f"{server.url}/crew%20one.png", "-o", "out")
    assert done.status == 1
    assert re.search(r"error: .*b\.jpg", done.err) and "Traceback" not in done.err
    assert "3 of 4 parsed" in done.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c1.png", "crew one.png"]


@pytest.mark.parametrize(
    ("names", "options", "reason"),
    [
        (
            ("a.png", "a.jpg"),
            (),
            r"a\.png and a\.jpg would both write out",
        ),
        (("a.png", "a_overlay.png"), ("--overlay",), "would both write"),
    ],
)
def test_two_inputs_for_one_file_are_refused_before_work_starts(
    names: tuple[str, ...], options: tuple[str, ...], reason: str, run: Run, tmp_path: Path
) -> None:
    for name in names:
        Image.open(HOPPER).convert("RGB").save(tmp_path / name)
    done = run("predict", *names, "-o", "out", *options)
    assert done.status == 1 and re.search(reason, done.err)
    assert not (tmp_path / "out").exists()


def test_an_input_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    shutil.copy(HOPPER, tmp_path / "me.png")
    done = run("predict", "me.png", "-o", ".")
    assert done.status == 1 and "is itself an input" in done.err
    assert (tmp_path / "me.png").read_bytes() == HOPPER.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("predict", "nowhere.jpg"), "no such file or folder"),
        (("predict", "*.jpg"), "nothing matches"),
        (("predict", "."), "no pictures in this folder"),
        (("predict", HOPPER, "-m", "schp-lpi"), "did you mean schp-lip"),
        (("predict", HOPPER, "--device", "tpu"), "use auto, cpu, cuda"),
        (("predict", HOPPER, "--precision", "int4"), "precision must be"),
        (("predict", HOPPER, "--weights", HOPPER), "is a picture"),
        (("predict", HOPPER, "-o", HOPPER), "cannot make the folder"),
        (("models", "nothing-*"), "no model matches"),
        (("info", "schp"), "did you mean"),
        (("convert", HOPPER, "x.pth", "-m", "lite-atr"), "must end in .safetensors"),
    ],
)
def test_a_mistake_is_one_red_line_with_the_repair(
    arguments: tuple[object, ...], reason: str, run: Run
) -> None:
    done = run(*arguments)
    assert done.status == 1
    assert re.search(f"error: (.|\n)*({reason})", done.err), done.err
    assert "Traceback" not in done.err and done.out == ""


def test_debug_shows_the_traceback_wherever_it_stands(run: Run) -> None:
    for arguments in (("--debug", "predict", "nowhere.jpg"), ("predict", "nowhere.jpg", "--debug")):
        done = run(*arguments)
        assert done.status == 1 and "Traceback" in done.err and "ImageError" in done.err


def test_wrong_usage_exits_with_two(run: Run) -> None:
    assert run("predict").status == 2
    assert run("predict", HOPPER, "--colour", "blue").status == 2


def test_a_bug_is_called_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "names", lambda pattern: 1 / 0)
    done = run("models")
    assert done.status == 1 and "internal error: ZeroDivisionError" in done.err and "--debug" in done.err


def test_a_traceback_holds_little_of_a_long_value(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(pattern: str) -> None:
        raise ValueError(f"no picture: {bytes(100_000)!r}")

    monkeypatch.setattr(registry, "names", fail)
    done = run("--debug", "models")
    assert done.status == 1 and "ValueError: no picture: b'\\x00" in done.err and len(done.err) < 20_000


def test_arguments_that_an_error_of_the_library_names_become_the_commands_options() -> None:
    params = get_command(app).commands["label"].params  # type: ignore[attr-defined]
    for said, shown in (
        ("`batch` takes numbers from 1 on", "--batch takes numbers from 1 on"),
        ("`formats` takes png", "--format takes png"),
        ("resume it with `resume=True`", "resume it with --resume"),
        ("leave `confidence=False` out", "leave --no-confidence out"),
        ("take `device='cpu'`, `gpus_per_worker=0.5`", "take --device cpu, --gpus-per-worker 0.5"),
        ("another `dest`", "another --output"),
        ("`source` and `progress=True`", "`source` and `progress=True`"),
        ("accept that with `approximate=True`", "accept that with --approximate"),
        ("run `humanparse models`", "run `humanparse models`"),
    ):
        assert with_options(said, params) == shown


def test_models_are_listed_as_a_table_and_as_json(run: Run) -> None:
    table = run("models").out
    for name in registry.names():
        assert re.search(rf"^{name} .*(bundled|no) +never\s*$", table, flags=re.MULTILINE), table
    assert "59.36 LIP val" in table and "267.4 MB" in table
    records = json.loads(run("models", "schp-*", "--json").out)
    assert [record["name"] for record in records] == [
        "schp-atr", "schp-cihp", "schp-cihp-global", "schp-cihp-local", "schp-lip", "schp-pascal",
    ]  # fmt: skip
    assert records[0]["scheme"]["names"][16] == "Bag" and len(records[0]["file"]["sources"]) == 5


def test_models_and_info_say_whether_weights_may_be_used_commercially_and_why(run: Run) -> None:
    kept = json.loads(run("models", "--commercial", "--json").out)
    assert {record["licence"]["commercial"] for record in kept} == {"yes"}
    assert registry.DEFAULT in [record["name"] for record in kept]
    assert re.search(
        r"^segformer-b2-fashion .* about 110 MB .* no +no ", run("models", "segformer-*").out, re.M
    )
    assert re.search(
        r"commercial use +no: fine-tuned from nvidia/mit-b5", run("info", "segformer-b5-face").out
    )
    several = json.loads(run("models", "sapiens2-*", "segformer-b5-*", "--json").out)
    assert [record["licence"]["commercial"] for record in several] == ["yes"] * 4 + ["no"]
    refused = run("models", "schp-*", "--commercial")
    assert refused.status == 1 and "no model that matches schp-* has weights cleared" in refused.err


def test_info_says_all_about_a_model_and_shows_the_bundled_ones_card(run: Run) -> None:
    said = run("info", "schp-lip").out
    for fact in (
        "1910.09777",
        "14 Left-arm",
        "24fa3254",
        "MIT",
        "drive.google.com",
        "exp-schp-201908261155-lip.pth",
    ):
        assert fact in said
    assert "# lite-atr" in run("info", "lite-atr").out
    assert json.loads(run("info", "schp-lip", "--json").out)["family"] == "schp"


def test_download_offline_says_how_to_go_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUMANPARSE_OFFLINE", "1")
    done = run("download", "schp-lip")
    place = tmp_path / "home" / "models" / "schp-lip" / "exp-schp-201908261155-lip.pth"
    assert done.status == 1 and str(place) in done.err and "offline" in done.err
    bundled = run("download", "lite-*")
    assert bundled.status == 0 and "lite-atr.safetensors" in bundled.out


def test_convert_makes_safetensors_that_predict_takes(run: Run, tmp_path: Path) -> None:
    state = checkpoint.load(hub.fetch(registry.get("lite-atr")))
    old = {"state_dict": {f"module.{key}": value for key, value in state.items()}}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert run("convert", "old.pth", "new.safetensors", "-m", "lite-atr").status == 0
    again = run("convert", "old.pth", "new.safetensors", "-m", "lite-atr")
    assert again.status == 1 and "--force" in again.err
    assert run("convert", "old.pth", "new.safetensors", "-m", "lite-atr", "--force").status == 0
    assert run("predict", HOPPER, "-o", "ours", "--weights", "new.safetensors").status == 0
    assert run("predict", HOPPER, "-o", "theirs").status == 0
    assert Path("ours/hopper_97x61.png").read_bytes() == Path("theirs/hopper_97x61.png").read_bytes()
    wrong = run("convert", "old.pth", "lip.safetensors", "-m", "schp-lip")
    assert wrong.status == 1 and "does not fit schp-lip" in wrong.err and not Path("lip.safetensors").exists()


def test_doctor_tells_versions_device_and_cache(run: Run, tmp_path: Path) -> None:
    said = run("doctor", "--offline").out
    for fact in (
        torch.__version__,
        "OpenCV",
        str(tmp_path / "home"),
        "writable",
        "verified",
        "not tried (offline)",
    ):
        assert fact in said, said


def test_warnings_are_lines_not_dumps(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUMANPARSE_OFFLINE", "1")
    place = hub.place(registry.get("schp-lip"))
    place.parent.mkdir(parents=True)
    place.write_bytes(b"put here by hand, but wrong")
    done = run("download", "schp-lip")
    assert done.status == 1
    assert re.search(r"^warning: .*rejected", done.err, flags=re.MULTILINE)
    assert "UserWarning" not in done.err and "warnings.warn" not in done.err


def spawned(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "humanparse", *map(str, arguments)]
    options["preexec_fn"] = hear_ctrl_c
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload, no-any-return]


@pytest.mark.posix
def test_a_pipe_gets_plain_text_in_full_width(tmp_path: Path) -> None:
    out, err = spawned("info", "schp-lip", cwd=tmp_path).communicate(timeout=60)
    assert b"\x1b" not in out + err
    assert (
        b"https://huggingface.co/zhengchong/CatVTON/resolve/2969fcf85fe62f2036605716f0b56f0b81d01d79" in out
    )


@pytest.mark.posix
def test_a_terminal_gets_colour(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "humanparse", "predict", "nowhere.jpg"]
    environment = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=tmp_path, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        assert process.wait(timeout=60) == 1
    assert b"\x1b[31merror:" in os.read(ours, 10000)
    os.close(ours)


def test_help_and_the_list_of_models_need_no_torch(tmp_path: Path) -> None:
    for arguments in ("['--help']", "['models']"):
        code = (
            "import sys; from humanparse.cli import app\n"
            f"try: app({arguments})\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "predict" in done.stdout or "schp-lip" in done.stdout


@pytest.mark.posix
def test_ctrl_c_leaves_no_half_written_file(tmp_path: Path) -> None:
    photo = np.ascontiguousarray(np.tile(image.load(CREW), (4, 4, 1)))
    for number in range(80):
        Image.fromarray(photo).save(tmp_path / f"{number:03}.bmp")
    process = spawned("predict", str(tmp_path), "-o", "out", cwd=tmp_path)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("out/*.png"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and b"Traceback" not in err
    written = sorted((tmp_path / "out").iterdir())
    assert 2 <= len(written) < 80
    assert all(Parsing.load(path).size == (1028, 1724) for path in written if path.suffix == ".png")
    assert all(path.suffix == ".png" for path in written), "a temporary file was left"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Seven small photos that differ, and a broken one in their midst."""
    folder = tmp_path / "photos"
    folder.mkdir()
    with Image.open(CREW) as photo:
        for number in range(7):
            photo.convert("RGB").resize((90 + number, 60)).save(folder / f"{number}.jpg")
    (folder / "3a.jpg").write_bytes((folder / "3.jpg").read_bytes()[:900])
    return folder


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, as it does for each of many photos."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def folder_of(path: Path) -> dict[str, bytes]:
    """Name -> content of what is in a folder."""
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def test_many_photos_get_the_bytes_of_one_by_one_and_errors_come_in_order(run: Run, photos: Path) -> None:
    (photos / "5a.png").write_bytes(b"no picture")
    done = run("predict", photos, "-o", "many", "--overlay", "--json", "--npz", "--device", "cpu")
    assert done.status == 1 and "7 of 9 parsed" in done.out
    assert re.findall(r"error: \S*(3a\.jpg|5a\.png)", done.err) == ["3a.jpg", "5a.png"]
    parser = Parser(device="cpu")
    Path("one").mkdir()
    for path in photos.glob("?.jpg"):
        with one_thread():
            parsing = parser.predict(path, confidence=True)
        for ending in (".png", ".json", ".npz"):
            parsing.save(f"one/{path.stem}{ending}")
        Path(f"one/{path.stem}_overlay.png").write_bytes(parsing.encode("overlay", photo=path))
    assert folder_of(Path("many")) == folder_of(Path("one"))


def test_a_photo_on_which_the_network_fails_does_not_stop_the_rest(
    run: Run, photos: Path, too_large: Callable[[int, int], None]
) -> None:
    too_large(1, 92)
    done = run("predict", photos, "-o", "out")
    assert done.status == 1 and "6 of 8 parsed" in done.out
    assert re.search(r"2\.jpg: MemoryError: too large", done.err) and not Path("out/2.png").exists()


def test_a_full_disk_is_said_of_each_photo_and_nothing_is_torn(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = os.fsync, []

    def full(handle: int) -> None:
        asked.append(handle)
        if len(asked) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    done = run("predict", photos, "-o", "out")
    assert done.status == 1 and "4 of 8 parsed" in done.out
    assert done.err.count("No space left on device") == 3
    assert len(folder_of(Path("out"))) == 4 and all(Parsing.load(path) for path in Path("out").iterdir())


def test_photos_are_not_read_much_before_they_are_written(
    run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, most = pipeline.default_workers(), 0
    read, written = [], []

    def load(photo: Any) -> Any:
        read.append(photo)
        return real(photo)

    def export(record: formats.Record, kind: str, folder: Path, stem: str, photo: formats.Photo) -> None:
        nonlocal most
        time.sleep(0.02)
        written.append(stem)
        most = max(most, len(read) - len(written))

    real = results._Photo.load
    monkeypatch.setattr(results._Photo, "load", load)
    monkeypatch.setattr(formats, "export", export)
    for number in range(8 * threads):
        shutil.copy(photos / "0.jpg", photos / f"more{number}.jpg")
    assert "more0.jpg" in folder_of(photos) and run("predict", photos, "-o", "out").status == 1
    assert 0 < most <= 3 * threads + 2


def people_file(folder: Path, content: object) -> Path:
    path = folder / "people.json"
    path.write_text(json.dumps(content))
    return path


def test_people_from_a_file_are_told_apart_and_written_for_others(run: Run, tmp_path: Path) -> None:
    people = people_file(tmp_path, {"boxes": [[150, 0, 400, 257]], "scores": [0.75]})
    done = run(
        "predict", CREW, "-o", "out", "--json", "--people", people, *["--format", "cihp", "--format", "coco"]
    )
    assert done.status == 0, done.err
    files = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*") if path.is_file())
    stem = CREW.stem
    assert files == sorted(
        [
            f"{stem}.png", f"{stem}.json", f"{stem}.coco.json", f"global_parsing/{stem}.png",
            f"global_tag/{stem}.png", f"global_tag/{stem}.txt", f"instance_parsing/{stem}.png",
            f"instance_parsing/{stem}.txt",
        ]
    )  # fmt: skip
    (person,) = Parsing.load(f"out/{stem}.json").people
    assert person.score == 0.75 and person.part("Face").any()


def test_predict_writes_every_format(run: Run, tmp_path: Path) -> None:
    people = people_file(tmp_path, {"boxes": [[150, 0, 400, 257]]})
    asked = [word for kind in formats.FORMATS for word in ("--format", kind)]
    assert run("predict", CREW, "-o", "out", "--people", people, *asked).status == 0
    there = {path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()}
    for one in formats.FORMATS.values():
        assert set(one.names(CREW.stem)) <= there, one.kind
    assert f"{CREW.stem}_01_01.png" in there  # of mhp, which has a file for each person
    assert Parsing.load(f"out/{CREW.stem}.npz").confidence is not None


def test_labelme_takes_photos_in_which_nobody_was_looked_for(run: Run, tmp_path: Path) -> None:
    assert run("predict", CREW, "-o", "out", "--format", "labelme").status == 0
    shapes = json.loads((tmp_path / "out" / f"{CREW.stem}.labelme.json").read_text())["shapes"]
    assert shapes and {shape["group_id"] for shape in shapes} == {None}


@pytest.mark.parametrize("kind", ["names", "coco"])
def test_one_file_may_hold_the_people_of_many_photos(kind: str, run: Run, tmp_path: Path) -> None:
    if kind == "names":
        people = people_file(tmp_path, {CREW.name: [[150, 0, 400, 257]], HOPPER.stem: []})
    else:
        images = [{"id": 4, "file_name": f"val/{CREW.name}"}, {"id": 5, "file_name": HOPPER.name}]
        one = {"id": 1, "image_id": 4, "category_id": 1, "bbox": [150, 0, 250, 257]}
        people = people_file(tmp_path, {"images": images, "annotations": [one]})
    assert run("predict", CREW, HOPPER, "-o", "out", "--json", "--people", people).status == 0
    assert len(Parsing.load(f"out/{CREW.stem}.json").people) == 1
    assert len(Parsing.load(f"out/{HOPPER.stem}.json").people) == 0


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        (None, ("--people", "nobody.json"), "there is no file nobody.json"),
        ("not json", ("--people", "people.json"), "cannot be read as JSON"),
        ([[0, 0, 9, 9]], ("--people", "people.json", str(CREW)), "not which people are in which photo"),
        (
            [{"image_id": 1}, {"image_id": 2}],
            ("--people", "people.json"),
            "not which people are in which photo",
        ),
        ({"other.jpg": []}, ("--people", "people.json"), "has no entry for hopper_97x61.png"),
        ({"images": [], "annotations": []}, ("--people", "people.json"), "none of its 0 images"),
        (None, ("--format", "cihp"), "add --people detect"),
        (
            [[0, 0, 9, 9]],
            ("--people", "people.json", "--format", "voc"),
            "use png, npz, json, overlay, coco, labelme, cihp, mhp",
        ),
        (
            None,
            ("--people", "detect", "--detector", "maskrcnn_resnet50_fpn_v2", "--offline"),
            "Or pass the people yourself",
        ),
        (None, ("--weights", "a.pth", "--weights", "b.pth"), "say which is which"),
        (None, ("-m", "schp-cihp", "--weights", "local=a.pth", "--offline"), "schp-cihp-global"),
        (None, ("-m", "uniparser-r101-mhpv2", "--format", "cihp", "--offline"), "uniparser-r101-mhpv2: "),
    ],
)
def test_people_who_cannot_be_had_are_a_clear_error(
    content: object, options: tuple[str, ...], words: str, run: Run, tmp_path: Path
) -> None:
    if isinstance(content, str):
        (tmp_path / "people.json").write_text(content)
    elif content is not None:
        people_file(tmp_path, content)
    done = run("predict", HOPPER, "-o", "out", *options)
    assert done.status == 1 and words in done.err and "Traceback" not in done.err


def test_a_model_of_several_networks_is_described(run: Run) -> None:
    done = run("info", "schp-cihp")
    assert done.status == 0 and "global: schp-cihp-global" in done.out and "rule" in done.out
    assert "global + local" in run("models", "schp-cihp").out
    assert json.loads(run("info", "schp-cihp", "--json").out)["parts"]["local"] == "schp-cihp-local"
