"""Adapters to other packages: one module for each package or purpose, which imports the package when used.

`supervision`, `transformers`, `datasets`, `gradio`, `torchvision`, `label_studio`, `cvat` and `comfyui` work
with the packages of these names. `cutout`, `matte`, `agnostic` and `recipes` make pictures and masks; `neck`
makes the labels that two try-on projects need. For LabelMe, see `Parsing.export`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import HumanParseError


@contextmanager
def needing(package: str, extra: str) -> Iterator[None]:
    """If the block cannot import the package, raise an error that names the extra that installs it."""
    try:
        yield
    except ImportError as error:
        raise HumanParseError(
            f'this adapter needs {package} ({error}); install it with pip install "humanparse[{extra}]"'
        ) from error
