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
from dataclasses import dataclass
from functools import partial
from urllib.request import AbstractHTTPHandler, BaseHandler, Request

from ..fetching import AddressError, Client, DownloadError, TooLarge
from .refusals import Refusal

REDIRECTS = 3
"""Most redirects that are followed."""

_SILENCE = 10.0
"""Seconds that a server may stay silent."""


@dataclass(frozen=True)
class FetchLimits:
    """Limits of a fetch."""

    most_bytes: int
    seconds: float  # for the whole fetch, redirects included
    allow_local: bool = False  # whether private addresses are allowed


def fetch(url: str, limits: FetchLimits) -> bytes:
    """Fetch the content of a URL.

    Raises:
        Refusal: the URL is not allowed, or gives no content within the limits.
    """
    with contextlib.ExitStack() as guard:
        client = _PublicClient(
            headers={"User-Agent": "humanparse-serve", "Accept": "image/*"},
            silence=_SILENCE,
            seconds=limits.seconds,
            redirects=REDIRECTS,
            statuses=range(200, 201),
            allow_local=limits.allow_local,
            guard=guard,
        )
        try:
            return client.read(url.strip(), limits.most_bytes)
        except AddressError as error:
            raise Refusal("address_refused", f"{error}; send the picture itself") from None
        except TooLarge:
            raise Refusal(
                "too_many_bytes", f"the answer has more than {limits.most_bytes} bytes, or unpacks to more"
            ) from None
        except DownloadError as error:
            said = f"fetching from {client.host!r} failed: {error}"
            raise Refusal(
                "address_failed", f"{said}; check the address, or send the picture itself"
            ) from None


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


def secure() -> ssl.SSLContext:
    """A context that checks certificates against this machine's authorities."""
    return ssl.create_default_context()


@dataclass(kw_only=True)
class _PublicClient(Client):
    """Connects to checked addresses only, without proxies, and cuts a connection when the time is over."""

    allow_local: bool
    guard: contextlib.ExitStack

    def handlers(self) -> tuple[BaseHandler, ...]:
        return (_Handler(self),)

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection to a host whose addresses were checked."""
        address = public_address(host, port, self.allow_local)
        sock = socket.create_connection((address, port), min(self.silence, self.left()))
        self.guard.close()
        # The timeout of a socket restarts with each byte. A duplicate can still be shut down when TLS or the
        # answer has taken over the socket.
        twin = self.guard.enter_context(sock.dup())
        clock = threading.Timer(self.left(), _cut, (twin,))
        clock.daemon = True
        clock.start()
        self.guard.callback(clock.cancel)
        return sock


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already
        sock.shutdown(socket.SHUT_RDWR)


class _Handler(AbstractHTTPHandler):
    """Opens a `_Connection` for each request; the other handlers of `urllib` would use proxies."""

    def __init__(self, client: _PublicClient) -> None:
        super().__init__()
        self._client = client

    def http_open(self, request: Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, self._client, False), request)

    def https_open(self, request: Request) -> http.client.HTTPResponse:
        return self.do_open(partial(_Connection, self._client, True), request)

    http_request = https_request = AbstractHTTPHandler.do_request_


class _Connection(http.client.HTTPConnection):
    """A connection to a checked address that still sends the host's name."""

    def __init__(self, client: _PublicClient, tls: bool, host: str, timeout: float) -> None:
        self.default_port = 443 if tls else 80
        super().__init__(host, timeout=timeout)
        self._client = client
        self._tls = tls

    def connect(self) -> None:
        self.sock = self._client.connect(self.host, self.port)
        if self._tls:
            self.sock = secure().wrap_socket(self.sock, server_hostname=self.host)
