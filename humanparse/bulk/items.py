"""One input of a run: where it is, what was read from it, and what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from ..arrays import Picture

State = Literal["todo", "changed", "done", "failed"]


@dataclass(frozen=True)
class Listing:
    """An input as its source lists it.

    Attributes:
        place: what the source calls it; unique in the source.
        key: path of its outputs below the destination, without suffix, with `/` between folders.
        start: offset in bytes within a tar, or the number of a video's frame; 0 otherwise.
        size: size in bytes; None if it is not known before reading.
        modified: time of the last change in nanoseconds since 1970; None if unknown.
        fixed: whether its name cannot be changed by the user, as with an address. If another input has the
            same key, a hash is appended to this one.
    """

    place: str
    key: str
    start: int = 0
    size: int | None = None
    modified: int | None = None
    fixed: bool = False


@dataclass(frozen=True)
class JournalRow:
    """An input in the journal.

    Attributes:
        number: its position in the run, from 0; decides which inputs share a batch.
        found: its entry in the source's listing.
        state: the state of its outputs.
        sha256: hash of the bytes that were labelled; "" before that and where a source gives none.
    """

    number: int
    found: Listing
    state: State = "todo"
    sha256: str = ""


@dataclass(frozen=True)
class Content:
    """What was read of an input.

    Attributes:
        pixels: RGB uint8 (H, W, 3).
        sha256: hash of the bytes it was decoded from; "" where the source gives none (URLs, frames).
    """

    pixels: Picture
    sha256: str = ""


@dataclass(frozen=True)
class Statistics:
    """Statistics of an output, used to find the doubtful ones.

    Attributes:
        height, width: pixels.
        parts: part name -> share of the picture (0-1), for the parts that are there, without background.
        confidence: mean confidence (0-1) of the pixels that are not background, or of all pixels if all are
            background; None where the model gives none.
        person_share: share (0-1) of the pixels that are not background.
        unsure_share: share (0-1) of the pixels below `min_confidence`.
    """

    height: int
    width: int
    parts: dict[str, float]
    confidence: float | None
    person_share: float
    unsure_share: float


@dataclass(frozen=True)
class Outcome:
    """The result of labelling one input.

    Attributes:
        number: number of the input in the run.
        state: `"done"` or `"failed"`.
        sha256: hash of the bytes that were labelled.
        outputs: path below the destination -> size in bytes.
        statistics: statistics of its labels; None if it failed.
        error: why it failed.
        labels: a label PNG that is to be packed, if the labeller could not put it into the spool.
    """

    number: int
    state: State
    sha256: str = ""
    outputs: dict[str, int] = field(default_factory=dict)
    statistics: Statistics | None = None
    error: str = ""
    labels: bytes = field(default=b"", repr=False)


class Source(Protocol):
    """Where inputs come from."""

    in_order: bool = False
    """Whether inputs can only be read one after the other, as in a video."""

    def listing(self) -> Iterable[Listing]:
        """All inputs, in an order that does not change from run to run."""

    def read(self, found: Listing) -> Content:
        """Read and decode an input, in any thread; raises `ImageError` if that fails."""

    def left_out(self) -> Counter[str]:
        """Pictures that `listing` left out, counted by reason; complete after it. See `suffixes.told`."""
        return Counter()

    def photo(self, found: Listing) -> Path | str:
        """The path or URL of an input, or its name if it has neither, as in a tar."""
        return found.place
