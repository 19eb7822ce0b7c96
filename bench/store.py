"""The score store: one SQLite file, written by the driver alone, whole transactions only.

A row is (fingerprint, benchmark, seed, cell): a score or none, and a status. `ok` rows are final. A number that is not
finite is stored as no score with the status `nonfinite` and the value as the reason: nothing stands in for it.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from pathlib import Path
from typing import Any, NamedTuple

from bench.benchmarks import benchmark as named
from bench.benchmarks import names
from bench.checks.rows import wrong_row, wrong_setting, wrong_teacher
from bench.identity import CODE_EPOCH, called, told_apart
from common.database import open_database
from common.errors import BadInput
from proxies.base import Proxy
from spaces.space import Space

_RESTORE = "restore it from a copy, or score again"
VERSION = 2
_SOURCE = """
CREATE TABLE source (
    setting INTEGER NOT NULL REFERENCES setting, what TEXT NOT NULL, hash TEXT NOT NULL, PRIMARY KEY (setting, what)
) WITHOUT ROWID
"""
"""What the code was that made the scores of a setting; of none that is older than this table, which are vouched for."""
_CHANGES = {1: _SOURCE}
_SCHEMA = f"""
CREATE TABLE setting (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL, benchmark TEXT NOT NULL, proxy TEXT NOT NULL,
    record TEXT NOT NULL, UNIQUE (fingerprint, benchmark)
);
CREATE TABLE run (
    id INTEGER PRIMARY KEY, started TEXT NOT NULL, provenance TEXT NOT NULL, seconds REAL, passes INTEGER
);
CREATE TABLE request (
    setting INTEGER NOT NULL REFERENCES setting, seed INTEGER NOT NULL, run INTEGER NOT NULL REFERENCES run,
    cells TEXT NOT NULL, wanted INTEGER NOT NULL, PRIMARY KEY (setting, seed, run)
) WITHOUT ROWID;
CREATE TABLE score (
    setting INTEGER NOT NULL REFERENCES setting, seed INTEGER NOT NULL, cell INTEGER NOT NULL,
    score REAL, status TEXT NOT NULL, reason TEXT NOT NULL, run INTEGER NOT NULL REFERENCES run,
    PRIMARY KEY (setting, seed, cell), CHECK ((status = 'ok') = (score IS NOT NULL))
) WITHOUT ROWID;
{_SOURCE}"""


class Row(NamedTuple):
    """One score to be stored under a setting."""

    setting: int
    seed: int
    cell: int
    score: float | None
    status: str
    reason: str


class StoredRow(NamedTuple):
    """A score, or why there is none."""

    cell: int
    score: float | None
    status: str
    reason: str


class Merged(NamedTuple):
    """How many scores, and rows without one, came from another store; and of how many cells it has another score."""

    ok: int
    failed: int
    differing: int


@dataclass(frozen=True)
class Stored:
    """The scores of one setting and seed."""

    setting: int
    fingerprint: str
    record: dict[str, Any]
    benchmark: str
    proxy: str
    seed: int
    rows: list[StoredRow]
    """By cell."""
    sources: dict[str, str]
    """As of `ScoreStore.sources`."""


class ScoreStore:
    """Open, or make, the store at `path`. Raises BadInput as `common.database.open_database` does."""

    def __init__(self, path: Path, write: bool = True) -> None:
        self.path = path
        self._database = open_database(path, version=VERSION, schema=_SCHEMA, changes=_CHANGES, write=write)

    def setting(self, fingerprint: str, benchmark: str, proxy: str, record: dict[str, Any]) -> int:
        """The number of a setting, made when new."""
        self._database.execute(
            "INSERT OR IGNORE INTO setting (fingerprint, benchmark, proxy, record) VALUES (?, ?, ?, ?)",
            (fingerprint, benchmark, proxy, json.dumps(record, sort_keys=True)),
        )
        query = "SELECT id FROM setting WHERE fingerprint = ? AND benchmark = ?"
        return int(self._database.execute(query, (fingerprint, benchmark)).fetchone()[0])

    def sources(self, setting: int) -> dict[str, str]:
        """The hashes of the code that made a setting's scores, by what it is."""
        query = "SELECT what, hash FROM source WHERE setting = ?"
        return dict(self._database.execute(query, (setting,)).fetchall())

    def judged(self, setting: int) -> int:
        """How many rows of a setting are a formula's own word: scores, and cells that it has none for."""
        query = "SELECT COUNT(*) FROM score WHERE setting = ? AND status IN ('ok', 'nonfinite', 'not_applicable')"
        return int(self._database.execute(query, (setting,)).fetchone()[0])

    def has_scores(self, setting: int) -> bool:
        """Whether there is any."""
        query = "SELECT 1 FROM score WHERE setting = ? AND status = 'ok' LIMIT 1"
        return self._database.execute(query, (setting,)).fetchone() is not None

    def made_by(self, sources: Mapping[int, Mapping[str, str]], without: Iterable[int] = ()) -> None:
        """Keep the hashes of the code that makes settings' scores, and no row of the settings `without`."""
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            for setting in without:
                self._database.execute("DELETE FROM score WHERE setting = ?", (setting,))
                self._database.execute("DELETE FROM source WHERE setting = ?", (setting,))
            rows = [(setting, *entry) for setting, hashes in sources.items() for entry in hashes.items()]
            self._database.executemany("INSERT OR REPLACE INTO source (setting, what, hash) VALUES (?, ?, ?)", rows)

    def asked(self, benchmark: str, proxy: Proxy) -> set[int]:
        """The settings that a proxy, as today's code defines it, was asked for with."""
        return {setting for setting, *_ in self._requested(benchmark, proxy)}

    def start_run(self, started: str, provenance: dict[str, Any], requests: Iterable[tuple[int, int, str, int]]) -> int:
        """A new run that wants, for each (setting, seed, cell set, number of cells), those cells scored."""
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            cursor = self._database.execute(
                "INSERT INTO run (started, provenance) VALUES (?, ?)", (started, json.dumps(provenance, sort_keys=True))
            )
            run = int(cursor.lastrowid or 0)
            self._database.executemany(
                "INSERT INTO request (setting, seed, run, cells, wanted) VALUES (?, ?, ?, ?, ?)",
                [(setting, seed, run, cells, wanted) for setting, seed, cells, wanted in requests],
            )
        return run

    def finish_run(self, run: int, seconds: float | None, passes: int | None) -> None:
        """What the run cost."""
        self._database.execute("UPDATE run SET seconds = ?, passes = ? WHERE id = ?", (seconds, passes, run))

    def runs(self, settings: Iterable[int]) -> list[dict[str, Any]]:
        """What made the scores of settings: the provenance of every run that has a row of them, the first run first."""
        query = "SELECT provenance FROM run WHERE id IN (SELECT run FROM score WHERE setting = ?) ORDER BY id"
        found = [text for setting in sorted(settings) for (text,) in self._database.execute(query, (setting,))]
        return [json.loads(text) for text in dict.fromkeys(found)]

    def add(self, run: int, rows: Iterable[Row]) -> None:
        """Write rows in one transaction; `ok` rows that are there already stay as they are."""
        self._database.execute("BEGIN IMMEDIATE")
        with self._database:
            self._database.executemany(
                "INSERT INTO score (setting, seed, cell, score, status, reason, run) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET score = excluded.score, status = excluded.status, "
                "reason = excluded.reason, run = excluded.run WHERE score.status != 'ok'",
                [(*row, run) for row in rows],
            )

    def overview(self) -> list[dict[str, Any]]:
        """One entry for each setting and seed: the largest request for it, and how many rows are ok or failed.

        `proxy` is its name with the teacher's (`bench.identity.called`), and what else tells it from another setting.
        """
        query = """
            SELECT s.record, s.proxy, s.benchmark, r.seed, r.cells, MAX(r.wanted) AS wanted,
                (SELECT COUNT(*) FROM score WHERE setting = s.id AND seed = r.seed AND status = 'ok') AS ok,
                (SELECT COUNT(*) FROM score WHERE setting = s.id AND seed = r.seed AND status != 'ok') AS failed
            FROM request r JOIN setting s ON s.id = r.setting
            GROUP BY s.id, r.seed ORDER BY s.benchmark, s.proxy, r.seed
        """
        columns = ("proxy", "benchmark", "seed", "cells", "wanted", "ok", "failed")
        found = list(self._database.execute(query))
        for _, proxy, benchmark, *counts in found:
            if [type(count) for count in counts] != [int, str, int, int, int]:
                raise BadInput(f"{self.path} has a damaged request of {proxy} on {benchmark}: {_RESTORE}")
        named_so = self._told_apart(found)
        return [
            dict(zip(columns, (name, *entry[2:]), strict=True)) for name, entry in zip(named_so, found, strict=True)
        ]

    def scores(self, benchmark: str, proxy: Proxy, teacher: Mapping[str, Any] | None = None) -> list[Stored]:
        """The stored scores of a proxy as today's code defines it, one entry a seed, by seed.

        `teacher` is the record of the teacher they were made with, by default the benchmark's own; scores of others
        are never among them. Where a seed has several settings (another batch or backbone), the one requested last.
        """
        wanted = named(benchmark).teacher.record() if teacher is None else teacher
        latest: dict[int, Stored] = {}
        for setting, fingerprint, record, seed in self._requested(benchmark, proxy):
            if record.get("teacher", wanted) == wanted:  # who reads no teacher has none in the record
                rows = self.rows(setting, seed)
                sources = self.sources(setting)
                latest[seed] = Stored(setting, fingerprint, record, benchmark, proxy.label, seed, rows, sources)
        return [latest[seed] for seed in sorted(latest)]

    def teachers(self, benchmark: str, proxy: Proxy) -> list[dict[str, Any]]:
        """The records of the teachers with which a proxy, as today's code defines it, was asked for; no two equal."""
        found: list[dict[str, Any]] = []
        for _, _, record, _ in self._requested(benchmark, proxy):
            if "teacher" in record and record["teacher"] not in found:
                found.append(record["teacher"])
        return found

    def _requested(self, benchmark: str, proxy: Proxy) -> Iterator[tuple[int, str, dict[str, Any], int]]:
        """(setting, fingerprint, record, seed) of a proxy's requests, those made last at the end."""
        query = """
            SELECT s.id, s.fingerprint, s.record, r.seed, MAX(r.run) FROM request r JOIN setting s ON s.id = r.setting
            WHERE s.benchmark = ? AND s.proxy = ? GROUP BY s.id, r.seed ORDER BY MAX(r.run)
        """
        for setting, fingerprint, text, seed, _ in self._database.execute(query, (benchmark, proxy.label)).fetchall():
            record = self._record(text, proxy.label, benchmark)
            if record["version"] == proxy.version and record["code_epoch"] == CODE_EPOCH:
                yield setting, fingerprint, record, seed

    def of_cell(self, cell: int, space: Space) -> list[tuple[str, str, int, float | None, str, str]]:
        """(proxy as in `overview`, benchmark, seed, score, status, reason) of everything stored about a cell."""
        elsewhere = {name for name in names() if named(name).space != space}
        query = """
            SELECT s.record, s.proxy, s.benchmark, c.seed, c.score, c.status, c.reason
            FROM score c JOIN setting s ON s.id = c.setting WHERE c.cell = ? ORDER BY 3, 2, 4
        """
        found = [entry for entry in self._database.execute(query, (cell,)) if entry[2] not in elsewhere]
        for _, proxy, benchmark, *rest in found:
            self._check_row(proxy, benchmark, cell, *rest)
        return [(name, *entry[2:]) for name, entry in zip(self._told_apart(found), found, strict=True)]

    def _told_apart(self, settings: Sequence[tuple[Any, ...]]) -> list[str]:
        """What settings are called, given as (record, proxy, benchmark, seed, ...) as they are stored."""
        named_so = []
        for text, proxy, benchmark, seed, *_ in settings:
            record = self._record(text, proxy, benchmark)
            named_so.append((called(proxy, benchmark, record), benchmark, seed, record))
        return told_apart(named_so)

    def _record(self, text: Any, proxy: str, benchmark: str) -> dict[str, Any]:
        """The record of a setting. Raises BadInput for a damaged one."""
        try:
            record = json.loads(text)
            wrong = "" if record.keys() >= {"version", "code_epoch"} else "it does not say what was scored"
            wrong = wrong or wrong_teacher(benchmark, proxy, record)
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            wrong = str(error)
        if wrong:
            raise BadInput(f"{self.path} has a damaged record of {proxy} on {benchmark} ({wrong}): {_RESTORE}")
        return dict(record)

    def merge(self, path: Path) -> Merged:
        """Add what another store has, from another machine say, runs with their provenance and all.

        Where both have a score of a cell, this store's own stays. Merging twice adds nothing. Raises BadInput where
        `path` is no store, or has a setting or a row that no run writes; nothing is added then.
        """
        other = ScoreStore(path, write=False)
        other.check()
        other.check_content()
        settings = {
            number: self.setting(fingerprint, benchmark, proxy, json.loads(record))
            for number, fingerprint, benchmark, proxy, record in other._database.execute(
                "SELECT id, fingerprint, benchmark, proxy, record FROM setting"
            )
        }
        adopt_sources(self, {settings[number]: other.sources(number) for number in settings}, path)
        added = Merged(0, 0, 0)
        for run, started, provenance, seconds, passes in other._database.execute("SELECT * FROM run ORDER BY id"):
            requests = other._database.execute("SELECT setting, seed, cells, wanted FROM request WHERE run = ?", (run,))
            asked = [(settings[setting], *rest) for setting, *rest in requests]
            query = "SELECT setting, seed, cell, score, status, reason FROM score WHERE run = ?"
            rows = [Row(settings[setting], *rest) for setting, *rest in other._database.execute(query, (run,))]
            of_run = self.adopt(started, json.loads(provenance), asked, rows, seconds, passes)
            added = Merged(*(sum(both) for both in zip(added, of_run, strict=True)))
        other.close()
        return added

    def adopt(
        self,
        started: str,
        provenance: dict[str, Any],
        requests: Iterable[tuple[int, int, str, int]],
        rows: Sequence[Row],
        seconds: float | None = None,
        passes: int | None = None,
    ) -> Merged:
        """Add the requests and rows of a run that was made elsewhere, known by when it started and its provenance.

        Where there is a score of a cell already, it stays; a run that is known gets what it lacks.
        """
        query = "SELECT id FROM run WHERE started = ? AND provenance = ?"
        known = self._database.execute(query, (started, json.dumps(provenance, sort_keys=True))).fetchone()
        if known is None:
            here = self.start_run(started, provenance, requests)
            self.finish_run(here, seconds, passes)
        else:
            (here,) = known
        before = self._count("ok"), self._count("failed")
        differing = sum(self._differs(row) for row in rows)
        self.add(here, rows)
        return Merged(self._count("ok") - before[0], self._count("failed") - before[1], differing)

    def _count(self, what: str) -> int:
        query = f"SELECT COUNT(*) FROM score WHERE status {'=' if what == 'ok' else '!='} 'ok'"
        return int(self._database.execute(query).fetchone()[0])

    def _differs(self, row: Row) -> bool:
        """Whether another score of the same cell is stored, up to float32's rounding on another machine."""
        query = "SELECT score FROM score WHERE setting = ? AND seed = ? AND cell = ? AND status = 'ok'"
        found = self._database.execute(query, (row.setting, row.seed, row.cell)).fetchone()
        return found is not None and row.score is not None and not isclose(found[0], row.score, rel_tol=1e-4)

    def check(self) -> None:
        """Raises BadInput where SQLite finds the file damaged."""
        try:
            (answer,) = self._database.execute("PRAGMA integrity_check").fetchone()
        except sqlite3.DatabaseError as error:
            answer = error
        if str(answer).startswith("CHECK"):
            self.check_content()  # which names the row
        if answer != "ok":
            raise BadInput(f"the store {self.path} is damaged ({answer}): {_RESTORE}")

    def check_content(self) -> None:
        """Raises BadInput for the first setting or row that no run writes."""
        query = "SELECT id, fingerprint, benchmark, proxy, record FROM setting ORDER BY id"
        for setting, fingerprint, benchmark, proxy, text in self._database.execute(query).fetchall():
            if wrong := wrong_setting(fingerprint, benchmark, proxy, self._record(text, proxy, benchmark)):
                raise BadInput(f"{self.path}, setting {setting} ({proxy} on {benchmark}): {wrong}; {_RESTORE}")
            seeds = self._database.execute("SELECT DISTINCT seed FROM score WHERE setting = ?", (setting,))
            for (seed,) in seeds.fetchall():
                self.rows(setting, seed)
        self.overview()

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self._database.close()

    def rows(self, setting: int, seed: int) -> list[StoredRow]:
        """Everything stored for a setting and seed, by cell. Raises BadInput for a row that no run writes."""
        query = "SELECT cell, score, status, reason FROM score WHERE setting = ? AND seed = ? ORDER BY cell"
        rows = [StoredRow(*row) for row in self._database.execute(query, (setting, seed))]
        # nearly all are plain, and the first and the last are the outermost cells
        odd = [row for row in rows if not _is_plain(*row)]
        if suspects := {*rows[:1], *rows[-1:], *odd}:
            self._check_rows(setting, seed, suspects)
        return rows

    def _check_rows(self, setting: int, seed: int, rows: Iterable[StoredRow]) -> None:
        """Raises BadInput for a row of a setting and seed that no run writes."""
        query = "SELECT proxy, benchmark FROM setting WHERE id = ?"
        proxy, benchmark = self._database.execute(query, (setting,)).fetchone()
        for cell, *rest in rows:
            self._check_row(proxy, benchmark, cell, seed, *rest)

    def _check_row(
        self, proxy: str, benchmark: str, cell: object, seed: object, score: object, status: object, reason: object
    ) -> None:
        cells = len(named(benchmark).space) if benchmark in names() else sys.maxsize
        if wrong := wrong_row(cell, seed, score, status, reason, cells):
            where = f"{self.path}, {proxy} on {benchmark}, cell {cell!r}, seed {seed!r}"
            raise BadInput(f"{where}: {wrong}; {_RESTORE}")


def differing(now: Mapping[str, str], then: Mapping[str, str]) -> list[str]:
    """What of the code is not what it was, as far as both are known."""
    return [what for what, found in now.items() if then.get(what, found) != found]


def adopt_sources(store: ScoreStore, sources: Mapping[int, Mapping[str, str]], path: Path) -> None:
    """Keep the hashes of what is to be added from `path`. Raises BadInput where scores here were made by other code."""
    for setting, found in sources.items():
        if (changed := differing(found, store.sources(setting))) and store.judged(setting):
            raise BadInput(
                f"{path} has scores made when {changed[0]} was another than for those in {store.path}: they cannot be "
                "mixed; score one of them again"
            )
    store.made_by(sources)


def _is_plain(cell: object, score: object, status: object, reason: object) -> bool:
    """Whether a row has nothing to be looked at but where its cell lies."""
    return status == "ok" and type(score) is float and isfinite(score) and type(cell) is int and type(reason) is str
