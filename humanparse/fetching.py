"""What lies behind an address on the web, bounded in bytes and time."""

from __future__ import annotations

import base64
import http.client
import time
import urllib.error
import zlib
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from .errors import ImageError

SAFE = "%/:=&?~#+!$,;'@()*[]"
"""Characters of an address that stay as they are: people paste spaces and umlauts, and what is escaped."""


@dataclass(frozen=True)
class Bounds:
    """What a download may cost.

    Attributes:
        most: bytes, compressed and not.
        timeout: seconds that the server may stay silent.
        seconds: for all of it.
    """

    most: int
    timeout: float
    seconds: float


class TooLarge(ValueError):
    """Something has more bytes than are allowed."""


def fetch(url: str, name: str, bounds: Bounds) -> bytes:
    """Download a picture.

    A user name and a password in the address are sent as Basic authentication, to that server only.

    Args:
        url: http or https.
        name: what messages call it.
        bounds: what it may cost.

    Raises:
        ImageError: the address, the server or the network is at fault.
    """
    try:
        return _download(url, bounds)
    except TooLarge:
        raise ImageError(
            f"{name}: the answer is larger than {bounds.most} bytes; raise humanparse.image.MAX_BYTES"
        ) from None
    except urllib.error.HTTPError as error:
        error.close()
        login = ", the user name and the password" if error.code in (401, 403) else ""
        raise ImageError(
            f"{name}: the server answered {error.code} {error.reason}; check the address{login}"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            reason = f"the server was silent for {bounds.timeout:g} s"
        raise ImageError(
            f"{name}: the download failed: {reason or type(reason).__name__}; "
            "try again, or pass the path of a copy"
        ) from error


def _download(url: str, bounds: Bounds) -> bytes:
    address, login = take_apart(url)
    request = Request(address)
    request.add_header("User-Agent", "humanparse (Python urllib)")
    request.add_header("Accept", "image/*, */*;q=0.5")
    if login:
        request.add_unredirected_header("Authorization", login)
    end = time.monotonic() + bounds.seconds
    content = bytearray()
    with _opener().open(request, timeout=bounds.timeout) as answer:
        declared = answer.headers.get("Content-Length", "")
        expected = int(declared) if declared.isdigit() else None
        if expected is not None and expected > bounds.most:
            raise TooLarge
        while chunk := answer.read1(1 << 16):
            content += chunk
            if len(content) > bounds.most:
                raise TooLarge
            if time.monotonic() > end:
                raise ConnectionError(f"it took longer than {bounds.seconds:g} s")
        encoding = answer.headers.get("Content-Encoding", "")
    if expected is not None and len(content) < expected:
        raise ConnectionError(f"the connection ended after {len(content)} of {expected} bytes")
    return unpacked(bytes(content), encoding, bounds.most)


def _opener() -> OpenerDirector:
    """Not `build_opener`: its handlers would let a redirect lead to ftp."""
    opener = OpenerDirector()
    for handler in (
        *(ProxyHandler(), HTTPHandler(), HTTPSHandler(), _Redirects()),
        *(HTTPErrorProcessor(), HTTPDefaultErrorHandler(), UnknownHandler()),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(HTTPRedirectHandler):
    """Takes user name and password along to the same server only, and reads those of the new address."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        # 308 is 307 made permanent; Python 3.10 knows only the latter.
        found = super().redirect_request(req, fp, min(code, 307), msg, headers, newurl)
        if found is None:
            return None
        found.full_url, login = take_apart(newurl)
        if login is None and _server(found.full_url) == _server(req.full_url):
            login = req.unredirected_hdrs.get("Authorization")
        if login:
            found.add_unredirected_header("Authorization", login)
        return found

    http_error_308 = HTTPRedirectHandler.http_error_302


def take_apart(url: str) -> tuple[str, str | None]:
    """An address as servers take it, without user name and password; and these as `Authorization` has them.

    Raises:
        ValueError: it is no address; the message does not repeat it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:  # what it says may hold a password
        raise ValueError(
            "the address cannot be read; in a user name or a password write / ? # @ as %2F %3F %23 %40"
        ) from None
    if not host:
        raise ValueError("the address names no host")
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    address = quote(urlunsplit((parts.scheme, place, parts.path, parts.query, "")), safe=SAFE)
    if parts.username is None:
        return address, None
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return address, f"Basic {base64.b64encode(login).decode()}"


def _server(url: str) -> tuple[Any, ...]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def unpacked(content: bytes, encoding: str, most: int) -> bytes:
    """A body without the compression that nobody asked for.

    Args:
        content: as it came.
        encoding: its `Content-Encoding`. Where the content is not compressed, whatever that says, it is kept.
        most: bytes that it may have.

    Raises:
        TooLarge: it has more.
        ValueError: it is cut off, or of a compression that is not read.
    """
    for kind in reversed(encoding.lower().replace(" ", "").split(",")):
        if kind in ("br", "zstd", "compress", "x-compress"):
            raise ValueError(f"the server compressed the answer with {kind}, which nobody asked for")
        if kind in ("gzip", "x-gzip") and content.startswith(b"\x1f\x8b"):
            content = _inflated(content, 31, most)
        elif kind == "deflate":  # with a header by the standard, without one by some servers
            zipped = (
                len(content) > 1 and content[0] & 15 == 8 and int.from_bytes(content[:2], "big") % 31 == 0
            )
            content = _inflated(content, 15 if zipped else -15, most)
    return content


def _inflated(content: bytes, form: int, most: int) -> bytes:
    found = bytearray()
    while True:
        stream = zlib.decompressobj(form)
        try:
            found += stream.decompress(content, most + 1 - len(found))
        except zlib.error:
            raise ValueError("the compressed answer is damaged") from None
        if len(found) > most:
            raise TooLarge
        if not stream.eof:
            raise ValueError("the compressed answer ends before its end")
        content = stream.unused_data
        if form != 31 or not content.startswith(b"\x1f\x8b"):  # gzip may have several parts
            return bytes(found)
