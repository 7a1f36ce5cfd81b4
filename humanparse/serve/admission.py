"""Limits on what the service holds at a time: photos, bytes of uploads and answers, decoded pixels.

All of it runs in the event loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from .refusals import Refusal


class Places:
    """A number of places; who finds none is told to come back.

    Args:
        most: how many there are.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.taken = 0

    @contextmanager
    def place(self, retry_after: int) -> Iterator[None]:
        """Hold a place.

        Raises:
            Refusal: all are taken.
        """
        self.check(retry_after)
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    def check(self, retry_after: int) -> None:
        """Refuse when all places are taken."""
        if self.taken >= self._most:
            raise Refusal("busy", f"{self._most} photos are waiting; come back later", retry_after)


class Bytes:
    """Bytes of uploads and answers, taken as they come up.

    Args:
        most: how many may be held.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0

    @contextmanager
    def account(self) -> Iterator[Account]:
        """An account that is settled at the end of the block."""
        account = Account(self)
        try:
            yield account
        finally:
            self.held -= account.held

    def take(self, count: int) -> None:
        """Count bytes as held.

        Raises:
            Refusal: they would be too many.
        """
        if self.held + count > self._most:
            raise Refusal("busy", "too many large requests are under way; come back later", 1)
        self.held += count


class Account:
    """What one request holds."""

    def __init__(self, stock: Bytes) -> None:
        self._stock = stock
        self.held = 0

    def take(self, count: int) -> None:
        """See `Bytes.take`."""
        self._stock.take(count)
        self.held += count


class Pixels:
    """Decoded pixels; who finds too few waits, first come, first served.

    Args:
        most: how many may be held.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def room(self, count: int) -> AsyncIterator[None]:
        """Wait until there is room for that many, at most `most`, and hold it."""
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
