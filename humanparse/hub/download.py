"""Downloads one file over HTTP: resumes it, retries it a limited number of times, and refuses web pages.

No request carries credentials. `trust` checks whether the file is the right one.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from pathlib import Path

from .. import addresses
from .._version import __version__
from ..fetching import AddressError, Client, DownloadError, StatusError
from ..impostors import is_page

TIMEOUT = 20.0  # seconds without a byte
FRUITLESS = 3  # attempts in a row that bring no new bytes
ATTEMPTS = 40  # attempts in all, even if each brings new bytes
PAUSE = 0.5  # seconds before the next attempt; doubles while attempts bring no new bytes

_HOPELESS = (ssl.SSLCertVerificationError, socket.gaierror, ConnectionRefusedError, http.client.InvalidURL)
"""Errors after which another attempt makes no sense."""

# Opens the file with a client and more request headers.
Connect = Callable[[Client, Mapping[str, str]], http.client.HTTPResponse]
# Called with the bytes received so far and the total, if known.
Report = Callable[[int, "int | None"], None]


class SourceError(Exception):
    """A source has no good file; the text is the reason, in one line."""


class WrongFile(SourceError):
    """The source was reached, but what it sent is not the expected file."""


def redact(text: str) -> str:
    """`text` on one line. User names and queries are cut from addresses: they may hold secrets."""
    text = addresses.redact(" ".join(text.split()))
    return re.sub(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]*", r"\1", text)


def new_client() -> Client:
    """A client with its own cookies, for one download. It never follows a redirect from https to http."""
    agent = {"User-Agent": f"humanparse/{__version__}"}
    return Client(headers=agent, silence=TIMEOUT, cookies=True, downgrades=False)


def connect(url: str) -> Connect:
    """A function that opens `url`."""
    return lambda client, headers: client.open(url, headers)


def download(connect: Connect, part: Path, *, key: str, size: int | None, show: bool) -> bool:
    """Download to `part`; resumes what an earlier call or process left there of the same source, `key`.

    Returns:
        Whether the file was put together from more than one connection.

    Raises:
        SourceError: this source did not send a whole file.
        OSError: the disk is full or not writable.
    """
    client, reason, reached, fruitless = new_client(), "", _length(part), 0
    with _bar(part.stem, show) as report:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE * 2**fruitless)
            try:
                return _transfer(client, connect, part, key, size, report)
            except DownloadError as error:
                reason = _reason(error)
            fruitless = 0 if _length(part) > reached else fruitless + 1
            reached = max(reached, _length(part))
            if fruitless >= FRUITLESS:
                break
    kept = f"; {_length(part)} bytes are kept for the next try" if part.exists() else ""
    raise SourceError(f"{reason} (after {attempt + 1} attempts){kept}")


def discard(part: Path) -> None:
    """Remove a partial file and the note beside it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _transfer(
    client: Client, connect: Connect, part: Path, key: str, size: int | None, report: Report
) -> bool:
    """Use one connection: request the missing bytes and append them."""
    start, validator = _resumable(part, key)
    if start and start == size:
        return True
    try:
        # If-Range: if the file has changed, the server sends all of it, not an end that doesn't fit.
        response = connect(client, {"Range": f"bytes={start}-", "If-Range": validator} if start else {})
    except StatusError as refusal:
        if refusal.status != 416:  # there is nothing after the bytes we have
            raise
        if start and _content_range(refusal.headers)[1] == start:
            return True
        discard(part)
        raise DownloadError("the server refused to continue the file") from None
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _rejected(part, "a web page instead of a file")
        begin, total = _content_range(response.headers) if response.status == 206 else (0, None)
        if begin not in (0, start):
            discard(part)
            raise DownloadError("the server continued at the wrong place")
        if total is None and response.length is not None:
            total = begin + response.length
        if size is not None and total is not None and total != size:
            raise _rejected(part, f"the server offers {total} bytes, expected {size}")
        if begin == 0:
            _begin(part, key, response.headers)
        total = size if total is None else total
        _receive(client.chunks(response, begin, total), part, begin, total, report)
    return begin > 0


def _receive(chunks: Iterator[bytes], part: Path, done: int, total: int | None, report: Report) -> None:
    refused = ""
    with part.open("ab") as out:
        for chunk in chunks:
            first, done = done == 0, done + len(chunk)
            if first and is_page(chunk):
                refused = "a web page instead of a file"
            elif total is not None and done > total:
                refused = f"the server sends more than the expected {total} bytes"
            if refused:
                break
            out.write(chunk)
            out.flush()  # these bytes survive if this process is killed
            report(done, total)
        os.fsync(out.fileno())
    if refused:  # after the file is closed: Windows cannot remove an open file
        raise _rejected(part, refused)


def _resumable(part: Path, key: str) -> tuple[int, str]:
    """How many bytes can be resumed, and the validator (ETag or date) of the file they belong to."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        validator = note["validator"] if note["key"] == key else ""
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        validator = ""
    # Without a validator the rest of another file could be appended; starting again is the safe choice.
    return (_length(part), validator) if isinstance(validator, str) and validator else (0, "")


def _begin(part: Path, key: str, headers: Message) -> None:
    """Remove `part`, and note beside it which file it will hold next."""
    discard(part)
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")  # a weak ETag can't resume
    _note(part).write_text(json.dumps({"key": key, "validator": validator}), encoding="utf-8")


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _length(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0


def _rejected(part: Path, reason: str) -> WrongFile:
    discard(part)
    return WrongFile(reason)


def _content_range(headers: Message) -> tuple[int, int | None]:
    """First byte and total size from `bytes 5-9/10` or `bytes */10`."""
    match = re.fullmatch(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", "").strip())
    if match is None:
        return -1, None
    return int(match[1] or 0), None if match[2] == "*" else int(match[2])


def _reason(error: DownloadError) -> str:
    """Why a connection failed; raises `SourceError` if another attempt makes no sense."""
    if isinstance(error, StatusError):
        text = redact(f"HTTP {error.status} {error.reason}")
        hopeless = error.status not in (408, 425, 429) and error.status < 500
    else:
        text = redact(str(error))
        hopeless = isinstance(error, AddressError) or isinstance(error.__cause__, _HOPELESS)
    if hopeless:
        raise SourceError(text) from error
    return text


@contextmanager
def _bar(title: str, show: bool) -> Iterator[Report]:
    if not show:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress("{task.description}", *columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
