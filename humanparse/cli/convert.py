"""`humanparse convert`: any published checkpoint -> clean safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import hub
from ..errors import WeightsError
from .console import say


def convert(
    source: Annotated[Path, typer.Argument(help="Checkpoint in any published form.")],
    target: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
    model: Annotated[str, typer.Option("-m", "--model", help="The model it belongs to.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Check a checkpoint against a model and write it as safetensors; code in it is never run."""
    spec = hub.find_network(model)
    if target.suffix != ".safetensors":
        raise WeightsError(f"{target}: the name of the result must end in .safetensors")
    if target.exists() and not force:
        raise WeightsError(f"{target} is there already; give --force to replace it")
    import torch

    from .. import checkpoint, models

    state = checkpoint.of_use(checkpoint.load(source), spec)
    with torch.device("meta"):
        network = models.build(models.read_off(spec, state))
    checkpoint.check(state, network.state_dict(), spec, source.name)
    checkpoint.save(state, target, {"humanparse_model": spec.name, "source": source.name})
    say(f"{target}: {len(state)} tensors of {spec.name}")
