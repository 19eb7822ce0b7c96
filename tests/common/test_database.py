"""SQLite files are opened, or refused in one line that says what to do."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import common.database
from common.database import open_database, told
from common.errors import BadInput

SCHEMA = "CREATE TABLE first (number INTEGER); CREATE TABLE second (number INTEGER)"


def numbers(path: Path) -> list[int]:
    with closing(open_database(path, version=1, schema=SCHEMA)) as database:
        return [number for (number,) in database.execute("SELECT number FROM first")]


def raw(path: Path, *statements: str) -> list[list[tuple[object, ...]]]:
    """The rows of each statement, past everything that `open_database` checks."""
    with closing(sqlite3.connect(path, timeout=1)) as database, database:
        return [database.execute(statement).fetchall() for statement in statements]


def test_a_new_database_has_schema_version_and_folder(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "new.sqlite"
    with closing(open_database(path, version=7, schema=SCHEMA)):
        pass
    tables, version, mode = raw(
        path, "SELECT name FROM sqlite_master ORDER BY name", "PRAGMA user_version", "PRAGMA journal_mode"
    )
    assert tables == [("first",), ("second",)]
    assert version == [(7,)]
    assert mode == [("wal",)]


def test_what_was_committed_is_there_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(open_database(path, version=1, schema=SCHEMA)) as database:
        database.execute("INSERT INTO first VALUES (5)")
    assert numbers(path) == [5]


def test_what_was_not_committed_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(open_database(path, version=1, schema=SCHEMA)) as database:
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO first VALUES (5)")
    assert numbers(path) == []


def test_a_reader_sees_what_is_committed_while_a_writer_holds_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(open_database(path, version=1, schema=SCHEMA)) as writer:
        writer.execute("INSERT INTO first VALUES (1)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO first VALUES (2)")
        assert raw(path, "SELECT number FROM first") == [[(1,)]]


def test_a_newer_version_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(open_database(path, version=2, schema=SCHEMA)):
        pass
    with pytest.raises(BadInput, match=r"newer version.*format 2, this program writes 1") as caught:
        open_database(path, version=1, schema="CREATE TABLE third (number INTEGER)")
    assert caught.value.exit_code == 1
    assert raw(path, "PRAGMA user_version", "SELECT name FROM sqlite_master WHERE name = 'third'") == [[(2,)], []]


@pytest.mark.parametrize("content", [b"cell,score\n1,2\n" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_what_is_not_a_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.sqlite"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"cannot use .* as a store"):
        open_database(path, version=1, schema=SCHEMA)
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    raw(path, "CREATE TABLE photos (name TEXT)")
    with pytest.raises(BadInput, match="--store"):
        open_database(path, version=1, schema=SCHEMA)
    assert raw(path, "SELECT name FROM sqlite_master") == [[("photos",)]]


def test_a_database_with_another_schema_of_ours_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(open_database(path, version=1, schema="CREATE TABLE other (number INTEGER)")):
        pass
    with pytest.raises(BadInput, match="--store"):
        open_database(path, version=1, schema=SCHEMA)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"):
        open_database(tmp_path, version=1, schema=SCHEMA)


def test_a_read_only_file_is_refused_for_root_too(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(open_database(path, version=1, schema=SCHEMA)):
        pass
    path.chmod(0o444)
    with pytest.raises(BadInput, match="read-only: make it writable"):
        open_database(path, version=1, schema=SCHEMA)


def test_a_new_file_in_a_read_only_folder_is_refused_for_root_too(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    try:
        with pytest.raises(BadInput, match="read-only"):
            open_database(folder / "a.sqlite", version=1, schema=SCHEMA)
        assert not list(folder.iterdir())
    finally:
        folder.chmod(0o755)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot make the folder"):
        open_database(tmp_path / "file" / "a.sqlite", version=1, schema=SCHEMA)


def test_a_missing_file_is_not_made_unless_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.sqlite"
    with pytest.raises(BadInput, match="no store at"):
        open_database(path, version=1, schema=SCHEMA, write=False)
    assert not path.parent.exists()


def test_a_creation_that_fails_leaves_no_half_made_schema_and_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with pytest.raises(BadInput, match="cannot use"):
        open_database(path, version=1, schema="CREATE TABLE first (number INTEGER); CREATE NONSENSE")
    # the error is still held by pytest, and with it everything its frames hold
    assert raw(path, "SELECT name FROM sqlite_master", "PRAGMA user_version", "BEGIN IMMEDIATE") == [[], [(0,)], []]
    assert numbers(path) == []


def test_a_creation_that_fails_leaves_no_file_and_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot use"):
        open_database(tmp_path / "deep" / "er" / "a.sqlite", version=1, schema="CREATE NONSENSE")
    assert not list(tmp_path.iterdir())


# -- reading


def read(path: Path) -> list[int]:
    with closing(open_database(path, version=1, schema=SCHEMA, write=False)) as database:
        return [number for (number,) in database.execute("SELECT number FROM first")]


def stored(path: Path, number: int = 5) -> Path:
    path.parent.mkdir(exist_ok=True)
    with closing(open_database(path, version=1, schema=SCHEMA)) as database:
        database.execute("INSERT INTO first VALUES (?)", (number,))
    return path


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A store that cannot be written, in a folder that cannot be written."""
    path = stored(tmp_path / "locked" / "a #1?.sqlite")
    path.chmod(0o444)
    path.parent.chmod(0o555)
    yield path
    path.parent.chmod(0o755)


def test_a_read_only_store_in_a_read_only_folder_is_read_and_nothing_is_written(read_only: Path) -> None:
    assert read(read_only) == [5]
    assert list(read_only.parent.iterdir()) == [read_only]


def test_a_read_only_store_is_read_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.sqlite")
    path.chmod(0o444)
    assert read(path) == [5]
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_cannot_write_and_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.sqlite")
    before = path.read_bytes()
    with closing(open_database(path, version=1, schema=SCHEMA, write=False)) as database:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            database.execute("INSERT INTO first VALUES (6)")
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            database.execute("BEGIN IMMEDIATE")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_who_reads_sees_what_a_run_at_work_has_committed_and_does_not_wait_for_it(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.sqlite")
    with closing(open_database(path, version=1, schema=SCHEMA)) as writer:
        writer.execute("INSERT INTO first VALUES (6)")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO first VALUES (7)")
        assert read(path) == [5, 6]


def test_what_stands_in_the_log_of_a_read_only_store_is_read_too(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.sqlite")
    with closing(open_database(path, version=1, schema=SCHEMA)) as writer:
        writer.execute("INSERT INTO first VALUES (6)")
        path.chmod(0o444)
        assert read(path) == [5, 6]


def test_an_older_store_is_read_without_being_changed(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.sqlite")
    before = path.read_bytes()
    changes = {1: "ALTER TABLE first ADD COLUMN name TEXT"}
    with closing(
        open_database(path, version=2, schema="CREATE TABLE first (number, name)", changes=changes, write=False)
    ) as database:
        assert database.execute("SELECT number, name FROM first").fetchall() == [(5, None)]
    assert path.read_bytes() == before


def test_an_empty_file_is_no_store_to_read(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").touch()
    with pytest.raises(BadInput, match=r"no store at .*, which is empty: run something first"):
        read(tmp_path / "a.sqlite")


@pytest.mark.parametrize("write", [True, False])
def test_what_is_no_file_is_no_store(tmp_path: Path, write: bool) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, expected in (
        (Path(":memory:"), "no file, and would be lost at the end"),
        (tmp_path / "pipe", "no regular file"),
        (Path("/dev/null"), "no regular file"),
    ):
        with pytest.raises(BadInput, match=expected):
            open_database(path, version=1, schema=SCHEMA, write=write)


# -- locked


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[int]:
    """A process that has begun to write into a store and does not go on."""
    path = stored(tmp_path / "a.sqlite")
    hold = (
        "import sqlite3, sys\n"
        "database = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "database.execute('BEGIN IMMEDIATE')\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process.pid
        process.kill()


def in_use(path: Path, pid: int) -> str:
    who = f"another run (process {pid})" if Path("/proc/locks").exists() else "another run"
    return f"the store {path} is in use by {who}: wait until it ends, or stop it, and repeat the command"


@pytest.mark.slow
def test_a_locked_store_names_who_holds_it_and_is_not_to_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holder: int
) -> None:
    monkeypatch.setattr(common.database, "WAIT", 0.1)
    path = tmp_path / "a.sqlite"
    with pytest.raises(BadInput) as error:
        open_database(path, version=1, schema=SCHEMA)
    assert str(error.value) == in_use(path, holder)
    assert read(path) == [5], "who reads waits for nobody"


@pytest.mark.slow
def test_a_lock_in_the_middle_of_a_run_is_told_of_the_store_that_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common.database, "WAIT", 0.1)
    path = stored(tmp_path / "a.sqlite")
    with (
        closing(open_database(path, version=1, schema=SCHEMA)) as one,
        closing(open_database(path, version=1, schema=SCHEMA)) as other,
    ):
        one.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as error:
            other.execute("BEGIN IMMEDIATE")
        # a process does not see its own locks as another's
        assert told(error.value).startswith(f"the store {path} is in use by another run: wait until it ends")


@pytest.mark.slow
def test_who_is_waited_for_is_told_while_it_is_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], holder: int
) -> None:
    monkeypatch.setattr(common.database, "WAIT", 1.1)
    monkeypatch.setattr(common.database, "SILENCE", 0.1)
    path = tmp_path / "a.sqlite"
    with pytest.raises(BadInput):
        open_database(path, version=1, schema=SCHEMA)
    refused = in_use(path, holder).partition(": ")[0]
    assert capsys.readouterr().err == f"note: {refused}: waiting 1 s for it\n"


@pytest.mark.slow
def test_who_is_waited_for_may_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], holder: int
) -> None:
    monkeypatch.setattr(common.database, "SILENCE", 0.1)
    path = tmp_path / "a.sqlite"
    told = common.database._in_use

    def ended(of: Path) -> str:
        said = told(of)
        os.kill(holder, signal.SIGKILL)
        return said

    monkeypatch.setattr(common.database, "_in_use", ended)
    with closing(open_database(path, version=1, schema=SCHEMA)) as database:
        assert capsys.readouterr().err.endswith(": waiting 60 s for it\n")
        database.execute("INSERT INTO first VALUES (6)")
    assert read(path) == [5, 6]
    assert capsys.readouterr().err == ""


# -- older versions

CHANGES = {1: "ALTER TABLE first ADD COLUMN name TEXT; CREATE TABLE third (number INTEGER)", 2: "DROP TABLE second"}
LATEST = "CREATE TABLE first (number INTEGER, name TEXT); CREATE TABLE third (number INTEGER)"


def make_old(path: Path) -> None:
    with closing(open_database(path, version=1, schema=SCHEMA)) as database:
        database.execute("INSERT INTO first VALUES (5)")
        database.execute("INSERT INTO second VALUES (6)")


def schema_and_version(path: Path) -> tuple[list[object], object]:
    """Names of the tables, ascending, and the version."""
    tables, version = raw(path, "SELECT name FROM sqlite_master ORDER BY name", "PRAGMA user_version")
    return [name for (name,) in tables], version[0][0]


def test_an_older_file_is_brought_up_to_date_step_by_step_and_keeps_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make_old(path)
    middle = f"{LATEST}; CREATE TABLE second (number INTEGER)"
    with closing(open_database(path, version=2, schema=middle, changes=CHANGES)) as database:
        assert database.execute("SELECT number, name FROM first").fetchall() == [(5, None)]
        assert database.execute("SELECT number FROM second").fetchall() == [(6,)]
    assert schema_and_version(path) == (["first", "second", "third"], 2)
    for _ in range(2):  # the second time nothing is left to change
        with closing(open_database(path, version=3, schema=LATEST, changes=CHANGES)) as database:
            assert database.execute("SELECT number, name FROM first").fetchall() == [(5, None)]
        assert schema_and_version(path) == (["first", "third"], 3)


def test_a_file_two_versions_old_takes_both_steps_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make_old(path)
    with closing(open_database(path, version=3, schema=LATEST, changes=CHANGES)):
        pass
    assert schema_and_version(path) == (["first", "third"], 3)
    assert raw(path, "SELECT number, name FROM first") == [[(5, None)]]


def test_a_new_file_is_made_from_the_schema_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(open_database(path, version=3, schema=LATEST, changes=CHANGES)):
        pass
    assert schema_and_version(path) == (["first", "third"], 3)


def test_a_change_that_fails_leaves_the_older_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    make_old(path)
    broken = {1: f"{CHANGES[1]}; CREATE NONSENSE"}
    with pytest.raises(BadInput, match=r"cannot use .* as a store"):
        open_database(path, version=2, schema=LATEST, changes=broken)
    assert schema_and_version(path) == (["first", "second"], 1)
    assert numbers(path) == [5]


def test_the_database_of_another_program_is_not_changed_either(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    raw(path, "CREATE TABLE photos (name TEXT)", "PRAGMA user_version = 1")
    with pytest.raises(BadInput, match="database of something else"):
        open_database(path, version=2, schema=SCHEMA, changes={1: "CREATE TABLE second (number INTEGER)"})
    assert schema_and_version(path) == (["photos"], 1)


def test_a_file_newer_than_all_changes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with closing(open_database(path, version=4, schema=LATEST)):
        pass
    with pytest.raises(BadInput, match=r"newer version.*format 4, this program writes 3"):
        open_database(path, version=3, schema=LATEST, changes=CHANGES)
