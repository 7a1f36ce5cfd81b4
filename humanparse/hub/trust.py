"""Checks whether a file is the wanted one, by its size and its published or recorded sha256."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from ..addresses import printable
from ..errors import WeightsError
from ..impostors import stand_in
from ..registry import WeightFile

# Files that this process has hashed already: path -> (size, mtime, sha256).
_hashed: dict[Path, tuple[int, int, str]] = {}


def fault(path: Path, wanted: WeightFile, *, fresh: bool = False) -> str | None:
    """The reason why the file at `path` is not the wanted one; None if its size and hash agree.

    Args:
        path: the file.
        wanted: size and hash; each is checked if it is known.
        fresh: the file was just written, so hash it even if its size and time are those of an earlier file.
    """
    if fresh:
        _hashed.pop(path, None)
    size, reason = path.stat().st_size, None
    if wanted.size is not None and size != wanted.size:
        reason = f"{size} bytes, expected {wanted.size}"
    elif wanted.sha256 is not None and (found := sha256(path)) != wanted.sha256:
        reason = f"sha256 is {found}, expected {wanted.sha256}"
    elif size == 0:
        reason = "it is empty"
    if reason is not None or wanted.sha256 is None:
        with path.open("rb") as file:
            reason = stand_in(file.read(512)) or reason
    return reason


def sha256(path: Path) -> str:
    """The sha256 of a file in lower-case hex. A file is read once per process, and again if it changes.

    Examples:
        >>> from humanparse import hub
        >>> len(hub.sha256(hub.fetch(hub.find_model("lite-atr"))))
        64
    """
    status = path.stat()
    known = _hashed.get(path)
    if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
        return known[2]
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    _hashed[path] = (status.st_size, status.st_mtime_ns, digest.hexdigest())
    return digest.hexdigest()


def rename(checked: Path, target: Path) -> None:
    """Give a checked file its final name, atomically, and keep its known hash."""
    os.replace(checked, target)
    _hashed.pop(target, None)
    if checked in _hashed:
        _hashed[target] = _hashed.pop(checked)


def record_path(target: Path) -> Path:
    """The record of a file trusted on first use; it is beside the file."""
    return target.with_name(target.name + ".trust.json")


def pinned(file: WeightFile, target: Path) -> WeightFile:
    """`file` with the recorded size and hash, if no hash was published and `target` was trusted before.

    Raises:
        WeightsError: the record exists but cannot be read; it is never replaced silently.
    """
    if file.sha256 is not None:
        return file
    path = record_path(target)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return replace(file, sha256=str(record["sha256"]), size=int(record["size"]))
    except FileNotFoundError:
        return file
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{path} is damaged, so the trusted hash of {file.filename} is not known: {error!r}\n"
            "Check where the file came from, then delete this record to trust it again, or pass weights=PATH."
        ) from error


def remember(target: Path, url: str) -> None:
    """Record the hash of a file that is used for the first time, and warn that nothing else confirms it.

    Args:
        target: the file.
        url: its source; user names and queries are not recorded.
    """
    path, digest, url = record_path(target), sha256(target), printable(url)
    record = {
        "sha256": digest,
        "size": target.stat().st_size,
        "url": url,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    said = f"{target.name} has no published sha256 and is trusted on first use: {digest}, from {url}"
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:  # a read-only cache can be used, but not written
        warnings.warn(f"{said}; this could not be recorded: {error}", UserWarning, stacklevel=4)
    else:
        warnings.warn(f"{said}; recorded in {path}, enforced from now on", UserWarning, stacklevel=4)
