"""Settings from the environment: where files are stored, and whether the network may be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from ..registry import WeightFile

OFFLINE = ("HUMANPARSE_OFFLINE", "HF_HUB_OFFLINE")


class Downloadable(Protocol):
    """Anything with one file to download: a network, a detector, or a file of a known answer.

    Examples:
        >>> from humanparse import hub
        >>> spec: hub.Downloadable = hub.find_network("schp-lip")
        >>> spec.name
        'schp-lip'
    """

    @property
    def name(self) -> str:
        """Its name, which is also the name of its folder in the cache."""

    @property
    def file(self) -> WeightFile:
        """The record of its file."""


def cache_dir() -> Path:
    """The folder of all downloads.

    It is `HUMANPARSE_HOME` if set, else the folder humanparse in `XDG_CACHE_HOME`, else in `~/.cache`.

    Examples:
        >>> from humanparse import hub
        >>> hub.cache_dir().is_absolute()
        True
    """
    if home := os.environ.get("HUMANPARSE_HOME"):
        return Path(home).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "humanparse"


def place(spec: Downloadable) -> Path:
    """The path of the model's file in the cache, where you may also put it yourself. It need not exist yet.

    Examples:
        >>> from humanparse import hub
        >>> hub.place(hub.find_model("schp-lip")).parent.name
        'schp-lip'
    """
    source = next(iter(spec.file.sources), None)
    if source is not None and source.kind == "folder":
        return Path(source.url)
    if source is not None and spec.name.startswith("hf:"):
        return repository_dir(source.repo or "") / (source.revision or "main") / spec.file.filename
    return cache_dir() / "models" / spec.name / spec.file.filename


def repository_dir(repo: str) -> Path:
    """The folder with the records and files of a repository that is named by `hf:`."""
    return cache_dir() / "models" / "hf" / repo


def offline(flag: bool | None = None) -> bool:
    """Whether the network must not be used.

    Args:
        flag: the caller's choice; it wins over the environment. None reads `HUMANPARSE_OFFLINE` and
            `HF_HUB_OFFLINE`: the values 1, ON, YES and TRUE, in any case, mean yes, as in huggingface_hub.

    Examples:
        >>> from humanparse import hub
        >>> hub.offline(True)
        True
    """
    if flag is not None:
        return flag
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in OFFLINE)
