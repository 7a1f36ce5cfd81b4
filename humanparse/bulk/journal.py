"""The journal of a run: its settings and the state of each input, in a SQLite file (WAL) in the destination.

Outputs are synchronised to the disk before their rows are committed, so every row is true.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..errors import BulkError
from ..messages import presentable
from .items import JournalRow, Listing, Outcome, State, Statistics
from .places import add_inputs, hide_secrets, place_of, refuse_case_clash, secrets_gone

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS inputs (
    number INTEGER PRIMARY KEY, place UNIQUE NOT NULL, key TEXT UNIQUE NOT NULL, start INTEGER NOT NULL,
    size INTEGER, modified INTEGER, state TEXT NOT NULL, sha256 TEXT NOT NULL DEFAULT '',
    outputs TEXT NOT NULL DEFAULT '{}', error TEXT NOT NULL DEFAULT '',
    height INTEGER, width INTEGER, parts TEXT, confidence REAL, person_share REAL, unsure_share REAL
);
CREATE INDEX IF NOT EXISTS by_state ON inputs (state, number);
CREATE TABLE IF NOT EXISTS packs (name TEXT PRIMARY KEY, number INTEGER NOT NULL, size INTEGER NOT NULL,
    stale INTEGER NOT NULL DEFAULT 0);
"""

_ITEM = "number, place, key, start, size, modified, state, sha256"
_STATISTICS = "height, width, parts, confidence, person_share, unsure_share"

Order = Literal["confidence", "unsure", "person"]

_ORDERS: dict[Order, tuple[str, str]] = {
    "confidence": ("confidence", "confidence IS NOT NULL"),
    "unsure": ("unsure_share DESC", "unsure_share > 0"),
    "person": ("person_share", "height IS NOT NULL"),
}
"""For each order of doubtful inputs: what they are sorted by, and a condition on them."""


@dataclass(frozen=True)
class Counts:
    """How many inputs are in each state; `todo` includes those whose file changed."""

    total: int = 0
    done: int = 0
    failed: int = 0
    todo: int = 0


class Journal:
    """The rows of one run.

    Args:
        path: the SQLite file, which is made if it does not exist. Secrets in URLs that an older version
            stored are removed.
        writable: False only reads, even while another process writes.
        dest: the destination, for messages.
        wal: whether to use SQLite's write-ahead log, which does not work on a network file system.

    Raises:
        BulkError: it cannot be opened, or is not a journal.
    """

    def __init__(self, path: Path, *, writable: bool = True, dest: str = "", wal: bool = True) -> None:
        self.path, self._dest = path, dest
        with self._clearly():
            mode = "rwc" if writable else "ro"
            uri = f"{path.absolute().as_uri()}?mode={mode}"
            self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=30)
            if writable:
                self._db.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'TRUNCATE'}")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.executescript(_SCHEMA)
        if writable:
            self._hide_secrets()

    def close(self) -> None:
        """Close the file; everything recorded is already on the disk."""
        self._db.close()

    def settings(self) -> dict[str, Any]:
        """The settings of the run; empty for a new one."""
        return json.loads(self._value("settings") or "{}")  # type: ignore[no-any-return]

    def begin(
        self, settings: dict[str, Any], listing: Iterable[Listing], fold: bool = False, more: bool = False
    ) -> None:
        """Store a run's settings, or check that they are as before; add new inputs and mark changed ones.

        It does all or nothing: if the inputs cannot be listed, the run has not started. If two inputs would
        have the same outputs and one cannot be renamed, such as a URL, a hash is appended to its key.

        Args:
            settings: the run's settings.
            listing: the inputs.
            fold: whether names that differ only in case are one file in the destination.
            more: whether more inputs follow, with `add`, until `all_listed`.

        Raises:
            BulkError: the run was started with other settings, which the message lists; or two inputs would
                have the same outputs.
        """
        before = self.settings()
        other = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
        if before and other:
            changes = "\n".join(
                f"  {key}: {before.get(key)} before, {settings.get(key)} now" for key in other
            )
            raise BulkError(
                f"{self._dest} holds a run with other settings; repeat those, name another folder, "
                f"or start over with `restart=True`\n{changes}"
            )
        with self._transaction() as db:
            db.execute("INSERT OR REPLACE INTO run VALUES ('settings', ?)", (json.dumps(settings),))
            db.execute("INSERT OR REPLACE INTO run VALUES ('listing', ?)", ("partly" if more else "all",))
            db.execute("INSERT OR REPLACE INTO run VALUES ('fold', ?)", ("yes" if fold else "no",))
            add_inputs(db, listing)
            if fold and not more:
                refuse_case_clash(db)

    def add(self, listing: Iterable[Listing]) -> None:
        """Add inputs after `begin`; raises the same errors."""
        with self._transaction() as db:
            add_inputs(db, listing)

    def all_listed(self) -> None:
        """Record that no more inputs follow.

        Raises:
            BulkError: two inputs would have the same outputs on a case-insensitive disk.
        """
        if self.listed:
            return
        with self._transaction() as db:
            if self._value("fold") == "yes":
                refuse_case_clash(db)
            db.execute("INSERT OR REPLACE INTO run VALUES ('listing', 'all')")

    @property
    def listed(self) -> bool:
        """Whether all inputs are in the journal."""
        return self._value("listing") != "partly"

    def batches(self, size: int) -> Iterator[list[JournalRow]]:
        """The batches with at least one input to label.

        A batch always has the same inputs, whether a run was stopped or not, so that its outputs are the same
        to the last bit.
        """
        at = 0
        while True:
            query = "SELECT min(number) FROM inputs WHERE state = 'todo' AND number >= ?"
            number = self._one(query, at * size)
            if number is None:
                return
            at = number // size + 1
            yield self.items((at - 1) * size, at * size)

    def items(self, first: int, end: int) -> list[JournalRow]:
        """The inputs with numbers from `first` to `end` (exclusive)."""
        query = f"SELECT {_ITEM} FROM inputs WHERE number >= ? AND number < ? ORDER BY number"
        return [_item(row) for row in self._rows(query, first, end)]

    def in_state(self, state: State, page: int = 1000) -> Iterator[JournalRow]:
        """All inputs in a state, by number; rows may be changed during the iteration."""
        at = 0
        while True:
            query = f"SELECT {_ITEM} FROM inputs WHERE state = ? AND number >= ? ORDER BY number LIMIT ?"
            rows = self._rows(query, state, at, page)
            if not rows:
                return
            yield from map(_item, rows)
            at = rows[-1][0] + 1

    def record(self, outcomes: Iterable[Outcome]) -> None:
        """Commit outcomes, all or nothing."""
        rows = []
        for outcome in outcomes:
            seen = outcome.statistics
            values: list[Any] = [outcome.state, outcome.sha256, json.dumps(outcome.outputs), outcome.error]
            if seen is None:
                values += [None] * 6
            else:
                values += [seen.height, seen.width, json.dumps(seen.parts)]
                values += [seen.confidence, seen.person_share, seen.unsure_share]
            rows.append((*values, outcome.number))
        with self._transaction() as db:
            db.executemany(
                "UPDATE inputs SET state = ?, sha256 = ?, outputs = ?, error = ?, height = ?, width = ?, "
                "parts = ?, confidence = ?, person_share = ?, unsure_share = ? WHERE number = ?",
                rows,
            )

    def mark(self, numbers: Iterable[int], state: State) -> None:
        """Set the state of inputs."""
        with self._transaction() as db:
            db.executemany(
                "UPDATE inputs SET state = ? WHERE number = ?", ((state, number) for number in numbers)
            )

    def retry_failed(self) -> None:
        """Mark all failed inputs to be labelled again."""
        with self._transaction() as db:
            db.execute("UPDATE inputs SET state = 'todo' WHERE state = 'failed'")

    def outputs(self, number: int) -> dict[str, int]:
        """The outputs of an input: path below the destination -> size in bytes."""
        return json.loads(self._one("SELECT outputs FROM inputs WHERE number = ?", number))  # type: ignore[no-any-return]

    def statistics(self, number: int) -> Statistics | None:
        """The statistics of an input's labels; None if it has none."""
        (row,) = self._rows(f"SELECT {_STATISTICS} FROM inputs WHERE number = ?", number)
        return None if row[0] is None else _statistics(row)

    def errors(self) -> Iterator[tuple[str, str]]:
        """(place, reason) of each input that failed."""
        for row in self._db.execute("SELECT place, error FROM inputs WHERE state = 'failed' ORDER BY number"):
            yield place_of(row[0]), presentable(row[1])

    def doubtful(self, count: int, order: Order) -> list[tuple[JournalRow, Statistics]]:
        """The most doubtful of the labelled inputs, the worst first."""
        by, condition = _ORDERS[order]
        query = (
            f"SELECT {_ITEM}, {_STATISTICS} FROM inputs WHERE state = 'done' AND {condition} "
            f"ORDER BY {by}, number LIMIT ?"
        )
        return [(_item(row[:8]), _statistics(row[8:])) for row in self._rows(query, count)]

    def counts(self) -> Counts:
        """How many inputs are in each state."""
        found = dict(self._rows("SELECT state, count(*) FROM inputs GROUP BY state"))
        todo = found.get("todo", 0) + found.get("changed", 0)
        return Counts(sum(found.values()), found.get("done", 0), found.get("failed", 0), todo)

    def has_key(self, key: str) -> bool:
        """Whether an input has this key."""
        return self._one("SELECT 1 FROM inputs WHERE key = ?", key) is not None

    def pending(self, first: int, end: int) -> bool:
        """Whether one of these inputs must still be labelled."""
        query = (
            "SELECT 1 FROM inputs WHERE number >= ? AND number < ? AND state IN ('todo', 'changed') LIMIT 1"
        )
        return self._one(query, first, end) is not None

    def last(self) -> int:
        """The highest number; -1 without inputs."""
        return int(self._one("SELECT coalesce(max(number), -1) FROM inputs"))

    def packed(self, number: int) -> dict[str, int]:
        """The packs with the outputs of a range of inputs: name -> size in bytes."""
        return dict(self._rows("SELECT name, size FROM packs WHERE number = ?", number))

    def all_packs(self) -> list[str]:
        """Names of all packs."""
        return [str(name) for (name,) in self._rows("SELECT name FROM packs ORDER BY name")]

    def spoil_packs(self, number: int) -> None:
        """Mark the packs of a range of inputs as outdated."""
        with self._transaction() as db:
            db.execute("UPDATE packs SET stale = 1 WHERE number = ?", (number,))

    def stale_packs(self) -> set[int]:
        """The ranges of inputs whose packs must be written again."""
        return {int(number) for (number,) in self._rows("SELECT number FROM packs WHERE stale")}

    def record_packs(self, number: int, sizes: dict[str, int]) -> None:
        """Record that packs are complete."""
        with self._transaction() as db:
            rows = [(name, number, size) for name, size in sizes.items()]
            db.executemany("INSERT OR REPLACE INTO packs VALUES (?, ?, ?, 0)", rows)

    def clear(self) -> None:
        """Forget everything."""
        with self._transaction() as db:
            for table in ("run", "inputs", "packs"):
                db.execute(f"DELETE FROM {table}")

    def _hide_secrets(self) -> None:
        with self._transaction() as db:
            replaced = hide_secrets(db)
        if replaced:
            with self._clearly():  # otherwise the old bytes stay in the file
                self._db.execute("VACUUM")
                secrets_gone(self._db)
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _value(self, key: str) -> str | None:
        found = self._one("SELECT value FROM run WHERE key = ?", key)
        return None if found is None else str(found)

    def _one(self, query: str, *values: Any) -> Any:
        rows = self._rows(query, *values)
        return rows[0][0] if rows else None

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._clearly():
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._clearly():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def _clearly(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise BulkError(
                f"the journal {self.path} cannot be used ({error}); check that the disk is neither full nor "
                "read-only. Finished outputs are kept: resume with `resume=True`"
            ) from error


def _item(row: tuple[Any, ...]) -> JournalRow:
    number, place, key, start, size, modified, state, sha256 = row
    return JournalRow(number, Listing(place_of(place), key, start, size, modified), state, sha256)


def _statistics(row: tuple[Any, ...]) -> Statistics:
    return Statistics(row[0], row[1], json.loads(row[2]), *row[3:])
