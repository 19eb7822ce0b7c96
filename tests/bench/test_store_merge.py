"""Scores of another machine's store are added once, with their provenance; the own ones stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from filled import fill

from bench.benchmarks import benchmark
from bench.store import ScoreStore
from common.errors import BadInput
from proxies import registry
from tests.conftest import Command

DIGITS = benchmark("digits")


def found(path: Path, proxy: str) -> dict[int, dict[int, float | None]]:
    store = ScoreStore(path, write=False)
    stored = store.scores("digits", registry.create(proxy))
    return {entry.seed: {row.cell: row.score for row in entry.rows} for entry in stored}


@pytest.mark.slow
def test_settings_seeds_and_cells_come_together(tmp_path: Path) -> None:
    ours = fill(tmp_path / "ours.sqlite", "nwot", 0, {1: 1.0, 2: None})
    fill(ours, "snip", 0, {1: 5.0}, "2026-01-02")
    theirs = fill(tmp_path / "theirs.sqlite", "kd", 0, {4: 4.0}, "2026-01-03")  # numbers settings otherwise
    fill(theirs, "nwot", 0, {2: 2.0, 3: 3.0}, "2026-01-04")
    fill(theirs, "nwot", 1, {1: 7.0}, "2026-01-05")
    merged = ScoreStore(ours).merge(theirs)
    assert merged == (4, -1, 0)  # a cell without a score now has one
    assert found(ours, "nwot") == {0: {1: 1.0, 2: 2.0, 3: 3.0}, 1: {1: 7.0}}
    assert found(ours, "snip") == {0: {1: 5.0}}
    assert found(ours, "kd") == {0: {4: 4.0}}
    wanted = {(entry["proxy"], entry["seed"]): entry["wanted"] for entry in ScoreStore(ours).overview()}
    assert wanted == {("nwot", 0): 2, ("nwot", 1): 1, ("snip", 0): 1, ("kd", 0): 1}


def test_merging_twice_adds_nothing(tmp_path: Path) -> None:
    ours = fill(tmp_path / "ours.sqlite", "nwot", 0, {1: 1.0})
    theirs = fill(tmp_path / "theirs.sqlite", "nwot", 0, {2: 2.0, 3: None})
    assert ScoreStore(ours).merge(theirs) == (1, 1, 0)
    before = _runs(ours)
    assert ScoreStore(ours).merge(theirs) == (0, 0, 0)
    assert _runs(ours) == before
    assert {provenance["host"] for provenance in before} == {"ours", "theirs"}


def _runs(path: Path) -> list[dict[str, Any]]:
    import json
    import sqlite3

    with sqlite3.connect(path) as database:
        return [json.loads(text) for (text,) in database.execute("SELECT provenance FROM run ORDER BY id")]


@pytest.mark.slow
def test_our_own_scores_stay_and_others_are_reported(tmp_path: Path, command: Command) -> None:
    ours = fill(tmp_path / "ours.sqlite", "nwot", 0, {1: 1.0, 2: 2.0})
    theirs = fill(tmp_path / "theirs.sqlite", "nwot", 0, {1: 1.000001, 2: 2.1, 3: 3.0})
    ended = command("bench", "merge", theirs, "--store", ours)
    assert ended.code == 1
    assert ended.error.startswith("1 scores are not those of")
    assert "1 scores and 0 cells without one added" in ended.out
    assert found(ours, "nwot") == {0: {1: 1.0, 2: 2.0, 3: 3.0}}


def test_what_is_no_store_is_bad_input_and_nothing_is_made(tmp_path: Path, command: Command) -> None:
    assert "no such store" in command("bench", "merge", "missing.sqlite", "--store", "new.sqlite").error
    assert not (tmp_path / "new.sqlite").exists()
    (tmp_path / "text").write_text("no database")
    ours = fill(tmp_path / "ours.sqlite", "nwot", 0, {1: 1.0})
    with pytest.raises(BadInput):
        ScoreStore(ours).merge(tmp_path / "text")
    assert found(ours, "nwot") == {0: {1: 1.0}}
