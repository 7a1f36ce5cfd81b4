"""An HTTP client with limits on size, time and redirects. All downloads of the package use it.

It uses `urllib`, so proxies (`HTTPS_PROXY`, `NO_PROXY`) and certificates (`SSL_CERT_FILE`) come from the
environment.
"""

from __future__ import annotations

import base64
import http.client
import math
import string
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from urllib.error import URLError
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import (
    BaseHandler,
    HTTPCookieProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

_SAFE = "%/:=&?~#+!$,;'@()*[]"
"""Characters of a URL that are not escaped. Users paste spaces and umlauts, and also escaped text."""


class DownloadError(Exception):
    """A download failed; the text is the reason, in one line. `__cause__` is the network's own error."""


class AddressError(DownloadError):
    """A URL is malformed or not allowed. The text does not repeat it, because it may contain a password."""


class TooLarge(DownloadError):
    """An answer has more bytes than allowed."""


class StatusError(DownloadError):
    """A server answered with the HTTP status of a failure, or with too many redirects."""

    def __init__(self, status: int, reason: str, headers: Message) -> None:
        super().__init__(f"the server answered {status} {reason}")
        self.status = status
        self.reason = reason
        self.headers = headers


@dataclass(kw_only=True)
class Client:
    """Opens http and https URLs for one download.

    Attributes:
        headers: headers of every request.
        silence: seconds that a server may stay silent.
        seconds: seconds for everything, counted from the creation of the client.
        redirects: most redirects of one request.
        statuses: HTTP statuses of success.
        logins: whether a URL may contain a user name and a password. They are sent as Basic authentication,
            to that server only.
        cookies: whether cookies are kept between requests.
        downgrades: whether a redirect may lead from https to http.
        host: the server of the latest request.
    """

    headers: Mapping[str, str]
    silence: float
    seconds: float = math.inf
    redirects: int = 10
    statuses: range = range(200, 300)
    logins: bool = False
    cookies: bool = False
    downgrades: bool = True
    host: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds
        # `build_opener` also opens ftp and files, and reads the body of a redirect without a limit.
        self._opener = OpenerDirector()
        for handler in self.handlers():
            self._opener.add_handler(handler)
        if self.cookies:
            self._opener.add_handler(HTTPCookieProcessor())

    def handlers(self) -> tuple[BaseHandler, ...]:
        """The handlers that open connections."""
        return ProxyHandler(), HTTPHandler(), HTTPSHandler(), UnknownHandler()

    def left(self) -> float:
        """Seconds until the time is over; afterwards it raises `DownloadError`."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise DownloadError(f"it took longer than {self.seconds:g} s")
        return left

    def open(self, url: str, headers: Mapping[str, str] | None = None) -> http.client.HTTPResponse:
        """Send a GET request to an http or https URL, with more headers, and follow redirects.

        Raises:
            DownloadError: the URL is not allowed, the server refused, or the network failed.
        """
        login, server = None, ("", "")
        for _ in range(self.redirects + 1):
            url, given = _take_apart(url, self.logins)
            before, server = server, urlsplit(url)[:2]
            login = given or (login if server == before else None)
            self.host = urlsplit(url).hostname or ""
            request = Request(url, headers={**self.headers, **(headers or {})})
            if login:
                request.add_unredirected_header("Authorization", login)
            with self._faults():
                answer: http.client.HTTPResponse = self._opener.open(
                    request, timeout=min(self.silence, self.left())
                )
            if answer.status in self.statuses:
                return answer
            answer.close()
            location = answer.headers.get("Location")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                raise StatusError(answer.status, answer.reason, answer.headers)
            url = self.target(url, location)
        raise StatusError(answer.status, f"after {self.redirects} redirects", answer.headers)

    def target(self, url: str, location: str) -> str:
        """The URL to which a redirect from `url` leads.

        Raises:
            AddressError: it cannot be read, or leads from https to another scheme without `downgrades`.
        """
        try:
            # http.client decodes headers as Latin-1.
            found = urljoin(url, quote(location, safe=string.punctuation, encoding="iso-8859-1"))
            scheme, host = urlsplit(found).scheme, urlsplit(found).hostname
        except ValueError:
            raise AddressError("the server redirects to an address that cannot be read") from None
        if not self.downgrades and urlsplit(url).scheme == "https" != scheme:
            raise AddressError(f"the server redirects to an unprotected address, {scheme}://{host or ''}")
        return found

    def chunks(
        self, answer: http.client.HTTPResponse, done: int = 0, total: int | None = None
    ) -> Iterator[bytes]:
        """Read the body in pieces, as they come.

        Args:
            answer: from `open`.
            done: number of bytes before this body, if it is the rest of a file.
            total: size of the whole file; None takes it from `Content-Length`, if there is one.

        Raises:
            DownloadError: the network failed, the time is over, or the connection ended too early.
        """
        if total is None and answer.length is not None:
            total = done + answer.length
        with self._faults():
            # read1, not read: bytes that came before a stall are used, not lost in a buffer.
            while chunk := answer.read1(1 << 16):
                self.left()
                done += len(chunk)
                yield chunk
        self.left()
        if total is not None and done < total:
            raise DownloadError(f"the connection ended after {done} of {total} bytes")

    def read(self, url: str, most: int) -> bytes:
        """Download and uncompress a body of at most `most` bytes, compressed and uncompressed.

        Raises:
            DownloadError: as `open` and `chunks`; or there are more bytes, or they cannot be uncompressed.
        """
        content = bytearray()
        with self.open(url) as answer:
            if (answer.length or 0) > most:
                raise TooLarge
            for chunk in self.chunks(answer):
                content += chunk
                if len(content) > most:
                    raise TooLarge
        return _unpacked(bytes(content), answer.headers.get("Content-Encoding", ""), most)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.left()
            reason = error.reason if isinstance(error, URLError) else error
            cause = reason if isinstance(reason, BaseException) else error
            silent = f"the server was silent for {self.silence:g} s"
            text = silent if isinstance(cause, TimeoutError) else str(reason) or type(cause).__name__
            raise DownloadError(text) from cause


def _take_apart(url: str, logins: bool) -> tuple[str, str | None]:
    """Split a URL into the URL without user name and password, and the `Authorization` header for these."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:  # its message may contain a password
        hint = "; in a user name or a password write / ? # @ as %2F %3F %23 %40" if logins else ""
        raise AddressError(f"the address cannot be read{hint}") from None
    if parts.scheme not in ("http", "https"):
        other = f", not {parts.scheme}://" if parts.scheme else ""
        raise AddressError(f"only http:// and https:// addresses are fetched{other}")
    if not host:
        raise AddressError("the address names no host")
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port is not None else "")
    address = quote(urlunsplit((parts.scheme, place, parts.path, parts.query, "")), safe=_SAFE)
    if parts.username is None:
        return address, None
    if not logins:
        raise AddressError("an address with a user name or a password is not fetched")
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return address, f"Basic {base64.b64encode(login).decode()}"


def _unpacked(content: bytes, encoding: str, most: int) -> bytes:
    """Uncompress a body to at most `most` bytes. Content that is in fact not compressed stays as it is."""
    for kind in reversed(encoding.lower().replace(" ", "").split(",")):
        if kind in ("br", "zstd", "compress", "x-compress"):
            raise DownloadError(f"the server compressed the answer with {kind}, which is not supported")
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
            raise DownloadError("the compressed answer is damaged") from None
        if len(found) > most:
            raise TooLarge
        if not stream.eof:
            raise DownloadError("the compressed answer is cut off")
        content = stream.unused_data
        if form != 31 or not content.startswith(b"\x1f\x8b"):  # gzip may have several parts
            return bytes(found)
