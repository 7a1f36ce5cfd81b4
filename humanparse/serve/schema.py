"""The JSON of the service's answers, as OpenAPI describes it."""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Len
from pydantic import BaseModel, Field

Size = Annotated[list[int], Len(2, 2)]
Box = Annotated[list[int], Len(4, 4), Field(description="x0, y0, x1, y1 in pixels, half-open.")]


class RunLengths(BaseModel):
    """COCO run lengths of the whole picture, column by column; the first run counts zeros."""

    size: Annotated[Size, Field(description="Height and width in pixels.")]
    counts: list[int]


class Part(BaseModel):
    """The pixels of one label."""

    label: int
    name: str
    pixels: int
    share: Annotated[float, Field(description="Share of the picture, 0 to 1.")]
    box: Box
    rle: RunLengths


class Label(BaseModel):
    """A label of the scheme."""

    label: int
    name: str
    color: Annotated[list[int], Len(3, 3), Field(description="Red, green, blue, 0-255.")]


class Person(BaseModel):
    """A person and their parts."""

    id: int
    score: float
    box: Box
    part_scores: Annotated[
        dict[str, float],
        Field(description="Name of a part -> its score, which ranks parts and is no probability."),
    ]
    rle: RunLengths
    parts: list[Part]


class Parsing(BaseModel):
    """Which part of which person every pixel of a photo is."""

    model: str
    scheme: str
    size: Annotated[Size, Field(description="Height and width in pixels.")]
    classes: list[Label]
    groups: Annotated[
        dict[str, list[int]], Field(description="Name of each group of the scheme -> its labels.")
    ]
    parts: list[Part]
    people: list[Person]
    cleaning: Annotated[
        list[dict[str, Any]],
        Field(default_factory=list, description="How the labels were cleaned, the first step first."),
    ]
    milliseconds: float


class Model(BaseModel):
    """A served model."""

    name: str
    scheme: Annotated[str, Field(description="Key of the model's own label scheme.")]
    classes: Annotated[int, Field(description="Number of its labels.")]
    people: Annotated[bool, Field(description="Whether it can tell people apart.")]
    licence: Annotated[str, Field(description="Licence of the weights.")]
    loaded: bool
    schemes: Annotated[list[str], Field(description="Schemes in which it can answer.")]


class Models(BaseModel):
    """All served models."""

    default: str
    models: list[Model]
    schemes: Annotated[list[str], Field(description="Schemes in which the default model can answer.")]


class Error(BaseModel):
    """Why there is no answer, and what to do."""

    code: str
    message: str


class Refused(BaseModel):
    """The body of every error answer."""

    error: Error
