"""What the search of formulas keeps: recorded statistics, and every formula that a search has judged, in one file.

Statistics are float32 numbers of a function under the sweep that made them; a sweep is one benchmark, seed and
fingerprint, as scores have it. A generation of a search is one transaction: who is killed loses the one under way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.database import open_database
from common.errors import BadInput
from common.files import json_hash
from search.formula.names import OF_ONE, POSITIONS, STUDENT

VERSION = 1
_SCHEMA = """
CREATE TABLE sweep (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, benchmark TEXT NOT NULL, seed INTEGER NOT NULL,
    record TEXT NOT NULL, teacher BLOB NOT NULL, UNIQUE (fingerprint, benchmark, seed)
);
CREATE TABLE statistic (
    sweep INTEGER NOT NULL REFERENCES sweep, cell INTEGER NOT NULL, numbers BLOB NOT NULL, PRIMARY KEY (sweep, cell)
) WITHOUT ROWID;
CREATE TABLE search (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
CREATE TABLE judged (
    search INTEGER NOT NULL REFERENCES search, generation INTEGER NOT NULL, place INTEGER NOT NULL,
    formula TEXT NOT NULL, verdict TEXT NOT NULL, fitness REAL, PRIMARY KEY (search, generation, place)
) WITHOUT ROWID
"""
_AGAIN = "remove it and record again"


class Judged(NamedTuple):
    """A formula, what became of it, and its fitness where it has one."""

    formula: str
    verdict: str
    fitness: float | None


class Sweep(NamedTuple):
    """The statistics of one benchmark and seed: of the teacher, and by cell of the students."""

    fingerprint: str
    record: dict[str, Any]
    teacher: np.ndarray
    """float32 [statistics of one network, positions]"""
    students: dict[int, np.ndarray]
    """float32 [statistics of a student, positions]"""


class FormulaStore:
    """Open, or make, the store at `path`. Raises BadInput as `common.database.open_database` does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = open_database(path, version=VERSION, schema=_SCHEMA)

    # -- statistics

    def sweep(self, record: dict[str, Any], benchmark: str, seed: int) -> int | None:
        """The number of the sweep that this record decides; None where there is none."""
        query = "SELECT id FROM sweep WHERE fingerprint = ? AND benchmark = ? AND seed = ?"
        found = self._database.execute(query, (json_hash(record), benchmark, seed)).fetchone()
        return None if found is None else int(found[0])

    def start_sweep(self, benchmark: str, seed: int, record: dict[str, Any], teacher: np.ndarray) -> int:
        """Make a sweep, and return its number."""
        row = (json_hash(record), benchmark, seed, json.dumps(record, sort_keys=True), _bytes(teacher))
        done = self._database.execute(
            "INSERT INTO sweep (fingerprint, benchmark, seed, record, teacher) VALUES (?, ?, ?, ?, ?)", row
        )
        assert done.lastrowid is not None
        return done.lastrowid

    def recorded(self, sweep: int) -> set[int]:
        """The cells that a sweep has statistics of."""
        found = self._database.execute("SELECT cell FROM statistic WHERE sweep = ?", (sweep,))
        return {int(cell) for (cell,) in found}

    def add(self, sweep: int, rows: Iterable[tuple[int, np.ndarray]]) -> None:
        """Keep the statistics of cells, all or none."""
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            self._database.executemany(
                "INSERT OR REPLACE INTO statistic (sweep, cell, numbers) VALUES (?, ?, ?)",
                [(sweep, cell, _bytes(numbers)) for cell, numbers in rows],
            )

    def seeds(self, benchmark: str) -> list[int]:
        """Those that a benchmark has statistics of."""
        query = "SELECT DISTINCT seed FROM sweep WHERE benchmark = ? ORDER BY seed"
        return [int(seed) for (seed,) in self._database.execute(query, (benchmark,))]

    def statistics(self, benchmark: str, seed: int) -> list[Sweep]:
        """The sweeps of a benchmark and seed, latest first. Raises BadInput for what no sweep writes."""
        query = "SELECT id, fingerprint, record, teacher FROM sweep WHERE benchmark = ? AND seed = ? ORDER BY id DESC"
        found = []
        for number, fingerprint, record, teacher in self._database.execute(query, (benchmark, seed)).fetchall():
            rows = self._database.execute("SELECT cell, numbers FROM statistic WHERE sweep = ?", (number,))
            students = {int(cell): self._array(numbers, len(STUDENT)) for cell, numbers in rows}
            found.append(Sweep(fingerprint, json.loads(record), self._array(teacher, len(OF_ONE)), students))
        return found

    def _array(self, data: object, names: int) -> np.ndarray:
        if not isinstance(data, bytes) or len(data) != 4 * names * len(POSITIONS):
            raise BadInput(f"{self.path} has statistics of another size than {names} x {len(POSITIONS)}: {_AGAIN}")
        return np.frombuffer(data, "<f4").reshape(names, len(POSITIONS))

    # -- searches

    def search(self, record: dict[str, Any]) -> int:
        """The number of a search that this record decides, made when new."""
        fingerprint = json_hash(record)
        self._database.execute(
            "INSERT OR IGNORE INTO search (fingerprint, record) VALUES (?, ?)",
            (fingerprint, json.dumps(record, sort_keys=True)),
        )
        query = "SELECT id FROM search WHERE fingerprint = ?"
        return int(self._database.execute(query, (fingerprint,)).fetchone()[0])

    def judged(self, search: int) -> list[list[Judged]]:
        """All that a search has judged, by generation."""
        query = "SELECT generation, formula, verdict, fitness FROM judged WHERE search = ? ORDER BY generation, place"
        found: list[list[Judged]] = []
        for generation, *row in self._database.execute(query, (search,)):
            if generation == len(found):
                found.append([])
            found[generation].append(Judged(*row))
        return found

    def judge(self, search: int, generation: int, rows: Sequence[Judged]) -> None:
        """Keep a generation, all of it or nothing."""
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            self._database.executemany(
                "INSERT INTO judged (search, generation, place, formula, verdict, fitness) VALUES (?, ?, ?, ?, ?, ?)",
                [(search, generation, place, *row) for place, row in enumerate(rows)],
            )

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _bytes(numbers: np.ndarray) -> bytes:
    return np.ascontiguousarray(numbers, "<f4").tobytes()
