"""Addresses of remote storage, their file systems, and retries."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from ..addresses import HIDDEN, printable
from ..errors import GoneError, StorageError
from ..messages import said

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_ELSEWHERE = frozenset(("http", "https", "file", "local", "data"))

_PAUSES = (0.2, 0.5, 1.5, 4.0)
"""Seconds between attempts; each pause is multiplied by a random factor of 0.5 to 1.5."""

_FINAL = (PermissionError, IsADirectoryError, NotADirectoryError, ValueError, TypeError, ImportError)
_NO_CREDENTIALS = frozenset(("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"))

_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b")

_opened: dict[tuple[str, int], Any] = {}
_opening = threading.Lock()

Value = TypeVar("Value")


def is_remote(text: str) -> bool:
    """Whether a text is the address of remote storage: `s3://…`, `gs://…`, but neither http nor a path."""
    scheme = _SCHEME.match(text)
    return scheme is not None and scheme[1].lower() not in _ELSEWHERE


def join(address: str, name: str) -> str:
    """The address of an object or folder below another address."""
    return f"{address.rstrip('/')}/{name}" if name else address


def file_system(address: str) -> Any:
    """The file system of an address in fsspec, one for each protocol and process.

    Raises:
        StorageError: fsspec, or what it needs for this protocol, is not installed; or the address holds a
            password.
    """
    scheme = _SCHEME.match(address)
    if scheme is None:
        raise StorageError(f"{address}: not an address such as s3://bucket/folder")
    protocol = scheme[1].lower()
    if re.match(r"[^/@]*:[^/@]*@", address[scheme.end() :]):
        raise StorageError(
            f"{address}: leave the password out of the address; credentials are read from the environment"
        )
    with _opening:
        key = (protocol, os.getpid())  # a fork needs its own connections
        if key not in _opened:
            _opened[key] = _open(protocol)
        return _opened[key]


def _open(protocol: str) -> Any:
    install = 'pip install "humanparse[remote]"'
    try:
        import fsspec
    except ImportError as error:
        raise StorageError(f"{protocol}:// needs fsspec ({error}); install it with {install}") from error
    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    try:
        kind = fsspec.get_filesystem_class(protocol)
        if "s3" in kind.protocol:
            set_up = {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & set(os.environ)
            if not set_up and "config_kwargs" not in fsspec.config.conf.get("s3", {}):
                options["config_kwargs"] = {"retries": {"mode": "standard", "total_max_attempts": 3}}
        fs = kind(**options)
    except ImportError as error:
        raise StorageError(
            f"{protocol}:// needs another package ({error}); install it with {install}"
        ) from error
    except ValueError as error:
        raise StorageError(
            f"{protocol}:// is no storage that fsspec knows ({said(error)}); check the spelling, or install "
            f"the package that adds it; s3:// and gs:// come with {install}"
        ) from error
    if "s3" in kind.protocol:
        fs.retries = 1  # `patiently` retries
    return fs


def patiently(address: str, attempt: Callable[[], Value]) -> Value:
    """Call `attempt`, and retry it after temporary failures.

    Raises:
        GoneError: there is no such object or bucket.
        StorageError: the storage refused access, or failed.
    """
    shown = printable(address)
    for pause in (*_PAUSES, None):
        try:
            return attempt()
        except StorageError:
            raise
        except FileNotFoundError as error:
            raise GoneError(f"{shown}: there is no such {_missing(error)}") from error
        except Exception as error:  # each storage raises its own kinds
            why = _ACCESS_KEY.sub(HIDDEN, " ".join(said(error).split()))
            if _is_refusal(error):
                raise StorageError(
                    f"{shown}: access was refused ({why}); check the credentials in the environment, and "
                    "what they allow"
                ) from error
            if isinstance(error, _FINAL) or pause is None:
                tries = "" if isinstance(error, _FINAL) else f" after {len(_PAUSES) + 1} attempts"
                raise StorageError(f"{shown}: the storage failed{tries} ({why})") from error
        time.sleep(pause * random.uniform(0.5, 1.5))
    raise AssertionError("the last attempt returns or raises")


def _is_refusal(error: Exception) -> bool:
    forbidden = str(error).startswith("Forbidden: ")  # an OSError of gcsfs
    return forbidden or isinstance(error, PermissionError) or type(error).__name__ in _NO_CREDENTIALS


def _missing(error: Exception) -> str:
    return "bucket" if "bucket" in str(error).lower() else "object"
