"""Drains a refused upload so that the client can read the error."""

from __future__ import annotations

import asyncio
import contextlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = 2.0


class DrainRefused:
    """Before an error closes a connection, reads and drops the rest of the upload, for at most 2 s.

    A client that is still sending cannot read the answer. Connections that stay open need no draining: the
    server drops the rest of the body after the answer. Nor do clients that ask first
    (`Expect: 100-continue`): they are not sending yet.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        headers = dict(scope.get("headers", ()))
        closes = headers.get(b"connection", b"").lower() == b"close" or scope.get("http_version") == "1.0"
        if not closes or b"expect" in headers:
            return await self._app(scope, receive, send)
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

        await self._app(scope, noted, patient)
