"""How the journal stores places of inputs: as UTF-8, which SQLite needs, and without secrets."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from ..addresses import distinct
from ..durable import folded
from ..errors import BulkError
from ..messages import presentable
from .items import Listing
from .naming import hash_of, key_of_url

_LIST = """
INSERT INTO inputs (number, place, key, start, size, modified, state) VALUES (?, ?, ?, ?, ?, ?, 'todo')
ON CONFLICT (place) DO UPDATE SET
    state = CASE WHEN size IS excluded.size AND modified IS excluded.modified AND start = excluded.start
                 THEN state WHEN state IN ('done', 'changed') THEN 'changed' ELSE 'todo' END,
    start = excluded.start, size = excluded.size, modified = excluded.modified
"""

_HIDDEN = "secrets hidden"
"""Row of the run's table: whether older rows were cleaned, and whether the file was rewritten since."""


def storable(place: str) -> str | bytes:
    """A place as SQLite can store it: text is UTF-8 there, but file names need not be."""
    try:
        place.encode()
    except UnicodeEncodeError:
        return os.fsencode(place)
    return place


def place_of(stored: str | bytes) -> str:
    """The inverse of `storable`; secrets in URLs from journals of older versions are removed."""
    place = os.fsdecode(stored)
    return distinct(place) if "://" in place else place


def add_inputs(db: sqlite3.Connection, listing: Iterable[Listing]) -> None:
    """Add new inputs, numbered in order, and mark those that changed.

    Raises:
        BulkError: two inputs would have the same outputs.
    """
    number = db.execute("SELECT coalesce(max(number), -1) FROM inputs").fetchone()[0]
    for found in listing:
        number += 1
        _add(db, number, found)


def refuse_case_clash(db: sqlite3.Connection) -> None:
    """Check that no two outputs have names that differ only in case.

    Raises:
        BulkError: two outputs have such names.
    """
    db.create_function("folded", 1, folded, deterministic=True)
    query = "SELECT min(place), max(place) FROM inputs GROUP BY folded(key) HAVING count(*) > 1"
    if (pair := db.execute(query).fetchone()) is not None:
        one, other_one = map(place_of, pair)
        raise BulkError(
            f"{one} and {other_one} would have the same output: names that differ only in case are one file "
            "on this disk; rename one, or label to another disk"
        )


def _add(db: sqlite3.Connection, number: int, found: Listing) -> None:
    """Add an input, or update its row; a `fixed` input whose key is taken gets another key."""
    place, key = found.place, found.key
    try:
        db.execute(_LIST, (number, storable(place), key, found.start, found.size, found.modified))
    except sqlite3.IntegrityError as error:
        if found.fixed and not key.endswith(hash_of(place)):
            return _add(db, number, replace(found, key=f"{key}-{hash_of(place)}"))
        owner = place_of(db.execute("SELECT place FROM inputs WHERE key = ?", (key,)).fetchone()[0])
        suffixes = {PurePosixPath(name).suffix for name in (owner, place)}
        kept = ", or give outputs the suffix of their input with `keep_suffix=True`" * (len(suffixes) > 1)
        raise BulkError(f"{owner} and {place} would have the same output, {key}; rename one{kept}") from error


def hide_secrets(db: sqlite3.Connection) -> bool:
    """Remove the secrets from URLs and messages that an older version stored.

    An input whose outputs are named after a user is deleted, and so is one of two that become equal: the
    run's list adds them again, without secrets. Packs, which name their sources, are written again when the
    run is resumed.

    Returns:
        Whether the file still contains the old text. If so, run `VACUUM`, then call `secrets_gone`.
    """
    if (before := db.execute("SELECT value FROM run WHERE key = ?", (_HIDDEN,)).fetchone()) is not None:
        return bool(before[0] == "replaced")
    changed, last = False, -1
    query = "SELECT number, place, key, error FROM inputs WHERE number > ? ORDER BY number LIMIT 10000"
    while rows := db.execute(query, (last,)).fetchall():
        for row in rows:
            changed |= _hide(db, *row)
        last = rows[-1][0]
    if changed:
        db.execute("UPDATE packs SET stale = 1")
    db.execute("INSERT INTO run VALUES (?, ?)", (_HIDDEN, "replaced" if changed else "gone"))
    return changed


def secrets_gone(db: sqlite3.Connection) -> None:
    """Record that the file was rewritten."""
    db.execute("UPDATE run SET value = 'gone' WHERE key = ?", (_HIDDEN,))


def _hide(db: sqlite3.Connection, number: int, stored: str | bytes, key: str, error: str) -> bool:
    place, shown = place_of(stored), presentable(error)
    if (storable(place), shown) == (stored, error):
        return False
    twin = "SELECT 1 FROM inputs WHERE place = ? AND number <> ?"
    named_after_user = "://" in place and key.partition("/")[0] != key_of_url(place).partition("/")[0]
    if named_after_user or db.execute(twin, (storable(place), number)).fetchone():
        db.execute("DELETE FROM inputs WHERE number = ?", (number,))
    else:
        update = "UPDATE inputs SET place = ?, error = ? WHERE number = ?"
        db.execute(update, (storable(place), shown, number))
    return True
