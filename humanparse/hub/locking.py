"""One process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """One process and one thread at a time make `target`; the others wait, and then find it."""
    from filelock import FileLock

    with FileLock(target.with_name(target.name + ".lock")):
        yield
