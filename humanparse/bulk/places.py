"""What the journal calls inputs: SQLite takes text in UTF-8 only, and a journal holds no secrets."""

from __future__ import annotations

import os
import sqlite3

from ..addresses import distinct
from ..messages import presentable

_HIDDEN = "secrets hidden"
"""Key of the run's table: its rows are all of this version's form."""


def storable(place: str) -> str | bytes:
    """SQLite's text is UTF-8, and names of files need not be."""
    try:
        place.encode()
    except UnicodeEncodeError:
        return os.fsencode(place)
    return place


def place_of(stored: str | bytes) -> str:
    """What `storable` was made of; of journals that older versions wrote without the secrets of addresses."""
    place = os.fsdecode(stored)
    return distinct(place) if "://" in place else place


def hide_secrets(db: sqlite3.Connection) -> bool:
    """Bring the addresses that an older version noted into the form of `place_of`, and messages likewise.

    Where that makes two inputs one, the later one keeps its row under its number.

    Returns:
        Whether anything was changed.
    """
    if db.execute("SELECT 1 FROM run WHERE key = ?", (_HIDDEN,)).fetchone():
        return False
    changed, last = False, -1
    query = "SELECT number, place, error FROM inputs WHERE number > ? ORDER BY number LIMIT 10000"
    while rows := db.execute(query, (last,)).fetchall():
        for number, stored, error in rows:
            place, shown = place_of(stored), presentable(error)
            if (storable(place), shown) != (stored, error):
                changed = True
                taken = "SELECT 1 FROM inputs WHERE place = ? AND number <> ?"
                if db.execute(taken, (storable(place), number)).fetchone():
                    place = f"{place} ({number})"
                update = "UPDATE inputs SET place = ?, error = ? WHERE number = ?"
                db.execute(update, (storable(place), shown, number))
        last = rows[-1][0]
    db.execute("INSERT INTO run VALUES (?, '1')", (_HIDDEN,))
    return changed
