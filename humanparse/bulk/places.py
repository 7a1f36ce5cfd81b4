"""How the journal stores the places of inputs: as UTF-8 text, which SQLite needs, and without secrets."""

from __future__ import annotations

import os
import sqlite3

from ..addresses import distinct
from ..messages import presentable
from .naming import key_of_url

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
