"""Scores asked for one at a time are those of a run, are stored for their whole class, and are made once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bench import ondemand
from bench.benchmarks import benchmark
from bench.ondemand import OnDemand
from bench.plan import Pass
from bench.runner import Request, execute
from bench.store import Row, ScoreStore
from bench.worker import Outcome, Worker
from proxies.registry import create
from spaces.nb201.equivalence import members, representatives

pytestmark = pytest.mark.slow

SEEDS = (0, 2)
CELLS = (9, 4000, 15000)
REQUEST = Request(benchmark("digits"), (create("diswot"),), SEEDS)
SHARED = next(cells for cells in members("function").values() if len(cells) > 3)


@pytest.fixture
def store(tmp_path: Path) -> ScoreStore:
    return ScoreStore(tmp_path / "s.sqlite")


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[Pass]:
    """Every pass that is made, in place of which cell + 100 seed is the score, and none is that of cell 9, seed 2."""
    made: list[Pass] = []

    def score(worker: Worker, task: Pass) -> list[Outcome]:
        made.append(task)
        if (task.cell, task.seed) == (representatives("function")[9], 2):
            return [Outcome(0, task.seed, task.cell, None, "nonfinite", "nan")]
        return [Outcome(0, task.seed, task.cell, task.cell + 100.0 * task.seed, "ok", "")]

    monkeypatch.setattr(ondemand.Worker, "score", score)
    return made


def stored(store: ScoreStore) -> dict[int, dict[int, float | None]]:
    return {
        entry.seed: {row.cell: row.score for row in entry.rows} for entry in store.scores("digits", create("diswot"))
    }


def test_a_score_on_demand_is_that_of_a_run(store: ScoreStore, tmp_path: Path) -> None:
    (tmp_path / "cells.txt").write_text("\n".join(map(str, CELLS)))
    other = ScoreStore(tmp_path / "run.sqlite")
    execute(Request(benchmark("digits"), (create("diswot"),), SEEDS, cells=str(tmp_path / "cells.txt")), other)
    scores = OnDemand(REQUEST, store)
    for cell in CELLS:
        expected = [stored(other)[seed][cell] for seed in SEEDS]
        assert scores.score(cell) == pytest.approx(sum(map(float, filter(None, expected))) / 2, rel=1e-12)
        assert [stored(store)[seed][cell] for seed in SEEDS] == expected
    assert scores.passes == 6


def test_a_class_is_scored_once_for_all_its_members(store: ScoreStore, passes: list[Pass]) -> None:
    scores = OnDemand(REQUEST, store)
    found = {scores.score(cell) for cell in SHARED}
    assert found == {SHARED[0] + 100.0}
    assert [(task.cell, task.seed) for task in passes] == [(SHARED[0], 0), (SHARED[0], 2)]
    assert set(stored(store)[0]) == set(SHARED) == set(stored(store)[2])
    again = OnDemand(REQUEST, store)
    assert {again.score(cell) for cell in reversed(SHARED)} == found
    assert (len(passes), again.passes) == (2, 0)


def test_a_cell_whose_class_was_scored_by_a_run_gets_its_row_without_a_pass(
    store: ScoreStore, passes: list[Pass]
) -> None:
    first = OnDemand(REQUEST, store)
    first.score(4000)
    record = store.scores("digits", create("diswot"))[0]
    partial = ScoreStore(store.path.with_name("partial.sqlite"))
    number = partial.setting(record.fingerprint, "digits", "diswot", record.record)
    run = partial.start_run("now", {}, [(number, 0, "limit", 1)])
    partial.add(run, [Row(number, 0, SHARED[1], 0.5, "ok", "")])
    passes.clear()
    assert OnDemand(Request(benchmark("digits"), (create("diswot"),), (0,)), partial).score(SHARED[2]) == 0.5
    assert not passes
    assert {row.cell: row.score for row in partial.rows(number, 0)} == {SHARED[1]: 0.5, SHARED[2]: 0.5}


def test_a_seed_without_a_score_leaves_none_and_is_tried_again_only_when_asked(
    store: ScoreStore, passes: list[Pass]
) -> None:
    assert OnDemand(REQUEST, store).score(9) is None
    passes.clear()
    assert OnDemand(REQUEST, store).score(9) is None
    assert not passes
    assert OnDemand(Request(benchmark("digits"), (create("diswot"),), SEEDS, retry=True), store).score(9) is None
    assert [task.seed for task in passes] == [2]


def test_every_pass_is_on_disk_before_the_next(store: ScoreStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def score(worker: Worker, task: Pass) -> list[Outcome]:
        if task.seed == 2:
            raise KeyboardInterrupt
        return [Outcome(0, task.seed, task.cell, 1.0, "ok", "")]

    monkeypatch.setattr(ondemand.Worker, "score", score)
    with pytest.raises(KeyboardInterrupt):
        OnDemand(REQUEST, store).score(4000)
    other = ScoreStore(store.path, write=False)
    assert set(stored(other)[0]) == set(members("function")[representatives("function")[4000]])


def test_a_store_that_has_everything_gets_no_run(store: ScoreStore, passes: list[Pass]) -> None:
    for _ in range(2):
        scores = OnDemand(REQUEST, store)
        assert scores.score(4000) == representatives("function")[4000] + 100.0
        scores.close()
    with closing(sqlite3.connect(store.path)) as database:
        assert database.execute("SELECT passes FROM run").fetchall() == [(2,)]
