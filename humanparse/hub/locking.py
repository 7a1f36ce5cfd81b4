"""A lock for work that only one process may do at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of `target`: one process and thread at a time makes it, and the others wait."""
    from filelock import FileLock

    with FileLock(target.with_name(target.name + ".lock")):
        yield
