"""Fetches pictures by URL, where a service allows it, but never from this machine or a private network.

A host name is resolved once, all its addresses must be public, and the connection goes to a checked address.
So a name that resolves to something else a moment later gains nothing. Redirects are checked, too.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from ..fetching import SAFE, TooLarge, unpacked
from .refusals import Refusal

REDIRECTS = 3
"""Most redirects that are followed."""

_SILENCE = 10.0
"""Seconds that a server may stay silent."""


@dataclass(frozen=True)
class FetchLimits:
    """Limits of a fetch.

    Attributes:
        most_bytes: largest answer in bytes.
        seconds: time for the whole fetch, redirects included.
        allow_local: whether private addresses are allowed.
    """

    most_bytes: int
    seconds: float
    allow_local: bool = False


def fetch(url: str, limits: FetchLimits) -> bytes:
    """Fetch the content of a URL.

    Raises:
        Refusal: the URL is not allowed, or gives no content within the limits.
    """
    end = time.monotonic() + limits.seconds
    for _ in range(REDIRECTS + 1):
        found = _fetch_once(url, limits, end)
        if isinstance(found, bytes):
            return found
        url = urljoin(url, found)
    raise Refusal(
        "address_failed", f"more than {REDIRECTS} redirects; give the address of the picture itself"
    )


def public_address(host: str, port: int, allow_local: bool = False) -> str:
    """The IP address to connect to for a host name.

    Raises:
        Refusal: the name is unknown, or one of its addresses is not public.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refusal("address_failed", f"there is no host {host!r}; check the address") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not allow_local and not is_public(address):
            raise Refusal("address_refused", f"{host!r} is not a public address; send the picture itself")
    return addresses[0]


def is_public(text: str) -> bool:
    """Whether an IP address is public, and any IPv4 address embedded in it, too."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and not address.is_reserved
    same = address.ipv4_mapped
    if address in _NAT64:
        same = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if same is not None:
        return is_public(str(same))
    for inner in (address.sixtofour, *(address.teredo or ())):
        if inner is not None and not is_public(str(inner)):
            return False
    local = address.is_multicast or address.is_reserved or address.is_site_local
    return address.is_global and not local


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last four bytes are an IPv4 address


class _Connection(http.client.HTTPConnection):
    """A connection to a checked address that still sends the host's name."""

    def __init__(self, host: str, port: int, address: str, secure: bool, timeout: float) -> None:
        super().__init__(host, port, timeout=timeout)
        self._address = address
        self._secure = secure

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._secure:
            self.sock = secure().wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self.sock.do_handshake()

    def cut(self) -> None:
        """Interrupt all waiting for the server; called from another thread."""
        with contextlib.suppress(OSError, AttributeError):  # closed already, or not open yet
            self.sock.shutdown(socket.SHUT_RDWR)


def secure() -> ssl.SSLContext:
    """A context that checks certificates against this machine's authorities."""
    return ssl.create_default_context()


def _fetch_once(url: str, limits: FetchLimits, end: float) -> bytes | str:
    """The content, or the target of a redirect."""
    scheme, host, port, target = _taken_apart(url)
    address = public_address(host, port, limits.allow_local)
    left = _left(end)
    connection = _Connection(host, port, address, scheme == "https", min(_SILENCE, left))
    # The socket's own timeout restarts with each byte.
    clock = threading.Timer(left, connection.cut)
    clock.daemon = True
    clock.start()
    try:
        headers = {"User-Agent": "humanparse-serve", "Accept": "image/*", "Accept-Encoding": "identity"}
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308) and answer.headers.get("Location"):
            return str(answer.headers["Location"])
        if answer.status != 200:
            raise Refusal(
                "address_failed", f"the server at {host!r} answered {answer.status}; check the address"
            )
        content = _content(answer, limits, end)
        return unpacked(content, answer.headers.get("Content-Encoding", ""), limits.most_bytes)
    except TooLarge:
        raise Refusal(
            "too_many_bytes", f"the answer has more than {limits.most_bytes} bytes once unpacked"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Refusal(
            "address_failed", f"fetching from {host!r} failed: {error or type(error).__name__}"
        ) from None
    finally:
        clock.cancel()
        connection.close()


def _taken_apart(url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, path and query)."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise Refusal("address_refused", "the address cannot be read; check it") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refusal("address_refused", "only http:// and https:// addresses are fetched")
    if parts.username is not None or parts.password is not None:
        raise Refusal(
            "address_refused",
            "an address with a user name or a password is not fetched; send the picture itself",
        )
    path = quote(parts.path or "/", safe=SAFE)
    query = quote(parts.query, safe=SAFE)
    return (
        parts.scheme,
        parts.hostname,
        port or (443 if parts.scheme == "https" else 80),
        f"{path}?{query}" if query else path,
    )


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise Refusal("address_failed", "the server took too long; send the picture itself")
    return left


def _content(answer: http.client.HTTPResponse, limits: FetchLimits, end: float) -> bytes:
    content = bytearray()
    while chunk := answer.read1(65536):
        content += chunk
        if len(content) > limits.most_bytes:
            raise Refusal("too_many_bytes", f"the answer has more than {limits.most_bytes} bytes")
        _left(end)
    _left(end)  # a connection that was cut for being slow looks like a complete answer
    if answer.length:
        raise Refusal("address_failed", "the answer was cut off; try again")
    return bytes(content)
