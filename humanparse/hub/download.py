"""One file over HTTP: resumed where it stopped, retried a bounded number of times, never a web page.

Plain `urllib`, so that proxies (`HTTPS_PROXY`, `NO_PROXY`) and certificates (`SSL_CERT_FILE`) come from the
environment. No request carries credentials. Whether the file is the right one is checked in `trust`.
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
FRUITLESS = 3  # attempts in a row that bring nothing new
ATTEMPTS = 40  # in all, however much each brings
PAUSE = 0.5  # seconds before the next attempt; doubles while attempts bring nothing
CHUNK = 1 << 20

# Opens a file with the given request headers.
Connect = Callable[[Mapping[str, str]], http.client.HTTPResponse]
# Is told how many bytes there are, of how many.
Report = Callable[[int, "int | None"], None]


class SourceError(Exception):
    """A source gave no good file; the text is the reason, in one line."""


class WrongFile(SourceError):
    """The source was reached and gave something else than the expected file."""


class Interrupted(Exception):
    """The connection broke or the server is busy; another attempt may go on from there."""


class RangeRefused(Interrupted):
    """HTTP 416: there is nothing after the bytes we have; `total` is the server's size, where it says so."""

    def __init__(self, total: int | None) -> None:
        super().__init__("the server refused to continue the file")
        self.total = total


def agent() -> str:
    """The name we give to servers."""
    return f"humanparse/{release()}"


def release() -> str:
    """The installed version of this package."""
    try:
        return version("humanparse")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


def redact(text: str) -> str:
    """`text` on one line, addresses without user names and queries: there are passwords and signatures."""
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
    """An opener with its own cookies, which live as long as one download."""
    return build_opener(_Redirects, HTTPCookieProcessor())


def connect(url: str) -> Connect:
    """A function that opens `url` with given request headers."""
    opener = new_opener()
    return lambda headers: request(opener, url, headers)


def request(opener: OpenerDirector, url: str, headers: Mapping[str, str]) -> http.client.HTTPResponse:
    """Open `url`, through redirects.

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
    """Bring `part` to its full length, from where an earlier attempt or process left it.

    Args:
        connect: opens the file with the given request headers.
        part: where the bytes go; what it holds after an error may be continued by the next call.
        key: name of the source; only bytes of the same source are continued.
        size: expected bytes, where known.
        show: whether to draw a progress bar on stderr.

    Returns:
        Whether the file was pieced together from more than one connection.

    Raises:
        SourceError: this source gave no whole file.
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
    """One connection: ask for what is missing, and append it."""
    start, validator = _resumable(part, key)
    if start and start == size:
        return True
    try:
        # If-Range: a file that changed since then comes whole, not as an end that doesn't fit our beginning.
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
                # read1, not read: what came before a stall is written, not lost in a half-filled buffer.
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
                out.flush()  # what arrived survives if this process is killed
                report(done, total)
        os.fsync(out.fileno())
    if refused:  # the file is closed first: Windows removes none that is open
        raise _rejected(part, refused)
    if total is not None and done < total:
        raise Interrupted(f"the connection ended after {done} of {total} bytes")


def _resumable(part: Path, key: str) -> tuple[int, str]:
    """How many bytes can be continued, and the server's name for the file they are of."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        validator = note["validator"] if note["key"] == key else ""
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        validator = ""
    # Without a validator the rest of another file could be appended; starting again is the safe choice.
    return (_length(part), validator) if isinstance(validator, str) and validator else (0, "")


def _begin(part: Path, key: str, headers: Message) -> None:
    """Start `part` again, with a note beside it of which file it is the beginning."""
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
    """First byte and total size out of `bytes 5-9/10` or `bytes */10`."""
    match = re.fullmatch(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)", headers.get("Content-Range", "").strip())
    if match is None:
        return -1, None
    return int(match[1] or 0), None if match[2] == "*" else int(match[2])


def _network_fault(error: Exception) -> SourceError | Interrupted:
    """What broke, and whether another attempt makes sense."""
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
