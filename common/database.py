"""SQLite files that survive a kill, tell their own version, and are refused in one line when they cannot be used."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from common.errors import BadInput


def open_database(
    path: Path, *, version: int, schema: str, changes: Mapping[int, str] | None = None, create: bool = True
) -> sqlite3.Connection:
    """The database at `path` in WAL mode, made from `schema` when new. `version` is what this program writes.

    `changes[v]` turns a file of version v into one of v + 1: older files are brought up to date, keeping their rows.

    Raises BadInput for a missing file (unless `create`), a read-only file or folder, a file that is not a database, or
    one made by a newer version. A transaction is on disk when its commit returns, or not at all.
    """
    existed = path.exists()
    if not existed and not create:
        raise BadInput(f"no store at {path}: run something first, or name another file with --store")
    if path.is_dir():
        raise BadInput(f"the store {path} is a folder: name a file with --store")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"cannot make the folder {path.parent}: {error.strerror}; name another file with --store"
        ) from error
    # the mode is asked as well as the system, because root may write what its owner has marked read-only
    target = path if existed else path.parent
    if not os.access(target, os.W_OK) or not target.stat().st_mode & 0o222:
        raise BadInput(f"the store {path} is read-only: make it writable, or name another file with --store")
    try:
        database = sqlite3.connect(path, timeout=60, isolation_level=None)
        try:
            _prepare(database, path, version, schema, changes or {})
        except BaseException:
            database.close()  # or whoever holds the error holds the lock
            raise
    except sqlite3.Error as error:
        raise BadInput(f"cannot use {path} as a store ({error}): move it away, or name another with --store") from error
    return database


def _prepare(database: sqlite3.Connection, path: Path, version: int, schema: str, changes: Mapping[int, str]) -> None:
    """Make the schema of an empty file, change an older one; refuse what another program or a newer version made."""
    database.execute("BEGIN IMMEDIATE")
    (found,) = database.execute("PRAGMA user_version").fetchone()
    if found > version:
        raise BadInput(
            f"the store {path} was made by a newer version (format {found}, this program writes {version}): "
            "update diswot-bench, or name another file with --store"
        )
    steps = [schema] if not _tables(database) else [changes[old] for old in range(found, version) if old in changes]
    # executescript would commit first: statements one by one keep creation and change all or nothing
    for statement in filter(str.strip, ";".join(steps).split(";")):
        database.execute(statement)
    if steps:
        database.execute(f"PRAGMA user_version = {version}")
    with closing(sqlite3.connect(":memory:")) as example:
        example.executescript(schema)
        if not _tables(example) <= _tables(database):
            raise BadInput(f"{path} is a database of something else: name another file with --store")
    database.execute("COMMIT")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("PRAGMA foreign_keys = ON")


def _tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
