"""One input of a run: where it is, what was read of it, what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from ..arrays import Picture

State = Literal["todo", "changed", "done", "failed"]


@dataclass(frozen=True)
class Found:
    """An input as its source lists it.

    Attributes:
        place: what the source calls it; no two are alike.
        key: path of its outputs below the destination, without suffix, with `/` between folders.
        start: byte where it begins in a tar, or number of a video's frame; 0 otherwise.
        size: bytes, None where they are not known beforehand.
        modified: nanoseconds since 1970, None likewise.
        fixed: whether nobody can rename it: where another input has its key, its own gets longer.
    """

    place: str
    key: str
    start: int = 0
    size: int | None = None
    modified: int | None = None
    fixed: bool = False


@dataclass(frozen=True)
class Item:
    """An input in the journal.

    Attributes:
        number: its place in the run, from 0; decides which inputs share a batch.
        found: how the source knows it.
        state: what is known of its outputs.
        sha256: of the bytes that were labelled, "" before and where there are none.
    """

    number: int
    found: Found
    state: State = "todo"
    sha256: str = ""


@dataclass(frozen=True)
class Content:
    """What was read of an input.

    Attributes:
        pixels: RGB uint8 (H, W, 3).
        sha256: of the bytes it was decoded from, "" where the source gives none (URLs, frames).
    """

    pixels: Picture
    sha256: str = ""


@dataclass(frozen=True)
class Statistics:
    """What an output looks like, for finding the doubtful ones.

    Attributes:
        height, width: pixels.
        parts: share (0-1) of the picture of each part that is there, by name, background left out.
        confidence: mean (0-1) over all pixels that are not background, or over all where there are no
            others; None where the model gives none.
        person_share: pixels that are not background, as a share (0-1) of the picture.
        unsure_share: pixels below the least confidence that was asked for (0-1).
    """

    height: int
    width: int
    parts: dict[str, float]
    confidence: float | None
    person_share: float
    unsure_share: float


@dataclass(frozen=True)
class Outcome:
    """What became of an input.

    Attributes:
        number: whose outcome it is.
        state: `"done"` or `"failed"`.
        sha256: of the bytes that were labelled.
        outputs: path below the destination -> size in bytes.
        statistics: of its labels; None where it failed.
        error: why it failed.
    """

    number: int
    state: State
    sha256: str = ""
    outputs: dict[str, int] = field(default_factory=dict)
    statistics: Statistics | None = None
    error: str = ""


class Source(Protocol):
    """Where inputs come from."""

    in_order: bool
    """Whether items can only be read one after the other, as in a video."""

    def listing(self) -> Iterable[Found]:
        """All inputs, in an order that does not change from run to run."""

    def read(self, found: Found) -> Content:
        """Read and decode an input, in any thread; raises `ImageError` where it cannot be had."""

    def left_out(self) -> Counter[str]:
        """What looks like a picture and was not listed, once `listing` is through: see `suffixes.told`."""

    def photo(self, found: Found) -> Path | str:
        """The file of an input, or its address; what it is called where it is neither, as in a tar."""
