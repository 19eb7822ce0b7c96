"""The database of finished trainings, from which accuracy tables are written."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.database import open_database
from distill.tables import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_VERSION = 3
_MADE_BY = "CREATE TABLE made_by (recipe TEXT NOT NULL, hardware TEXT NOT NULL, PRIMARY KEY (recipe, hardware))"
_SCHEMA = f"""
CREATE TABLE accuracy (
    recipe TEXT NOT NULL, cell INTEGER NOT NULL, seed INTEGER NOT NULL, val REAL, test REAL, best REAL,
    log_likelihood REAL, epochs REAL NOT NULL, seconds REAL NOT NULL, status TEXT NOT NULL,
    PRIMARY KEY (recipe, cell, seed)
) WITHOUT ROWID;
{_MADE_BY}
"""
_CHANGES = {
    1: "ALTER TABLE accuracy ADD COLUMN best REAL;" + _MADE_BY,
    2: "ALTER TABLE accuracy ADD COLUMN log_likelihood REAL",
}


class AccuracyStore:
    """Finished trainings by recipe hash, cell and seed; each is on disk when `add` returns."""

    def __init__(self, path: Path, write: bool = True) -> None:
        self.path = path
        self._database: sqlite3.Connection = open_database(
            path, version=_VERSION, schema=_SCHEMA, changes=_CHANGES, write=write
        )

    def add(self, recipe: str, rows: Iterable[tuple[Any, ...]], hardware: Iterable[str]) -> None:
        """Rows in the order of `COLUMNS` and what computed them; what is already there stays."""
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            self._database.executemany(
                f"INSERT INTO accuracy (recipe, {', '.join(COLUMNS)}) "
                f"VALUES (?{', ?' * len(COLUMNS)}) ON CONFLICT DO NOTHING",
                [(recipe, *row) for row in rows],
            )
            self._database.executemany(
                "INSERT INTO made_by (recipe, hardware) VALUES (?, ?) ON CONFLICT DO NOTHING",
                [(recipe, name) for name in hardware],
            )

    def rows(self, recipe: str) -> pd.DataFrame:
        """All rows of a recipe, with `COLUMNS`."""
        import pandas as pd  # the driver reads, its workers need not wait

        query = f"SELECT {', '.join(COLUMNS)} FROM accuracy WHERE recipe = ? ORDER BY cell, seed"
        found = self._database.execute(query, (recipe,)).fetchall()
        return pd.DataFrame(found, columns=list(COLUMNS))

    def hardware(self, recipe: str) -> list[str]:
        """What computed the rows of a recipe."""
        found = self._database.execute("SELECT hardware FROM made_by WHERE recipe = ? ORDER BY hardware", (recipe,))
        return [name for (name,) in found]
