"""Hugging Face `datasets`: adds columns of labels to a column of photos.

    photos = photos.cast_column("image", datasets.Image(decode=False))
    columns = label_columns("schp-lip")
    labelled = photos.map(columns, batched=True, batch_size=8, features=columns.features(photos.features))

If a photo cannot be read, its row has the reason in `error`. This needs `decode=False`: otherwise `datasets`
itself reads the photos, and raises an error for a broken one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from .._version import __version__
from ..bulk.tables import inside
from ..errors import DatasetError, ImageError
from ..options import ParserOptions
from ..registry import DEFAULT
from ..schemes import voc_palette
from . import needing

if TYPE_CHECKING:
    from datasets import Features

    from ..parser import Parser
    from ..results import Parsing


@dataclass(frozen=True)
class LabelColumns:
    """A function for `Dataset.map(…, batched=True)`; it loads its model in each process that calls it.

    `datasets` caches the function's results by its attributes. So if your own checkpoint file changes but
    keeps its name, you get the old labels until you clear the cache.

    Attributes:
        options: the model.
        image_column: photos: PIL images, `{"bytes", "path"}` as `datasets.Image(decode=False)` gives, arrays,
            paths or URLs.
        label_column: new column of PIL images of mode P: label numbers with the PASCAL-VOC palette; None for
            photos that could not be read.
        parts_column: new column: name, pixels and share (0-1) of the photo for each part.
        error_column: new column: None, or the reason why a photo could not be read.
        batch_size: photos that go through the network together.
        version: humanparse's, so that another one does not take its cached labels.

    Examples:
        >>> from humanparse.adapters.datasets import label_columns
        >>> columns = label_columns("lite-atr", label_column="mask")
        >>> columns.label_column
        'mask'
    """

    options: ParserOptions
    image_column: str = "image"
    label_column: str = "labels"
    parts_column: str = "parts"
    error_column: str = "error"
    batch_size: int = 8
    version: str = __version__

    def __call__(self, batch: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """Columns of a batch of rows -> their new columns.

        Raises:
            DatasetError: there is no such column.
            HumanParseError: the model cannot be loaded.
        """
        if self.image_column not in batch:
            raise DatasetError(
                f"the data set has no column {self.image_column!r}, only {', '.join(batch)}; "
                "name the column of photos: image_column=…"
            )
        sources = [inside(row) for row in batch[self.image_column]]
        found: dict[str, list[Any]] = {self.label_column: [], self.parts_column: [], self.error_column: []}
        for outcome in self._parser.predict_many(sources, batch_size=self.batch_size, on_error="yield"):
            if isinstance(outcome, Exception) and not isinstance(outcome, ImageError):
                raise outcome
            failed = isinstance(outcome, Exception)
            found[self.label_column].append(None if isinstance(outcome, Exception) else _picture(outcome))
            found[self.parts_column].append([] if isinstance(outcome, Exception) else _parts(outcome))
            found[self.error_column].append(str(outcome) if failed else None)
        return found

    def features(self, before: Features) -> Features:
        """The features of the data set that `map` returns, for its argument `features`.

        Args:
            before: the features of the data set before `map`.

        Raises:
            HumanParseError: datasets is not installed.
        """
        with needing("datasets", "datasets"):
            import datasets
        part = {
            "name": datasets.Value("string"),
            "pixels": datasets.Value("int64"),
            "share": datasets.Value("float64"),
        }
        new = {
            self.label_column: datasets.Image(),
            self.parts_column: [part],
            self.error_column: datasets.Value("string"),
        }
        return datasets.Features({**before, **new})

    @cached_property
    def _parser(self) -> Parser:
        from ..parser import Parser

        return Parser.of(self.options)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # the parser stays here


def label_columns(
    model: str | ParserOptions = DEFAULT,
    *,
    image_column: str = "image",
    label_column: str = "labels",
    parts_column: str = "parts",
    error_column: str = "error",
    batch_size: int = 8,
) -> LabelColumns:
    """A function for `Dataset.map(…, batched=True)`; see `LabelColumns`.

    Args:
        model: a name of `humanparse.list_models()`, or `humanparse.ParserOptions`.
        image_column, label_column, parts_column, error_column, batch_size: see `LabelColumns`.

    Examples:
        >>> from humanparse.adapters.datasets import label_columns
        >>> columns = label_columns("lite-atr")
        >>> columns({"image": ["examples/grace_hopper.jpg"]})["error"]
        [None]
    """
    options = ParserOptions.of(model)
    return LabelColumns(options, image_column, label_column, parts_column, error_column, batch_size)


def _picture(parsing: Parsing) -> Image.Image:
    height, width = parsing.size
    picture = Image.frombytes("P", (width, height), np.ascontiguousarray(parsing.labels).tobytes())
    picture.putpalette([value for colour in voc_palette() for value in colour])
    picture.format = "PNG"  # otherwise datasets would write it as TIFF
    return picture


def _parts(parsing: Parsing) -> list[dict[str, Any]]:
    return [{"name": part.name, "pixels": part.pixels, "share": part.share} for part in parsing.parts()]
