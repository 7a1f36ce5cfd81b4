"""The record of a model in a folder that transformers' `save_pretrained` wrote."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..registry import ModelSpec, Source, WeightFile, pretrained_model
from . import huggingface

CONFIG, PREPROCESSOR, CARD = "config.json", "preprocessor_config.json", "README.md"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Names of weight files, in order of preference."""

MISSING = {
    CONFIG: "which would say what network it is",
    PREPROCESSOR: "which would say how a photo becomes its input; save_pretrained of its processor writes it",
}
"""End of the message when a file is missing: what the file is for."""

SHARDED = "its weights are in several files; save them in one, with save_pretrained(max_shard_size='100GB')"


def is_path(name: str) -> bool:
    """Whether a model's name is the path of a folder."""
    return "/" in name or os.sep in name or Path(name).is_dir()


def model(name: str) -> ModelSpec:
    """The model in a folder of the user."""
    folder = Path(name).expanduser().absolute()
    if not folder.is_dir():
        raise ModelError(
            f"{name}: no such folder; write a Hugging Face repository as hf:owner/name, and pass a single "
            "file as weights=, with the name of its model"
        )
    config, preprocessor = (_content(folder / file, name) for file in (CONFIG, PREPROCESSOR))
    weights = next((folder / file for file in WEIGHTS if (folder / file).is_file()), None)
    if weights is None:
        sharded = any((folder / f"{file}.index.json").is_file() for file in WEIGHTS)
        raise ModelError(
            f"{name}: {SHARDED if sharded else 'no ' + ' or '.join(WEIGHTS) + ' in this folder'}"
        )
    file = WeightFile(weights.name, (Source("folder", str(weights)),), weights.stat().st_size)
    card = huggingface.card(folder / CARD)
    return pretrained_model(name, f"the folder {folder.name}", config, preprocessor, card, file)


def read(text: str | bytes, file: str, name: str) -> dict[str, Any]:
    """The content of a JSON file, which must be an object."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise ModelError(f"{name}: {file} is not readable JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{name}: {file} holds no JSON object; download it again")
    return content


def _content(path: Path, name: str) -> dict[str, Any]:
    try:
        return read(path.read_bytes(), path.name, name)
    except FileNotFoundError as error:
        raise ModelError(f"{name}: no {path.name} in this folder, {MISSING[path.name]}") from error
    except OSError as error:
        raise ModelError(f"{name}: {path.name} cannot be read: {error.strerror or error}") from error
