"""What the user's environment says: where files are kept, and whether the network may be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from ..registry import WeightFile

OFFLINE = ("HUMANPARSE_OFFLINE", "HF_HUB_OFFLINE")


class Downloadable(Protocol):
    """Anything with one file: a network, a detector, or a file of a known answer."""

    @property
    def name(self) -> str:
        """As its folder in the cache."""

    @property
    def file(self) -> WeightFile:
        """The file."""


def cache_dir() -> Path:
    """The folder of all downloads: `HUMANPARSE_HOME`, or humanparse in `XDG_CACHE_HOME`, or in ~/.cache."""
    if home := os.environ.get("HUMANPARSE_HOME"):
        return Path(home).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "humanparse"


def place(spec: Downloadable) -> Path:
    """Where the model's file is kept, and where a user may put it by hand. It may not be there yet."""
    source = next(iter(spec.file.sources), None)
    if source is not None and source.kind == "folder":
        return Path(source.url)
    if source is not None and spec.name.startswith("hf:"):
        return repository_dir(source.repo or "") / (source.revision or "main") / spec.file.filename
    return cache_dir() / "models" / spec.name / spec.file.filename


def repository_dir(repo: str) -> Path:
    """Where the records and files of a repository named by `hf:` are kept."""
    return cache_dir() / "models" / "hf" / repo


def offline(flag: bool | None = None) -> bool:
    """Whether the network must not be used.

    Args:
        flag: the caller's choice, which wins; None reads `HUMANPARSE_OFFLINE` and `HF_HUB_OFFLINE`, where 1,
            ON, YES and TRUE in any case mean yes, as in huggingface_hub.
    """
    if flag is not None:
        return flag
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in OFFLINE)
