"""Downloads a picture from the web, with limits on bytes and time."""

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
"""Characters of a URL that are not escaped. Users paste spaces and umlauts, and also escaped text."""


@dataclass(frozen=True)
class Bounds:
    """Limits of a download.

    Attributes:
        most: largest number of bytes, both compressed and uncompressed.
        timeout: seconds that the server may stay silent.
        seconds: seconds for the whole download.
    """

    most: int
    timeout: float
    seconds: float


class TooLarge(ValueError):
    """Something has more bytes than allowed."""


def fetch(url: str, name: str, bounds: Bounds) -> bytes:
    """Download a picture.

    A user name and a password in the URL are sent as Basic authentication, to that server only.

    Args:
        url: an http or https URL.
        name: the picture's name in error messages.
        bounds: limits of the download.

    Raises:
        ImageError: the URL is wrong, or the server or the network failed.
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
    """An opener for http and https only; `build_opener` would also follow redirects to ftp."""
    opener = OpenerDirector()
    for handler in (
        *(ProxyHandler(), HTTPHandler(), HTTPSHandler(), _Redirects()),
        *(HTTPErrorProcessor(), HTTPDefaultErrorHandler(), UnknownHandler()),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(HTTPRedirectHandler):
    """Sends user name and password to the same server only, and reads those of the new URL."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage, newurl: str
    ) -> Request | None:
        # Python 3.10 does not know 308, the permanent form of 307.
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
    """Split a URL into the URL without user name and password, and the `Authorization` header for these.

    Raises:
        ValueError: it is not a URL; the message does not repeat it, because it may contain a password.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:  # its message may contain a password
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
    """Uncompress a body that the server compressed without being asked.

    Args:
        content: the body as received.
        encoding: its `Content-Encoding`. Content that is in fact not compressed is returned unchanged.
        most: most bytes after uncompressing.

    Raises:
        TooLarge: it has more bytes.
        ValueError: it is cut off, or its compression is not supported.
    """
    for kind in reversed(encoding.lower().replace(" ", "").split(",")):
        if kind in ("br", "zstd", "compress", "x-compress"):
            raise ValueError(f"the server compressed the answer with {kind}, which is not supported")
        if kind in ("gzip", "x-gzip") and content.startswith(b"\x1f\x8b"):
            content = _inflated(content, 31, most)
        elif kind == "deflate":  # the standard requires a header, which some servers omit
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
            raise ValueError("the compressed answer is cut off")
        content = stream.unused_data
        if form != 31 or not content.startswith(b"\x1f\x8b"):  # gzip may have several parts
            return bytes(found)
