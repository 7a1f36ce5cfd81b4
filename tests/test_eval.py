"""`humanparse eval`, as a person uses it."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command import Run, runner
from golden import FULL, SMALL, recording, synthetic_state
from PIL import Image
from test_metrics_semantic import agree

from humanparse import Parser, Parsing, checkpoint, get_scheme, hub, registry
from humanparse.metrics import semantic_scores
from humanparse.metrics.instance_maps import split_people

PHOTOS = {"hopper_97x61": ".png", "astronaut_431x257": ".png"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, in an empty folder with an empty cache."""
    return runner(tmp_path, monkeypatch, capsys, "eval")


@pytest.fixture
def atr(tmp_path: Path) -> Path:
    """Two photos in ATR's layout; the truth is what the bundled model says, with a stripe of hats."""
    root = tmp_path / "ATR"
    parser = Parser(device="cpu", protocol="score")
    for stem, suffix in PHOTOS.items():
        for folder in ("JPEGImages", "SegmentationClassAug"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        photo = root / "JPEGImages" / f"{stem}{suffix}"
        shutil.copy(SMALL / "images" / photo.name, photo)
        truth = parser.predict(photo).labels.copy()
        truth[:5] = 1
        Image.fromarray(truth).save(root / "SegmentationClassAug" / f"{stem}.png")
    (root / "test_id.txt").write_text("\n".join(PHOTOS))
    return root


def score(path: str) -> dict[str, Any]:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def cell(table: str, row: str) -> str:
    return next(line for line in table.splitlines() if line.startswith(row)).split()[-1]


def test_a_model_is_scored_and_the_table_says_what_the_json_says(run: Run, atr: Path) -> None:
    done = run("--dataset", "atr", "--root", atr, "-m", "lite-atr", "-o", "scores.json")
    assert done.status == 0, done.err
    scores = score("scores.json")
    pairs = []
    for stem in PHOTOS:
        truth = np.array(Image.open(atr / "SegmentationClassAug" / f"{stem}.png"))
        pairs.append((np.array(Image.open(f"predictions/atr-test-lite-atr/{stem}.png")), truth))
    whole = json.loads(json.dumps(semantic_scores(pairs, 18)).replace("NaN", "null"))
    assert scores["semantic"] == whole
    assert 0.9 < whole["pixel_accuracy"] < 1 and whole["iou"][1] < 0.5 and whole["iou"][11] > 0.9
    assert (scores["dataset"], scores["split"], scores["photos"]) == ("atr", "test", 2)
    assert scores["convention"] == "schp_ce2p" and scores["labels"][11] == "Face"
    assert "atr test, 2 photos (as SCHP and CE2P: an absent class counts 0)" in done.out
    summary = done.out.splitlines()[2].split()
    keys = ("pixel_accuracy", "mean_accuracy", "frequency_weighted_iou", "mean_iou")
    assert summary == [f"{100 * whole[key]:.2f}" for key in keys]
    assert cell(done.out, "Face") == f"{100 * whole['iou'][11]:.2f}"
    assert "Parser(lite-atr" in done.err


def test_the_models_labels_are_those_of_the_published_scores(run: Run, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(synthetic_state("schp-lip", "schp"), "lip.safetensors")
    photo = tmp_path / "LIP" / "val_images" / "0.jpg"
    truth = tmp_path / "LIP" / "val_segmentations" / "0.png"
    for path in (photo, truth):
        path.parent.mkdir(parents=True)
    Image.open(SMALL / "images" / "astronaut_431x257.png").crop((0, 0, 300, 200)).save(photo)
    Image.new("L", (300, 200)).save(truth)
    (tmp_path / "LIP" / "val_id.txt").write_text("0\n")
    command = ("--dataset", "lip", "--root", "LIP", "-m", "schp-lip", "--weights", "lip.safetensors")
    assert run(*command, "--keep", "maps", "-q").status == 0
    ours = Parsing.load("maps/0.png").labels
    differ = {}
    for protocol in ("score", "paper", "extract"):
        parser = Parser("schp-lip", weights="lip.safetensors", device="cpu", protocol=protocol)
        differ[protocol] = int((parser.predict(photo).labels != ours).sum())
    assert differ["score"] == 0 and differ["paper"] > 0 and differ["extract"] > 0


def test_a_stopped_run_goes_on_and_makes_nothing_twice(
    run: Run, atr: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("--dataset", "atr", "--root", atr, "-m", "lite-atr", "--keep", "maps", "-o", "scores.json")
    good = (atr / "JPEGImages" / "astronaut_431x257.png").read_bytes()
    (atr / "JPEGImages" / "astronaut_431x257.png").write_bytes(good[:1000])
    done = run(*command)
    assert done.status == 1 and "astronaut_431x257.png" in done.err and not Path("scores.json").exists()
    assert sorted(path.name for path in Path("maps").iterdir()) == ["hopper_97x61.png", "settings.json"]
    (atr / "JPEGImages" / "astronaut_431x257.png").write_bytes(good)
    parsed: list[Path] = []
    predict = Parser.predict
    monkeypatch.setattr(
        Parser, "predict", lambda self, source: parsed.append(source) or predict(self, source)
    )
    assert run(*command).status == 0
    assert [path.stem for path in parsed] == ["astronaut_431x257"]
    first = score("scores.json")
    assert run(*command).status == 0
    assert len(parsed) == 1 and score("scores.json") == first


def test_label_maps_made_otherwise_are_not_mixed_in(run: Run, atr: Path, tmp_path: Path) -> None:
    command = ("--dataset", "atr", "--root", atr, "-m", "lite-atr", "--keep", "maps")
    assert run(*command).status == 0
    before = {path.name: path.read_bytes() for path in Path("maps").iterdir()}
    state = checkpoint.load(hub.fetch(registry.get("lite-atr")))
    state = {key: value * 2 if value.is_floating_point() else value for key, value in state.items()}
    from safetensors.torch import save_file

    save_file(state, "other.safetensors")
    for change, said in (
        (("--flip",), "flip: default before, True now"),
        (("--scales", "1,1.25"), "scales: default before, [1.0, 1.25] now"),
        (("--precision", "bf16"), "precision: float32 before, bf16 now"),
        (("--weights", "other.safetensors"), "weights: "),
    ):
        done = run(*command, *change)
        assert done.status == 1 and "label maps made with other settings" in done.err and said in done.err
    shutil.copytree(atr, tmp_path / "copy")
    elsewhere = run("--dataset", "atr", "--root", tmp_path / "copy", *command[4:])
    assert elsewhere.status == 1 and "root: " in elsewhere.err
    assert {path.name: path.read_bytes() for path in Path("maps").iterdir()} == before
    (Path("maps") / "settings.json").write_text("{")
    assert "not readable" in run(*command).err
    (Path("maps") / "settings.json").unlink()
    assert "has files that are not label maps" in run(*command).err


def test_flip_and_scales_reach_the_model(run: Run, atr: Path) -> None:
    assert (
        run(
            "--dataset",
            "atr",
            "--root",
            atr,
            "-m",
            "lite-atr",
            "--keep",
            "maps",
            "--flip",
            "--scales",
            "1 1.25",
        )
    ).status == 0
    parser = Parser(device="cpu", protocol="score", flip=True, scales=(1, 1.25))
    photo = atr / "JPEGImages" / "hopper_97x61.png"
    assert Parsing.load("maps/hopper_97x61.png") == parser.predict(photo)


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """The recorded people in CIHP's layout, and their predictions as a submission."""
    arrays = recording(SMALL, "metrics/instance")
    root, sent = tmp_path / "CIHP" / "Validation", tmp_path / "sent"
    stems = [f"000000{number}" for number in range(5)]

    def put(path: Path, key: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(arrays[key]).save(path)

    for number, stem in enumerate(stems):
        for name, folder in (
            ("gt_category", root / "Category_ids"),
            ("gt_human", root / "Human_ids"),
            ("gt_instance", root / "Instance_ids"),
            ("pred_category", sent / "global_parsing"),
            ("pred_human", sent / "global_tag"),
            ("pred_instance", sent / "instance_parsing"),
        ):
            put(folder / f"{stem}.png", f"{number}/{name}")
        classes, scores = arrays[f"{number}/pred_instance_class"], arrays[f"{number}/pred_instance_score"]
        rows = [f"{label} {value:.17g}\n" for label, value in zip(classes, scores, strict=True)]
        (sent / "instance_parsing" / f"{stem}.txt").write_text("".join(rows))
        people = arrays[f"{number}/pred_human_score"]
        (sent / "global_tag" / f"{stem}.txt").write_text("".join(f"{value} 0 0 9 9\n" for value in people))
    (root / "val_id.txt").write_text("\n".join(stems))
    return tmp_path


def expected() -> dict[str, Any]:
    return json.loads((SMALL / "metrics" / "expected.json").read_text())["instance"]


def test_a_cihp_submission_gets_the_originals_scores(run: Run, group: Path) -> None:
    done = run("--dataset", "cihp", "--root", group / "CIHP", "--predictions", "sent", "-o", "scores.json")
    assert done.status == 0, done.err
    scores, record = denan(score("scores.json")), expected()
    record["region"].pop("tie_range"), record["person_smp"].pop("tie_range")
    assert scores["convention"] == "mce2p"
    assert agree(scores["semantic"], record["semantic"])
    assert agree(scores["region"], record["region"]) and agree(scores["person"], record["person_smp"])
    assert cell(done.out, "PCP") == f"{100 * record['person']['pcp'][8]:.2f}"
    heads, values = (line.split() for line in done.out.splitlines()[1:3])
    assert values[-5:] == [
        f"{100 * value:.2f}"
        for value in (
            record["region"]["ap_50"],
            record["region"]["ap_vol"],
            record["person"]["ap_50"],
            record["person"]["ap_vol"],
            record["person"]["pcp_50"],
        )
    ]
    assert heads[-5:] == ["APr_50", "APr_vol", "APp_50", "APp_vol", "PCP_50"]
    assert "NaN" not in Path("scores.json").read_text(encoding="utf-8")


def denan(value: Any) -> Any:
    """JSON's null back to NaN."""
    if isinstance(value, dict):
        return {key: denan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [denan(entry) for entry in value]
    return math.nan if value is None else value


def test_an_mhp_submission_with_results_txt_gets_the_originals_scores(run: Run, group: Path) -> None:
    arrays = recording(SMALL, "metrics/instance")
    (group / "sent" / "global_parsing").rename(group / "sent" / "global_seg")
    (group / "list").mkdir()
    stems = [path.stem for path in sorted((group / "sent" / "global_seg").iterdir())]
    (group / "list" / "val.txt").write_text("\n".join(stems))
    (group / "val" / "parsing_annos").mkdir(parents=True)
    rows = []
    for number, stem in enumerate(stems):
        people = split_people(arrays[f"{number}/gt_category"], arrays[f"{number}/gt_human"])
        for which, person in enumerate(people, start=1):
            name = f"{stem}_{len(people):02}_{which:02}.png"
            Image.fromarray(person).save(group / "val" / "parsing_annos" / name)
        found = zip(arrays[f"{number}/pred_human_id"], arrays[f"{number}/pred_human_score"], strict=True)
        rows.append(" ".join([stem, *(f"{k} {value}" for k, value in found)]))
        (group / "sent" / "global_tag" / f"{stem}.txt").unlink()
    (group / "sent" / "results.txt").write_text("\n".join(rows))
    done = run("--dataset", "mhpv2", "--root", group, "--predictions", "sent", "-o", "scores.json")
    assert done.status == 0, done.err
    record = expected()["person_smp"]  # labels that are nowhere, such as 20 to 58, change nothing
    record.pop("tie_range")
    assert agree(denan(score("scores.json"))["person"], record)
    (group / "sent" / "results.txt").write_text("0000000 1 0.5 2\n")
    broken = run("--dataset", "mhpv2", "--root", group, "--predictions", "sent")
    assert broken.status == 1 and "results.txt, line 1: expected" in broken.err


def test_a_plain_folder_of_label_maps_is_enough(run: Run, group: Path) -> None:
    command = ("--dataset", "cihp", "--root", group / "CIHP", "--predictions", "sent/global_parsing")
    done = run(*command, "-o", "scores.json", "--convention", "ssseg")
    assert done.status == 0, done.err
    scores = score("scores.json")
    assert "region" not in scores and "person" not in scores and "APr" not in done.out
    assert scores["convention"] == "ssseg" and "as SSSegmentation" in done.out


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (
            lambda sent: (sent / "global_parsing" / "0000002.png").unlink(),
            "no label map of 1 of 5 photos: 0000002",
        ),
        (
            lambda sent: (sent / "global_parsing" / "0000002.png").write_bytes(b"x"),
            "0000002.png: not a readable picture",
        ),
        (
            lambda sent: Image.new("L", (5, 5)).save(sent / "global_parsing" / "0000002.png"),
            "0000002: prediction of shape (5, 5), ground truth of shape (96, 128)",
        ),
        (lambda sent: (sent / "instance_parsing" / "0000001.txt").unlink(), "0000001.txt: No such file"),
        (
            lambda sent: (sent / "instance_parsing" / "0000001.txt").write_text("1 0.5\n"),
            "0000001.txt lists 1 parts, but the map has ids up to 33",
        ),
        (
            lambda sent: (sent / "instance_parsing" / "0000001.txt").write_text("1\n"),
            "0000001.txt: expected 2 numbers per line",
        ),
        (
            lambda sent: (sent / "instance_parsing" / "0000001.txt").write_text("20 1\n" * 33),
            "one of the classes is not a label of cihp",
        ),
        (
            lambda sent: (sent / "global_tag" / "0000001.txt").unlink(),
            "0000001.png: no score for person 1",
        ),
        (lambda sent: shutil.rmtree(sent), "no such folder of predictions"),
    ],
)
def test_a_bad_prediction_is_named(
    spoil: Callable[[Path], object], reason: str, run: Run, group: Path
) -> None:
    spoil(group / "sent")
    done = run("--dataset", "cihp", "--root", group / "CIHP", "--predictions", "sent", "-o", "scores.json")
    assert done.status == 1 and reason in done.err, done.err
    assert done.out == "" and not Path("scores.json").exists()


def test_results_of_another_data_set_are_refused_when_the_file_says_so(run: Run, group: Path) -> None:
    labels = recording(SMALL, "metrics/instance")["0/pred_category"]
    path = group / "sent" / "global_parsing" / "0000000.png"
    Parsing(labels, get_scheme("lip"), "schp-lip").save(path)
    command = ("--dataset", "cihp", "--root", group / "CIHP", "--predictions", "sent")
    done = run(*command)
    assert done.status == 1 and "its labels are lip's, but cihp's are scored" in done.err
    Parsing(labels, get_scheme("cihp"), "schp-cihp").save(path)
    assert run(*command).status == 0


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("-m", "lite-atr", "--predictions", "x"), "give one of --model NAME and --predictions DIR"),
        ((), "give one of --model NAME and --predictions DIR"),
        (("--predictions", "ATR", "--flip"), "are about a --model"),
        (("-m", "schp-lip"), "schp-lip has lip's labels, atr has atr's; models that fit: lite-atr, schp-atr"),
        (("-m", "schp-art"), "did you mean schp-atr"),
        (("-m", "lite-atr", "--scales", "big"), "--scales takes numbers such as"),
        (("-m", "lite-atr", "--convention", "coco"), "schp_ce2p, mce2p, ssseg, not 'coco'"),
        (("-m", "lite-atr", "-o", "nowhere/scores.json"), "check that the folder exists"),
        (("-m", "lite-atr", "--split", "val"), "no list of the split 'val'"),
        (
            ("-m", "lite-atr", "--keep", "ATR"),
            "ATR has files that are not label maps; choose a new folder with --keep",
        ),
    ],
)
def test_a_mistake_is_refused_before_work_starts(
    arguments: tuple[str, ...], reason: str, run: Run, atr: Path
) -> None:
    before = sorted(atr.rglob("*"))
    done = run("--dataset", "atr", "--root", "ATR", *arguments)
    assert done.status == 1 and reason in done.err, done.err
    assert done.out == "" and not Path("predictions").exists() and sorted(atr.rglob("*")) == before


@pytest.mark.posix
def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(atr: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "humanparse",
        "eval",
        "--dataset",
        "atr",
        "--root",
        "ATR",
        "-m",
        "lite-atr",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "TERM": "xterm-256color",
        "COLUMNS": "200",
    }
    piped = subprocess.run(command, cwd=atr.parent, capture_output=True, text=True, env=environment)
    assert piped.returncode == 0, piped.stderr
    assert "scoring" not in piped.stderr and "\x1b" not in piped.stdout + piped.stderr
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=atr.parent, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        while chunk := read(ours):
            seen += chunk
        assert process.wait(timeout=60) == 0
    os.close(ours)
    assert b"scoring" in seen and b"2/2" in seen and b"Face" in seen


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 10_000)
    except OSError:  # Linux says so when the other end is closed
        return b""


@pytest.mark.skipif(not (FULL / "uniparser").is_dir(), reason="the full recordings are not here")
@pytest.mark.slow
def test_a_model_that_finds_people_is_scored_on_them(run: Run, tmp_path: Path) -> None:
    """The truth is what the model itself finds."""
    recorded = "uniparser/r50-mhpv2"
    state = synthetic_state("uniparser-r50-mhpv2", "uniparser-r50", recorded=recorded)
    torch.save({"state_dict": state}, "net.pth")
    root, photo = tmp_path / "LV-MHP-v2" / "val", SMALL / "images" / "astronaut_431x257.png"
    for folder in ("images", "parsing_annos"):
        (root / folder).mkdir(parents=True)
    Image.open(photo).convert("RGB").save(root / "images" / "7.jpg", quality=100)
    found = Parser("uniparser-r50-mhpv2", weights="net.pth", device="cpu")
    parsing = found.predict(root / "images" / "7.jpg")
    assert len(parsing.people) >= 2
    parsing.export("mhp", root / "parsing_annos", "7")
    (root.parent / "list").mkdir()
    (root.parent / "list" / "val.txt").write_text("7")
    command = ["--dataset", "mhpv2", "--root", "LV-MHP-v2", "-m", "uniparser-r50-mhpv2"]
    command += ["--weights", "net.pth", "--keep", "kept"]
    done = run(*command, "-o", "scores.json")
    assert done.status == 0, done.err
    scores = score("scores.json")
    assert scores["semantic"]["pixel_accuracy"] > 0.99
    assert 0 < scores["person"]["ap"][0] <= 1  # people who overlap lose pixels to each other in a submission
    assert "AP" in done.out and scores["photos"] == 1
    kept = {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*.*")}
    assert {path.parent.name for path in kept} == {"kept", "global_parsing", "instance_parsing", "global_tag"}
    again = run(*command, "-o", "again.json")
    assert again.status == 0 and score("again.json") == scores
    assert {path: path.stat().st_mtime_ns for path in Path("kept").rglob("*.*")} == kept
