"""SQLite files that survive a kill, tell their own version, and are refused in one line when they cannot be used."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from common.errors import BadInput
from common.files import make_folder, remove_empty

WAIT = 60.0
"""Seconds that are waited for another program's transaction, which is short, before it is given up."""
SILENCE = 2.0
"""Seconds of them before it is said who is waited for."""
_opened: list[Path] = []
"""The files of this process, for messages."""


def open_database(
    path: Path, *, version: int, schema: str, changes: Mapping[int, str] | None = None, write: bool = True
) -> sqlite3.Connection:
    """The database at `path` in WAL mode, made from `schema` when new. `version` is what this program writes.

    `changes[v]` turns a file of version v into one of v + 1: older files are brought up to date, keeping their rows.
    Unless `write`, the file has to be there and stays as it is, also where neither it nor its folder can be written.

    Raises BadInput for a missing file (unless `write`), a file or folder that cannot be written (if `write`), a file
    that is not a database, one made by a newer version, one with rows that belong to nothing, and one that another
    program keeps locked. A transaction whose commit has returned survives a kill; after a power cut the latest ones
    may be missing, and the file is sound.
    """
    existed, made = path.exists(), _check_path(path, write)
    _opened.append(path)
    try:
        if write:
            database = _connect(path)
        elif not _writable(path) or not _writable(path.parent):
            database = _connect(path, _frozen(path))
        else:
            database = _connect(path)  # read-only it would leave its log behind
            database.execute("PRAGMA query_only = ON")
        try:
            if write:
                _prepare(database, path, version, schema, changes or {})
            else:
                database = _checked(database, path, version, schema, changes or {})
            _check_references(database, path)
            return database
        except BaseException:
            database.close()  # or whoever holds the error holds the lock
            if not existed:
                path.unlink(missing_ok=True)
                remove_empty(made)
            raise
    except sqlite3.Error as error:
        raise BadInput(told(error, path)) from error


class _Database(sqlite3.Connection):
    """A connection that says on standard error for whom it waits."""

    path: Path

    def execute(self, statement: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(statement, parameters)
        except sqlite3.OperationalError as error:
            left = WAIT - SILENCE
            if not _is_locked(error) or self.in_transaction or left <= 0:
                raise
        print(f"note: {_in_use(self.path)}: waiting {left:.0f} s for it", file=sys.stderr, flush=True)
        super().execute(f"PRAGMA busy_timeout = {round(1000 * left)}")
        try:
            return super().execute(statement, parameters)
        finally:
            super().execute(f"PRAGMA busy_timeout = {round(1000 * SILENCE)}")


def _connect(path: Path, name: str = "") -> sqlite3.Connection:
    """The file at `path`, or what `name` says of it as a URI."""
    wait = min(SILENCE, WAIT)
    database = sqlite3.connect(
        name or str(path.absolute()), timeout=wait, isolation_level=None, uri=bool(name), factory=_Database
    )
    database.path = path
    return database


def _check_path(path: Path, write: bool) -> list[Path]:
    """Make the folder of a new file, and return what was made. Raises BadInput for what cannot be a store."""
    if str(path) == ":memory:":
        raise BadInput(f"the store {path} is no file, and would be lost at the end: name a file with --store")
    if path.is_dir():
        raise BadInput(f"the store {path} is a folder: name a file with --store")
    existed = path.exists()
    if not existed and not write:
        raise BadInput(f"no store at {path}: run something first, or name another file with --store")
    if existed and not path.is_file():
        raise BadInput(f"the store {path} is no regular file: name a file with --store")
    if not write:
        return []
    try:
        made = make_folder(path.parent)
    except OSError as error:
        raise BadInput(
            f"cannot make the folder {path.parent}: {error.strerror}; name another file with --store"
        ) from error
    if not _writable(path if existed else path.parent):
        raise BadInput(f"the store {path} is read-only: make it writable, or name another file with --store")
    return made


def _writable(path: Path) -> bool:
    # the mode is asked as well as the system, because root may write what its owner has marked read-only
    return os.access(path, os.W_OK) and bool(path.stat().st_mode & 0o222)


def _frozen(path: Path) -> str:
    """The address of a file that nothing is to be written beside; where it has no log, nobody can be writing."""
    log = path.with_name(f"{path.name}-wal")
    mode = "ro" if log.exists() and log.stat().st_size else "ro&immutable=1"
    return f"file:{quote(str(path.absolute()))}?mode={mode}"


def _checked(
    database: sqlite3.Connection, path: Path, version: int, schema: str, changes: Mapping[int, str]
) -> sqlite3.Connection:
    """The database, or of an older one a copy in memory that is brought up to date."""
    if not _tables(database):
        raise BadInput(f"no store at {path}, which is empty: run something first, or name another file with --store")
    found = _version(database, path, version)
    if found < version:
        copy = sqlite3.connect(":memory:", isolation_level=None)
        database.backup(copy)
        database.close()
        database = copy
        _prepare(database, path, version, schema, changes)
    _check_schema(database, path, schema)
    return database


def _prepare(database: sqlite3.Connection, path: Path, version: int, schema: str, changes: Mapping[int, str]) -> None:
    """Make the schema of an empty file, change an older one; refuse what another program or a newer version made."""
    database.execute("BEGIN IMMEDIATE")
    found = _version(database, path, version)
    steps = [schema] if not _tables(database) else [changes[old] for old in range(found, version) if old in changes]
    # executescript would commit first: statements one by one keep creation and change all or nothing
    for statement in filter(str.strip, ";".join(steps).split(";")):
        database.execute(statement)
    if steps:
        database.execute(f"PRAGMA user_version = {version}")
    _check_schema(database, path, schema)
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA foreign_keys = ON")


def _version(database: sqlite3.Connection, path: Path, version: int) -> int:
    """The version of a file. Raises BadInput where it is newer."""
    found = int(database.execute("PRAGMA user_version").fetchone()[0])
    if found > version:
        raise BadInput(
            f"the store {path} was made by a newer version (format {found}, this program writes {version}): "
            "update diswot-bench, or name another file with --store"
        )
    return found


def _check_schema(database: sqlite3.Connection, path: Path, schema: str) -> None:
    """Raises BadInput where tables are missing."""
    with closing(sqlite3.connect(":memory:")) as example:
        example.executescript(schema)
        if not _tables(example) <= _tables(database):
            raise BadInput(f"{path} is a database of something else: name another file with --store")


def _check_references(database: sqlite3.Connection, path: Path) -> None:
    """Raises BadInput for rows whose parent is not there, of which a new parent of that number would be given them."""
    told, removed = [], []
    for table, parent, key in sorted(
        {(row[0], row[2], row[3]) for row in database.execute("PRAGMA foreign_key_check")}
    ):
        (column,) = (row[3] for row in database.execute(f"PRAGMA foreign_key_list({table})") if row[0] == key)
        (to,) = (row[1] for row in database.execute(f"PRAGMA table_info({parent})") if row[5])
        orphans = f"FROM {table} WHERE {column} NOT IN (SELECT {to} FROM {parent})"
        names = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5]]
        first = database.execute(f"SELECT {', '.join(names)} {orphans} ORDER BY {', '.join(names)}").fetchone()
        (count,) = database.execute(f"SELECT COUNT(*) {orphans}").fetchone()
        said = ", ".join(f"{name} {value!r}" for name, value in zip(names, first, strict=True))
        told.append(f"{count} in '{table}' of a {parent} that is not there, the first with {said}")
        removed.append(f"DELETE {orphans}")
    if told:
        raise BadInput(
            f"{path} has rows that belong to nothing, {'; '.join(told)}: restore it from a copy, or remove them, "
            f'`sqlite3 {shlex.quote(str(path))} "{"; ".join(removed)}"`'
        )


def _tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


# -- what SQLite refuses, in words


def told(error: sqlite3.Error, path: Path | None = None) -> str:
    """What is wrong with a store and what to do; without `path` it is the one of this process that fits."""
    code = _code(error)
    path = path or next(filter(_holders, _opened), _opened[-1] if _opened else Path("the store"))
    if _is_locked(error):
        return f"{_in_use(path)}: wait until it ends, or stop it, and repeat the command"
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return f"cannot use the store {path} ({error}): free some space on its disk, and repeat the command"
    if code == sqlite3.SQLITE_CANTOPEN and path.exists():
        return f"cannot open the store {path} ({error}): copy it, and {path.name}-wal with it, to where you may write"
    return f"cannot use {path} as a store ({error}): restore it from a copy, or name another with --store"


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF  # the rest of the code is detail


def _is_locked(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _in_use(path: Path) -> str:
    others = ", ".join(_holders(path))
    return f"the store {path} is in use by another run" + (f" ({others})" if others else "")


def _holders(path: Path) -> list[str]:
    """The other processes that hold a write lock on a store, where the system tells."""
    try:
        locks = Path("/proc/locks").read_text()
        parts = [path.with_name(path.name + ending) for ending in ("", "-wal", "-shm", "-journal")]
        files = {each.stat().st_ino for each in parts if each.is_file()}
    except OSError:
        return []
    found = re.findall(r"^\d+: POSIX +\S+ +WRITE (\d+) \w+:\w+:(\d+) ", locks, re.M)
    return sorted({f"process {pid}" for pid, inode in found if int(inode) in files and int(pid) != os.getpid()})
