"""A model by name, as a repository of the hub, or as a folder -> its record."""

from __future__ import annotations

import os

from .. import registry
from ..registry import ModelSpec, Spec
from . import environment, folders, repositories


def find_model(name: str | os.PathLike[str], *, offline: bool | None = None) -> Spec:
    """The model of that name, repository or folder.

    Args:
        name: one of `humanparse.list_models()`; or a SegFormer in the form of transformers, by its repository
            on the Hugging Face hub, as `"hf:owner/name"` or `"hf:owner/name@revision"`, or by the path of its
            folder. Of a repository the commit is recorded on first use, and taken from then on.
        offline: as for `fetch`.

    Raises:
        ModelError: no such model; or a repository or folder that holds none, or one that asks for what we do
            not have.
        UnreachableError: the hub cannot be reached, or the network is off.
        WeightsError: a file that is not what was recorded.
    """
    name = os.fspath(name)
    if name.startswith("hf:"):
        return repositories.model(name, offline=environment.offline(offline))
    if name not in registry.names() and folders.is_path(name):
        return folders.model(name)
    return registry.get(name)


def find_network(name: str | os.PathLike[str], *, offline: bool | None = None) -> ModelSpec:
    """As `find_model`, for a model that must be of one network.

    Raises:
        ModelError: one of several networks; the message lists them.
    """
    return registry.single(find_model(name, offline=offline))
