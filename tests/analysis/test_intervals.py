"""Bootstrap intervals against repeated experiments, and against draws computed one by one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import alone, average_ranks, kendall_tau_b, pearson, rng, sample, scipy_spearman

from analysis.stats import bootstrap
from analysis.stats.bootstrap import interval, quantiles
from analysis.stats.correlation import (
    Correlation,
    correlate,
    kendall_interval,
    seeds_interval,
    spearman_draws,
    spearman_interval,
)


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
def test_the_interval_is_the_same_every_time_and_holds_the_estimate() -> None:
    for seed in range(3):
        x, y = sample(seed, 100, ties=seed == 2)
        first, second = correlate(x, y, alone(x)), correlate(x, y, alone(x))
        assert first == second
        assert first.spearman_low < first.spearman < first.spearman_high
        assert first.spearman_high - first.spearman_low < 0.5


@pytest.mark.slow
def test_the_interval_holds_the_middle_95_percent_of_redrawn_correlations() -> None:
    """Drawn again here, from other random numbers; a quantile of 2,000 draws moves by about .01."""
    x, y = sample(8, 60, ties=False)
    draws = rng(99).integers(60, size=(2000, 60))
    redrawn = [pearson(average_ranks(x[drawn]), average_ranks(y[drawn])) for drawn in draws]
    low, high = spearman_interval(x, y, alone(x))
    assert low == pytest.approx(sorted(redrawn)[50], abs=0.025)
    assert high == pytest.approx(sorted(redrawn)[1950], abs=0.025)


@pytest.mark.usefixtures("few_resamples")
def test_global_random_states_are_neither_read_nor_changed() -> None:
    x, y = sample(0, 40, ties=False)
    np.random.seed(1)
    first = spearman_interval(x, y, alone(x))
    np.random.seed(2)
    before = np.random.get_state()[1].tolist()  # type: ignore[index, union-attr]
    assert spearman_interval(x, y, alone(x)) == first
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index, union-attr]


def width(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


@pytest.mark.usefixtures("few_resamples")
def test_observations_repeated_within_their_class_do_not_narrow_the_interval() -> None:
    x, y = sample(1, 60, ties=False)
    plain = spearman_interval(x, y, alone(x))
    tenfold = np.repeat(x, 10), np.repeat(y, 10)
    grouped = spearman_interval(*tenfold, np.repeat(alone(x), 10))
    assert grouped == pytest.approx(plain, abs=1e-9)
    assert width(spearman_interval(*tenfold, np.arange(600))) < 0.5 * width(plain)


@pytest.mark.usefixtures("few_resamples")
def test_the_order_of_rows_does_not_matter_where_classes_stay_together() -> None:
    x, y = sample(2, 50, ties=False)
    groups = np.repeat(np.arange(10), 5)
    shuffled = rng(0).permutation(50)
    expected = spearman_interval(x, y, groups)
    assert spearman_interval(x[shuffled], y[shuffled], groups[shuffled]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.usefixtures("few_resamples")
def test_cells_that_share_scores_and_labels_widen_the_interval_as_their_classes_do() -> None:
    """Classes of unequal size, as ours: the interval is about that of the classes counted once, or wider."""
    x, y = sample(3, 60, ties=False)
    sizes = rng(3).integers(1, 8, size=60)
    cells = np.repeat(x, sizes), np.repeat(y, sizes)
    grouped = spearman_interval(*cells, np.repeat(alone(x), sizes))
    once, each = spearman_interval(x, y, alone(x)), spearman_interval(*cells, np.arange(sizes.sum()))
    assert width(grouped) > 0.85 * width(once)
    assert width(each) < 0.75 * width(grouped)


def normal_pair(r: float, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal pairs of Pearson correlation r, which have Spearman (6 / pi) asin(r / 2)."""
    x = rng(seed).normal(size=n)
    return x, r * x + math.sqrt(1 - r * r) * rng(seed + 5000).normal(size=n)


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, 4])
def test_the_interval_covers_the_truth_in_95_of_100_experiments(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 experiments with 60 classes; the share's standard error is .015. Members drawn alone would cover 70 %."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    r = 0.6
    truth = 6 / math.pi * math.asin(r / 2)
    covered = alone_covered = 0
    for seed in range(200):
        x, y = (np.repeat(side, members) for side in normal_pair(r, 60, seed))
        low, high = spearman_interval(x, y, np.repeat(np.arange(60), members))
        covered += low <= truth <= high
        if members > 1 and seed < 100:
            low, high = spearman_interval(x, y, alone(x))
            alone_covered += low <= truth <= high
    assert 0.89 <= covered / 200 <= 0.985
    assert alone_covered / 100 < 0.8


@pytest.mark.slow
def test_one_class_alone_has_an_interval_without_width() -> None:
    x, y = sample(4, 12, ties=False)
    found = correlate(x, y, np.zeros(12, dtype=int))
    assert found.spearman_low == found.spearman_high == pytest.approx(found.spearman)


def test_draws_in_which_a_side_is_constant_are_left_out() -> None:
    found = correlate(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.arange(2))
    assert isinstance(found, Correlation)
    assert (found.spearman_low, found.spearman_high) == pytest.approx((1.0, 1.0))


@pytest.mark.slow
def test_kendalls_interval_holds_the_middle_95_percent_of_redrawn_correlations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 500)
    x, y = sample(8, 40, ties=False)
    redrawn = sorted(kendall_tau_b(x[drawn], y[drawn]) for drawn in rng(99).integers(40, size=(500, 40)))
    assert kendall_interval(x, y, alone(x)) == pytest.approx((redrawn[12], redrawn[487]), abs=0.05)


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda drawn: float(values[drawn].mean())


@pytest.mark.slow
def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    values = rng(3).normal(2, 5, size=400)
    low, high = interval(mean_of(values), alone(values))
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


@pytest.mark.slow
def test_the_interval_of_a_mean_covers_the_truth_in_95_of_100_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 experiments with skewed values; the share's standard error is .013, and percentiles of 80 are narrow."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 200)
    covered = 0
    for seed in range(300):
        values = rng(seed).gamma(4, size=80)
        low, high = interval(mean_of(values), alone(values))
        covered += low <= 4 <= high
    assert 0.90 <= covered / 300 <= 0.98


@pytest.mark.usefixtures("few_resamples")
def test_draws_without_a_value_are_left_out() -> None:
    values = np.array([1.0, 2.0, math.nan])
    low, high = interval(lambda drawn: float(values[drawn].max()), alone(values))
    assert (low, high) == (1.0, 2.0)
    assert all(map(math.isnan, interval(lambda drawn: math.nan, alone(values))))


# the draws


def expanded(groups: np.ndarray, resamples: int) -> list[np.ndarray]:
    """The observations of every draw, one by one, as `interval` hands them out."""
    seen: list[np.ndarray] = []
    interval(lambda drawn: seen.append(drawn) or math.nan, groups)  # type: ignore[func-returns-value]
    assert len(seen) == resamples
    return seen


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60)
def test_every_draw_has_the_correlation_of_its_observations_counted_one_by_one(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 14))
    few, floats = st.integers(-2, 2).map(float), st.floats(-1e9, 1e9)
    values = data.draw(st.sampled_from([few, floats]))
    columns = np.array(data.draw(st.lists(st.lists(values, min_size=n, max_size=n), min_size=2, max_size=4))).T
    groups = np.array(data.draw(st.lists(st.sampled_from([-7, 0, 3, 4, 900]), min_size=n, max_size=n)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "RESAMPLES", 8)
        found = spearman_draws(columns[:, 1:], columns[:, 0], groups)
        for row, drawn in zip(found, expanded(groups, 8), strict=True):
            expected = [scipy_spearman(column[drawn], columns[drawn, 0]) for column in columns.T[1:]]
            assert row == pytest.approx(expected, abs=1e-12, nan_ok=True)


@pytest.mark.slow
def test_the_interval_is_that_of_correlations_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 100)
    x, y = sample(4, 400, ties=True)
    groups = rng(4).integers(90, size=400)
    slow = interval(lambda drawn: scipy_spearman(x[drawn], y[drawn]), groups)
    assert spearman_interval(x, y, groups) == pytest.approx(slow, abs=1e-13)


@pytest.mark.parametrize(
    ("ties", "printed"),
    [(False, (0.4532721263642864, 0.8356628479439457)), (True, (0.4024111943613507, 0.7973237826511119))],
)
def test_intervals_are_those_printed_when_every_draw_was_sorted(ties: bool, printed: tuple[float, float]) -> None:
    """By the code of November 2026, which ranked the drawn observations anew."""
    x, y = sample(8, 60, ties)
    assert spearman_interval(x, y, np.arange(60) // 4) == pytest.approx(printed, abs=1e-12)


@pytest.mark.usefixtures("few_resamples")
def test_columns_drawn_together_are_those_drawn_alone() -> None:
    x, y = sample(1, 60, ties=True)
    other, groups = sample(2, 60, ties=False)[0], np.arange(60) // 3
    together = spearman_draws(np.column_stack([x, other]), y, groups)
    assert together.shape == (200, 2)
    np.testing.assert_array_equal(together[:, 0], spearman_draws(x, y, groups)[:, 0])
    np.testing.assert_array_equal(together[:, 1], spearman_draws(other, y, groups)[:, 0])


@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("few_resamples")
def test_constant_sides_and_no_observations_have_no_interval() -> None:
    x, y = sample(1, 10, ties=False)
    for pair in ((np.ones(10), y), (x, np.ones(10)), (x[:0], y[:0]), (x[:1], y[:1])):
        assert all(map(math.isnan, spearman_interval(*pair, alone(pair[0]))))


def test_quantiles_are_of_numbers() -> None:
    assert quantiles([math.nan, *range(41), math.nan]) == pytest.approx((1, 39))
    assert all(map(math.isnan, quantiles([math.nan])))
    assert all(map(math.isnan, quantiles([])))


# seeds drawn as well


def seeded(n: int, k: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of k seeds, and labels of .7 Pearson correlation with the noiseless score."""
    truth, labels = normal_pair(0.7, n, 17)
    return truth[:, None] + noise * rng(18).normal(size=(n, k)), labels


@pytest.mark.slow
def test_seeds_and_classes_are_drawn() -> None:
    """Drawn again here, from other random numbers, and ranked by SciPy."""
    scores, labels = seeded(80, 3, 1.0)
    by_seed = np.column_stack([labels, labels + rng(19).normal(size=80)])
    groups = np.arange(80) // 2
    random = rng(99)
    for of_labels in (labels[:, None], by_seed):
        redrawn = []
        for _ in range(1500):
            classes = random.integers(40, size=40)
            drawn = np.concatenate([2 * classes, 2 * classes + 1])
            x = scores[drawn][:, random.integers(3, size=3)].mean(axis=1)
            y = of_labels[drawn][:, random.integers(of_labels.shape[1], size=of_labels.shape[1])].mean(axis=1)
            redrawn.append(scipy_spearman(x, y))
        found = seeds_interval(scores, of_labels, groups)
        assert found == pytest.approx(np.quantile(redrawn, [0.025, 0.975]), abs=0.03)
    assert seeds_interval(scores, labels, groups) == seeds_interval(scores, labels[:, None], groups)


@pytest.mark.usefixtures("few_resamples")
def test_seeds_that_agree_leave_the_interval_of_the_cells() -> None:
    scores, labels = seeded(60, 1, 0.0)
    same = np.repeat(scores, 4, axis=1)
    assert seeds_interval(same, labels, alone(labels)) == spearman_interval(scores[:, 0], labels, alone(labels))


@pytest.mark.slow
@pytest.mark.usefixtures("few_resamples")
def test_seeds_that_disagree_widen_it() -> None:
    scores, labels = seeded(2000, 2, 0.0)
    scores[:, 1] = labels
    held = spearman_interval(scores.mean(axis=1), labels, alone(labels))
    low, high = seeds_interval(scores, labels, alone(labels))
    assert low < 0.75 < held[0] < held[1] < 0.97 < high


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
def test_a_single_seed_says_nothing_of_seeds() -> None:
    scores, labels = seeded(20, 1, 1.0)
    assert all(map(math.isnan, seeds_interval(scores, labels, alone(labels))))
    assert all(map(math.isnan, seeds_interval(np.ones((20, 3)), labels, alone(labels))))
