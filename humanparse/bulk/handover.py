"""Lets another machine resume a run: a copy of its journal beside the labels, and a lease.

The lease is a small file that a run renews every few seconds. A run that finds another one's lease waits to
see whether it is renewed. (If two runs start at the same moment, both write it; the one that later finds the
other's lease stops. Until then both wrote the same bytes.)
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from threading import Event, Thread
from typing import Any

from ..errors import BulkError, GoneError, StorageError
from .destination import Destination
from .stores import STATE

BEAT = 10.0
"""Seconds between two renewals of a lease."""

_SILENCE = 2.5
"""Missed renewals after which a run counts as dead."""

_COPY = 60.0
"""Least seconds between two copies of the journal."""

_SHARE = 20
"""Least pause after a copy, as a multiple of the time that it took."""


class Handover:
    """The copy and the lease of one run, or one shard."""

    def __init__(self, destination: Destination, tell: Callable[[str], None]) -> None:
        self._store, self._path, self._tell = destination.store, destination.path, tell
        self._copy_name = f"{STATE}/{destination.folder}/journal.sqlite"
        self._lease_name = f"{STATE}/{destination.folder}/lease.json"
        self._owner_file = owner = destination.state / "owner"  # names the run that the journal belongs to
        self._owner = owner.read_text(encoding="ascii") if owner.is_file() and self._path.is_file() else ""
        self._ending, self._lost = Event(), Event()
        self._copying: Future[float] | None = None
        self._next_copy = 0.0

    def _take(self) -> None:
        """Take over the copy of the journal if another machine ran last."""
        lease = self._lease()
        if lease is None or lease["owner"] != self._owner:
            if lease is not None and not lease["ended"]:
                self._refuse_living(lease)
            if self._adopt() or lease is not None:
                self._owner = ""
        if not self._owner:
            self._owner = secrets.token_hex(8)
            self._owner_file.write_text(self._owner, encoding="ascii")

    @contextmanager
    def kept(self) -> Iterator[Handover]:
        """Renew the lease inside the block; copy the journal and end the lease after it.

        If another machine ran last, its copy of the journal is taken over first, so open the journal inside.

        Raises:
            BulkError: another run is writing there.
            StorageError: the storage fails.
        """
        self._take()
        self._write_lease(0, ended=False)
        thread = Thread(target=self._renew, name="humanparse-lease", daemon=True)
        thread.start()
        try:
            with ThreadPoolExecutor(1, "humanparse-journal") as self._copier:
                yield self
        except BaseException:
            with suppress(StorageError):  # report the first error
                self._end(thread)
            raise
        self._end(thread)

    def tick(self) -> None:
        """Copy the journal if it is time; call after each batch.

        Raises:
            BulkError: another run has taken over.
        """
        if self._lost.is_set():
            raise BulkError(
                f"another run has taken over {self._store}; see its progress with `status`, and start no "
                "second one"
            )
        if self._copying is None and time.monotonic() >= self._next_copy:
            self._copying = self._copier.submit(self._copy)
        elif self._copying is not None and self._copying.done():
            took = _COPY if self._copying.exception() else self._copying.result()
            self._next_copy = time.monotonic() + max(_COPY, _SHARE * took)
            self._copying = None

    def _end(self, thread: Thread) -> None:
        self._ending.set()
        thread.join()
        if not self._lost.is_set():
            self._copy()
            self._write_lease(-1, ended=True)

    def _renew(self) -> None:
        beat = 0
        while not self._ending.wait(BEAT):
            try:
                lease = self._lease()
                if lease is not None and lease["owner"] != self._owner:
                    self._lost.set()
                    return
                beat += 1
                self._write_lease(beat, ended=False)
            except StorageError:  # the next beat tries again
                continue

    def _refuse_living(self, lease: dict[str, Any]) -> None:
        wait = _SILENCE * BEAT
        self._tell(
            f"{self._store}: a run on {lease['machine']} did not end properly; waiting {wait:.0f} s to see "
            "whether it is still writing"
        )
        time.sleep(wait)
        now = self._lease()
        if now is not None and now != lease and not now["ended"]:
            raise BulkError(
                f"another run is writing to {self._store}, on {now['machine']}; wait for it, or name another "
                "folder"
            )

    def _adopt(self) -> bool:
        """Replace this machine's journal by the copy. Returns whether there is one."""
        part = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.part")
        try:
            with self._store.copy(self._copy_name) as copy:
                shutil.copyfile(copy, part)
        except GoneError:
            return False
        for ending in ("", "-wal", "-shm", "-journal"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)
        os.replace(part, self._path)
        return True

    def _copy(self) -> float:
        """Copy the journal. Returns the seconds that it took."""
        begin = time.monotonic()
        with (
            self._store.replacing(self._copy_name) as path,
            closing(sqlite3.connect(self._path, timeout=30)) as journal,
            closing(sqlite3.connect(path)) as copy,
        ):
            journal.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # a single file, without a log
        return time.monotonic() - begin

    def _lease(self) -> dict[str, Any] | None:
        try:
            with self._store.copy(self._lease_name) as path:
                found: dict[str, Any] = json.loads(path.read_bytes())
                return found
        except GoneError:
            return None

    def _write_lease(self, beat: int, ended: bool) -> None:
        lease = {"owner": self._owner, "beat": beat, "machine": socket.gethostname(), "ended": ended}
        self._store.put(self._lease_name, json.dumps(lease).encode())
