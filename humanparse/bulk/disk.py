"""What a destination that cannot be written to means for a run: its end, and a way to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BulkError, FormatError


@contextmanager
def writing(dest: Path) -> Iterator[None]:
    """Say of every failure inside what to do about the disk.

    Raises:
        BulkError: a file could not be written or synchronised.
    """
    try:
        yield
    except (OSError, FormatError) as error:
        raise BulkError(
            f"outputs cannot be written to {dest} ({error}); see that the disk is neither full nor "
            "read-only, and resume with `resume=True`"
        ) from error
