"""Lists inputs while the first ones are labelled: a bucket of a million objects takes minutes to list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from queue import Empty, Full, Queue
from threading import Event, Thread

from .items import JournalRow, Listing
from .journal import Journal

_PAGE = 1000
"""Inputs that enter the journal together."""

_AHEAD = 8
"""Pages that may wait for the journal."""


class Intake:
    """Lists inputs in a thread of its own; memory holds a few pages.

    Args:
        listing: the inputs.
    """

    def __init__(self, listing: Iterable[Listing]) -> None:
        self.over = False
        self.count = 0
        self._pages: Queue[list[Listing] | Exception | None] = Queue(_AHEAD)
        self._closed = Event()
        Thread(target=self._fill, args=(iter(listing),), name="humanparse-list", daemon=True).start()

    def close(self) -> None:
        """Stop listing."""
        self._closed.set()

    def page(self, wait: bool) -> list[Listing]:
        """The next inputs; empty if there are no more (`over`) or, unless `wait`, none yet.

        Raises:
            BulkError: the source cannot be listed, or is empty.
        """
        if self.over:
            return []
        try:
            page = self._pages.get(block=wait)
        except Empty:
            return []
        if isinstance(page, list):
            self.count += len(page)
            return page
        self.over = True
        if page is not None:
            raise page
        return []

    def batches(self, journal: Journal, size: int) -> Iterator[list[JournalRow]]:
        """All batches of a new run, each once its inputs are in the journal.

        Raises:
            BulkError: as `page`.
        """
        number = 0
        while True:
            for _ in range(_AHEAD):  # not more: a fast listing would delay the batch
                if not (page := self.page(wait=False)):
                    break
                journal.add(page)
            while not self.over and self.count < (number + 1) * size:
                journal.add(self.page(wait=True))
            if self.over:
                journal.all_listed()
            batch = journal.items(number * size, (number + 1) * size)
            if not batch:
                return
            yield batch
            number += 1

    def _fill(self, listing: Iterator[Listing]) -> None:
        end: Exception | None = None
        try:
            while page := list(islice(listing, _PAGE)):
                if not self._put(page):
                    return
        except Exception as error:  # raised where the pages are taken
            end = error
        self._put(end)

    def _put(self, page: list[Listing] | Exception | None) -> bool:
        while not self._closed.is_set():
            try:
                self._pages.put(page, timeout=0.2)
            except Full:
                continue
            return True
        return False
