"""`humanparse eval`: a model or a folder of predictions -> the tables of the papers."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import hub, registry
from .._version import __version__
from ..durable import write_file
from ..errors import FormatError, ModelError
from ..options import ParserOptions
from .console import out, show, tell, with_progress
from .options import optional, with_parser_options

if TYPE_CHECKING:
    from ..metrics.datasets import Dataset
    from ..metrics.kept import Kept
    from ..registry import Spec


_UNCHANGED = ParserOptions(precision="float32")
"""The options of `eval` if none of the model's is given."""


@with_parser_options(without=("model", "protocol"), precision=_UNCHANGED.precision)
def evaluate(
    dataset: Annotated[
        str,
        typer.Option(
            help="lip, atr, pascal, cihp or mhpv2; or own: a folder with images/ and labels/ (PNG label maps "
            "with the same stems, in the labels of --model).",
            show_default=False,
        ),
    ],
    root: Annotated[Path, typer.Option(help="Folder of the data set.", show_default=False)],
    model: Annotated[str | None, optional("-m", "--model", help="Score this model.")] = None,
    predictions: Annotated[
        Path | None, optional(help="Score this folder: label maps, or a CIHP or LV-MHP submission.")
    ] = None,
    split: Annotated[str | None, optional(help="Split (default: the one that papers score).")] = None,
    output: Annotated[Path | None, optional("-o", "--output", help="Also write the scores as JSON.")] = None,
    convention: Annotated[
        str | None, optional(help="How absent classes count: schp_ce2p, mce2p or ssseg.")
    ] = None,
    keep: Annotated[
        Path | None, optional(help="Folder for the model's label maps; a stopped run resumes from it.")
    ] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress, tables only.")] = False,
    *,
    options: ParserOptions,
) -> None:
    """Score a model, or predictions, on a data set: mIoU, and AP and PCP if people are told apart."""
    from ..metrics.datasets import read_dataset
    from ..metrics.evaluation import Evaluation
    from ..metrics.predictions import Predictions
    from . import scoreboard

    _refuse_what_cannot_be(model, predictions, output, options != _UNCHANGED or keep is not None)
    spec = None if model is None else hub.find_model(model, offline=options.offline)
    scheme = None if spec is None else spec.scheme
    data = read_dataset(dataset, root, split, photos=model is not None, scheme=scheme)
    evaluation = Evaluation(data, convention)
    kept: Kept | None = None
    if model is not None and spec is not None:
        _refuse_other_labels(spec, data)
        # Like the scripts behind the published scores. A model that finds people is scored on a submission,
        # where each pixel belongs to one person.
        options = replace(options, model=model, protocol="extract" if spec.finds_people else "score")
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
        write_file(output, json.dumps(_plain(scores), indent=2, allow_nan=False).encode())


_RARE = ("runtime", "test_size", "detector", "rule", "fast_decode")
"""Options stored with kept label maps only if they are set: older folders lack them."""


def _kept(options: ParserOptions, folder: Path, about: dict[str, str], quiet: bool) -> Kept:
    """Load the model, and make the folder of its label maps or check that its settings are the same."""
    from ..metrics.kept import Kept
    from ..parser import Parser

    parser = Parser.of(options, progress=False if quiet else None)
    settings = {
        "humanparse": __version__,
        "model": parser.spec.name,
        "weights": {role: hub.sha256(file) for role, file in parser.weights.items()},
        "flip": "default" if options.flip is None else options.flip,
        "scales": "default" if options.scales is None else list(options.scales),
        "precision": parser.precision,
        **{
            name: getattr(options, name)
            for name in _RARE
            if getattr(options, name) != getattr(ParserOptions, name)
        },
        **about,
    }
    kept = Kept(folder, settings, parser.predict, parser.finds_people)
    if not quiet:
        tell(f"{parser!r}, label maps in {folder}")
    return kept


def _refuse_what_cannot_be(
    model: str | None, predictions: Path | None, output: Path | None, of_model: bool
) -> None:
    if (model is None) == (predictions is None):
        raise ModelError("give one of --model NAME and --predictions DIR")
    if model is None and of_model:
        raise ModelError("--keep and the options of the model are about a --model, not about --predictions")
    if output is not None and not os.access(output.absolute().parent, os.W_OK):
        raise FormatError(f"cannot write {output}: check that the folder exists")


def _refuse_other_labels(spec: Spec, data: Dataset) -> None:
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


def _plain(value: Any) -> Any:
    """Replace NaN by None, because JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value
