"""Reads, writes and removes objects."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from ..addresses import printable
from ..errors import GoneError, StorageError
from .access import file_system, patiently
from .listing import PAGE, Found, info, number_of

_WHOLE = frozenset(("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oci", "oss", "memory"))
"""Protocols where an object appears only once it is complete; elsewhere it is written and then renamed."""

_BLOCK = 4 << 20
"""Bytes per request, at most, when an object is read as a file."""


def read(address: str, size: int | None = None, mark: int | None = None) -> bytes:
    """The content of an object.

    Args:
        address: address of the object.
        size: its size in bytes when it was listed; None if it was not listed.
        mark: its mark when it was listed.

    Raises:
        GoneError: it does not exist.
        StorageError: it cannot be read, or has changed.
    """
    if size is None or mark is None:
        return patiently(address, partial(_read_unlisted, address))
    content = _range(address, 0, size)
    if not _is_of(content, mark):
        _refuse_change(address, mark)
    return content


def _read_unlisted(address: str) -> bytes:
    """The content of an object; raises `OSError` if it changed meanwhile or arrived incomplete."""
    found = _existing(address)
    content: bytes = file_system(address).cat_file(address)
    if not _is_of(content, found.mark) and (len(content) != found.size or _existing(address) != found):
        raise OSError(f"{len(content)} of {found.size} bytes came, or the object changed while it was read")
    return content


def _existing(address: str) -> Found:
    found = info(address)
    if found is None:
        raise GoneError(f"{printable(address)}: there is no such object")
    return found


def _is_of(content: bytes, mark: int) -> bool:
    """Whether a mark was made from the MD5 hash of these bytes, which is the ETag of most objects on S3."""
    return mark == number_of(hashlib.md5(content, usedforsecurity=False).hexdigest())


def _range(address: str, start: int, size: int) -> bytes:
    """`size` bytes from `start` on; an attempt that returns more or fewer is retried."""
    if not size:
        return b""
    fs = file_system(address)

    def attempt() -> bytes:
        content: bytes = fs.cat_file(address, start=start, end=start + size)
        if len(content) != size:
            raise OSError(f"{len(content)} of {size} bytes came")
        return content

    return patiently(address, attempt)


def _refuse_change(address: str, mark: int | None) -> None:
    now = info(address)
    if now is None:
        raise GoneError(f"{address}: the object was deleted while it was read")
    if mark is not None and now.mark != mark:
        raise StorageError(
            f"{address}: the object changed after it was listed; label it again when it is whole"
        )


class RemoteFile:
    """An object that is read in large blocks. It has the methods of a `Path` that are needed for that.

    Args:
        address: address of the object.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.name = PurePosixPath(address).name
        self.stem = PurePosixPath(address).stem
        self.suffix = PurePosixPath(address).suffix

    def __str__(self) -> str:
        return printable(self.address)

    def info(self) -> Found:
        """Its size and mark now; raises `GoneError` if it does not exist."""
        return _existing(self.address)

    def read_part(self, start: int, size: int, mark: int | None) -> bytes:
        """`size` of its bytes from `start` on; raises the errors of `read`."""
        content = _range(self.address, start, size)
        self.refuse_change(mark)
        return content

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """The object as a seekable file."""
        return io.BufferedReader(_Parts(self.address, self.info().size), _BLOCK)

    def refuse_change(self, mark: int | None) -> None:
        """Raise `StorageError` if its mark has changed, `GoneError` if it no longer exists."""
        _refuse_change(self.address, mark)

    def fetch(self, path: Path) -> Found:
        """Copy it to a file, through memory in small parts.

        Returns:
            Its size and mark, which were the same before and after.

        Raises:
            GoneError: it does not exist.
            StorageError: it cannot be read, or changed meanwhile.
            OSError: the file cannot be written.
        """
        found = self.info()
        with self.open() as content, path.open("wb") as file:
            shutil.copyfileobj(content, file, _BLOCK)
        self.refuse_change(found.mark)
        return found

    def beside(self, path: str) -> str:
        """The address of a path that is relative to the folder of this object."""
        scheme, _, folder = self.address.rpartition("/")[0].partition("://")
        parts = folder.split("/")
        for part in path.split("/"):
            if part == "..":
                parts = parts[:-1] or parts
            elif part != ".":
                parts.append(part)
        return f"{scheme}://{'/'.join(parts)}"


class _Parts(io.RawIOBase):
    """The bytes of an object; each read is one request."""

    def __init__(self, address: str, size: int) -> None:
        self._address, self._size, self._at = address, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), _BLOCK, self._size - self._at))
        content = _range(self._address, self._at, wanted)
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)


def write(address: str, content: bytes | Path) -> None:
    """Write an object, from memory or from a file; it appears complete or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    fs = file_system(address)
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)

    def put(place: str) -> None:
        if isinstance(content, Path):
            fs.put_file(str(content), place)
        else:
            fs.pipe_file(place, content)

    def attempt() -> None:
        if protocols & _WHOLE:
            return put(address)
        folder, _, name = address.rpartition("/")
        part = f"{folder}/.{name}.{secrets.token_hex(4)}.part"
        fs.makedirs(folder, exist_ok=True)
        try:
            put(part)
            fs.mv(part, address)
        except BaseException:
            if fs.exists(part):
                fs.rm_file(part)
            raise
        return None

    patiently(address, attempt)


def remove(addresses: Iterable[str]) -> None:
    """Remove objects; those that do not exist are skipped.

    Raises:
        StorageError: one cannot be removed.
    """
    remaining = iter(addresses)
    while some := list(islice(remaining, PAGE)):
        fs = file_system(some[0])
        if "s3" in fs.protocol:  # in one request; the storage skips what does not exist
            patiently(some[0], partial(fs.rm, some))
            continue
        for address in some:
            try:
                patiently(address, partial(fs.rm_file, address))
            except GoneError:
                continue


def abort_uploads(address: str, own: Callable[[str], bool]) -> None:
    """Discard unfinished multipart uploads below an address, which a killed process leaves on S3.

    Args:
        address: a folder in a bucket, which others may be writing to.
        own: whether an object is only written by the caller; takes its path below the address.

    Raises:
        StorageError: they cannot be listed or discarded.
    """
    fs = file_system(address)
    if "s3" not in fs.protocol:
        return
    bucket, _, folder = fs._strip_protocol(address).rstrip("/").partition("/")
    prefix = f"{folder}/" if folder else ""
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxUploads": PAGE}
    while True:
        page = patiently(address, lambda: fs.call_s3("list_multipart_uploads", **asked))
        for upload in page.get("Uploads", ()):
            if own(upload["Key"][len(prefix) :]):
                with suppress(GoneError):  # the answer to an earlier attempt was lost
                    patiently(address, partial(fs.abort_mpu, bucket, upload["Key"], upload["UploadId"]))
        if not page.get("IsTruncated"):
            return
        asked["KeyMarker"] = page["NextKeyMarker"]
        asked["UploadIdMarker"] = page["NextUploadIdMarker"]
