"""Finds the record of a model by its name, Hugging Face repository or folder."""

from __future__ import annotations

import os

from .. import registry
from ..registry import ModelSpec, Spec
from . import environment, folders, repositories


def find_model(name: str | os.PathLike[str], *, offline: bool | None = None) -> Spec:
    """The record of a model.

    Args:
        name: one of `humanparse.list_models()`; or a SegFormer in the format of transformers, either
            `"hf:owner/name"` or `"hf:owner/name@revision"` on the Hugging Face hub, or the path of a folder.
            The commit of a repository is recorded on first use; later calls use the same commit.
        offline: as for `fetch`.

    Raises:
        ModelError: there is no such model, or the repository or folder holds no model that is supported.
        UnreachableError: the hub cannot be reached, or the network is off.
        WeightsError: a file differs from the recorded one.

    Examples:
        >>> import humanparse
        >>> humanparse.model_info("schp-lip").scheme
        LabelScheme('lip', 20 labels)
    """
    name = os.fspath(name)
    if name.startswith("hf:"):
        return repositories.model(name, offline=environment.offline(offline))
    if name not in registry.names() and folders.is_path(name):
        return folders.model(name)
    return registry.get(name)


def find_network(name: str | os.PathLike[str], *, offline: bool | None = None) -> ModelSpec:
    """Like `find_model`, but only for models of one network.

    Raises:
        ModelError: as `find_model`, or the model has several networks; the message lists them.

    Examples:
        >>> from humanparse import hub
        >>> hub.find_network("schp-lip").input.size
        (473, 473)
    """
    return registry.single(find_model(name, offline=offline))
