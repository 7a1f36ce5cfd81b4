"""Ends a run with advice when its destination cannot be written to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import BulkError, FormatError


@contextmanager
def writing(dest: Path) -> Iterator[None]:
    """Turn write errors inside the block into a `BulkError` that says what to do.

    Raises:
        BulkError: a file could not be written or synchronised.
    """
    try:
        yield
    except (OSError, FormatError) as error:
        raise BulkError(
            f"outputs cannot be written to {dest} ({error}); check that the disk is neither full nor "
            "read-only, and resume with `resume=True`"
        ) from error
