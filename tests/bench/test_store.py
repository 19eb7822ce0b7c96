"""The score store: `ok` is final, no number stands in for a failure, and old files still open."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

import bench.store
from bench.checks.rows import STATUSES
from bench.identity import CODE_EPOCH
from bench.store import Row, ScoreStore, StoredRow
from common.errors import BadInput
from spaces.nb201.space import NB201

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ScoreStore]:
    opened = ScoreStore(tmp_path / "scores.sqlite")
    yield opened
    opened.close()


def setting(store: ScoreStore, fingerprint: str = "f", proxy: str = "mine", version: int = 1) -> int:
    return store.setting(fingerprint, "digits", proxy, {"version": version, "code_epoch": CODE_EPOCH})


def named(label: str = "mine", version: int = 1) -> SimpleNamespace:
    """All that the store asks of a proxy."""
    return SimpleNamespace(label=label, version=version)


def a_run(store: ScoreStore, *requests: tuple[int, int, str, int]) -> int:
    return store.start_run("2025-01-01T00:00:00+00:00", {"host": "here"}, requests)


def test_a_setting_has_one_number_however_often_it_is_asked_for(store: ScoreStore) -> None:
    number = setting(store)
    assert setting(store) == number
    assert setting(store, fingerprint="g") != number
    assert store.setting("f", "cifar10", "mine", {"version": 1}) != number, "benchmarks are kept apart"


def test_ok_rows_are_final(store: ScoreStore) -> None:
    number = setting(store)
    run = a_run(store)
    store.add(run, [Row(number, 0, 5, 1.5, "ok", "")])
    later = a_run(store)
    store.add(later, [Row(number, 0, 5, 2.5, "ok", ""), Row(number, 0, 6, 3.5, "ok", "")])
    store.add(later, [Row(number, 0, 5, None, "error", "ValueError: no")])
    assert store.rows(number, 0) == [StoredRow(5, 1.5, "ok", ""), StoredRow(6, 3.5, "ok", "")]


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "ok"])
def test_rows_without_a_score_are_replaced(store: ScoreStore, status: str) -> None:
    number, run = setting(store), a_run(store)
    store.add(run, [Row(number, 0, 5, None, status, "once")])
    store.add(run, [Row(number, 0, 5, None, "error", "twice")])
    assert store.rows(number, 0) == [StoredRow(5, None, "error", "twice")]
    store.add(run, [Row(number, 0, 5, 0.5, "ok", "")])
    assert store.rows(number, 0) == [StoredRow(5, 0.5, "ok", "")]


@pytest.mark.parametrize(
    ("score", "status"), [(None, "ok"), (math.nan, "ok"), (1.0, "error"), (0.0, "nonfinite"), (-1e8, "timeout")]
)
def test_a_row_has_a_score_exactly_if_it_is_ok(store: ScoreStore, score: float | None, status: str) -> None:
    number, run = setting(store), a_run(store)
    with pytest.raises(sqlite3.IntegrityError):
        store.add(run, [Row(number, 0, 5, 1.0, "ok", ""), Row(number, 0, 6, score, status, "")])
    assert store.rows(number, 0) == [], "rows are written all together or not at all"


def test_nan_is_stored_as_no_score(store: ScoreStore) -> None:
    number, run = setting(store), a_run(store)
    store.add(run, [Row(number, 0, 5, math.nan, "nonfinite", "nan")])
    assert store.rows(number, 0) == [StoredRow(5, None, "nonfinite", "nan")]


@pytest.mark.parametrize("score", [0.1 + 0.2, -1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 2.0**53 + 2, 7])
def test_scores_come_back_as_the_same_float(store: ScoreStore, score: float) -> None:
    number = setting(store)
    store.add(a_run(store), [Row(number, 0, 5, score, "ok", "")])
    (row,) = store.rows(number, 0)
    assert row.score == score
    assert isinstance(row.score, float)


def test_rows_belong_to_a_setting_and_a_run_that_exist(store: ScoreStore) -> None:
    number, run = setting(store), a_run(store)
    for row, owner in ((Row(number + 1, 0, 5, 1.0, "ok", ""), run), (Row(number, 0, 5, 1.0, "ok", ""), run + 1)):
        with pytest.raises(sqlite3.IntegrityError):
            store.add(owner, [row])


def test_rows_are_kept_apart_by_setting_and_seed_and_come_by_cell(store: ScoreStore) -> None:
    one, two = setting(store), setting(store, fingerprint="g", proxy="other")
    rows = [Row(one, 0, 9, 1.0, "ok", ""), Row(one, 0, 3, 2.0, "ok", ""), Row(one, 1, 3, 3.0, "ok", "")]
    store.add(a_run(store), [*rows, Row(two, 0, 3, 4.0, "ok", "")])
    assert [row.cell for row in store.rows(one, 0)] == [3, 9]
    assert [row.score for row in store.rows(one, 1)] == [3.0]
    assert [row.score for row in store.rows(two, 0)] == [4.0]
    assert store.of_cell(3, NB201) == [
        ("mine", "digits", 0, 2.0, "ok", ""),
        ("mine", "digits", 1, 3.0, "ok", ""),
        ("other", "digits", 0, 4.0, "ok", ""),
    ]


def test_settings_of_one_name_are_told_apart_by_what_they_differ_in(store: ScoreStore) -> None:
    common = {"version": 1, "code_epoch": CODE_EPOCH}
    records = [common | {"backbone": name, "batch": {"hash": "0123456789abcdef"}} for name in ("own", "xautodl")]
    numbers = [store.setting(str(number), "digits", "mine", record) for number, record in enumerate(records)]
    later = store.setting("later", "digits", "mine", records[0] | {"batch": {"hash": "fedcba9876543210"}})
    run = a_run(store, *((number, 0, "all", 1) for number in numbers), (later, 1, "all", 1))
    store.add(run, [Row(number, 0, 3, 1.0, "ok", "") for number in numbers])
    names = ["mine (backbone own)", "mine (backbone xautodl)"]
    assert [entry["proxy"] for entry in store.overview()] == [*names, "mine"], "seeds have batches of their own"
    assert [row[0] for row in store.of_cell(3, NB201)] == names
    a_run(store, (later, 0, "all", 1))
    assert store.overview()[0]["proxy"] == "mine (backbone own, batch.hash 01234567)"


def test_the_overview_counts_ok_and_failed_beside_the_largest_request(store: ScoreStore) -> None:
    number = setting(store)
    a_run(store, (number, 0, "valid, first 2", 2))
    run = a_run(store, (number, 0, "all, first 4", 4), (number, 1, "all", 15625))
    a_run(store, (number, 0, "mine.txt", 1))
    store.add(
        run, [Row(number, 0, 1, 1.0, "ok", ""), Row(number, 0, 2, None, "oom", ""), Row(number, 0, 3, 1.0, "ok", "")]
    )
    common = {"proxy": "mine", "benchmark": "digits"}
    assert store.overview() == [
        {**common, "seed": 0, "cells": "all, first 4", "wanted": 4, "ok": 2, "failed": 1},
        {**common, "seed": 1, "cells": "all", "wanted": 15625, "ok": 0, "failed": 0},
    ]


def test_of_two_settings_the_one_requested_last_is_read_seed_by_seed(store: ScoreStore) -> None:
    old, new = setting(store, "old"), setting(store, "new")
    first = a_run(store, (old, 0, "all", 1), (old, 1, "all", 1))
    store.add(first, [Row(old, 0, 5, 1.0, "ok", ""), Row(old, 1, 5, 2.0, "ok", "")])
    second = a_run(store, (new, 0, "all", 1))
    store.add(second, [Row(new, 0, 5, 3.0, "ok", "")])
    found = store.scores("digits", named("mine", 1))
    assert [(entry.seed, entry.fingerprint, entry.rows[0].score) for entry in found] == [
        (0, "new", 3.0),
        (1, "old", 2.0),
    ]
    a_run(store, (old, 0, "all", 1))
    assert [entry.fingerprint for entry in store.scores("digits", named("mine", 1))] == ["old", "old"]


def test_scores_of_another_version_benchmark_or_proxy_are_not_read(store: ScoreStore) -> None:
    number = setting(store, version=1)
    newer = setting(store, "newer", version=2)
    run = a_run(store, (number, 0, "all", 1), (newer, 0, "all", 1))
    store.add(run, [Row(number, 0, 5, 1.0, "ok", ""), Row(newer, 0, 5, 2.0, "ok", "")])
    assert [entry.rows[0].score for entry in store.scores("digits", named("mine", 1))] == [1.0]
    assert [entry.rows[0].score for entry in store.scores("digits", named("mine", 2))] == [2.0]
    assert store.scores("digits", named("mine", 3)) == []
    assert store.scores("cifar10", named("mine", 1)) == []
    assert store.scores("digits", named("other", 1)) == []


def test_scores_of_another_code_epoch_are_not_read(store: ScoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    number = setting(store)
    store.add(a_run(store, (number, 0, "all", 1)), [Row(number, 0, 5, 1.0, "ok", "")])
    monkeypatch.setattr(bench.store, "CODE_EPOCH", CODE_EPOCH + 1)
    assert store.scores("digits", named()) == []


def test_a_run_keeps_its_provenance_and_its_cost(store: ScoreStore) -> None:
    run = a_run(store)
    store.finish_run(run, 2.5, 7)
    with closing(sqlite3.connect(store.path)) as database:
        assert database.execute("SELECT provenance, seconds, passes FROM run").fetchall() == [
            ('{"host": "here"}', 2.5, 7)
        ]


def test_a_sound_file_passes_the_check_and_closing_folds_the_log(tmp_path: Path) -> None:
    store = ScoreStore(tmp_path / "scores.sqlite")
    number = setting(store)
    store.add(a_run(store), [Row(number, 0, cell, 1.0, "ok", "") for cell in range(2000)])
    store.check()
    store.close()
    assert [path.name for path in tmp_path.iterdir()] == ["scores.sqlite"]


def test_a_damaged_page_is_told_when_a_store_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    store = ScoreStore(path)
    number = setting(store)
    store.add(a_run(store), [Row(number, 0, cell, 1.0, "ok", "") for cell in range(2000)])
    store.close()
    data = bytearray(path.read_bytes())
    middle = len(data) // 8192 * 4096
    data[middle : middle + 4096] = b"\xa5" * 4096
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"scores\.sqlite as a store \(database disk image is malformed\): restore it"):
        ScoreStore(path)


# scores-v1.sqlite was written by format 1 and is never made again: a format that cannot open it must bring a migration.
# Made with: settings ("1" * 64, digits, diswot) and ("2" * 64, digits, nwot), records {"proxy": NAME, "version": 1,
# "code_epoch": 1}; one run that requests (diswot, 0, "all", 5), (diswot, 1, "all", 5), (nwot, 0, "valid, first 3", 3);
# add() of the rows below; finish_run(run, 1.5, 12); close(), which folds the log into the file.
def test_a_store_of_format_1_still_opens_and_gives_its_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.store, "CODE_EPOCH", 1)
    path = tmp_path / "scores.sqlite"
    shutil.copyfile(FIXTURES / "scores-v1.sqlite", path)
    store = ScoreStore(path)
    store.check()
    diswot = store.scores("digits", named("diswot", 1))
    assert [(entry.seed, entry.fingerprint, entry.record) for entry in diswot] == [
        (seed, "1" * 64, {"proxy": "diswot", "version": 1, "code_epoch": 1}) for seed in (0, 1)
    ]
    assert diswot[0].rows == [StoredRow(cell, -0.1 * cell - 1 / 3, "ok", "") for cell in range(5)]
    assert diswot[1].rows == [StoredRow(cell, 1e-300 * cell, "ok", "") for cell in range(5)]
    (nwot,) = store.scores("digits", named("nwot", 1))
    assert nwot.rows == [
        StoredRow(7, None, "nonfinite", "-inf"),
        StoredRow(8, 1234.5678901234567, "ok", ""),
        StoredRow(9, None, "error", "ValueError: no"),
    ]
    counts = [
        (entry["proxy"], entry["seed"], entry["wanted"], entry["ok"], entry["failed"]) for entry in store.overview()
    ]
    assert counts == [("diswot", 0, 5, 5, 0), ("diswot", 1, 5, 5, 0), ("nwot", 0, 3, 1, 2)]
    run = store.start_run("2025-01-02T00:00:00+00:00", {}, [])
    store.add(run, [Row(nwot.setting, 0, 9, 2.5, "ok", "")])
    assert store.rows(nwot.setting, 0)[-1] == StoredRow(9, 2.5, "ok", "")
    store.close()
