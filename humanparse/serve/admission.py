"""Limits on what the service holds at a time: photos, bytes of uploads and answers, decoded pixels.

Everything here runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from .refusals import Refusal


class PhotoLimit:
    """A limit on photos in the service; a request beyond it is refused.

    Args:
        most: how many photos may wait or be parsed at a time.
    """

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
    """A limit on the bytes of uploads and answers; a request beyond it is refused.

    Args:
        most: how many bytes may be held at a time.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    @contextmanager
    def account(self) -> Iterator[Account]:
        """An account of one request; its bytes are released at the end of the block."""
        account = Account(self)
        try:
            yield account
        finally:
            self.held -= account.held

    def take(self, count: int) -> None:
        """Count bytes as held.

        Raises:
            Refusal: the limit would be passed.
        """
        if self.held + count > self._most:
            raise Refusal("busy", "too many large requests are in progress; try again later", 1)
        self.held += count


class Account:
    """The bytes that one request holds."""

    def __init__(self, stock: Bytes) -> None:
        self._stock = stock
        self.held = 0

    def take(self, count: int) -> None:
        """See `Bytes.take`."""
        self._stock.take(count)
        self.held += count


class Pixels:
    """A limit on decoded pixels; a request beyond it waits its turn.

    Args:
        most: how many pixels may be held at a time.
    """

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
