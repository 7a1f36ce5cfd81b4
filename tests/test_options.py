"""`ParserOptions`: one value for the library, bulk runs, the service and the command line."""

from __future__ import annotations

import inspect
import pickle
import shutil
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import typer.main
from command import Run, runner

from humanparse import ModelError, Parser, ParserOptions
from humanparse.cli import app


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    shutil.copy(Path(__file__).parents[1] / "examples" / "grace_hopper.jpg", tmp_path / "x.jpg")
    return runner(tmp_path, monkeypatch, capsys)


NAMES = {field.name for field in fields(ParserOptions)}
LEFT_OUT = {
    "predict": set(),
    "label": set(),
    "integratedpifu": set(),
    "eval": {"protocol"},  # what the papers' scripts did
    "serve": {"fast_decode"},  # the service decodes photos whole, and so do these:
    "bench": {"fast_decode"},
    "cutout": {"fast_decode"},
    "agnostic": {"fast_decode"},
}
OTHERS = {"contact-sheet", "models", "info", "download", "verify", "convert", "export", "doctor"}
GIVEN = {
    "weights": ("mine.pth", "mine.pth"),
    "device": ("cuda:1", "cuda:1"),
    "precision": ("bf16", "bf16"),
    "runtime": ("onnxruntime", "onnxruntime"),
    "flip": (None, True),
    "scales": ("0.75,1,1.25", (0.75, 1.0, 1.25)),
    "protocol": ("paper", "paper"),
    "test_size": ("64,96", (64, 96)),
    "detector": ("maskrcnn_resnet50_fpn_v2", "maskrcnn_resnet50_fpn_v2"),
    "rule": ("mce2p", "mce2p"),
    "fast_decode": (None, True),
    "offline": (None, True),
}
"""Option -> its word on the command line, None for a flag, and its value."""


def commands() -> dict[str, Any]:
    return typer.main.get_command(app).commands  # type: ignore[attr-defined, no-any-return]


def test_parser_takes_the_options_with_the_same_defaults() -> None:
    taken = dict(inspect.signature(Parser).parameters)
    assert taken.pop("progress").default is None
    assert taken.keys() == NAMES
    assert all(taken[field.name].default == field.default for field in fields(ParserOptions))


@pytest.mark.parametrize("name", LEFT_OUT)
def test_no_command_that_parses_photos_lacks_an_option(name: str) -> None:
    offered = {param.name: param for param in commands()[name].params}
    expected = NAMES - LEFT_OUT[name] - ({"model"} if name == "serve" else set())
    assert expected <= offered.keys() and not LEFT_OUT[name] & offered.keys()
    own = {("integratedpifu", "model"), ("eval", "model"), ("eval", "precision"), ("serve", "weights")}
    reference = {param.name: param for param in commands()["predict"].params}
    for option in expected - {option for command, option in own if command == name} - {"model"}:
        assert offered[option].help == reference[option].help, option
        assert offered[option].default == reference[option].default, option


def test_every_command_either_takes_the_options_or_parses_no_photos() -> None:
    assert commands().keys() == LEFT_OUT.keys() | OTHERS


def test_words_of_the_command_line_become_options(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ParserOptions] = []

    def note(options: ParserOptions, progress: bool | None = None) -> Parser:
        seen.append(options)
        raise ModelError("noted")

    monkeypatch.setattr(Parser, "of", note)
    words = []
    for name, (word, _) in GIVEN.items():
        words += [f"--{name.replace('_', '-')}", *([] if word is None else [word])]
    for command in (["predict", "x.jpg"], ["label", ".", "-o", "labels"]):
        assert "noted" in run(*command, "--model", "lite-atr", *words).err
    assert GIVEN.keys() == NAMES - {"model"}
    assert seen == [ParserOptions("lite-atr", **{name: value for name, (_, value) in GIVEN.items()})] * 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scales", "big"), "--scales takes numbers"),
        (("--test-size", "473"), "--test-size takes two numbers"),
        (("--test-size", "473x473"), "--test-size takes two numbers"),
        (("--weights", "a.pth", "--weights", "b.pth"), "say which is which"),
    ],
)
def test_unreadable_words_are_errors_of_one_line(run: Run, words: tuple[str, ...], said: str) -> None:
    failed = run("predict", "x.jpg", *words)
    assert failed.status == 1 and said in failed.err


def test_options_are_a_value_that_travels() -> None:
    options = ParserOptions("schp-cihp", weights={"global": "a.pth"}, test_size=(64, 96), flip=True)
    assert pickle.loads(pickle.dumps(options)) == options
    assert ParserOptions.of(options) is options and ParserOptions.of("schp-lip") == ParserOptions("schp-lip")
    assert all(field.default is not MISSING for field in fields(ParserOptions))


def test_a_parser_knows_the_options_that_make_it_again() -> None:
    parser = Parser("lite-atr", device="cpu", test_size=(64, 96), flip=True)
    assert parser.options == ParserOptions("lite-atr", device="cpu", test_size=(64, 96), flip=True)
    assert repr(Parser.of(parser.options)) == repr(parser)
