"""Whether seeds agree beyond chance: the interval redraws classes, the p counts permutations, the tables say both."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Command
from scipy import stats
from test_reliability import SETTING, planted
from test_reliability import write as write_accuracies

from analysis.stats import seeds
from analysis.stats.bootstrap import interval
from analysis.stats.seeds import Certainty, agreement_interval, agreement_p, certainty
from analysis.studies.labels.reliability import entry, report
from analysis.tables import reliability as tables
from spaces.nb201.equivalence import representatives

pytestmark = pytest.mark.slow

rng = np.random.default_rng


@pytest.fixture(autouse=True)
def _few(few_resamples: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "PERMUTATIONS", 999)


def noisy(n: int, k: int, noise: float, seed: int = 0) -> pd.DataFrame:
    return pd.DataFrame(rng(seed).normal(size=(n, 1)) + noise * rng(seed + 1).normal(size=(n, k)))


def mean_spearman(columns: np.ndarray) -> float:
    """Over pairs of seeds, by SciPy."""
    return float(np.mean([stats.spearmanr(a, b).statistic for a, b in itertools.combinations(columns.T, 2)]))


# the interval


@pytest.mark.parametrize("k", [2, 3])
def test_the_interval_is_that_of_the_mean_spearman_over_draws_of_classes(k: int) -> None:
    labels, groups = noisy(40, k, 0.8), np.arange(40) // 3
    columns = labels.to_numpy()
    found = agreement_interval(labels, groups)
    assert found == pytest.approx(interval(lambda drawn: mean_spearman(columns[drawn]), groups), abs=1e-12)
    assert found[0] < mean_spearman(columns) < found[1]


def test_rows_of_one_class_are_one_observation() -> None:
    """Every row four times: as classes of four the interval is that of the rows, as rows it is half as wide."""
    labels = noisy(60, 2, 1.0)
    four = labels.iloc[np.repeat(np.arange(60), 4)]
    alone = agreement_interval(labels, np.arange(60))
    assert agreement_interval(four, np.repeat(np.arange(60), 4)) == pytest.approx(alone, abs=1e-12)
    low, high = agreement_interval(four, np.arange(240))
    assert high - low == pytest.approx((alone[1] - alone[0]) / 2, rel=0.25)


def test_seeds_of_one_ranking_have_an_interval_without_width() -> None:
    x = np.arange(15.0)
    agreed, opposed = pd.DataFrame({0: x, 1: np.exp(x)}), pd.DataFrame({0: x, 1: -x})
    assert agreement_interval(agreed, np.arange(15)) == pytest.approx((1, 1))
    assert agreement_interval(opposed, np.arange(15)) == pytest.approx((-1, -1))


def test_cells_that_lack_a_seed_say_nothing_of_agreement() -> None:
    labels, extra = noisy(30, 3, 0.8), noisy(10, 3, 9.0, seed=5)
    extra[1] = math.nan
    with_holes = pd.concat([labels, extra])
    columns, groups = with_holes.to_numpy(), np.arange(40)

    def complete(drawn: np.ndarray) -> float:
        rows = columns[drawn]
        return mean_spearman(rows[~np.isnan(rows).any(axis=1)])

    assert agreement_interval(with_holes, groups) == pytest.approx(interval(complete, groups), abs=1e-12)


@pytest.mark.parametrize(
    "labels",
    [
        pd.DataFrame({0: [1.0, 2.0, 3.0, 4.0]}),
        pd.DataFrame({0: [1.0, 2.0], 1: [1.0, 2.0]}),
        pd.DataFrame({0: [5.0] * 6, 1: range(6)}),
        pd.DataFrame({0: [1.0, 2.0, math.nan, 4.0], 1: [1.0, 2.0, 3.0, math.nan]}),
    ],
    ids=["one seed", "two cells", "constant", "two complete cells"],
)
def test_without_agreement_there_is_neither_interval_nor_p(labels: pd.DataFrame) -> None:
    assert all(map(math.isnan, agreement_interval(labels, np.arange(len(labels)))))
    assert math.isnan(agreement_p(labels))


# the p


def exact_p(columns: np.ndarray) -> float:
    """The share of all permutations of all seeds but the first that agree at least as well."""
    n, k = columns.shape
    observed = mean_spearman(columns)
    orders = list(itertools.permutations(range(n)))
    as_good = [
        mean_spearman(np.column_stack([columns[:, 0], *(columns[list(p), j + 1] for j, p in enumerate(chosen))]))
        >= observed - 1e-9
        for chosen in itertools.product(orders, repeat=k - 1)
    ]
    return float(np.mean(as_good))


TINY = [
    [[1, 1], [2, 2], [3, 3]],
    [[1, 2], [2, 1], [3, 3], [4, 4]],
    [[1, 4], [2, 3], [3, 2], [4, 1]],
    [[1, 1], [2, 1], [2, 3], [5, 3]],
    [[1, 2, 1], [2, 1, 3], [3, 3, 2]],
    [[1, 1, 1], [2, 2, 2], [3, 3, 3]],
]
"""Cells by seed: agreed, nearly, opposed, with ties, three seeds at odds, three agreed."""


@pytest.mark.parametrize("table", TINY, ids=str)
def test_p_is_the_share_of_all_permutations_that_agree_as_well(
    table: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeds, "PERMUTATIONS", 3999)
    exact = exact_p(np.array(table, dtype=float))
    error = math.sqrt(exact * (1 - exact) / 3999)
    found = agreement_p(pd.DataFrame(table, dtype=float))
    assert found == pytest.approx(exact, abs=4 * error + 1 / 4000)
    assert (round(found * 4000, 6)).is_integer()


def test_without_agreement_p_is_uniform(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 tables in which each seed ranks anew, 99 permutations: p is one of 100 values, all equally likely."""
    monkeypatch.setattr(seeds, "PERMUTATIONS", 99)
    found = np.array([agreement_p(pd.DataFrame(rng(number).normal(size=(8, 3)))) for number in range(300)])
    for level in (0.05, 0.25, 0.5, 0.75):
        error = math.sqrt(level * (1 - level) / 300)
        assert np.mean(found <= level + 1e-9) == pytest.approx(level, abs=3 * error)


def test_seeds_that_agree_have_a_small_p_and_those_that_contradict_a_large_one() -> None:
    assert agreement_p(noisy(40, 3, 0.5)) == 1 / 1000, "none of the permutations, and the observation itself"
    x = np.arange(40.0)
    assert agreement_p(pd.DataFrame({0: x, 1: -x})) == 1


def test_p_knows_ranks_only_and_says_the_same_again() -> None:
    labels = noisy(25, 3, 2.0)
    found = agreement_p(labels)
    assert 1 / 1000 < found < 1
    assert agreement_p(labels) == found
    assert agreement_p(np.exp(labels)) == found
    holes = pd.concat([labels, pd.DataFrame([[math.nan, 1.0, 2.0]])])
    assert agreement_p(holes) == found, "of cells that have all seeds"


# in the report and its table


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Tables whose gain is the least certain: that of each class is small beside the noise of two trainings."""
    vanilla, distilled = planted(noise=2.0)
    write_accuracies(tmp_path, "vanilla", vanilla)
    write_accuracies(tmp_path, "distilled", distilled)
    return tmp_path


def test_the_report_has_the_certainty_of_every_label(folder: Path) -> None:
    vanilla, distilled = planted(noise=2.0)
    found = report(SETTING, folder)
    for name, frame in {"vanilla": vanilla, "distilled": distilled, "gain": distilled - vanilla}.items():
        groups = np.array(representatives("function"))[frame.index]
        expected = Certainty(*agreement_interval(frame, groups), agreement_p(frame))
        assert found.certainty[name] == expected == certainty(frame, groups)
    assert found.certainty["vanilla"].p < 0.01 < found.certainty["gain"].p
    written = json.loads(json.dumps(entry(found), allow_nan=False))["certainty"]
    assert written["gain"] == {name: getattr(found.certainty["gain"], name) for name in ("low", "high", "p")}


def test_members_of_a_class_count_once_in_the_certainty(folder: Path) -> None:
    class_of = representatives("function")
    vanilla, distilled = planted(n=40)
    chosen = [cell for cell in range(3000) if class_of[cell] in vanilla.index]
    rows = [vanilla.index.get_loc(class_of[cell]) for cell in chosen]
    for mode, frame in (("vanilla", vanilla), ("distilled", distilled)):
        write_accuracies(folder, mode, frame.iloc[rows].set_axis(chosen))
    sure = report(SETTING, folder).certainty["gain"]
    low, high = agreement_interval((distilled - vanilla).iloc[rows], np.arange(len(rows)))
    assert sure.high - sure.low > 1.1 * (high - low)


def test_the_table_has_the_interval_and_a_row_of_p(folder: Path, tmp_path: Path) -> None:
    found = report(SETTING, folder)
    frame = tables.frame(found).set_index("labels")
    for kind, sure in found.certainty.items():
        assert tuple(frame.loc[kind, ["spearman_low", "spearman_high", "p"]]) == (sure.low, sure.high, sure.p)
    lines = tables.table(tables.frame(found), "digits").typeset().markdown().splitlines()
    shown = [f"{sure.p:.4f}" for sure in found.certainty.values()]
    assert f"| its p, permutations | {' | '.join(shown)} |" in lines
    (spearman,) = [line for line in lines if line.startswith("| Spearman, two seeds |")]
    for each, sure in zip(spearman.strip("| ").split(" | ")[1:], found.certainty.values(), strict=True):
        assert each.endswith(f"[{sure.low:.2f}, {sure.high:.2f}]")


def test_one_seed_has_no_row_of_p(tmp_path: Path, command: Command) -> None:
    for mode, frame in zip(("vanilla", "distilled"), planted(seeds=1), strict=True):
        write_accuracies(tmp_path, mode, frame)
    found = report(SETTING, tmp_path)
    assert all(math.isnan(value) for sure in found.certainty.values() for value in vars(sure).values())
    assert "its p" not in tables.table(tables.frame(found), "digits").typeset().markdown()
    assert entry(found)["certainty"]["gain"] == {"low": None, "high": None, "p": None}
    ended = command("analysis", "reliability", "--tables", tmp_path)
    assert "seed-to-seed Spearman – [–, –]; permutation test p –" in ended.out
