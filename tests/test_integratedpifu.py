"""IntegratedPIFu's part maps: its tree, its names, its values."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import s3
from command import Run, runner
from outputs import differing, files
from PIL import Image

from humanparse import Parser, Parsing, get_scheme
from humanparse.bulk import contact_sheet
from humanparse.bulk.writers import encoded

EXAMPLE = Path(__file__).parents[1] / "examples" / "integratedpifu"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `humanparse integratedpifu` in this process, with the bundled model, in an empty folder."""
    return runner(tmp_path, monkeypatch, capsys, "integratedpifu", "--integratedpifu-dir", "tree")


LITE = ("-m", "lite-atr", "--approximate", "--output-dir", "maps")


def tree(root: Path, train: str, test: str, subjects: tuple[str, ...]) -> None:
    """IntegratedPIFu's folder with two rendered pictures per subject."""
    for subject in subjects:
        folder = root / "tree" / "rendering_script" / "buffer_fixed_full_mesh" / subject
        folder.mkdir(parents=True)
        for side in ("000", "010"):
            Image.new("RGB", (40, 48), (200, int(side), 90)).save(folder / f"rendered_image_{side}.png")
            Image.new("L", (40, 48)).save(folder / f"rendered_mask_{side}.png")
        (folder / "rendered_params_000.npy").write_bytes(b"")
    (root / "tree" / "train_set_list.txt").write_text(train)
    (root / "tree" / "test_set_list.txt").write_text(test)


def maps(root: Path) -> list[str]:
    """Names of the maps below the output folder."""
    return sorted(path.relative_to(root / "maps").as_posix() for path in (root / "maps").rglob("*.npy"))


def test_both_lists_are_labelled_once_and_only_the_file_name_changes(run: Run, tmp_path: Path) -> None:
    tree(tmp_path, "0001\nimage_7", "0001\n\n0003\n", ("0001", "image_7", "0003", "0004"))
    (tmp_path / "maps" / "0001").mkdir(parents=True)
    done = run(*LITE)
    assert done.status == 0, done.err
    assert maps(tmp_path) == [
        f"{subject}/rendered_parse_{side}.npy"
        for subject in ("0001", "0003", "image_7")
        for side in ("000", "010")
    ]


def test_a_list_of_one_line_and_one_split_alone_will_do(run: Run, tmp_path: Path) -> None:
    tree(tmp_path, "0001", "0002", ("0001", "0002"))
    assert run(*LITE, "--split", "test").status == 0
    assert {name.split("/")[0] for name in maps(tmp_path)} == {"0002"}
    assert run(*LITE, "--split", "val", "--resume").status == 1


def test_a_stopped_run_goes_on(run: Run, tmp_path: Path) -> None:
    tree(tmp_path, "0001", "0002", ("0001", "0002"))
    assert run(*LITE).status == 0
    lost = tmp_path / "maps" / "0002" / "rendered_parse_010.npy"
    before = lost.read_bytes()
    lost.unlink()
    assert "(1 now" in run(*LITE, "--resume").out
    assert lost.read_bytes() == before


def test_every_part_has_the_nearest_float32_of_its_value(tmp_path: Path) -> None:
    labels = np.arange(7, dtype=np.uint8).repeat(2).reshape(2, 7)
    content = encoded("integratedpifu", Parsing(labels, get_scheme("pascal")))
    (tmp_path / "map.npy").write_bytes(content)
    values = np.load(tmp_path / "map.npy")
    assert values.dtype == np.float32 and values.shape == (2, 7)
    for label, value in enumerate((0, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)):
        assert (values[labels == label] == np.float32(value)).all()


def test_labels_that_do_not_split_limbs_are_refused_unless_asked_for(run: Run, tmp_path: Path) -> None:
    tree(tmp_path, "0001", "0001", ("0001",))
    done = run("-m", "lite-atr", "--output-dir", "maps")
    assert done.status == 1 and "--approximate" in done.err and "lower arms" in done.err
    assert maps(tmp_path) == []


def test_a_missing_subject_or_list_is_named(run: Run, tmp_path: Path) -> None:
    tree(tmp_path, "0001\n0009", "../0001", ("0001",))
    assert "0009" in run(*LITE, "--split", "train").err
    assert "is not a folder name" in run(*LITE, "--split", "test").err
    (tmp_path / "tree" / "test_set_list.txt").unlink()
    assert "test_set_list.txt" in run(*LITE).err


def test_the_examples_tree_passes_the_consumers_comparison(run: Run, tmp_path: Path) -> None:
    for arguments in (("build_tree.py", "tree"), ("consume.py", "tree", "maps")):
        if arguments[0] == "consume.py":
            assert run(*LITE).status == 0
        script, *rest = arguments
        done = subprocess.run(
            [sys.executable, str(EXAMPLE / script), *rest], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert "0001/rendered_image_000.png" in done.stdout and "head" in done.stdout
    folder = tmp_path / "tree" / "rendering_script" / "buffer_fixed_full_mesh" / "0001"
    parsing = Parser(device="cpu").predict(folder / "rendered_image_000.png")
    expected = parsing.remap("pascal", approximate=True).labels
    values = np.load(tmp_path / "maps" / "0001" / "rendered_parse_000.npy")
    assert (np.rint(values * 10) == np.where(expected > 0, expected + 4, 0)).all()


def test_a_tree_in_a_bucket_gives_the_maps_of_the_same_tree_on_a_disk(
    run: Run, tmp_path: Path, bucket: s3.Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path / "machine"))
    tree(tmp_path, "\ufeff0001\nimage_7", "0001\n\n0003\n", ("0001", "image_7", "0003", "0004"))
    there = ("--integratedpifu-dir", bucket.put_folder(tmp_path / "tree", "pifu"))
    bucket.put("pifu/rendering_script/buffer_fixed_full_mesh/0001/deeper/image.png", b"of something else")
    for place in ((), there):
        done = run(*LITE, *place, "--output-dir", "far" if place else "maps")
        assert done.status == 0, done.err
    far, near = tmp_path / "far", tmp_path / "maps"
    assert len(maps(tmp_path)) == 6
    assert not differing(files(far), files(near))
    done = run(*LITE, *there, "--output-dir", f"s3://{s3.NAME}/pifu-maps")
    assert done.status == 0 and not differing(bucket.files("pifu-maps"), files(near))
    assert contact_sheet(far, tmp_path / "sheet.html", order="person") == 6
    assert "without its photo" not in (tmp_path / "sheet.html").read_text(encoding="utf-8")


def test_what_is_missing_in_a_bucket_is_named(run: Run, tmp_path: Path, bucket: s3.Bucket) -> None:
    tree(tmp_path, "0001", "0002", ("0001",))
    there = bucket.put_folder(tmp_path / "tree", "gaps")
    done = run(*LITE, "--integratedpifu-dir", there)
    assert (
        done.status == 1 and "buffer_fixed_full_mesh/0002" in done.err and "render this subject" in done.err
    )
    bucket.delete("gaps/test_set_list.txt")
    done = run(*LITE, "--integratedpifu-dir", there)
    assert done.status == 1 and f"{there}/test_set_list.txt: there is no such object" in done.err
    assert run(*LITE, "--integratedpifu-dir", there, "--split", "train").status == 0
