"""Downloads files of Hugging Face repositories through the user's ordinary Hugging Face cache.

So HF_HOME, HF_TOKEN, HF_ENDPOINT and proxies work as usual, and files that other programs downloaded are
found.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._version import __version__
from ..registry import Source, WeightFile
from . import trust
from .download import SourceError, WrongFile, redact


def stage(source: Source, wanted: WeightFile, staged: Path, *, offline: bool, show: bool) -> None:
    """Put a checked file at `staged`.

    The file is hard-linked from the Hugging Face cache, so it takes up space only once; it is copied if the
    disk has no hard links. A damaged copy in that cache is downloaded again; a wrong file that this call
    downloaded is removed.

    Args:
        source: a source of kind `hf`; without a revision, `main` is used.
        wanted: the size and hash that the file must have.
        staged: a temporary path in our own cache.
        offline: only look into the Hugging Face cache.
        show: whether huggingface_hub may draw its progress bar.

    Raises:
        SourceError: this source has no good file.
    """
    earlier = _cached(source)
    damaged = False
    if earlier is not None:
        fault = _link(earlier, staged, wanted)
        if fault is None:
            return
        # A blob's name is its sha256. If the name is right, this revision of the repository holds this file.
        damaged = trust.sha256(earlier) != earlier.resolve().name
        if offline or (source.revision and not damaged):
            raise WrongFile(f"in the Hugging Face cache: {fault}")
    if offline:
        raise SourceError("not tried, offline; not in the Hugging Face cache")
    _ask(source, wanted)
    fresh = _download(source, force=damaged, show=show)
    fault = _link(fresh, staged, wanted)
    if fault is not None:
        _remove(fresh)
        raise WrongFile(fault)


@dataclass(frozen=True)
class Held:
    """What the hub knows about a file.

    Attributes:
        commit: commit of the requested revision.
        size: size in bytes, if known.
        sha256: hash of a large file; None for small files.
        blob: git's hash of a small file's content; None for large files, or if not known.
    """

    commit: str
    size: int | None
    sha256: str | None = None
    blob: str | None = None


def look(repo: str, path: str, revision: str, *, offline: bool) -> Held | None:
    """What the hub knows about a file; None if there is no such file.

    With `offline`, only the Hugging Face cache on this machine is searched.

    Raises:
        SourceError: the hub could not be reached, or refused access.
    """
    source = Source("hf", "", repo=repo, revision=revision, path=path)
    if offline:
        return _held_here(source)
    try:
        held = _metadata(source)
    except Exception as error:  # see `_ask`
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status == 404 and type(error).__name__ != "RepositoryNotFoundError":
            return None
        if status in (401, 403, 404):
            raise SourceError(
                f"{repo} does not exist, or is private or gated: log in with `hf auth login`, or set HF_TOKEN"
            ) from error
        raise _failed(error) from error
    etag = held.etag or ""
    large = len(etag) == 64
    return Held(
        held.commit_hash or revision, held.size, etag if large else None, None if large else etag or None
    )


def _held_here(source: Source) -> Held | None:
    """The same for a file in the Hugging Face cache, at `snapshots/COMMIT/PATH`."""
    path = _cached(source)
    if path is None:
        return None
    blob, depth = path.resolve().name, len(Path(source.path or "").parts)
    known = blob if len(blob) == 64 else None
    return Held(path.parts[-1 - depth], path.stat().st_size, known)


def text(repo: str, path: str, commit: str, *, offline: bool) -> bytes:
    """The content of a small file.

    Raises:
        SourceError: it cannot be downloaded.
    """
    source = Source("hf", "", repo=repo, revision=commit, path=path)
    here = _cached(source)
    if here is None and offline:
        raise SourceError("not in the Hugging Face cache")
    return (here or _download(source, force=False, show=False)).read_bytes()


def card(path: Path) -> dict[str, Any]:
    """The YAML header of a model card; empty if there is no card or no readable header."""
    from huggingface_hub import metadata_load

    if not path.is_file():
        return {}
    try:
        return metadata_load(path) or {}
    except Exception as error:  # which YAML parser raises it depends on huggingface_hub
        warnings.warn(f"{path}: its header cannot be read, so its licence is unknown: {error}", stacklevel=2)
        return {}


def _cached(source: Source) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(source.repo or "", source.path or "", revision=source.revision)
    return Path(path) if isinstance(path, str) else None


def _ask(source: Source, wanted: WeightFile) -> None:
    """Fail early if the hub doesn't hold the wanted file, not after the whole download or many retries."""
    try:
        held = _metadata(source)
    except Exception as error:  # which HTTP library's errors these are depends on huggingface_hub's version
        if getattr(error, "response", None) is None:  # unreachable, or offline
            raise _failed(error) from error
        return  # an HTTP status: hf_hub_download knows which of them to retry
    if wanted.size is not None and held.size not in (None, wanted.size):
        raise WrongFile(f"the repository holds {held.size} bytes, expected {wanted.size}")
    if wanted.sha256 is not None and len(held.etag or "") == 64 and held.etag != wanted.sha256:
        raise WrongFile(f"the repository holds sha256 {held.etag}, expected {wanted.sha256}")


def _metadata(source: Source) -> Any:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(source.repo or "", source.path or "", revision=source.revision, endpoint=_endpoint())
    return get_hf_file_metadata(url, library_name="humanparse", library_version=__version__)


def _download(source: Source, *, force: bool, show: bool) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        with _bars(show):
            path = hf_hub_download(
                source.repo or "",
                source.path or "",
                revision=source.revision,
                force_download=force,
                library_name="humanparse",
                library_version=__version__,
                endpoint=_endpoint(),
            )
    except Exception as error:  # as above; this does not catch KeyboardInterrupt
        raise _failed(error) from error
    return Path(path)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _failed(error: Exception) -> SourceError:
    # The error for an unreachable hub only says "check your connection"; its cause says what happened.
    told = error.__cause__ if type(error).__name__ in ("LocalEntryNotFoundError", "ValueError") else None
    reason = redact(f"{type(told or error).__name__}: {told or error}").partition(" For more information")[0]
    return SourceError(reason if len(reason) <= 300 else reason[:300] + "…")


def _link(origin: Path, staged: Path, wanted: WeightFile) -> str | None:
    """Hard-link or copy `origin`. If it is not the wanted file, remove the copy and return what is wrong."""
    staged.unlink(missing_ok=True)
    try:
        os.link(origin.resolve(), staged)
    except OSError:
        with origin.open("rb") as source, staged.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
            copy.flush()
            os.fsync(copy.fileno())
    fault = trust.fault(staged, wanted, fresh=True)
    if fault is not None:
        staged.unlink()
    return fault


def _remove(path: Path) -> None:
    """Remove a file of the Hugging Face cache together with the blob that it is a symbolic link to."""
    while path.is_symlink():
        link = path
        path = link.parent / os.readlink(link)
        link.unlink()
    path.unlink(missing_ok=True)


@contextmanager
def _bars(show: bool) -> Iterator[None]:
    """Switch huggingface_hub's progress bars off if ours are off; otherwise keep the user's own setting."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if show or are_progress_bars_disabled():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # HF_HUB_DISABLE_PROGRESS_BARS=0 forbids the switch, and warns
        disable_progress_bars()
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            enable_progress_bars()
