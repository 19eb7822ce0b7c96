"""Stores and tables of accuracies keep what was put into them, and those of older versions are read."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from common.database import open_database
from common.errors import BadInput
from common.files import gzip_bytes
from distill import runs, store
from distill.recipes import recipe_hash
from distill.store import AccuracyStore
from distill.tables import COLUMNS, OPTIONAL, AccuracyTable, read_table, recipe_path, table_path, write_table

OLD = Path(__file__).parents[1] / "fixtures" / "accuracies-v1" / "digits-vanilla.csv.gz"
PUBLISHED = sorted((Path(__file__).resolve().parents[2] / "results" / "accuracies").glob("*.csv.gz"))
OLD_SCHEMAS = {
    1: """
CREATE TABLE accuracy (
    recipe TEXT NOT NULL, cell INTEGER NOT NULL, seed INTEGER NOT NULL, val REAL, test REAL,
    epochs REAL NOT NULL, seconds REAL NOT NULL, status TEXT NOT NULL, PRIMARY KEY (recipe, cell, seed)
) WITHOUT ROWID;
""",
    2: """
CREATE TABLE accuracy (
    recipe TEXT NOT NULL, cell INTEGER NOT NULL, seed INTEGER NOT NULL, val REAL, test REAL, best REAL,
    epochs REAL NOT NULL, seconds REAL NOT NULL, status TEXT NOT NULL, PRIMARY KEY (recipe, cell, seed)
) WITHOUT ROWID;
CREATE TABLE made_by (recipe TEXT NOT NULL, hardware TEXT NOT NULL, PRIMARY KEY (recipe, hardware));
INSERT INTO made_by VALUES ('a', 'desk');
""",
}
OLD_ROWS = [
    ("a", 23, 0, 86.15, 85.45, 1.0, 21.14, "ok"),
    ("a", 23, 1, None, None, 1.0, 17.79, "diverged"),
    ("b", 118, 0, 75.7, 73.75, 1.0, 5.26, "ok"),
]


def row(cell: int, seed: int = 0, test: float | None = 60.0, status: str = "ok") -> tuple[Any, ...]:
    """In the order of `COLUMNS`."""
    return (cell, seed, 50.0, test, 61.0, -1.5, 2, 1.25, status)


def old_store(path: Path, version: int, best: float = 87.0) -> None:
    """A store as an older version wrote it, with two recipes."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(OLD_SCHEMAS[version])
        database.execute(f"PRAGMA user_version = {version}")
        rows = OLD_ROWS if version == 1 else [(*row[:5], row[4] and best, *row[5:]) for row in OLD_ROWS]
        database.executemany(f"INSERT INTO accuracy VALUES (?{', ?' * (len(rows[0]) - 1)})", rows)


# the store


def test_rows_are_written_all_together_or_not_at_all(tmp_path: Path) -> None:
    database = AccuracyStore(tmp_path / "a.sqlite")
    with pytest.raises(sqlite3.IntegrityError, match="NOT NULL"):
        database.add("hash", [row(1), row(2, status=None)], ["machine"])  # type: ignore[arg-type]
    assert database.rows("hash").empty
    assert database.hardware("hash") == []


def test_a_finished_training_is_on_disk_when_add_returns_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    database = AccuracyStore(path)
    database.add("hash", [row(1, test=60.0)], ["machine"])
    database.add("hash", [row(1, test=99.0)], ["machine"])
    with closing(open_database(path, version=store._VERSION, schema=store._SCHEMA, write=False)) as other:
        found = other.execute("SELECT cell, seed, val, test, best, log_likelihood FROM accuracy").fetchall()
    assert found == [(1, 0, 50.0, 60.0, 61.0, -1.5)]
    assert AccuracyStore(path).rows("other hash").empty
    assert table_path("digits", "vanilla", tmp_path) == tmp_path / "digits-vanilla.csv.gz"


def test_rows_come_back_by_cell_and_seed_with_all_columns(tmp_path: Path) -> None:
    database = AccuracyStore(tmp_path / "a.sqlite")
    database.add("hash", [row(7, 1), row(7, 0), row(3, 2, None, "diverged")], [])
    found = database.rows("hash")
    assert tuple(found.columns) == COLUMNS
    assert list(found[["cell", "seed"]].itertuples(index=False, name=None)) == [(3, 2), (7, 0), (7, 1)]
    assert list(found.iloc[1]) == list(row(7, 0))
    assert found["test"].isna().tolist() == [True, False, False]


def test_hardware_is_kept_by_recipe_each_name_once(tmp_path: Path) -> None:
    database = AccuracyStore(tmp_path / "a.sqlite")
    database.add("a", [row(1)], ["server", "laptop"])
    database.add("a", [row(2)], ["laptop", "desk"])
    database.add("b", [row(1)], ["tower"])
    again = AccuracyStore(tmp_path / "a.sqlite")
    assert again.hardware("a") == ["desk", "laptop", "server"]
    assert again.hardware("b") == ["tower"]
    assert again.hardware("c") == []


def test_a_missing_store_is_not_made_where_none_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no store at"):
        AccuracyStore(tmp_path / "a.sqlite", write=False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("version", OLD_SCHEMAS)
def test_an_older_store_keeps_its_rows_and_takes_new_ones(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.sqlite"
    old_store(path, version)
    made_by = ["desk"] if version > 1 else []
    database = AccuracyStore(path)
    found = database.rows("a")
    assert tuple(found.columns) == COLUMNS
    assert found["log_likelihood"].isna().all()
    assert found["best"].isna().tolist() == [version == 1, True]
    assert version == 1 or found["best"][0] == 87.0
    kept = [tuple(values) for values in found.drop(columns=list(OPTIONAL)).head(1).itertuples(index=False)]
    assert kept == [(23, 0, 86.15, 85.45, 1.0, 21.14, "ok")]
    assert found["status"].tolist() == ["ok", "diverged"]
    assert len(database.rows("b")) == 1
    assert database.hardware("a") == made_by
    database.add("a", [row(24)], ["machine"])
    again = AccuracyStore(path)
    assert tuple(again.rows("a").iloc[2]) == row(24)
    assert len(again.rows("a")) == 3
    assert again.rows("a")["log_likelihood"].isna().tolist() == [True, True, False]
    assert again.hardware("a") == [*made_by, "machine"]


@pytest.mark.parametrize("version", OLD_SCHEMAS)
def test_an_older_store_is_merged_with_what_it_has(tmp_path: Path, version: int, described: dict[str, str]) -> None:
    old_store(tmp_path / "old.sqlite", version)
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as database, database:
        for name, mode in (("a", "vanilla"), ("b", "distilled")):
            database.execute("UPDATE accuracy SET recipe = ? WHERE recipe = ?", (described[mode], name))
    fill(tmp_path / "here.sqlite", described, [row(300)], "laptop")
    paths = runs.merge("digits", [tmp_path / "old.sqlite"], tmp_path / "here.sqlite", tmp_path / "tables", None)
    found = {mode: read_table(path).rows for mode, path in paths.items()}
    assert found["vanilla"]["test"].tolist()[::2] == [85.45, 60.0]
    assert found["distilled"]["test"].tolist() == [73.75, 60.0]
    assert found["vanilla"]["log_likelihood"].isna().tolist() == [True, True, False]


def test_a_store_of_a_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    AccuracyStore(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 4")
    with pytest.raises(BadInput, match="format 4, this program writes 3") as error:
        AccuracyStore(path)
    assert "\n" not in str(error.value)


# tables


def test_a_table_of_an_older_version_is_read_and_lacks_only_what_was_not_measured() -> None:
    table = read_table(OLD)
    assert set(table.rows.columns) == set(COLUMNS)
    assert table.rows[list(OPTIONAL)].isna().all(axis=None)
    expected = [(23, 0, 86.15, 85.45, 1.0, 21.14, "ok"), (23, 1, 86.75, 84.9, 1.0, 17.79, "ok")]
    rows = table.rows[[column for column in COLUMNS if column not in OPTIONAL]]
    assert list(rows.itertuples(index=False, name=None))[:2] == expected
    assert len(rows) == 3
    assert table.hardware == ("x86_64 CPU, one thread a training",)
    assert table.recipe["version"] == 1
    assert table.hash == recipe_hash(table.recipe) == json.loads(recipe_path(OLD).read_text())["recipe_hash"]


def test_a_table_that_was_written_is_read_back_with_its_hardware(tmp_path: Path) -> None:
    rows = pd.DataFrame([row(3, 1), row(3, 0), row(2, 0, None, "diverged")], columns=list(COLUMNS))
    path = tmp_path / "digits-vanilla.csv.gz"
    write_table(path, AccuracyTable(rows, {"version": 2}), {"hardware": ["a", "b"]})
    found = read_table(path)
    assert found.hardware == ("a", "b")
    assert found.recipe == {"version": 2}
    assert list(found.rows.columns) == list(COLUMNS)
    ordered = rows.sort_values(["cell", "seed"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(found.rows, ordered, check_dtype=False)


@pytest.mark.parametrize("column", OPTIONAL)
def test_a_table_without_any_value_of_an_optional_column_is_written_without_it_and_read(
    tmp_path: Path, column: str
) -> None:
    """The rows of older stores: a column of nothing but missing values."""
    store = AccuracyStore(tmp_path / "a.sqlite")
    at = COLUMNS.index(column)
    store.add("hash", [(*row(1, seed)[:at], None, *row(1, seed)[at + 1 :]) for seed in (0, 1)], [])
    path = tmp_path / "digits-vanilla.csv.gz"
    write_table(path, AccuracyTable(store.rows("hash"), {}), {})
    assert list(pd.read_csv(path).columns) == [name for name in COLUMNS if name != column]
    assert read_table(path).rows[column].isna().all()
    assert read_table(path).hardware == ()
    bytes_of_all = path.read_bytes()
    write_table(path, AccuracyTable(store.rows("hash").drop(columns=column), {}), {})
    assert path.read_bytes() == bytes_of_all, "rows that lack the column are written as rows that lack its values"


@pytest.mark.parametrize("column", OPTIONAL)
def test_one_value_of_an_optional_column_is_enough_to_write_it(tmp_path: Path, column: str) -> None:
    store = AccuracyStore(tmp_path / "a.sqlite")
    at = COLUMNS.index(column)
    store.add("hash", [(*row(1)[:at], None, *row(1)[at + 1 :]), row(2)], [])
    path = tmp_path / "digits-vanilla.csv.gz"
    write_table(path, AccuracyTable(store.rows("hash"), {}), {})
    assert tuple(pd.read_csv(path).columns) == COLUMNS
    assert read_table(path).rows[column].isna().tolist() == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("published", PUBLISHED, ids=lambda path: path.name.removesuffix(".csv.gz"))
def test_a_published_table_goes_through_a_store_and_is_written_again_to_the_same_bytes(
    tmp_path: Path, published: Path
) -> None:
    table, path = read_table(published), tmp_path / published.name
    store = AccuracyStore(tmp_path / "a.sqlite")
    store.add(table.hash, table.rows[list(COLUMNS)].itertuples(index=False, name=None), table.hardware)
    record = json.loads(recipe_path(published).read_text())
    provenance = {name: value for name, value in record.items() if name not in ("recipe", "recipe_hash")}
    for rows in (table.rows, store.rows(table.hash)):
        write_table(path, AccuracyTable(rows, table.recipe), provenance)
        assert path.read_bytes() == published.read_bytes()
        assert recipe_path(path).read_bytes() == recipe_path(published).read_bytes()


@pytest.mark.parametrize("column", [column for column in COLUMNS if column not in OPTIONAL])
def test_every_other_column_is_needed(tmp_path: Path, column: str) -> None:
    path = tmp_path / "digits-vanilla.csv.gz"
    names = [name for name in COLUMNS if name != column]
    path.write_bytes(gzip_bytes((",".join(names) + "\n").encode()))
    recipe_path(path).write_text('{"recipe": {}}')
    with pytest.raises(BadInput, match=f"has no column '{column}': expected cell, seed"):
        read_table(path)


@pytest.mark.parametrize("text", ["[]", "7", "{}", "{", ""])
def test_a_damaged_recipe_is_bad_input(tmp_path: Path, text: str) -> None:
    path = tmp_path / "digits-vanilla.csv.gz"
    path.write_bytes(OLD.read_bytes())
    recipe_path(path).write_text(text)
    with pytest.raises(BadInput, match=r"cannot read .*digits-vanilla\.(csv\.gz|json) \(.*\): restore it"):
        read_table(path)


# merged


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The hashes of two small recipes that stand for those of digits."""
    recipes = {mode: {"mode": mode} for mode in ("vanilla", "distilled")}
    monkeypatch.setattr(runs, "describe", lambda benchmark, data: recipes)
    return {mode: recipe_hash(record) for mode, record in recipes.items()}


def fill(path: Path, hashes: dict[str, str], rows: list[tuple[Any, ...]], hardware: str) -> None:
    database = AccuracyStore(path)
    for of_recipe in hashes.values():
        database.add(of_recipe, rows, [hardware])


def test_stores_of_several_machines_become_one_with_the_hardware_of_all(
    tmp_path: Path, described: dict[str, str]
) -> None:
    fill(tmp_path / "here.sqlite", described, [row(1, test=10.0), row(2)], "laptop")
    fill(tmp_path / "there.sqlite", described, [row(1, test=90.0), row(5)], "server")
    before = (tmp_path / "there.sqlite").read_bytes()
    paths = runs.merge("digits", [tmp_path / "there.sqlite"], tmp_path / "here.sqlite", tmp_path / "tables", None)
    for path in paths.values():
        table = read_table(path)
        assert table.rows["cell"].tolist() == [1, 2, 5]
        assert table.rows["test"].tolist() == [10.0, 60.0, 60.0], "the store's own stays"
        assert table.hardware == ("laptop", "server")
    assert (tmp_path / "there.sqlite").read_bytes() == before


def test_a_store_with_nothing_of_the_recipes_is_refused_before_anything_is_written(
    tmp_path: Path, described: dict[str, str]
) -> None:
    fill(tmp_path / "good.sqlite", described, [row(1)], "server")
    fill(tmp_path / "other.sqlite", {"vanilla": "another"}, [row(1)], "server")
    for others, message in ((["good", "other"], "no trainings of the present recipes"), (["missing"], "no store at")):
        stores = [tmp_path / f"{name}.sqlite" for name in others]
        with pytest.raises(BadInput, match=message):
            runs.merge("digits", stores, tmp_path / "here.sqlite", tmp_path / "tables", None)
        assert not (tmp_path / "here.sqlite").exists()
        assert not (tmp_path / "tables").exists()


# status


def test_status_counts_cells_with_all_seeds_trainings_and_failures(tmp_path: Path, described: dict[str, str]) -> None:
    database = AccuracyStore(tmp_path / "a.sqlite")
    database.add(described["vanilla"], [row(1, 0), row(1, 1), row(2, 0), row(3, 0), row(3, 1, None, "diverged")], [])
    vanilla, distilled = runs.status("digits", tmp_path / "a.sqlite", tmp_path / "tables", None)
    wanted = len(runs.visiting_order())
    assert vanilla == {
        "benchmark": "digits", "mode": "vanilla", "seeds": [0, 1],
        "cells": 2, "wanted": wanted, "trainings": 5, "failed": 1,
    }  # fmt: skip
    assert distilled == vanilla | {"mode": "distilled", "seeds": [], "cells": 0, "trainings": 0, "failed": 0}


def test_status_counts_what_stands_in_the_tables_too(tmp_path: Path, described: dict[str, str]) -> None:
    fill(tmp_path / "a.sqlite", described, [row(1), row(2)], "laptop")
    runs.export("digits", tmp_path / "a.sqlite", tmp_path / "tables", None)
    entries = runs.status("digits", tmp_path / "empty.sqlite", tmp_path / "tables", None)
    assert [entry["trainings"] for entry in entries] == [2, 2]
    assert not (tmp_path / "empty.sqlite").exists(), "who asks how it stands writes nothing"
