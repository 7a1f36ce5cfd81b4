"""Adapters to other packages: one module for each package or purpose, which imports the package when used.

`supervision`, `transformers`, `datasets`, `gradio`, `torchvision`, `label_studio`, `cvat` and `comfyui` work
with the packages of these names. `cutout`, `matte`, `agnostic` and `recipes` make pictures and masks; `neck`
makes the labels that two try-on projects need. For LabelMe, see `Parsing.export`.
"""

from __future__ import annotations

from ..errors import HumanParseError


def missing(package: str, extra: str, error: ImportError) -> HumanParseError:
    """The error for a missing package; it names the extra that installs it."""
    return HumanParseError(
        f'this adapter needs {package} ({error}); install it with pip install "humanparse[{extra}]"'
    )
