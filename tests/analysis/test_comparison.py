"""Paired tests against redrawn samples, Holm's correction against its definition, error rates against simulation."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.stats import bootstrap
from analysis.stats import correlation as statistics
from analysis.stats.comparison import Difference, against, all_pairs, compare, holm, over

pytestmark = pytest.mark.filterwarnings("error")
rng = np.random.default_rng


def table(n: int, noises: dict[str, float], seed: int = 0) -> tuple[pd.DataFrame, pd.Series, np.ndarray]:
    truth = rng(seed).normal(size=n)
    columns = {name: truth + noise * rng([seed, i]).normal(size=n) for i, (name, noise) in enumerate(noises.items(), 1)}
    return pd.DataFrame(columns), pd.Series(truth), np.arange(n)


def by_pair(found: list[Difference]) -> dict[tuple[str, str], Difference]:
    return {(each.a, each.b): each for each in found}


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)


# Holm


def brute_holm(p: list[float]) -> list[float]:
    """Closed testing with Bonferroni: a hypothesis falls where every set of hypotheses with it falls.

    By a route other than the step-down formula, and equal to it.
    """
    others = range(len(p))
    subsets = [s for size in range(1, len(p) + 1) for s in itertools.combinations(others, size)]
    return [max(min(1.0, len(s) * min(p[j] for j in s)) for s in subsets if i in s) for i in others]


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=7))
@settings(max_examples=100)
def test_holm_is_closed_testing_with_bonferroni(p: list[float]) -> None:
    assert holm(np.array(p)).tolist() == pytest.approx(brute_holm(p), abs=1e-12)


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
@settings(max_examples=50)
def test_corrected_values_keep_their_order_and_are_no_smaller(p: list[float]) -> None:
    raw = np.array(p)
    found = holm(raw)
    assert (found >= raw).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(raw, kind="stable")]) >= 0).all()
    shuffled = rng(len(p)).permutation(len(p))
    assert holm(raw[shuffled]).tolist() == found[shuffled].tolist()


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.6])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []


def test_what_was_not_tested_is_not_counted() -> None:
    found = holm(np.array([0.02, math.nan, 0.04]))
    assert found[[0, 2]].tolist() == pytest.approx([0.04, 0.04])
    assert math.isnan(found[1])


# pairs


def test_pairs() -> None:
    assert all_pairs(["a", "b", "c"]) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert against("params", ["a", "params", "b"]) == [("a", "params"), ("b", "params")]
    assert against("params", ["a"]) == [("a", "params")]


# differences


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize(("bad", "counted"), [(0.7, True), (1.5, False)])
def test_a_difference_is_that_of_two_correlations_over_the_same_draws(bad: float, counted: bool) -> None:
    """The p-value is counted where draws lie beyond 0, and the normal tail where none does."""
    scores, labels, _ = table(90, {"good": 0.5, "bad": bad})
    scores = scores.round(1)
    groups = np.arange(90) // 3
    (found,) = compare(scores, labels, groups)
    of_good, of_bad = (stats.spearmanr(scores[name], labels).statistic for name in ("good", "bad"))
    assert (found.a, found.b, found.n) == ("good", "bad", 90)
    assert found.difference == pytest.approx(of_good - of_bad, rel=1e-12)

    def difference(drawn: np.ndarray) -> float:
        part, label = scores.iloc[drawn], labels.iloc[drawn]
        return stats.spearmanr(part["good"], label).statistic - stats.spearmanr(part["bad"], label).statistic

    seen: list[float] = []
    low, high = bootstrap.interval(lambda drawn: seen.append(difference(drawn)) or seen[-1], groups)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    beyond = sum(each <= 0 for each in seen)
    assert (beyond > 0) == counted
    tail = 2 * (1 - stats.norm.cdf(found.difference / np.std(seen, ddof=1)))
    assert found.p_value == pytest.approx(2 * (1 + beyond) / 201 if counted else min(2 / 201, tail), rel=1e-6)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("seed", range(12))
def test_test_and_interval_agree(seed: int) -> None:
    """Except at the edge: 4 draws of 200 beyond 0 are p = .0498, and the quantile lies at the fifth."""
    scores, labels, groups = table(60, {"a": 0.8, "b": 1.2}, seed)
    (found,) = compare(scores, labels, groups)
    if not 0.04 < found.p_value < 0.07:
        assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)


@pytest.mark.slow
def test_proxies_that_differ_clearly_survive_correction_for_hundreds_of_pairs() -> None:
    scores, labels, groups = table(300, {"a": 0.5, "b": 2.0})
    (found,) = compare(scores, labels, groups)
    assert 0 < found.p_value < 1e-6


@pytest.mark.usefixtures("few_resamples")
def test_a_single_class_tests_nothing() -> None:
    scores, labels, groups = table(30, {"a": 0.5, "b": 2.0})
    (found,) = compare(scores, labels, 0 * groups)
    assert found.low == found.high == pytest.approx(found.difference)
    assert math.isnan(found.p_value)


@pytest.mark.usefixtures("few_resamples")
def test_all_pairs_are_tested_unless_told_and_corrected_together() -> None:
    scores, labels, groups = table(60, {"a": 1.0, "b": 1.2, "params": 1.6})
    everything = by_pair(compare(scores, labels, groups))
    assert list(everything) == all_pairs(["a", "b", "params"])
    chosen = by_pair(compare(scores, labels, groups, against("params", ["a", "b"])))
    assert list(chosen) == [("a", "params"), ("b", "params")]
    for found in (everything, chosen):
        raw = [each.p_value for each in found.values()]
        assert [each.p_holm for each in found.values()] == pytest.approx(brute_holm(raw))
    for pair, each in chosen.items():
        assert each.p_value == everything[pair].p_value
        assert each.p_holm <= everything[pair].p_holm
    alone = compare(scores, labels, groups, [("a", "b")])[0]
    assert alone.p_holm == alone.p_value


@pytest.mark.usefixtures("few_resamples")
def test_turned_around_a_difference_changes_its_sign_alone() -> None:
    scores, labels, groups = table(60, {"a": 0.8, "b": 1.2})
    found, turned = compare(scores, labels, groups, [("a", "b"), ("b", "a")])
    assert turned.difference == -found.difference
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-12)
    assert turned.p_value == pytest.approx(found.p_value)


@pytest.mark.usefixtures("few_resamples")
def test_proxies_that_rank_alike_do_not_differ() -> None:
    scores, labels, groups = table(80, {"a": 0.8})
    scores["b"] = np.exp(3 * scores["a"])
    (found,) = compare(scores, labels, groups)
    assert (found.difference, found.low, found.high, found.p_value, found.p_holm) == (0, 0, 0, 1, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
def test_pairing_sees_what_two_intervals_one_by_one_do_not() -> None:
    scores, labels, groups = table(1000, {"a": 1.0})
    scores["b"] = scores["a"] + 0.6 * rng(5).normal(size=1000)
    (found,) = compare(scores, labels, groups)
    a, b = (statistics.spearman_interval(scores[name].to_numpy(), labels.to_numpy(), groups) for name in ("a", "b"))
    assert a[0] < b[1]
    assert found.low > 0
    assert found.p_value < 0.05


@pytest.mark.usefixtures("few_resamples")
def test_only_cells_that_all_have_count() -> None:
    scores, labels, groups = table(60, {"a": 0.8, "b": 1.2})
    holes, unlabelled = scores.copy(), labels.copy()
    holes.loc[3, "a"], holes.loc[4, "b"], unlabelled[5] = math.nan, math.inf, math.nan
    kept = [cell for cell in range(60) if cell not in (3, 4, 5)]
    found = compare(holes, unlabelled, groups)
    assert found == compare(scores.iloc[kept], labels.iloc[kept], groups[kept])
    assert found[0].n == 57


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("n", [0, 2, 30])
def test_a_constant_proxy_or_too_few_cells_are_nan_and_not_counted(n: int) -> None:
    scores, labels, groups = table(n, {"a": 0.8, "b": 1.2, "constant": 0.0})
    scores["constant"] = 1.0
    found = by_pair(compare(scores, labels, groups))
    for pair, each in found.items():
        unknown = n < 3 or "constant" in pair
        for value in (each.difference, each.low, each.high, each.p_value, each.p_holm):
            assert math.isnan(value) == unknown
    if n == 30:
        assert found["a", "b"].p_holm == found["a", "b"].p_value


@pytest.mark.usefixtures("few_resamples")
def test_constant_labels_are_nan() -> None:
    scores, _, groups = table(20, {"a": 0.8, "b": 1.2})
    (found,) = compare(scores, pd.Series(np.ones(20)), groups)
    assert math.isnan(found.difference)
    assert math.isnan(found.p_value)


@pytest.mark.slow
def test_equal_proxies_are_told_apart_in_about_one_test_of_twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    """300 data sets; the standard error of the share is .013. The interval leaves 0 out as often."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    found = [compare(*table(60, {"a": 1.0, "b": 1.0}, seed))[0] for seed in range(300)]
    assert 0.01 <= np.mean([each.p_value < 0.05 for each in found]) <= 0.10
    assert 0.01 <= np.mean([not each.low <= 0 <= each.high for each in found]) <= 0.10
    assert 0.4 <= np.mean([each.p_value < 0.5 for each in found]) <= 0.6


@pytest.mark.slow
def test_a_better_proxy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    found = [compare(*table(100, {"a": 0.7, "b": 1.4}, seed))[0] for seed in range(20)]
    assert np.mean([each.p_value < 0.05 for each in found]) > 0.9


@pytest.mark.slow
def test_over_a_baseline_is_one_comparison_a_column_on_its_own_cells() -> None:
    rng = np.random.default_rng(7)
    labels = pd.Series(rng.normal(size=60))
    scores = pd.DataFrame({name: labels + rng.normal(size=60) for name in ("a", "size", "b", "c")})
    scores.loc[:9, "b"] = math.nan
    groups = np.repeat(np.arange(30), 2)
    found = over("size", scores, labels, groups)
    single = {name: compare(scores[[name, "size"]], labels, groups)[0] for name in ("a", "b", "c")}
    assert {name: one.n for name, one in found.items()} == {"a": 60, "b": 50, "c": 60}
    corrected = dict(zip(single, holm(np.array([one.p_value for one in single.values()])), strict=True))
    for name, one in single.items():
        assert found[name] == replace(one, p_holm=corrected[name])
