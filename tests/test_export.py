"""`humanparse export`: files that run without humanparse."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import pytest
from golden import SMALL

from humanparse import Parser, checkpoint, image, models, registry
from humanparse.cli import main
from humanparse.geometry import Frame

PHOTO = SMALL / "images" / "grace_hopper.jpg"
LITE = registry.get("lite-atr")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["humanparse", "export", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def photo_and_logits() -> tuple[np.ndarray, np.ndarray]:
    photo = image.load(PHOTO)
    logits = Parser(device="cpu").predict(PHOTO, keep_logits=True).logits
    assert logits is not None
    return Frame((photo.shape[0], photo.shape[1]), LITE.input).fit(photo)[None].numpy(), logits


def test_an_onnx_file_gives_the_models_logits_and_says_how_to_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lite-atr", "--to", "onnx", "-o", tmp_path / "lite.onnx") == 0
    assert "100.000% of the labels equal" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(tmp_path / "lite.onnx"))
    fitted, logits = photo_and_logits()
    assert np.abs(session.run(["logits"], {"image": fitted})[0][0] - logits).max() <= 1e-4 * logits.std()
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["labels"]) == list(LITE.scheme.names)
    assert tuple(json.loads(metadata["input"])["mean"]) == LITE.input.mean
    assert metadata["model"] == "lite-atr" and metadata["weights_licence"] == LITE.licence.weights
    assert metadata["commercial_use"].startswith("yes: ")


def test_an_openvino_file_gives_the_models_logits_and_says_how_to_use_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "lite-atr", "--to", "openvino", "-o", tmp_path / "lite.xml") == 0
    assert "100.000% of the labels equal" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"lite.xml", "lite.bin"}
    core = openvino.Core()
    model = core.read_model(tmp_path / "lite.xml")
    fitted, logits = photo_and_logits()
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.abs(compiled(fitted)["logits"][0] - logits).max() <= 1e-4 * logits.std()
    assert json.loads(model.get_rt_info(["humanparse", "labels"]).astype(str)) == list(LITE.scheme.names)
    assert json.loads(model.get_rt_info(["humanparse", "input"]).astype(str))["fit"] == LITE.input.fit


def test_weights_of_ones_own_are_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(models.build(LITE).state_dict(), tmp_path / "mine.safetensors", {})
    output = tmp_path / "mine.onnx"
    given = ("--weights", tmp_path / "mine.safetensors", "--offline")
    assert run(monkeypatch, "lite-atr", "--to", "onnx", "-o", output, *given) == 0
    fitted, logits = photo_and_logits()
    (found,) = onnxruntime.InferenceSession(str(output)).run(None, {"image": fitted})
    assert np.abs(found[0] - logits).max() > logits.std()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lite-atr", "--to", "tflite", "-o", "lite.tflite"), "onnx or openvino"),
        (("lite-atr", "--to", "openvino", "-o", "lite.onnx"), "must end in .xml"),
        (("lite-atr", "--to", "onnx", "-o", "here.onnx"), "--force"),
        (("lite-atr", "--to", "onnx", "-o", "nowhere/lite.onnx"), "cannot write nowhere/lite.onnx"),
        (("lite-atr", "--to", "openvino", "-o", "nowhere/lite.xml"), "cannot write nowhere/lite.xml"),
        (("smp-r50-mhpv2", "--to", "onnx", "-o", "smp.onnx"), "cannot be exported"),
    ],
)
def test_an_export_that_cannot_be_says_why(
    arguments: tuple[str, ...],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.onnx").touch()
    assert run(monkeypatch, *arguments) == 1
    message = capsys.readouterr().err
    assert words in message and "internal error" not in message
    assert [path.name for path in tmp_path.iterdir()] == ["here.onnx"]


def test_a_missing_package_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert run(monkeypatch, "lite-atr", "--to", "onnx", "-o", tmp_path / "lite.onnx") == 1
    assert "humanparse[onnxruntime]" in capsys.readouterr().err
