"""Downloads and verifies weight files: the record of a model or detector -> a file on disk.

Sources are tried in order. A file gets its final name only after its size and sha256 were checked, and each
process hashes it again on first use. A file lock makes sure that only one process downloads a file.
"""

from __future__ import annotations

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from ..errors import UnreachableError, WeightsError
from ..registry import Source, WeightFile
from . import download, gdrive, huggingface, trust
from .download import SourceError, WrongFile
from .environment import OFFLINE, Downloadable, cache_dir, offline, place
from .finding import find_model, find_network
from .locking import locked
from .trust import sha256

__all__ = [
    "Downloadable", "cache_dir", "cached", "fetch", "find_model", "find_network", "offline", "place", "sha256"
]  # fmt: skip

_PACKAGE = Path(__file__).resolve().parents[1]


def cached(spec: Downloadable) -> bool:
    """Whether the weight file is here, in the package or in the cache. Its content is not checked.

    Examples:
        >>> from humanparse import hub
        >>> hub.cached(hub.find_model("lite-atr"))
        True
    """
    return any(path.is_file() for path in (*_in_place(spec), place(spec)))


def fetch(
    spec: Downloadable,
    *,
    offline: bool | None = None,
    progress: bool | None = None,
    otherwise: str = ", or pass weights=PATH",
) -> Path:
    """The verified weight file of `spec`; it is downloaded if needed.

    If no sha256 was ever published, the first file is trusted: its hash is recorded beside it and enforced
    from then on, with a `UserWarning`. A wrong file in the cache is never used: it is renamed to `*.rejected`
    and downloaded again, with a `UserWarning`.

    Args:
        spec: the model or detector; `spec.file.sources` are tried in order.
        offline: True uses no network, only files in the package, in our cache or in the Hugging Face cache.
            None follows the environment, see `hub.offline`. False allows the network whatever the
            environment says, except that huggingface_hub itself still obeys `HF_HUB_OFFLINE`.
        progress: show a progress bar on stderr; None shows it on a terminal only.
        otherwise: end of the error message, after the path where you can put the file yourself.

    Returns:
        Path of a file whose size and sha256 were checked in this process.

    Raises:
        UnreachableError: no source could be reached, or the network is off.
        WeightsError: a source returned a wrong file and none a good one, or the cache cannot be read or
            written. The message says why each source failed, and where you can put the file yourself.

    Examples:
        >>> from humanparse import hub
        >>> hub.fetch(hub.find_model("lite-atr")).suffix
        '.safetensors'
    """
    target = place(spec)
    try:
        for path in _in_place(spec):
            if path.is_file() and trust.fault(path, spec.file) is None:
                return path
        # Look without the lock first: this writes nothing, so a read-only cache works, too.
        if not _usable(target, trust.pinned(spec.file, target)):
            target.parent.mkdir(parents=True, exist_ok=True)
            with locked(target):
                wanted = trust.pinned(spec.file, target)  # another process may have come first
                if not _usable(target, wanted):
                    _obtain(spec, wanted, target, _Mode.choose(offline, progress, otherwise))
    except OSError as error:
        raise WeightsError(
            f"{spec.name}: the cache folder {target.parent} can't be used: {error}\n"
            f"Make room, or set HUMANPARSE_HOME to a folder that can be written{otherwise}."
        ) from error
    return target


@dataclass(frozen=True)
class _Mode:
    """Download options: offline, progress bar, and what else a user can do after a failure."""

    offline: bool
    show: bool
    otherwise: str

    @classmethod
    def choose(cls, no_network: bool | None, progress: bool | None, otherwise: str) -> _Mode:
        terminal = sys.stderr is not None and sys.stderr.isatty()
        return cls(offline(no_network), terminal if progress is None else progress, otherwise)


def _in_place(spec: Downloadable) -> list[Path]:
    """Files that are used where they are: in the package, or in a folder of the user."""
    kinds = ("bundled", "folder")
    return [_PACKAGE / source.url for source in spec.file.sources if source.kind in kinds]


def _usable(target: Path, wanted: WeightFile) -> bool:
    """Whether `target` exists and is the wanted file. A file without a known hash is trusted from now on."""
    try:
        if trust.fault(target, wanted) is not None:
            return False
    except FileNotFoundError:
        return False
    if wanted.sha256 is None:
        trust.remember(target, "a file found in the cache")
    return True


def _obtain(spec: Downloadable, wanted: WeightFile, target: Path, mode: _Mode) -> None:
    """Put a checked file at `target`, from the first source that has one."""
    failures = _set_aside(target, wanted)
    reached = bool(failures)
    for source in spec.file.sources:
        try:
            staged = _stage(source, wanted, target, mode)
        except SourceError as error:
            failures.append(f"{source.url}: {error}")
            reached |= isinstance(error, WrongFile)
            continue
        trust.rename(staged, target)
        download.discard(_part(target))
        if wanted.sha256 is None:
            trust.remember(target, source.url)
        return
    kind = WeightsError if reached else UnreachableError
    raise kind(_explanation(spec, wanted, target, failures, mode))


def _set_aside(target: Path, wanted: WeightFile) -> list[str]:
    """Rename a wrong file and warn. It is not deleted, because the user may have put it there."""
    if not target.exists():
        return []
    rejected = target.with_name(target.name + ".rejected")
    said = (
        f"{target} is not the expected file and was renamed to {rejected.name}: {trust.fault(target, wanted)}"
    )
    os.replace(target, rejected)
    warnings.warn(said, UserWarning, stacklevel=4)
    return [said]


def _stage(source: Source, wanted: WeightFile, target: Path, mode: _Mode) -> Path:
    """A checked file from one source, under a temporary name beside `target`."""
    if source.kind == "bundled":
        path = _PACKAGE / source.url
        fault = trust.fault(path, wanted) if path.is_file() else "the file is missing"
        raise WrongFile(f"{fault}; this installation is damaged, install humanparse again")
    if source.kind == "folder":
        path = Path(source.url)
        raise WrongFile(str(trust.fault(path, wanted)) if path.is_file() else "the file is missing")
    if source.kind == "hf":
        staged = target.with_name(target.name + ".hf")
        huggingface.stage(source, wanted, staged, offline=mode.offline, show=mode.show)
        return staged
    if source.kind == "manual":
        raise SourceError(f"you must download it yourself{source.note and ', ' + source.note}")
    if mode.offline:
        raise SourceError("not tried, offline")
    return _from_web(source, wanted, _part(target), mode)


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _from_web(source: Source, wanted: WeightFile, part: Path, mode: _Mode) -> Path:
    """Download over HTTPS or from Google Drive; an interrupted download is resumed."""
    is_drive = source.kind == "gdrive" and source.file_id
    connect = gdrive.connect(source.file_id or "") if is_drive else download.connect(source.url)
    fault = None
    for _ in range(2):
        resumed = download.download(connect, part, key=source.url, size=wanted.size, show=mode.show)
        fault = trust.fault(part, wanted, fresh=True)
        if fault is None:
            return part
        download.discard(part)
        if not resumed:
            break
        # The file was put together from several parts and is wrong: download all of it again.
    raise WrongFile(str(fault))


def _explanation(
    spec: Downloadable, wanted: WeightFile, target: Path, failures: list[str], mode: _Mode
) -> str:
    """The error message: what happened, to what, and what to do now."""
    name = spec.file.filename
    if not spec.file.sources:
        head = f"{spec.name}: {name} was never published; use a checkpoint of your own."
    elif mode.offline:
        head = (
            f"{spec.name}: no good {name} in the cache, and the network is off"
            f" (offline=True, {' or '.join(OFFLINE)}).\n"
            f"Allow the network once, for example with `humanparse download {spec.name}`. The sources:"
        )
    else:
        head = f"{spec.name}: none of {len(spec.file.sources)} sources gave a good {name}:"
    lines = [head, *(f"  {failure}" for failure in failures)]
    if wanted.size is not None or wanted.sha256 is not None:
        known = (
            f"{wanted.size} bytes" if wanted.size else "",
            f"sha256 {wanted.sha256}" if wanted.sha256 else "",
        )
        lines.append("Expected: " + ", ".join(filter(None, known)))
    if wanted.sha256 != spec.file.sha256:
        record = trust.record_path(target)
        lines.append(f"(recorded on first use; to trust another file, delete {record})")
    lines.append(f"Download it yourself and put it at {target}{mode.otherwise}.")
    return "\n".join(lines)
