"""What wraps the application: HEAD requests, headers of every answer, the rest of refused uploads."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),  # otherwise a browser keeps the scripts of an older version
)

_SECONDS = 2.0


def with_head(app: ASGIApp) -> ASGIApp:
    """Answers HEAD as GET, without a body: load balancers and monitors use it."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await app(scope, receive, send)

        async def without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await app({**scope, "method": "GET"}, receive, without_body)

    return wrapped


def with_headers(app: ASGIApp) -> ASGIApp:
    """Adds headers to every answer: browsers load nothing from other sites, and do not guess types."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def added(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        await app(scope, receive, added)

    return wrapped


def draining(app: ASGIApp) -> ASGIApp:
    """Before an error closes a connection, reads and drops the rest of the upload, for at most 2 s.

    A client that is still sending cannot read the answer. Connections that stay open need no draining: the
    server drops the rest of the body after the answer. Nor do clients that ask first
    (`Expect: 100-continue`): they are not sending yet.
    """

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope.get("headers", ()))
        closes = headers.get(b"connection", b"").lower() == b"close" or scope.get("http_version") == "1.0"
        if not closes or b"expect" in headers:
            return await app(scope, receive, send)
        complete = False

        async def noted() -> Message:
            nonlocal complete
            message = await receive()
            complete = complete or not message.get("more_body", False)
            return message

        async def rest() -> None:
            while not complete:
                await noted()

        async def patient(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(rest(), _SECONDS)
            await send(message)

        await app(scope, noted, patient)

    return wrapped
