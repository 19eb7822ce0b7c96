"""What the library hands out is what the files hold, and what it says of them is what SciPy says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import diswot_bench as db
from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore
from distill.tables import read_table, table_path
from proxies.registry import known, populations


@pytest.mark.slow
def test_importing_the_library_loads_nothing_heavy(environment: dict[str, str], tmp_path: Path) -> None:
    code = "import sys, diswot_bench; print([name for name in ('torch', 'pandas', 'numpy') if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_every_name_is_there_and_no_other() -> None:
    assert [getattr(db, name).__name__ for name in db.__all__] == list(db.__all__)
    with pytest.raises(AttributeError, match="no attribute 'scoer'"):
        db.scoer  # noqa: B018


def test_proxies_and_benchmarks_are_those_of_the_registries() -> None:
    found = db.proxies()
    assert set(found.index) == {*known(), *populations()}
    assert found.loc["diswot", "needs"] == ", ".join(known()["diswot"].needs)
    assert db.benchmarks().loc["digits", ["space", "architectures", "batch"]].tolist() == ["nb201", 15625, 64]


def test_what_a_file_adds_is_known_once_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from bench.benchmarks import benchmark\n"
        "MINE = replace(benchmark('digits'), name='mine', batch=16)\n"
    )
    try:
        db.use(path)
        assert db.benchmarks().loc["mine", "batch"] == 16
        with pytest.raises(db.BadInput, match="no scores of nwot on mine"):
            db.scores("mine", "nwot")
    finally:
        db.use()
    assert "mine" not in db.benchmarks().index
    with pytest.raises(db.BadInput, match="no such file"):
        db.use(tmp_path / "yours.py")


@pytest.mark.slow
def test_accuracies_are_those_of_the_table() -> None:
    rows = read_table(table_path("digits", "distilled", Path(__file__).parents[2] / "results/accuracies")).rows
    found = db.accuracies("digits")
    assert len(found.stack()) == (rows["status"] == "ok").sum()
    for row in rows.head(20).itertuples():
        assert found.loc[row.cell, row.seed] == row.test
    assert np.allclose(db.accuracies("digits", "gain"), found - db.accuracies("digits", "vanilla"))


@pytest.mark.slow
def test_published_scores_are_found_from_any_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    found = db.scores("digits", "diswot:variant=paper, nwot")
    assert list(found) == ["diswot:variant=paper", "nwot"]
    assert found.index.names == ["cell", "seed"]
    with pytest.raises(db.BadInput, match="no scores of nwot:init=gaussian on digits are published"):
        db.scores("digits", "nwot:init=gaussian")
    with pytest.raises(db.BadUsage, match="did you mean 'nwot'"):
        db.scores("digits", ["nwott"])
    with pytest.raises(db.BadUsage, match="3 names no proxy"):
        db.scores("digits", 3)  # type: ignore[arg-type]


@pytest.mark.slow
def test_scores_of_a_store_are_those_that_a_run_made(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    store = ScoreStore(path)
    execute(Request(benchmark("digits"), ("params", "nwot"), (0, 1), limit=4), store)
    entries = store.scores("digits", known()["nwot"]())
    store.close()
    found = db.scores("digits", store=path)
    assert sorted(found) == ["nwot", "params"]
    for entry in entries:
        for row in entry.rows:
            score = found.loc[(row.cell, entry.seed), "nwot"]
            assert score == row.score or (row.score is None and np.isnan(score))
    with pytest.raises(db.BadInput, match="no scores of snip"):
        db.scores("digits", "snip", store=path)


@pytest.fixture(scope="module")
def sample() -> tuple[pd.DataFrame, pd.DataFrame]:
    accuracies = db.accuracies("digits")
    few = accuracies.iloc[:80]
    few.attrs.update(accuracies.attrs)
    return db.scores("digits", "diswot,nwot"), few


@pytest.mark.slow
def test_correlations_are_scipys(sample: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    scores, accuracies = sample
    found = db.correlate(scores, accuracies)
    assert list(found.index) == ["diswot", "nwot", "params", "flops"]
    truth = accuracies.mean(axis=1)
    for name in ("diswot", "nwot"):
        mean = scores[name].unstack().mean(axis=1, skipna=False).reindex(truth.index)
        both = mean.notna()
        assert found.loc[name, "n"] == both.sum()
        assert found.loc[name, "failed"] == (~both).sum()
        assert found.loc[name, "spearman"] == pytest.approx(stats.spearmanr(mean[both], truth[both]).statistic)
        assert found.loc[name, "kendall"] == pytest.approx(stats.kendalltau(mean[both], truth[both]).statistic)
        assert found.loc[name, "spearman_low"] < found.loc[name, "spearman"] < found.loc[name, "spearman_high"]
    both = scores["diswot"].unstack().mean(axis=1).reindex(truth.index).notna()
    assert found.loc["diswot", "over_params"] == pytest.approx(
        found.loc["diswot", "spearman"] - found.loc["params", "spearman"]
    )
    assert both.all()
    assert 0.9 < found.attrs["ceiling"] < 1


@pytest.mark.slow
def test_a_score_that_ranks_nothing_is_told(sample: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    scores, accuracies = sample
    same = pd.Series(1.5, index=accuracies.index, name="same")
    with pytest.warns(UserWarning, match="correlate: same gives all 80 cells the score 1.5, which ranks nothing"):
        found = db.correlate(same, accuracies)
    assert found.loc["same", ["kendall", "spearman", "pearson"]].isna().all()
    with pytest.warns(UserWarning, match="correlate: all accuracies are equal, which leaves nothing to rank"):
        db.correlate(scores["diswot"], pd.Series(50.0, index=accuracies.index))


@pytest.mark.slow
def test_a_score_of_ones_own_is_judged_by_cell(sample: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    scores, accuracies = sample
    truth = accuracies.mean(axis=1)
    found = db.correlate(pd.Series(-truth, name="backwards"), accuracies, baselines=False)
    assert found["spearman"].to_dict() == {"backwards": pytest.approx(-1)}
    assert db.correlate({"itself": truth}, truth).attrs["ceiling"] is None
    counted = db.correlate(scores["diswot"], accuracies).loc["params"]
    assert db.correlate(db.scores("digits", "params"), accuracies).loc["params"].equals(counted)


@pytest.mark.slow
def test_what_cannot_be_judged_is_told_in_a_line(sample: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    scores, accuracies = sample
    with pytest.raises(db.BadInput, match="not indexed by cell"):
        db.correlate(pd.Series([1.0, 2.0], index=["a", "b"], name="x"), accuracies)
    with pytest.raises(db.BadInput, match="only 2 labelled cells"):
        db.correlate(accuracies.iloc[:2, 0], accuracies)
    with pytest.raises(db.BadUsage, match="scores are of digits, and judged would be those of cifar100"):
        db.correlate(scores, pd.Series(accuracies[0].to_dict()), "cifar100")
    with pytest.raises(db.BadUsage, match="accuracies are of digits, and judged would be scores of cifar100"):
        db.correlate({"mine": accuracies[0]}, accuracies, "cifar100")


def _table(index: list[int], columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(np.arange(2.0 * len(index)).reshape(-1, 2), index, columns)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (pd.Series(np.arange(30.0), name="mine"), "index 0 to 29 that pandas gives"),
        (pd.Series([1.0, 2, 3], [3, 4, 99999999], name="mine"), "cells 3 to 99999999"),
        (pd.Series([1.0, 2, 3], [-1, 4, 5], name="mine"), "cells -1 to 5"),
        (pd.Series(["a", "b", "c"], [3, 4, 5], name="mine"), "no Series of numbers"),
        (pd.Series([1.0, 2, 3], [3, 4, 5], name="params"), "a column is called params"),
        (pd.Series([1.0, 2, 3], [3, 4, 5], name="flops"), "a column is called flops"),
        (_table([3, 4, 5], ["a", "a"]), "two columns are called 'a'"),
        (pd.DataFrame({"score": [1.0, 2.0]}, pd.MultiIndex.from_tuples([("a", "nwot"), ("b", "nwot")])), "not indexed"),
        (np.arange(3.0), "scores are a ndarray"),
        ([1.0, 2.0], "scores are a list"),
        ({"mine": np.arange(3.0)}, "no Series of numbers"),
        ({}, "no scores were handed in"),
    ],
)
def test_scores_that_are_none_of_cells_are_refused(
    scores: Any, said: str, sample: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    with pytest.raises(db.BadInput, match=said):
        db.correlate(scores, sample[1])


@pytest.mark.parametrize(
    ("accuracies", "said"),
    [
        (pd.Series([50.0, 60, 500], [3, 4, 5]), "cell 5: 500.0 is not an accuracy in percent"),
        (pd.Series([50.0, 60, -3], [3, 4, 5]), "cell 5: -3.0 is not an accuracy in percent.* of differences say"),
        (pd.Series([0.5, 0.6, 0.7], [3, 4, 5]), "look like fractions"),
        (pd.Series(["50", "60", "70"], [3, 4, 5]), "no columns of numbers"),
        (pd.Series([50.0, 60, 70]), "index 0 to 2"),
        ([50.0, 60.0, 70.0], "accuracies are a list"),
    ],
)
def test_accuracies_follow_the_rules_of_files(accuracies: Any, said: str) -> None:
    with pytest.raises(db.BadInput, match=said):
        db.correlate(pd.Series([1.0, 2, 3], [3, 4, 5], name="mine"), accuracies)


@pytest.mark.slow
def test_differences_of_ones_own_are_judged_where_they_say_so(sample: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    gain = sample[1].mean(axis=1) - 80
    gain.attrs["labels"] = {"quantity": "gain"}
    assert db.correlate({"itself": gain}, gain).loc["itself", "spearman"] == pytest.approx(1)


@pytest.mark.slow
def test_scores_that_are_not_finite_have_failed(sample: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    truth = sample[1].mean(axis=1)
    scores = truth.copy()
    scores.iloc[:3] = [np.inf, -np.inf, np.nan]
    found = db.correlate({"mine": scores}, sample[1]).loc["mine"]
    assert found[["n", "failed", "coverage"]].tolist() == [77, 3, 77 / 80]
    assert found["spearman"] == pytest.approx(1)


@pytest.mark.slow
def test_a_foreign_module_in_the_way_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "common.py").write_text("")
    code = "import diswot_bench as db\ntry:\n    db.proxies()\nexcept ImportError as error:\n    print(error)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"{tmp_path / 'common.py'} stands in the way of the package 'common'")


SCRIPT = """
from pathlib import Path
from bench.benchmarks import benchmark
from bench.runner import Request, execute
from bench.store import ScoreStore
print(execute(Request(benchmark("digits"), ("params",), (0,), limit=8, workers=2), ScoreStore(Path("s.sqlite"))).ok)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["a file", "standard input"])
def test_a_script_without_a_guard_runs_with_workers(how: str, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    words, given = (["script.py"], None) if how == "a file" else (["-"], SCRIPT)
    done = subprocess.run(
        [sys.executable, *words], input=given, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "8\n"


@pytest.mark.slow
def test_a_proxy_of_the_script_itself_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    own = 'from proxies.params import Params\nclass Mine(Params):\n    name = "mine"\n'
    script = own + SCRIPT.replace('"params",', "Mine(),").replace(
        "print(execute(", "from common.errors import BadUsage\ntry:\n    print(execute("
    )
    script += "except BadUsage as error:\n    print(error)\n"
    done = subprocess.run(
        [sys.executable, "-"], input=script, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "the proxy mine is defined in the script that runs it: move it to a file of its own" in done.stdout, (
        done.stderr
    )


@pytest.mark.slow
def test_the_command_scores_and_prints_the_table(command: Callable[..., Any]) -> None:
    ended = command("diswot_bench", "run", "params", "--limit", 5, "--cells", "labelled", "--workers", 1)
    assert ended.code == 0, ended.err
    assert "5 of 5 scores" in ended.out
    assert "ceiling: labels of two seeds agree" in ended.out
    assert command("diswot_bench", "--version").out == f"{db.__version__}\n"
    assert "subgraph" in command("diswot_bench", "search", "--help").out
    early = command("diswot_bench", "run", "params", "--against", "foo", "--limit", 5, "--workers", 1)
    assert early.code == 2
    assert "neither distilled, vanilla, gain nor a file" in early.error
    assert "scores" not in early.out, "labels are looked at first"
    unlabelled = command("diswot_bench", "run", "params", "--benchmark", "cifar100", "--limit", 5, "--workers", 1)
    assert unlabelled.code == 0
    said = ("cifar100 has no distilled accuracies: its scores are not judged", "params on cifar100: ", "to judge by")
    assert sorted(said, key=unlabelled.err.index) == list(said), "before anything is scored, and at the end"
    assert "`diswot-bench analysis import` brings (docs/guides/importing.md)" in unlabelled.err
    nobodys = command("diswot_bench", "run", "params", "--benchmark", "cifar200")
    assert nobodys.err.startswith("error: unknown benchmark 'cifar200'")
    assert "unknown proxy" in command("diswot_bench", "run", "parms").error


@pytest.mark.slow
def test_the_table_behind_a_run_is_of_its_own_seeds(command: Callable[..., Any], tmp_path: Path) -> None:
    run = ("run", "nwot", "--workers", 1, "--store", "s.sqlite")
    labelled = (*run, "--limit", 8, "--cells", "labelled")
    first = command("diswot_bench", *labelled)
    assert command("bench", *run, "--seeds", "0,1", "--limit", 2).code == 0
    again = command("diswot_bench", *labelled)
    assert again.code == 0, again.err
    assert [line for line in again.out.splitlines() if line.startswith(" nwot ")] == [
        line for line in first.out.splitlines() if line.startswith(" nwot ")
    ]
    every = command("analysis", "correlate", "nwot", "--store", "s.sqlite")
    assert every.code == 1
    assert "(seed 0: 10 cells, seed 1: 2 cells); `--seeds` names some" in every.err
    one = command("analysis", "correlate", "nwot", "--store", "s.sqlite", "--seeds", "0", "--json")
    assert json.loads(one.out)[0]["seeds"] == [0]


@pytest.mark.slow
def test_the_benchmark_is_the_one_that_scores_and_accuracies_are_of() -> None:
    scores, truth = db.scores("cifar10-16px", "nwot"), db.accuracies("cifar10-16px")
    found = db.correlate(scores, truth)
    assert found.loc["nwot"].equals(db.correlate(scores, truth, "cifar10-16px").loc["nwot"])
    assert found.loc["nwot", "n"] == len(truth)
    with pytest.raises(db.BadUsage, match="scores are of cifar10-16px and accuracies of digits"):
        db.correlate(scores, db.accuracies("digits"))
    with pytest.raises(db.BadUsage, match="accuracies are of cifar10-16px"):
        db.correlate(scores, truth, "digits")
