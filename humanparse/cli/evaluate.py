"""`humanparse eval`: a model or a folder of predictions -> the tables of the papers."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import hub
from .._version import __version__
from ..durable import replacing
from ..errors import FormatError, ModelError
from .console import err, out, show, with_progress
from .predict import read_weights

if TYPE_CHECKING:
    from ..geometry import Protocols
    from ..metrics.datasets import Dataset
    from ..metrics.kept import Kept
    from ..parser import Parser
    from ..registry import Spec


def evaluate(
    dataset: Annotated[
        str,
        typer.Option(
            help="lip, atr, pascal, cihp or mhpv2; or own: a folder with images/ and labels/, PNG label maps "
            "of the same stems in the labels of --model.",
            show_default=False,
        ),
    ],
    root: Annotated[Path, typer.Option(help="Folder of the data set.", show_default=False)],
    model: Annotated[str | None, typer.Option("-m", "--model", help="Score this model.")] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Score this folder: label maps, or a CIHP or LV-MHP submission.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Default: the one that papers score on.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Also write JSON.")] = None,
    convention: Annotated[
        str | None, typer.Option(help="How absent classes count: schp_ce2p, mce2p or ssseg.")
    ] = None,
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Average with the mirrored photo.", show_default=False),
    ] = None,
    scales: Annotated[str | None, typer.Option(help="Average over sizes, such as 0.75,1,1.25.")] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(help="A checkpoint file of your own; ROLE=FILE for one of several.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32 as published, bf16, fp16 or auto.")] = "float32",
    keep: Annotated[
        Path | None,
        typer.Option(help="Folder for the model's label maps, from which a stopped run resumes."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network for weights.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, tables only.")] = False,
) -> None:
    """Score a model, or predictions, on a data set: mIoU, and AP and PCP where people are known apart."""
    from ..metrics.datasets import read_dataset
    from ..metrics.evaluation import Evaluation
    from ..metrics.predictions import Predictions
    from . import scoreboard

    _refuse_what_cannot_be(model, predictions, output, (flip, scales, weights, keep))
    spec = None if model is None else hub.find_model(model, offline=offline or None)
    scheme = None if spec is None else spec.scheme
    data = read_dataset(dataset, root, split, photos=model is not None, scheme=scheme)
    evaluation = Evaluation(data, convention)
    kept: Kept | None = None
    if model is not None and spec is not None:
        _refuse_other_labels(spec, data)
        protocol: Protocols = "extract" if spec.finds_people else "score"
        options = _Options(model, weights, device, precision, flip, _numbers(scales), protocol, offline)
        predictions = keep or Path("predictions") / f"{data.key}-{data.split}-{spec.filename.lower()}"
        kept = _kept(options, predictions, {"dataset": data.key, "root": str(root.resolve())}, quiet)
    assert predictions is not None
    found = Predictions(predictions, data.scheme)
    if kept is None:
        _refuse_gaps(found.missing([sample.stem for sample in data]), len(data), predictions)
    for position, sample in enumerate(with_progress(data, "scoring", quiet)):
        if kept is not None:
            kept.make(sample)
        evaluation.add(sample, found, position)
    scores = {
        "dataset": data.key,
        "split": data.split,
        "photos": len(data),
        "predictions": str(predictions) if kept is None else kept.settings,
        **evaluation.scores(),
    }
    for heading, table in scoreboard.tables(scores).items():
        out.print(heading, style="bold", highlight=False, markup=False, soft_wrap=True)
        show(table)
    if output is not None:
        _write(scores, output)


@dataclass(frozen=True)
class _Options:
    """What the command line says about the model."""

    model: str
    weights: list[str] | None
    device: str
    precision: str
    flip: bool | None
    scales: tuple[float, ...] | None
    protocol: Protocols
    offline: bool

    def parser(self, quiet: bool) -> Parser:
        """The model, answering as the scripts did that printed the published scores.

        A model that finds people is scored on a submission of them, where each pixel is one person's.
        """
        from ..parser import Parser

        return Parser(
            self.model,
            weights=read_weights(self.weights),
            device=self.device,
            precision=self.precision,  # type: ignore[arg-type]  # Parser checks it
            flip=self.flip,
            scales=self.scales,
            protocol=self.protocol,
            offline=self.offline or None,
            progress=False if quiet else None,
        )


def _kept(options: _Options, folder: Path, about: dict[str, str], quiet: bool) -> Kept:
    """Load the model, and make the folder of its label maps or see that it was made like this."""
    from ..metrics.kept import Kept

    parser = options.parser(quiet)
    settings = {
        "humanparse": __version__,
        "model": parser.spec.name,
        "weights": {role: hub.sha256(file) for role, file in parser.weights.items()},
        "flip": "default" if options.flip is None else options.flip,
        "scales": "default" if options.scales is None else list(options.scales),
        "precision": parser.precision,
        **about,
    }
    kept = Kept(folder, settings, parser.predict, parser.finds_people)
    if not quiet:
        line = f"{parser!r}, label maps in {folder}"
        err.print(line, highlight=False, markup=False, soft_wrap=True)
    return kept


def _refuse_what_cannot_be(
    model: str | None, predictions: Path | None, output: Path | None, of_model: tuple[object, ...]
) -> None:
    if (model is None) == (predictions is None):
        raise ModelError("give one of --model NAME and --predictions DIR")
    if model is None and any(option is not None for option in of_model):
        raise ModelError(
            "--flip, --scales, --weights and --keep are about a --model, not about --predictions"
        )
    if output is not None and not os.access(output.absolute().parent, os.W_OK):
        raise FormatError(f"cannot write {output}: check that the folder exists")


def _refuse_other_labels(spec: Spec, data: Dataset) -> None:
    from .. import registry

    scheme = spec.scheme
    if scheme.names != data.scheme.names:
        fitting = [name for name in registry.names() if registry.get(name).scheme.names == data.scheme.names]
        raise ModelError(
            f"{spec.name} has {scheme.key}'s labels, {data.key} has {data.scheme.key}'s; "
            f"models that fit: {', '.join(fitting) or 'none'}"
        )


def _refuse_gaps(missing: list[str], count: int, folder: Path) -> None:
    if missing:
        few = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        raise FormatError(f"{folder}: no label map of {len(missing)} of {count} photos: {few}")


def _numbers(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError as error:
        raise ModelError(f"--scales takes numbers such as 0.75,1,1.25, not {text!r}") from error


def _write(scores: dict[str, Any], path: Path) -> None:
    try:
        with replacing(path) as part:
            part.write_text(json.dumps(_plain(scores), indent=2, allow_nan=False), encoding="utf-8")
    except OSError as error:
        raise FormatError(f"cannot write {path}: {error.strerror or error}") from error


def _plain(value: Any) -> Any:
    """JSON has no NaN: where nothing was counted stands null."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
