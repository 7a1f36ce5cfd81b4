"""One file per foreign package or purpose; each imports its package when it is used.

`supervision`, `transformers`, `datasets`, `gradio`, `torchvision`, `label_studio`, `cvat` and `comfyui` speak
to the packages of these names; `cutout` and `agnostic` make pictures for others, `neck` the
labels of two try-on projects. LabelMe's files are
`Parsing.export("labelme", …)`.
"""

from __future__ import annotations

from ..errors import HumanParseError


def missing(package: str, extra: str, error: ImportError) -> HumanParseError:
    """The error that says which extra brings a package."""
    return HumanParseError(
        f'this adapter needs {package} ({error}); install it with pip install "humanparse[{extra}]"'
    )
