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
from functools import partial
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .. import decode
from ..cleaning import Cleaning
from ..errors import ImageError, ImageKindError, ImageSizeError, SchemeError
from ..formats import Photo, PhotoName, photo_name
from ..parser import Parser
from ..results import Parsing
from . import answers, uploads, urls
from .admission import Bytes, Hold, PhotoLimit, Pixels
from .batcher import Batcher
from .metrics import Metrics
from .refusals import Refusal
from .served import Models
from .settings import ServeSettings

log = logging.getLogger("humanparse.serve")
Value = TypeVar("Value")

_NAME = "the picture"
_PIECE = 1 << 18
_GONE = 499
"""Status that counts clients that disconnect before their answer."""


@dataclass(frozen=True)
class ParseRequest:
    """The parameters of a request."""

    model: str
    scheme: str  # "" for the model's own
    detect: bool
    kind: str  # one of `answers.FORMATS`
    cleaning: Cleaning


class HeldAnswer(Response):
    """An answer that closes `held` once it is sent, or the client has disconnected.

    It is sent in pieces, each when the one before is nearly sent, so that a slow connection can be
    distinguished from a dead one.
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
    """The models, the limits and the threads of one process."""

    def __init__(self, settings: ServeSettings, parsers: Mapping[str, Parser]) -> None:
        self.settings = settings
        self._photos = PhotoLimit(settings.queue)
        self._bytes = Bytes(settings.most_bytes)
        self._pixels = Pixels(settings.most_pixels)
        self.metrics = Metrics(lambda: self._photos.held, lambda: self._bytes.held)
        self.models = Models(settings, parsers, self._observe)
        self._pace = 0.05  # seconds per photo, a moving average
        threads = min(8, os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(threads, "humanparse-serve")
        self._fetchers = ThreadPoolExecutor(8, "humanparse-fetch")

    def close(self) -> None:
        """Finish the queued photos, then stop the threads."""
        self.models.close()
        self._threads.shutdown(cancel_futures=True)
        self._fetchers.shutdown(wait=False, cancel_futures=True)

    async def parse(self, request: Request, wanted: ParseRequest) -> Response:
        """Answer a request for a parsing.

        Raises:
            Refusal: it cannot be answered.
        """
        status = 500
        try:
            response = await self._parse(request, wanted)
            status = response.status_code
            return response
        except Refusal as refusal:
            status = refusal.status
            raise
        except ClientDisconnect:
            status = _GONE
            return Response(status_code=_GONE)
        finally:
            known = wanted.model if wanted.model in self.models.schemes else "unknown"
            self.metrics.answered(known, wanted.kind, status)
            self.metrics.sample()

    async def _parse(self, request: Request, wanted: ParseRequest) -> Response:
        model = self._accept(wanted)
        self._photos.check(self._retry_after())
        headers = {key.lower(): value for key, value in request.headers.items()}
        with ExitStack() as held:
            hold = partial(self._bytes.take, held)
            limits = self.settings.max_bytes, self.settings.upload_seconds
            picture = await uploads.receive(headers, request.stream(), *limits, hold)
            start = time.monotonic()
            with self._photos.hold(self._retry_after()):
                work = self._answer(model, picture, wanted, hold, start)
                content = await _unless_gone(request, work, self.settings.timeout)
            hold(len(content))
            seconds = time.monotonic() - start
            self.metrics.took(seconds)
            about = {
                "X-Humanparse-Model": wanted.model,
                "X-Humanparse-Milliseconds": f"{1000 * seconds:.1f}",
                "Vary": "Accept",
            }
            return HeldAnswer(content, answers.FORMATS[wanted.kind].media_type, about, held.pop_all())

    def _accept(self, wanted: ParseRequest) -> Batcher:
        """The requested model, if it can do everything that is requested."""
        model = self.models.get(wanted.model)
        schemes = self.models.schemes[wanted.model]
        if wanted.scheme and wanted.scheme not in schemes:
            raise Refusal(
                "invalid_parameter",
                f"{wanted.model} answers in {', '.join(schemes)}, not in {wanted.scheme!r}",
            )
        if wanted.detect and not self.models.people[wanted.model]:
            raise Refusal(
                "invalid_parameter",
                "people=detect needs a detector, which this service does not have: start it with --people",
            )
        try:
            wanted.cleaning.check(model.parser.scheme)
        except SchemeError as error:
            raise Refusal("invalid_parameter", str(error)) from None
        return model

    async def _answer(
        self, model: Batcher, picture: uploads.Picture, wanted: ParseRequest, hold: Hold, start: float
    ) -> bytes:
        content = picture.content
        if picture.url is not None:
            content = await self._fetch(picture.url)
            hold(len(content))
        pixels = await self._in_thread(_pixel_count, content, self.settings.max_pixels)
        async with self._pixels.room(pixels):
            photo = await self._in_thread(_decoded, content, self.settings.max_pixels)
            detect = wanted.detect and not model.parser.finds_people  # such models find people anyway
            try:
                queued = model.submit(photo, detect)
            except RuntimeError:
                raise Refusal("not_ready", "the service is shutting down; try again", 1) from None
            parsing = await asyncio.wrap_future(queued)
            name = PhotoName("image") if picture.url is None else photo_name(picture.url, "")
            return await self._in_thread(_encoded, parsing, Photo(name, photo), wanted, start)

    async def _fetch(self, url: str) -> bytes:
        settings = self.settings
        if not settings.allow_urls:
            raise Refusal("address_refused", "this service does not fetch URLs; send the picture itself")
        limits = urls.FetchLimits(settings.max_bytes, settings.upload_seconds, settings.allow_local)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._fetchers, urls.fetch, url, limits)

    async def _in_thread(self, work: Callable[..., Value], *arguments: Any) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    def _observe(self, model: str, photos: int, seconds: float) -> None:
        self._pace += 0.2 * (seconds / photos - self._pace)
        self.metrics.batch(model, photos, seconds)

    def _retry_after(self) -> int:
        """Seconds in which half of the waiting photos should be done."""
        return max(1, min(60, round(self._photos.held * self._pace / 2)))


async def _unless_gone(request: Request, work: Coroutine[Any, Any, bytes], timeout: float) -> bytes:
    """The result of `work`, which is cancelled if the client disconnects or time runs out.

    Raises:
        ClientDisconnect: the client disconnected.
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
        raise Refusal(
            "timeout", f"no answer within {timeout:g} s; try again later, or send a smaller picture", 5
        )
    finally:
        # Reading the exception keeps asyncio from warning that nobody did.
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        for one in (task, leaving):
            one.cancel()


def _pixel_count(content: bytes, most: int) -> int:
    with _readable():
        count = decode.pixel_count(content, _NAME)
    if count > most:
        raise Refusal("too_many_pixels", f"the picture has {count} pixels, more than {most}; shrink it")
    return count


def _decoded(content: bytes, most: int) -> npt.NDArray[np.uint8]:
    with _readable():
        return decode.stream_to_rgb(io.BytesIO(content), _NAME, most)


def _encoded(parsing: Parsing, photo: Photo, wanted: ParseRequest, start: float) -> bytes:
    parsing = parsing.cleaned(**wanted.cleaning.words())
    if wanted.scheme:
        parsing = parsing.remap(wanted.scheme)
    return answers.encode(parsing, photo, wanted.kind, 1000 * (time.monotonic() - start))


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
