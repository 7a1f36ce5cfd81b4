"""`humanparse export`: a model as ONNX or OpenVINO file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import hub
from ..errors import FormatError
from .console import say
from .options import optional


def export(
    model: Annotated[str, typer.Argument(help="See `humanparse models`.")],
    to: Annotated[str, typer.Option("--to", help="onnx or openvino.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .onnx or .xml file to write.")],
    weights: Annotated[Path | None, optional(help="Your own checkpoint file.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never use the network for weights.")] = False,
) -> None:
    """Write a model for another runtime, and print how closely the file agrees with the model.

    The file takes batches of any size. It contains the label names and how a photo becomes its input.
    """
    spec = hub.find_network(model, offline=offline or None)
    kind: Any = to  # `check_export` refuses unknown kinds
    from ..runtimes.export import check_export
    from ..runtimes.export import export as write
    from ..runtimes.loading import load_network

    check_export(spec, output, kind)
    if output.exists() and not force:
        raise FormatError(f"{output} is there already; give --force to replace it")
    path = weights if weights is not None else hub.fetch(spec, offline=offline or None)
    network = load_network(spec, path, published=weights is None and not spec.in_folder)
    found = write(network, spec, output, kind)
    say(
        f"{output}: {spec.name}, logits within {found.logits:.1e} (their standard deviation is "
        f"{found.deviation:.1e}), {found.labels:.3%} of the labels equal on a random picture"
    )
