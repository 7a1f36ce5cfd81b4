"""One request from its upload to its answer: limits, decoding, batch, encoding."""

from __future__ import annotations

import asyncio
import io
import logging
import os
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .. import decode
from ..cleaning import Cleaning
from ..errors import ImageError, ImageKindError, ImageSizeError, SchemeError
from ..parser import Parser
from ..results import Parsing
from . import answers, uploads, urls
from .admission import Account, Bytes, Pixels, Places
from .metrics import Metrics
from .refusals import Refusal
from .served import Loaded, Models
from .settings import Settings

log = logging.getLogger("humanparse.serve")
Value = TypeVar("Value")

_NAME = "the picture"
_PIECE = 1 << 18
_GONE = 499
"""Status under which callers are counted that left before their answer."""


@dataclass(frozen=True)
class Wish:
    """What a request asks for: a model's name, a scheme's key or "", whether to find people, and so on."""

    model: str
    scheme: str
    detect: bool
    kind: str
    cleaning: Cleaning


class HeldAnswer(Response):
    """An answer whose bytes count until its caller has taken them.

    It goes out in pieces, each once the one before is nearly gone, so that a slow line is told from none.

    Args:
        content: the body.
        media_type: its type.
        headers: beside those of its type and length.
        held: closed once it is sent, or its caller has left.
    """

    def __init__(self, content: bytes, media_type: str, headers: dict[str, str], held: ExitStack) -> None:
        super().__init__(content, media_type=media_type, headers=headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        with self._held:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            for at in range(0, len(self.body), _PIECE):
                piece = self.body[at : at + _PIECE]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


class Service:
    """The models, the limits and the threads of one process.

    Args:
        settings: how it behaves.
        parsers: models that are loaded already, by name.
    """

    def __init__(self, settings: Settings, parsers: Mapping[str, Parser]) -> None:
        self.settings = settings
        self._places = Places(settings.queue)
        self._bytes = Bytes(settings.most_bytes)
        self._pixels = Pixels(settings.most_pixels)
        self.metrics = Metrics(lambda: self._places.taken, lambda: self._bytes.held)
        self.models = Models(settings, parsers, self._observe)
        self._pace = 0.05  # seconds per photo, as of late
        threads = min(8, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(threads, "humanparse-serve")
        self._fetchers = ThreadPoolExecutor(8, "humanparse-fetch")
        self._limits = uploads.Limits(settings.max_bytes, settings.upload_seconds)

    def close(self) -> None:
        """Finish what is queued, then end the threads."""
        self.models.close()
        self._threads.shutdown(cancel_futures=True)
        self._fetchers.shutdown(wait=False, cancel_futures=True)

    async def parse(self, request: Request, wish: Wish) -> Response:
        """Answer a request for a parsing.

        Raises:
            Refusal: it cannot be answered.
        """
        status = 500
        try:
            response = await self._parse(request, wish)
            status = response.status_code
            return response
        except Refusal as refusal:
            status = refusal.status
            raise
        except ClientDisconnect:
            status = _GONE
            return Response(status_code=_GONE)
        finally:
            known = wish.model if wish.model in self.models.schemes else "unknown"
            self.metrics.answered(known, wish.kind, status)
            self.metrics.sample()

    async def _parse(self, request: Request, wish: Wish) -> Response:
        model = self._accept(wish)
        self._places.check(self._retry_after())
        headers = {key.lower(): value for key, value in request.headers.items()}
        with ExitStack() as held:
            account = held.enter_context(self._bytes.account())
            picture = await uploads.receive(headers, request.stream(), self._limits, account)
            start = time.monotonic()
            with self._places.place(self._retry_after()):
                work = self._answer(model, picture, wish, account, start)
                content = await _unless_gone(request, work, self.settings.timeout)
            account.take(len(content))
            seconds = time.monotonic() - start
            self.metrics.took(seconds)
            about = {
                "X-Humanparse-Model": wish.model,
                "X-Humanparse-Milliseconds": f"{1000 * seconds:.1f}",
                "Vary": "Accept",
            }
            return HeldAnswer(content, answers.MEDIA_TYPES[wish.kind], about, held.pop_all())

    def _accept(self, wish: Wish) -> Loaded:
        """The model that is asked for, once all that is asked of it can be done."""
        model = self.models.get(wish.model)
        schemes = self.models.schemes[wish.model]
        if wish.scheme and wish.scheme not in schemes:
            raise Refusal(
                "invalid_parameter", f"{wish.model} answers in {', '.join(schemes)}, not in {wish.scheme!r}"
            )
        if wish.detect and not self.models.people[wish.model]:
            raise Refusal(
                "invalid_parameter",
                "people=detect needs a detector, which this service does not have: start it with --people",
            )
        try:
            wish.cleaning.check(model.parser.scheme)
        except SchemeError as error:
            raise Refusal("invalid_parameter", str(error)) from None
        return model

    async def _answer(
        self, model: Loaded, picture: uploads.Picture, wish: Wish, account: Account, start: float
    ) -> bytes:
        content = picture.content
        if picture.url is not None:
            content = await self._fetch(picture.url)
            account.take(len(content))
        pixels = await self._in_thread(_pixel_count, content, self.settings.max_pixels)
        async with self._pixels.room(pixels):
            photo = await self._in_thread(_decoded, content, self.settings.max_pixels)
            detect = wish.detect and not model.parser.finds_people  # these find them anyway
            try:
                queued = model.batcher.submit(photo, detect)
            except RuntimeError:
                raise Refusal("not_ready", "the service is ending; try again", 1) from None
            parsing = await asyncio.wrap_future(queued)
            return await self._in_thread(_encoded, parsing, photo, wish, start)

    async def _fetch(self, url: str) -> bytes:
        settings = self.settings
        if not settings.allow_urls:
            raise Refusal("address_refused", "this service fetches no addresses; send the picture itself")
        limits = urls.Limits(settings.max_bytes, settings.upload_seconds, settings.allow_local)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._fetchers, urls.fetch, url, limits)

    async def _in_thread(self, work: Callable[..., Value], *arguments: Any) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _observe(self, model: str, photos: int, seconds: float) -> None:
        self._pace += 0.2 * (seconds / photos - self._pace)
        self.metrics.batch(model, photos, seconds)

    def _retry_after(self) -> int:
        """Seconds after which half of what waits should be done."""
        return max(1, min(60, round(self._places.taken * self._pace / 2)))


async def _unless_gone(request: Request, work: Coroutine[Any, Any, bytes], timeout: float) -> bytes:
    """What `work` gives, unless the caller leaves or time runs out; then it is cancelled.

    Raises:
        ClientDisconnect: the caller left.
        Refusal: it took too long.
    """

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(leave())
    try:
        await asyncio.wait((task, leaving), timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if leaving.done():
            raise ClientDisconnect
        raise Refusal("timeout", f"no answer within {timeout:g} s; try again later, or a smaller picture", 5)
    finally:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else will look
        for one in (task, leaving):
            one.cancel()


def _pixel_count(content: bytes, most: int) -> int:
    with _readable():
        count = decode.pixel_count(content, _NAME)
    if count > most:
        raise Refusal("too_many_pixels", f"{count} pixels; at most {most} are taken: shrink the picture")
    return count


def _decoded(content: bytes, most: int) -> npt.NDArray[np.uint8]:
    with _readable():
        return decode.stream_to_rgb(io.BytesIO(content), _NAME, most)


def _encoded(parsing: Parsing, photo: npt.NDArray[np.uint8], wish: Wish, start: float) -> bytes:
    parsing = parsing.cleaned(**wish.cleaning.words())
    if wish.scheme:
        parsing = parsing.remap(wish.scheme)
    return answers.encode(parsing, photo, wish.kind, 1000 * (time.monotonic() - start))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except ImageSizeError as error:
        raise Refusal("too_many_pixels", str(error)) from None
    except ImageKindError as error:
        raise Refusal("unsupported_media_type", str(error)) from None
    except ImageError as error:
        raise Refusal("malformed_image", str(error)) from None
