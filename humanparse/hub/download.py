"""Downloads one file over HTTP: resumes it, retries it a limited number of times, and refuses web pages.

It uses `urllib`, so proxies (`HTTPS_PROXY`, `NO_PROXY`) and certificates (`SSL_CERT_FILE`) come from the
environment. No request carries credentials. `trust` checks whether the file is the right one.
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
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import HTTPCookieProcessor, HTTPRedirectHandler, OpenerDirector, Request, build_opener

from .. import addresses
from ..impostors import is_page

TIMEOUT = 20.0  # seconds without a byte
FRUITLESS = 3  # attempts in a row that bring no new bytes
ATTEMPTS = 40  # attempts in all, even if each brings new bytes
PAUSE = 0.5  # seconds before the next attempt; doubles while attempts bring no new bytes
CHUNK = 1 << 20

# Opens the file with the given request headers.
Connect = Callable[[Mapping[str, str]], http.client.HTTPResponse]
# Called with the bytes received so far and the total, if known.
Report = Callable[[int, "int | None"], None]


class SourceError(Exception):
    """A source has no good file; the text is the reason, in one line."""


class WrongFile(SourceError):
    """The source was reached, but what it sent is not the expected file."""


class Interrupted(Exception):
    """The connection broke or the server is busy; another attempt may resume the download."""


class RangeRefused(Interrupted):
    """HTTP 416: there is nothing after the bytes we have. `total` is the size that the server states."""

    def __init__(self, total: int | None) -> None:
        super().__init__("the server refused to continue the file")
        self.total = total


def agent() -> str:
    """The user agent we send to servers."""
    return f"humanparse/{release()}"


def release() -> str:
    """The installed version of this package."""
    try:
        return version("humanparse")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


def redact(text: str) -> str:
    """`text` on one line. User names and queries are cut from addresses: they may hold secrets."""
    text = addresses.redact(" ".join(text.split()))
    return re.sub(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]*", r"\1", text)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, but never from https to an unprotected address."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        if not newurl.startswith("https://") and not (req.type == "http" and newurl.startswith("http://")):
            fp.close()
            raise SourceError(f"the server redirects to an unprotected address, {redact(newurl)}")
        # 308 is 307 made permanent; Python 3.10 knows only the latter.
        return super().redirect_request(req, fp, min(code, 307), msg, headers, newurl)

    http_error_308 = HTTPRedirectHandler.http_error_302


def new_opener() -> OpenerDirector:
    """An opener with its own cookies, for one download."""
    return build_opener(_Redirects, HTTPCookieProcessor())


def connect(url: str) -> Connect:
    """A function that opens `url` with given request headers."""
    opener = new_opener()
    return lambda headers: request(opener, url, headers)


def request(opener: OpenerDirector, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    """Open `url`; redirects are followed.

    Raises:
        RangeRefused: on HTTP 416.
        Interrupted: on a timeout, a broken connection or a busy server.
        SourceError: on any other refusal.
    """
    try:
        response: http.client.HTTPResponse = opener.open(
            Request(url, headers={"User-Agent": agent(), **headers}), timeout=TIMEOUT
        )
    except HTTPError as error:
        with error:
            if error.code == 416:
                raise RangeRefused(_content_range(error.headers)[1]) from None
            text = redact(f"HTTP {error.code} {error.reason}")
            if error.code in (408, 425, 429) or error.code >= 500:
                raise Interrupted(text) from None
            raise SourceError(text) from None
    except (OSError, http.client.HTTPException) as error:
        raise _network_fault(error) from error
    return response


def download(connect: Connect, part: Path, *, key: str, size: int | None, show: bool) -> bool:
    """Download to `part`; resumes what an earlier attempt or process left there.

    Args:
        connect: opens the file with the given request headers.
        part: the partial file; after an error the next call can resume it.
        key: name of the source; only bytes of the same source are resumed.
        size: expected size in bytes, if known.
        show: whether to draw a progress bar on stderr.

    Returns:
        Whether the file was put together from more than one connection.

    Raises:
        SourceError: this source did not send a whole file.
        OSError: the disk is full or not writable.
    """
    reason, reached, fruitless = "", _length(part), 0
    with _bar(part.stem, show) as report:
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE * 2**fruitless)
            try:
                return _transfer(connect, part, key, size, report)
            except Interrupted as error:
                reason = str(error)
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


def _transfer(connect: Connect, part: Path, key: str, size: int | None, report: Report) -> bool:
    """Use one connection: request the missing bytes and append them."""
    start, validator = _resumable(part, key)
    if start and start == size:
        return True
    try:
        # If-Range: if the file has changed, the server sends all of it, not an end that doesn't fit.
        response = connect({"Range": f"bytes={start}-", "If-Range": validator} if start else {})
    except RangeRefused as refusal:
        if start and refusal.total == start:
            return True
        discard(part)
        raise
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _rejected(part, "a web page instead of a file")
        begin, total = _content_range(response.headers) if response.status == 206 else (0, None)
        if begin not in (0, start):
            discard(part)
            raise Interrupted("the server continued at the wrong place")
        if total is None and (length := response.headers.get("Content-Length", "")).isdecimal():
            total = begin + int(length)
        if size is not None and total is not None and total != size:
            raise _rejected(part, f"the server offers {total} bytes, expected {size}")
        if begin == 0:
            _begin(part, key, response.headers)
        _receive(response, part, begin, size if total is None else total, report)
    return begin > 0


def _receive(
    response: http.client.HTTPResponse, part: Path, begin: int, total: int | None, report: Report
) -> None:
    done, refused = begin, ""
    with part.open("ab") as out:
        while not refused:
            try:
                # read1, not read: bytes that came before a stall are written, not lost in a buffer.
                chunk = response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise _network_fault(error) from error
            if not chunk:
                break
            done += len(chunk)
            if done == len(chunk) and is_page(chunk):
                refused = "a web page instead of a file"
            elif total is not None and done > total:
                refused = f"the server sends more than the expected {total} bytes"
            else:
                out.write(chunk)
                out.flush()  # these bytes survive if this process is killed
                report(done, total)
        os.fsync(out.fileno())
    if refused:  # after the file is closed: Windows cannot remove an open file
        raise _rejected(part, refused)
    if total is not None and done < total:
        raise Interrupted(f"the connection ended after {done} of {total} bytes")


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


def _network_fault(error: Exception) -> SourceError | Interrupted:
    """The error to raise: `Interrupted` if another attempt makes sense, else `SourceError`."""
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return Interrupted(f"the server was silent for {TIMEOUT:g} s")
    text = redact(str(reason)) or type(reason).__name__
    hopeless = (ssl.SSLCertVerificationError, socket.gaierror, ConnectionRefusedError, http.client.InvalidURL)
    return SourceError(text) if isinstance(reason, hopeless) else Interrupted(text)


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
