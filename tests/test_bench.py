"""`humanparse bench`: all is measured; nothing here depends on how fast the machine is."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from golden import SMALL

from humanparse import Parser, image, registry
from humanparse.bench import _gflop, measure, random_weights, synthetic_photo
from humanparse.cli import main
from humanparse.pipelines.semantic import Semantic

STAGES = ["decode", "fit", "network", "back", "encode"]


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["humanparse", "bench", *map(str, arguments)])
    try:
        main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_synthetic_photo_has_the_size_asked_for() -> None:
    assert image.load(synthetic_photo(55, 83)).shape == (83, 55, 3)
    assert image.load(synthetic_photo(1, 1)).shape == (1, 1, 3)


def test_every_stage_is_timed_and_adds_up_to_the_throughput() -> None:
    costs = measure(Parser(device="cpu"), synthetic_photo(160, 120), batch=2, runs=1)
    assert list(costs.milliseconds) == STAGES and min(costs.milliseconds.values()) > 0
    assert costs.photos_per_second == pytest.approx(1000 / sum(costs.milliseconds.values()))
    assert costs.gflop_per_second == pytest.approx(
        1000 * costs.gflop_per_photo / costs.milliseconds["network"]
    )
    assert costs.matmul_gflop_per_second > 0 and (costs.photo, costs.input) == ((120, 160), (320, 448))


def test_schp_does_153_gflop_for_a_photo_and_twice_that_when_mirrored(tmp_path: Path) -> None:
    spec = registry.get("schp-lip")
    parser = Parser(spec.name, weights=random_weights(spec, tmp_path), device="cpu")
    pipeline = parser.pipeline
    assert isinstance(pipeline, Semantic)
    assert _gflop(spec, pipeline, (473, 473)) == pytest.approx(152.65, abs=0.01)
    assert _gflop(spec, replace(pipeline, flip=True), (473, 473)) == pytest.approx(305.30, abs=0.01)


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_the_command_prints_json_for_a_photo_of_ones_own(
    runtime: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip(runtime)
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path))
    photo = SMALL / "images" / "hopper_97x61.png"
    arguments = ("--photo", photo, "--runs", 1, "--device", "cpu", "--runtime", runtime, "--json")
    assert run(monkeypatch, *arguments) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert record["model"] == "lite-atr" and record["photo"] == [61, 97] and record["runtime"] == runtime
    assert list(record["milliseconds"]) == STAGES


def test_the_command_prints_a_table_without_weights_being_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("HUMANPARSE_HOME", str(tmp_path))
    monkeypatch.setenv("HUMANPARSE_OFFLINE", "1")
    arguments = ("ssseg-ce2p-r50-os16-lip", "--random", "--size", "80x60", "--runs", 1, "--device", "cpu")
    assert run(monkeypatch, *arguments) == 0
    printed = capsys.readouterr().out
    assert "photo 80x60" in printed and "of a matmul's" in printed
    assert [line.split()[0] for line in printed.splitlines()[2:7]] == STAGES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--size", "large"), "WIDTHxHEIGHT"),
        (("--size", "0x5"), "WIDTHxHEIGHT"),
        (("--photo", "gone.jpg"), "gone.jpg"),
        (("--runs", "0"), "at least 1"),
        (("schp-cihp",), "not a single network"),
        (("smp-r50-mhpv2",), "not a single network"),
    ],
)
def test_what_cannot_be_timed_is_an_error(
    arguments: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == 1
    message = capsys.readouterr().err
    assert words in message and "internal error" not in message
