"""Every statistic of the top against its definition: all orders of tied scores gone through, sums written out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.stats.ranking import (
    Policy,
    ndcg_at,
    partial_spearman,
    precision_at,
    prepare,
    regret_at,
    top_correlation,
    top_size,
    weighted_kendall,
)

pytestmark = pytest.mark.filterwarnings("error")
rng = np.random.default_rng
Statistic = Callable[[np.ndarray, np.ndarray], float]
STATISTICS: dict[str, Statistic] = {
    "weighted Kendall": weighted_kendall,
    "top Spearman": lambda s, a: top_correlation(s, a, 0.5).spearman,
    "top Kendall": lambda s, a: top_correlation(s, a, 0.5).kendall,
    "precision": lambda s, a: precision_at(s, a, 0.3),
    "regret": lambda s, a: regret_at(s, a, 2),
    "nDCG": lambda s, a: ndcg_at(s, a, 3),
    "partial": lambda s, a: partial_spearman(s, a, np.arange(len(s)) % 3),
}
CORRELATIONS = ("weighted Kendall", "top Spearman", "top Kendall", "partial")
by_name = pytest.mark.parametrize("name", STATISTICS)


def sample(seed: int, n: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    a = 80 + 5 * rng(seed).normal(size=n)
    s = a + 5 * rng(seed + 1000).normal(size=n)
    return (np.round(s / 5), np.round(a / 4)) if ties else (s, a)


def orders(scores: np.ndarray) -> Iterator[list[int]]:
    """Every order of the cells, best first, that the scores allow; each equally likely."""
    blocks = [np.flatnonzero(scores == value).tolist() for value in sorted(set(scores.tolist()), reverse=True)]
    for choice in itertools.product(*(itertools.permutations(block) for block in blocks)):
        yield [cell for block in choice for cell in block]


def brute_precision(s: np.ndarray, a: np.ndarray, k: int) -> float:
    last = sorted(a, reverse=True)[k - 1]
    return float(np.mean([sum(a[cell] >= last for cell in order[:k]) / k for order in orders(s)]))


def brute_regret(s: np.ndarray, a: np.ndarray, k: int) -> float:
    return float(np.mean([max(a) - max(a[cell] for cell in order[:k]) for order in orders(s)]))


def brute_ndcg(s: np.ndarray, a: np.ndarray, k: int) -> float:
    gain = [(sum(x < y for x in a) + (sum(x == y for x in a) - 1) / 2) / (len(a) - 1) for y in a]

    def dcg(gains: list[float]) -> float:
        return sum(each / math.log2(place + 1) for place, each in enumerate(gains[:k], start=1))

    found = [dcg([gain[cell] for cell in order]) for order in orders(s)]
    return float(np.mean(found)) / dcg(sorted(gain, reverse=True))


def brute_weighted_kendall(s: np.ndarray, a: np.ndarray) -> float:
    """Places by accuracy, ties by score; weights are 1 / (1 + place)."""
    place = np.empty(len(a))
    place[sorted(range(len(a)), key=lambda cell: (-a[cell], -s[cell]))] = range(len(a))
    w = 1 / (1 + place)
    pairs = [(i, j) for i in range(len(a)) for j in range(i)]

    def product(x: np.ndarray, y: np.ndarray) -> float:
        return float(sum((w[i] + w[j]) * np.sign(x[i] - x[j]) * np.sign(y[i] - y[j]) for i, j in pairs))

    return product(s, a) / math.sqrt(product(s, s) * product(a, a))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_weighted_kendall_is_vignas_sum_over_pairs(seed: int, ties: bool) -> None:
    s, a = sample(seed, 40, ties)
    assert weighted_kendall(s, a) == pytest.approx(brute_weighted_kendall(s, a), rel=1e-10)


def test_weighted_kendall_weighs_by_the_true_top_and_not_by_the_predicted() -> None:
    a = np.arange(20.0)
    wrong_at_the_top, wrong_at_the_bottom = a.copy(), a.copy()
    wrong_at_the_top[[18, 19]] = wrong_at_the_top[[19, 18]]
    wrong_at_the_bottom[[0, 1]] = wrong_at_the_bottom[[1, 0]]
    assert weighted_kendall(wrong_at_the_top, a) < weighted_kendall(wrong_at_the_bottom, a) < 1
    s, b = sample(0, 30, ties=False)
    assert weighted_kendall(s, b) != pytest.approx(weighted_kendall(b, s), abs=1e-6)


scores_with_ties = st.lists(st.integers(0, 3), min_size=3, max_size=6)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60)
def test_what_is_picked_is_the_mean_over_all_orders_of_tied_scores(data: st.DataObject) -> None:
    s = np.array(data.draw(scores_with_ties), dtype=float)
    a = np.array(data.draw(st.lists(st.integers(0, 5), min_size=len(s), max_size=len(s))), dtype=float)
    k = data.draw(st.integers(1, len(s)))
    if np.ptp(a) == 0:
        return
    assert precision_at(s, a, k / len(s)) == pytest.approx(brute_precision(s, a, k), abs=1e-12)
    assert regret_at(s, a, k) == pytest.approx(brute_regret(s, a, k), abs=1e-12)
    assert ndcg_at(s, a, k) == pytest.approx(brute_ndcg(s, a, k), abs=1e-12)


def test_precision_and_regret_by_hand() -> None:
    """Ten cells; the best three are 9, 8, 7. Picked are 9, 2 and one of the tied 8, 5, 1."""
    a = np.arange(10.0)
    s = np.zeros(10)
    s[[9, 2]] = 3
    s[[8, 5, 1]] = 2
    assert precision_at(s, a, 0.3) == pytest.approx((1 + 1 / 3) / 3)
    assert regret_at(s, a, 3) == 0
    s[9] = 0
    assert regret_at(s, a, 1) == 7
    assert regret_at(s, a, 2) == pytest.approx(9 - (8 + 5 + 2) / 3)


@pytest.mark.slow
def test_a_large_tie_is_as_good_as_chance() -> None:
    """The expected best of k of n places drawn without replacement is k (n + 1) / (k + 1)."""
    n, k = 15_625, 10
    a = rng(0).permutation(n) + 1.0
    s = np.zeros(n)
    assert precision_at(s, a, 0.1) == pytest.approx(top_size(n, 0.1) / n)
    assert regret_at(s, a, k) == pytest.approx(n - k * (n + 1) / (k + 1), rel=1e-9)
    assert ndcg_at(s, a, k) == pytest.approx(0.5, abs=1e-3)


def test_the_size_of_a_top_is_rounded_up_and_not_by_rounding_errors() -> None:
    assert [top_size(n, 0.1) for n in (3, 10, 30, 31, 15_625)] == [1, 1, 3, 4, 1563]
    assert top_size(100, 0.07) == 7
    assert [top_size(10, share) for share in (0.0, 1.0, 2.0)] == [0, 10, 10]


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_the_top_is_correlated_as_scipy_does(share: float) -> None:
    s, a = sample(2, 200, ties=False)
    best = np.argsort(a)[-round(200 * share) :]
    found = top_correlation(s, a, share)
    assert found.n == 200 * share
    assert found.spearman == pytest.approx(stats.spearmanr(s[best], a[best]).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(s[best], a[best]).statistic)


def test_cells_tied_with_the_last_of_the_top_are_in_it() -> None:
    a = np.array([9.0, 8, 7, 7, 7, 5, 4, 3, 2, 1])
    s = np.array([4.0, 5, 1, 2, 3, 9, 9, 9, 9, 9])
    found = top_correlation(s, a, 0.3)
    assert found.n == 5
    assert found.spearman == pytest.approx(stats.spearmanr(s[:5], a[:5]).statistic)
    assert precision_at(-np.arange(10.0), a, 0.3) == 1


def test_a_perfect_proxy_has_the_best_of_everything() -> None:
    for ties in (False, True):
        _, a = sample(3, 60, ties)
        assert weighted_kendall(a, a) == pytest.approx(1)
        assert (precision_at(a, a, 0.1), regret_at(a, a, 1), ndcg_at(a, a, 5)) == pytest.approx((1, 0, 1))
        assert top_correlation(a, a, 0.5).spearman == pytest.approx(1)
        assert precision_at(-a, a, 0.1) == 0
        assert regret_at(-a, a, 1) == pytest.approx(np.ptp(a))


def test_regret_of_all_cells_is_nothing_and_shrinks_with_every_pick() -> None:
    s, a = sample(4, 30, ties=True)
    found = [regret_at(s, a, k) for k in range(1, 32)]
    assert (np.diff(found) <= 1e-12).all()
    assert found[-2:] == pytest.approx([0, 0])


# partial correlation


def partial_of_one(s: np.ndarray, a: np.ndarray, z: np.ndarray) -> float:
    sa, sz, az = (stats.spearmanr(*pair).statistic for pair in ((s, a), (s, z), (a, z)))
    return (sa - sz * az) / math.sqrt((1 - sz**2) * (1 - az**2))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_partial_spearman_is_that_of_the_inverse_correlation_matrix(seed: int, ties: bool) -> None:
    s, a = sample(seed, 80, ties)
    z = np.column_stack([a + 4 * rng(seed + 7).normal(size=80), s * rng(seed + 8).normal(size=80)])
    z = np.round(z) if ties else z
    assert partial_spearman(s, a, z[:, 0]) == pytest.approx(partial_of_one(s, a, z[:, 0]), rel=1e-9)
    precision = np.linalg.inv(stats.spearmanr(np.column_stack([s, a, z])).statistic)
    expected = -precision[0, 1] / math.sqrt(precision[0, 0] * precision[1, 1])
    assert partial_spearman(s, a, z) == pytest.approx(expected, rel=1e-9)


def test_what_size_alone_explains_is_gone() -> None:
    size = rng(0).normal(size=4000)
    s, a = (size + 0.5 * rng(seed).normal(size=4000) for seed in (1, 2))
    assert stats.spearmanr(s, a).statistic > 0.7
    assert abs(partial_spearman(s, a, size)) < 0.05


def test_a_covariate_given_twice_or_as_another_function_changes_nothing() -> None:
    s, a = sample(1, 50, ties=False)
    z = a + rng(9).normal(size=50)
    once = partial_spearman(s, a, z)
    assert partial_spearman(s, a, np.column_stack([z, z])) == pytest.approx(once, rel=1e-9)
    assert partial_spearman(s, a, np.column_stack([np.exp(z / 50), np.ones(50)])) == pytest.approx(once, rel=1e-9)


def test_a_proxy_that_is_a_covariate_knows_nothing_of_its_own() -> None:
    s, a = sample(1, 5000, ties=False)
    for covariates in (s, np.exp(s / 50), np.column_stack([rng(0).normal(size=5000), s]), a):
        assert math.isnan(partial_spearman(s, a, covariates))
    swapped = np.arange(5000.0)
    swapped[[7, 8]] = swapped[[8, 7]]
    assert math.isfinite(partial_spearman(np.arange(5000.0), a, swapped))


def test_covariates_that_fit_anything_leave_nothing() -> None:
    """Seven cells less a mean and four covariates leave two directions; less five they leave one: any two are +-1."""
    s, a = sample(2, 7, ties=False)
    covariates = rng(0).normal(size=(7, 5))
    assert abs(partial_spearman(s, a, covariates[:, :4])) < 0.999
    assert math.isnan(partial_spearman(s, a, covariates))


# what all have in common


@pytest.mark.slow
@by_name
@given(seed=st.integers(0, 10_000), ties=st.booleans())
@settings(max_examples=15)
def test_neither_a_monotone_map_nor_the_scale_of_scores_matters(name: str, seed: int, ties: bool) -> None:
    s, a = sample(seed, 24, ties)
    expected = STATISTICS[name](s, a)
    for mapped in (np.exp(s / 20), 1e61 * s, s**3):
        assert STATISTICS[name](mapped, a) == pytest.approx(expected, abs=1e-10, nan_ok=True)
    if name != "regret":  # that has the accuracies' unit
        assert STATISTICS[name](s, np.exp(a / 20)) == pytest.approx(expected, abs=1e-10, nan_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STATISTICS if name != "partial"])
@given(seed=st.integers(0, 10_000), ties=st.booleans())
@settings(max_examples=15)
def test_the_order_of_cells_does_not_matter(name: str, seed: int, ties: bool) -> None:
    s, a = sample(seed, 24, ties)
    shuffled = rng(seed).permutation(24)
    found = STATISTICS[name](s[shuffled], a[shuffled])
    assert found == pytest.approx(STATISTICS[name](s, a), abs=1e-10, nan_ok=True)


def test_the_order_of_cells_does_not_matter_with_their_covariates() -> None:
    s, a = sample(5, 24, ties=True)
    z, shuffled = rng(3).normal(size=(24, 2)), rng(4).permutation(24)
    found = partial_spearman(s[shuffled], a[shuffled], z[shuffled])
    assert found == pytest.approx(partial_spearman(s, a, z), abs=1e-12)


@by_name
@pytest.mark.parametrize("n", [0, 1, 2])
def test_fewer_than_three_cells_are_nan(name: str, n: int) -> None:
    assert math.isnan(STATISTICS[name](np.arange(float(n)), np.arange(float(n))))


@by_name
def test_constant_accuracies_are_nan(name: str) -> None:
    assert math.isnan(STATISTICS[name](np.arange(9.0), np.full(9, 10.0)))
    assert math.isnan(STATISTICS[name](np.zeros(9), np.full(9, 10.0)))


@by_name
def test_constant_scores_have_no_correlation_and_pick_at_random(name: str) -> None:
    found = STATISTICS[name](np.ones(9), np.arange(9.0))
    assert math.isnan(found) == (name in CORRELATIONS)


def test_an_empty_top_is_nan() -> None:
    s, a = sample(0, 20, ties=False)
    empty = top_correlation(s, a, 0.0)
    assert empty.n == 0
    for value in (empty.spearman, empty.kendall, precision_at(s, a, 0.0), regret_at(s, a, 0), ndcg_at(s, a, 0)):
        assert math.isnan(value)


def test_a_top_of_two_or_of_equals_has_no_correlation() -> None:
    s, a = sample(0, 20, ties=False)
    assert top_correlation(s, a, 0.1).n == 2
    assert math.isnan(top_correlation(s, a, 0.1).spearman)
    equals = top_correlation(s, np.repeat([1.0, 2.0], 10), 0.1)
    assert equals.n == 10
    assert math.isnan(equals.kendall)


# cells without a score


NAN, INF = math.nan, math.inf
SCORES = np.array([3.0, NAN, 1.0, INF, 2.0, -INF, NAN])
ACCURACIES = np.array([30.0, 20.0, 10.0, 40.0, NAN, 50.0, NAN])


def test_dropped_cells_are_gone_and_counted() -> None:
    found = prepare(SCORES, ACCURACIES, "drop")
    assert found.scores.tolist() == [3, 1]
    assert found.accuracies.tolist() == [30, 10]
    assert found.kept.tolist() == [True, False, True, False, False, False, False]
    assert (found.without_score, found.without_accuracy) == (3, 2)


def test_the_worst_rank_below_all_others_and_are_tied() -> None:
    found = prepare(SCORES, ACCURACIES, "worst")
    assert stats.rankdata(found.scores).tolist() == [5, 2, 4, 2, 2]
    assert np.isfinite(found.scores).all()
    assert found.accuracies.tolist() == [30, 20, 10, 40, 50]
    assert found.kept.tolist() == [True] * 4 + [False, True, False]
    assert (found.without_score, found.without_accuracy) == (3, 2)


@pytest.mark.parametrize("scale", [1e-61, 1.0, 1e61, 1e300])
def test_the_worst_are_below_scores_of_any_size(scale: float) -> None:
    found = prepare(np.array([NAN, scale, 2 * scale]), np.arange(3.0), "worst")
    assert stats.rankdata(found.scores).tolist() == [1, 2, 3]
    negative = prepare(np.array([NAN, -scale, -2 * scale]), np.arange(3.0), "worst")
    assert stats.rankdata(negative.scores).tolist() == [1, 3, 2]


@pytest.mark.parametrize("policy", ["drop", "worst"])
def test_where_nothing_fails_nothing_changes(policy: Policy) -> None:
    s, a = sample(0, 20, ties=True)
    found = prepare(s, a, policy)
    assert found.scores.tolist() == s.tolist()
    assert found.accuracies.tolist() == a.tolist()
    assert found.kept.all()
    assert (found.without_score, found.without_accuracy) == (0, 0)


def test_a_proxy_that_fails_everywhere_is_constant_or_nothing() -> None:
    failed, a = np.full(5, NAN), np.arange(5.0)
    assert len(prepare(failed, a, "drop").scores) == 0
    worst = prepare(failed, a, "worst")
    assert worst.scores.tolist() == [0] * 5
    assert worst.without_score == 5
    assert math.isnan(weighted_kendall(worst.scores, worst.accuracies))


def test_scores_given_are_not_written_to() -> None:
    before = SCORES.copy()
    prepare(SCORES, ACCURACIES, "worst")
    np.testing.assert_array_equal(SCORES, before)


def test_another_policy_is_an_error() -> None:
    with pytest.raises(ValueError, match="neither"):
        prepare(SCORES, ACCURACIES, "mean")  # type: ignore[arg-type]
