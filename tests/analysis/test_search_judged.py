"""Searches judged by accuracy: by hand on a few cells, and at the command line."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats
from small_results import CELLS, accuracies, small_results

from analysis.read.labels import Labels
from analysis.studies.searches import Judged, judge, mean
from bench.benchmarks import benchmark
from common.errors import BadInput
from search.records import Found, write
from spaces.nb201.cell import OPERATIONS, cells
from spaces.nb201.equivalence import members
from spaces.nb201.skeleton import count_parameters
from spaces.nb201.space import NB201
from tests.conftest import Command

pytestmark = pytest.mark.slow

DIGITS = benchmark("digits")
SHARED = next(same for same in members("function").values() if len(same) > 5)
A, B, C = CELLS[0], CELLS[1], SHARED[0]
DISTILLED = {A: 80.0, B: 90.0, C: 85.0}
VANILLA = {A: 79.0, C: 81.0}
UNLABELLED = CELLS[2]


def labels() -> dict[str, Labels]:
    both = {"distilled": DISTILLED, "vanilla": VANILLA}
    return {
        kind: Labels("%", pd.DataFrame({0: pd.Series(known) - 1, 1: pd.Series(known) + 1}), True, "planted", NB201)
        for kind, known in both.items()
    }


def record(
    folder: Path, answers: list[int | None], method: str = "evolve", seconds: float | None = None, **settings: object
) -> None:
    by = "proxy" if seconds is None else "accuracy"
    known = {"by": by, by: "diswot" if by == "proxy" else "distilled", "seeds": [0, 1]}
    runs = [
        Found(run, cell, None if cell is None else 1.0, 1, 1, 40, 30 + run, 0, 0, 50, 2, seconds, "")
        for run, cell in enumerate(answers)
    ]
    everything = {"benchmark": "digits", "objective": known[by], "method": method, "evaluation": known}
    write(runs, everything | {"cells": "all", "limits": {}} | settings, folder)


def price(folder: Path) -> Path:
    folder.mkdir()
    (folder / "digits.csv").write_text("proxy,seconds,forwards\ndiswot,0.02,1.1\nall,1,1\n")
    return folder


def judged(tmp_path: Path) -> tuple[dict[str, Judged], list[int]]:
    found, missing = judge(DIGITS, labels(), tmp_path / "searches", price(tmp_path / "costs"))
    return {one.method: one for one in found}, missing


def test_accuracy_regret_rank_and_cost_are_those_computed_by_hand(tmp_path: Path) -> None:
    record(tmp_path / "searches", [A, SHARED[3], UNLABELLED, None])
    record(tmp_path / "searches", [B], method="random", seconds=620.0)
    found, missing = judged(tmp_path)
    one = found["evolve"]
    assert (one.searches, one.unlabelled, one.ranked, missing) == (4, 2, 3, [UNLABELLED])
    assert (one.accuracy.mean, one.accuracy.sd) == pytest.approx((82.5, 5 / math.sqrt(2)))
    assert (one.vanilla.mean, one.regret.mean, one.rank.mean) == pytest.approx((80, (10 + 5) / 2, (3 + 2) / 2))
    assert (one.evaluations, one.asked, one.functions) == (40, 50, 31.5)
    assert one.seconds == pytest.approx(31.5 * 2 * 0.02)
    assert one.speedup == pytest.approx(620 / (31.5 * 2 * 0.02))
    other = found["random"]
    assert (other.accuracy.mean, other.regret.mean, other.rank.mean, other.speedup) == (90, 0, 1, 1)
    assert math.isnan(other.vanilla.mean)
    assert math.isnan(other.accuracy.sd)


def test_regret_and_rank_are_among_what_the_limits_allow(tmp_path: Path) -> None:
    counts = {cell: count_parameters(cells()[cell], DIGITS.skeleton) for cell in (A, B, *SHARED)}
    least = {A: counts[A], B: counts[B], C: min(counts[cell] for cell in SHARED)}  # of each labelled function
    small, middle, _ = sorted(least, key=least.__getitem__)
    assert len(set(least.values())) == 3
    record(tmp_path / "searches", [small], limits={"params": least[middle]})
    (one,) = judged(tmp_path)[0].values()
    assert one.ranked == 2
    assert one.regret.mean == max(DISTILLED[middle] - DISTILLED[small], 0)
    assert one.rank.mean == 1 + (DISTILLED[middle] > DISTILLED[small])


def test_a_limit_on_latency_is_that_of_the_table_in_the_settings(tmp_path: Path) -> None:
    """Here an operation costs nothing and all cells the same: a limit below that leaves none, one above leaves all."""
    free = {name: 0.0 for name in OPERATIONS}
    table = {"base": 5.0, "operations": free, "device": "cpu", "batch": 64}
    record(tmp_path / "searches", [A], limits={"latency": 5.0}, latency=table)
    (one,) = judged(tmp_path)[0].values()
    assert one.ranked == 3
    record(tmp_path / "searches", [A], limits={"latency": 4.9}, latency=table)
    with pytest.raises(BadInput, match=r"the least is 5$"):
        judge(DIGITS, labels(), tmp_path / "searches")


def test_a_chosen_cell_has_an_accuracy_and_a_rank_among_the_sample_but_is_none_of_it(tmp_path: Path) -> None:
    record(tmp_path / "searches", [UNLABELLED, A])
    more = {kind: replace(each, by_seed=pd.DataFrame({0: {UNLABELLED: 88.0}})) for kind, each in labels().items()}
    (one,), missing = judge(DIGITS, labels(), tmp_path / "searches", chosen=more)
    assert (one.unlabelled, one.ranked, missing) == (0, 3, [])
    assert (one.accuracy.mean, one.rank.mean, one.regret.mean) == ((88 + 80) / 2, (2 + 3) / 2, (2 + 10) / 2)
    more = {kind: replace(each, by_seed=pd.DataFrame({0: {UNLABELLED: 95.0}})) for kind, each in labels().items()}
    (one,), _ = judge(DIGITS, labels(), tmp_path / "searches", chosen=more)
    assert (one.rank.mean, one.regret.mean) == ((1 + 3) / 2, (0 + 15) / 2)


def test_searches_under_other_seeds_limits_and_cells_stand_side_by_side(tmp_path: Path) -> None:
    folder = tmp_path / "searches"
    record(folder, [A])
    record(folder, [A], evaluation={"by": "proxy", "proxy": "diswot", "seeds": [0, 1, 2, 5]})
    record(folder, [A], evaluation={"by": "proxy", "proxy": "diswot", "seeds": [0]}, limits={"params": 1537400})
    record(folder, [A], evaluation={"by": "proxy", "proxy": "diswot", "seeds": [0]}, cells="valid")
    names = ("cells=valid", "params=1537400", "seeds=0-1", "seeds=0-2,5")
    assert sorted(path.name for path in folder.glob("*.csv")) == [f"digits-diswot-evolve.{name}.csv" for name in names]
    found, _ = judge(DIGITS, labels(), folder)
    assert [(one.seeds, one.within) for one in found] == [(1, "valid"), (1, "params <= 1537400"), (2, ""), (4, "")]


def test_without_random_search_by_accuracy_there_is_no_speedup(tmp_path: Path) -> None:
    record(tmp_path / "searches", [A], method="random")
    (one,) = judged(tmp_path)[0].values()
    assert math.isnan(one.speedup)


def test_where_shorter_trainings_were_asked_for_random_search_among_the_same_functions_is_the_measure(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "searches"
    lengths = {"by": "accuracy", "accuracy": "distilled", "seeds": [0], "shorter": {"accuracy": "digits-short"}}
    record(folder, [A], method="random", seconds=620.0)
    record(folder, [A], method="tpe", seconds=310.0)
    record(folder, [A], method="random", seconds=200.0, evaluation=lengths, functions=2)
    record(folder, [A], method="bohb", seconds=50.0, evaluation=lengths, functions=2)
    found, _ = judge(DIGITS, labels(), folder)
    told = "2 functions trained shorter too"
    assert {(one.method, one.seeds, one.within, one.speedup) for one in found} == {
        ("random", 2, "", 1),
        ("tpe", 2, "", 2),
        ("random", 1, told, 1),
        ("bohb", 1, told, 4),
    }


def test_mean_has_students_interval() -> None:
    values = [1.0, 2.0, 4.0, math.nan]
    interval = stats.ttest_1samp(values[:3], 0).confidence_interval(0.95)
    assert mean(values) == pytest.approx((7 / 3, stats.tstd(values[:3]), interval.low, interval.high))
    assert all(map(math.isnan, mean([])))


def test_a_folder_without_searches_and_a_damaged_file_are_bad_input(tmp_path: Path) -> None:
    folder = tmp_path / "searches"
    with pytest.raises(BadInput, match="no searches on digits in "):
        judge(DIGITS, labels(), folder)
    record(folder, [A])
    (folder / "digits-diswot-evolve.seeds=0-1.csv").write_text("run,cell\n0,1\n")
    with pytest.raises(BadInput, match=r"cannot read .*: search again"):
        judge(DIGITS, labels(), folder)


def test_the_command_says_it_all(command: Command, tmp_path: Path) -> None:
    small_results(tmp_path / "results")
    best = int(accuracies()["distilled"].mean(axis=1).idxmax())
    unlabelled = next(cell for cell in range(9) if cell not in {*CELLS})
    record(tmp_path / "results/searches", [best, best, unlabelled])
    ended = command("analysis", "searches")
    assert ended.code == 0, ended.err
    assert "1 of 30" in ended.out
    assert (
        f"1 of the cells found have no label; accuracy, regret and rank are of the other searches: {unlabelled}"
        in ended.out
    )
    (entry,) = json.loads(command("analysis", "searches", "--json").out)
    assert entry["regret"] == {"mean": 0, "sd": 0, "low": 0, "high": 0}
    assert (entry["unlabelled"], entry["seconds"]) == (1, None)
    assert command("analysis", "searches", "--unlabelled", "found.txt").code == 0
    assert Path("found.txt").read_text() == f"{unlabelled}\n"
