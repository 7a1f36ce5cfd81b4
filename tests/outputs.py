"""What a run wrote, and which of its files are not as expected."""

from __future__ import annotations

from pathlib import Path


def files(folder: Path) -> dict[str, bytes]:
    """Name below the folder -> content of all files but a run's own."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".humanparse" not in path.parts
    }


def differing(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Names of files that are missing, too many, or have other bytes: a failing test shows these alone."""
    return sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
