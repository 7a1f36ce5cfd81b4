"""Lists the objects of a bucket, page by page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from ..errors import GoneError
from .access import file_system, patiently

PAGE = 1000
"""Objects per request: the most that S3 allows."""


@dataclass(frozen=True)
class Found:
    """An object as the storage lists it.

    Attributes:
        name: path below the listed address, with `/` between folders.
        size: size in bytes.
        mark: a number made from its ETag, or from the time of its last change; it changes with the content.
    """

    name: str
    size: int
    mark: int


def listed(address: str, begin: str = "", *, optional: bool = False) -> Iterator[Found]:
    """All objects below an address, sorted by name.

    On S3 and Google Cloud Storage memory does not grow with their number; other storage is listed folder by
    folder.

    Args:
        address: a bucket or a folder in it.
        begin: yield only names that begin with this text.
        optional: treat a missing folder as an empty one, as S3 and Google Cloud Storage always do.

    Raises:
        GoneError: the bucket does not exist.
        StorageError: it cannot be listed.
    """
    fs = file_system(address)
    root = fs._strip_protocol(address).rstrip("/")
    bucket, _, folder = root.partition("/")
    prefix = (f"{folder}/" if folder else "") + begin
    cut = len(prefix) - len(begin)
    if "s3" in fs.protocol:
        pages = _s3_pages(fs, bucket, prefix)
    elif "gs" in fs.protocol:
        pages = _google_pages(fs, bucket, prefix)
    else:
        if not optional or info(address, folder=True):
            yield from _walked(fs, root, begin)
        return
    for about in pages:
        name = str(about["Key"])[cut:]
        if name and not name.endswith("/"):  # such a name stands for a folder
            yield Found(name, int(about["Size"]), _mark(about))


def _s3_pages(fs: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "MaxKeys": PAGE}
    while True:
        page = patiently(f"s3://{bucket}", lambda: fs.call_s3("list_objects_v2", **asked))
        yield from page.get("Contents", ())
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]


def _google_pages(fs: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {"prefix": prefix, "maxResults": PAGE}
    while True:
        try:
            page = patiently(
                f"gs://{bucket}", lambda: fs.call("GET", "b/{}/o", bucket, json_out=True, **asked)
            )
        except GoneError as error:
            raise GoneError(f"gs://{bucket}: there is no such bucket") from error
        for about in page.get("items", ()):
            yield {**about, "Key": about["name"], "Size": about["size"]}
        if "nextPageToken" not in page:
            return
        asked["pageToken"] = page["nextPageToken"]


def _walked(fs: Any, root: str, begin: str) -> Iterator[Found]:
    pending: list[tuple[str, bool, dict[str, Any]]] = [(root, True, {})]
    while pending:
        path, is_folder, about = pending.pop()
        name = path[len(root) :].strip("/")
        if not is_folder:
            if name.startswith(begin):
                yield Found(name, int(about["size"] or 0), _mark(about))
            continue
        inside = patiently(fs.unstrip_protocol(path), partial(fs.ls, path, detail=True))
        entries = [(one["name"].rstrip("/"), one["type"] == "directory", one) for one in inside]
        pending += sorted(entries, key=lambda one: one[0] + "/" * one[1], reverse=True)


def info(address: str, folder: bool = False) -> Found | None:
    """What the storage knows about an object, or with `folder` also about a folder; None if there is none.

    Raises:
        StorageError: the storage gave no answer.
    """
    fs = file_system(address)
    try:
        about = patiently(address, lambda: fs.info(address))
    except GoneError:
        return None
    if about["type"] == "directory" and not folder:
        return None
    return Found(PurePosixPath(about["name"]).name, int(about["size"] or 0), _mark(about))


def _mark(about: dict[str, Any]) -> int:
    """The mark of an object, from the storage's record of it."""
    for name in ("ETag", "etag"):
        if tag := about.get(name):
            md5 = about.get("md5Hash")  # Google's ETag is no hash of the content
            return number_of(base64.b64decode(md5).hex() if md5 else str(tag).strip('"'))
    for name in ("LastModified", "updated", "mtime", "modified", "created"):
        when = about.get(name)
        if when is not None:
            seconds = when.timestamp() if isinstance(when, datetime) else when
            return number_of(str(round(seconds, 3) if isinstance(seconds, float) else seconds))
    return number_of(str(about.get("size")))


def number_of(text: str) -> int:
    """The mark for a text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
