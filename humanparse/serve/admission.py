"""Limits on what the service holds at a time: photos, bytes of uploads and answers, decoded pixels.

Everything here runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from .refusals import Refusal

Hold = Callable[[int], None]
"""Counts bytes as held by a request; see `Bytes.take`."""


class PhotoLimit:
    """A limit on photos that wait or are parsed at a time; a request beyond it is refused."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    @contextmanager
    def hold(self, retry_after: int) -> Iterator[None]:
        """Count one photo while the block runs.

        Raises:
            Refusal: the limit is reached.
        """
        self.check(retry_after)
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1

    def check(self, retry_after: int) -> None:
        """Raise `Refusal` if the limit is reached."""
        if self.held >= self._most:
            raise Refusal("busy", f"{self._most} photos are waiting; try again later", retry_after)


class Bytes:
    """A limit on the bytes of uploads and answers held at a time; a request beyond it is refused."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    def take(self, until: ExitStack, count: int) -> None:
        """Count bytes as held until that stack is closed.

        Raises:
            Refusal: the limit would be passed.
        """
        if self.held + count > self._most:
            raise Refusal("busy", "too many large requests are in progress; try again later", 1)
        self.held += count
        until.callback(self._release, count)

    def _release(self, count: int) -> None:
        self.held -= count


class Pixels:
    """A limit on decoded pixels held at a time; a request beyond it waits its turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def room(self, count: int) -> AsyncIterator[None]:
        """Wait until there is room for `count` pixels (at most `most`), and hold them during the block."""
        if self._waiting or self.held + count > self._most:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((count, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._free(count)
                else:
                    self._waiting.remove((count, turn))
                    self._wake()
                raise
        else:
            self.held += count
        try:
            yield
        finally:
            self._free(count)

    def _free(self, count: int) -> None:
        self.held -= count
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self.held + self._waiting[0][0] <= self._most:
            count, turn = self._waiting.popleft()
            if not turn.done():
                self.held += count
                turn.set_result(None)
