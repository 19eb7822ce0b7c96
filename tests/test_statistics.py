"""Correlations against counting by hand, intervals against repeated experiments, reliability against planted noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis import statistics
from analysis.statistics import (
    Correlation,
    Reliability,
    corrected_correlation,
    correlate,
    interval,
    kendall_interval,
    quantiles,
    reliability,
    seeds_interval,
    spearman_brown,
    spearman_draws,
    spearman_interval,
    true_correlation,
    variance_shares,
)

rng = np.random.default_rng


def alone(values: np.ndarray) -> np.ndarray:
    """Every observation a class of its own."""
    return np.arange(len(values))


def kendall_tau_b(x: np.ndarray, y: np.ndarray) -> float:
    """Concordant less discordant pairs, over the root of the pairs untied in x times those untied in y."""
    total = untied_x = untied_y = 0
    for i in range(len(x)):
        for j in range(i):
            a, b = np.sign(x[i] - x[j]), np.sign(y[i] - y[j])
            total += a * b
            untied_x += a != 0
            untied_y += b != 0
    return total / math.sqrt(untied_x * untied_y)


def average_ranks(x: np.ndarray) -> np.ndarray:
    below, equal = (x[:, None] > x[None, :]).sum(1), (x[:, None] == x[None, :]).sum(1)
    return below + (equal + 1) / 2


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    a, b = x - x.mean(), y - y.mean()
    return float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))


def sample(seed: int, n: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    x = rng(seed).normal(size=n)
    y = x + rng(seed + 1000).normal(size=n)
    return (np.round(x), np.round(2 * y)) if ties else (x, y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_correlations_are_those_counted_by_hand(seed: int, ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 10)
    x, y = sample(seed, 60, ties)
    found = correlate(x, y, alone(x))
    assert found.n == 60
    assert found.kendall == pytest.approx(kendall_tau_b(x, y), rel=1e-10)
    assert found.spearman == pytest.approx(pearson(average_ranks(x), average_ranks(y)), rel=1e-10)
    assert found.pearson == pytest.approx(pearson(x, y), rel=1e-10)
    frame = pd.DataFrame({"x": x, "y": y})
    assert found.spearman == pytest.approx(frame.corr("spearman").loc["x", "y"], rel=1e-10)


def test_a_monotone_change_of_scores_changes_pearson_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 50)
    x, y = sample(5, 80, ties=False)
    plain, bent = correlate(x, y, alone(x)), correlate(np.exp(3 * x), y, alone(x))
    assert bent.pearson != pytest.approx(plain.pearson, rel=1e-2)
    for field in ("kendall", "spearman", "spearman_low", "spearman_high"):
        assert getattr(bent, field) == pytest.approx(getattr(plain, field), rel=1e-12)


def test_perfect_and_reversed_orders_are_one_and_minus_one() -> None:
    x = np.arange(20.0)
    assert astuple(correlate(x, 3 * x + 1, alone(x)))[1:] == pytest.approx([1.0] * 5)
    assert astuple(correlate(x, -x, alone(x)))[1:] == pytest.approx([-1.0] * 5)


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]), ([1.0, 2.0, 3.0], [5.0, 5.0, 5.0]), ([1.0], [2.0]), ([], [])],
)
def test_a_constant_side_or_too_few_pairs_are_nan(scores: list[float], labels: list[float]) -> None:
    found = correlate(np.array(scores), np.array(labels), np.arange(len(scores)))
    assert found.n == len(scores)
    assert all(math.isnan(value) for value in astuple(found)[1:])


def test_values_of_synflows_size_are_correlated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 10)
    x, y = sample(6, 50, ties=False)
    assert correlate(1e61 * x, y, alone(x)).pearson == pytest.approx(pearson(x, y), rel=1e-9)


# the interval


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 200)


@pytest.mark.usefixtures("few_resamples")
def test_the_interval_is_the_same_every_time_and_holds_the_estimate() -> None:
    for seed in range(3):
        x, y = sample(seed, 100, ties=seed == 2)
        first, second = correlate(x, y, alone(x)), correlate(x, y, alone(x))
        assert first == second
        assert first.spearman_low < first.spearman < first.spearman_high
        assert first.spearman_high - first.spearman_low < 0.5


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


@pytest.mark.parametrize("members", [1, 4])
def test_the_interval_covers_the_truth_in_95_of_100_experiments(members: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 200 experiments with 60 classes; the share's standard error is .015. Members drawn alone would cover 70 %."""
    monkeypatch.setattr(statistics, "RESAMPLES", 200)
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


def test_one_class_alone_has_an_interval_without_width() -> None:
    x, y = sample(4, 12, ties=False)
    found = correlate(x, y, np.zeros(12, dtype=int))
    assert found.spearman_low == found.spearman_high == pytest.approx(found.spearman)


def test_draws_in_which_a_side_is_constant_are_left_out() -> None:
    found = correlate(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.arange(2))
    assert isinstance(found, Correlation)
    assert (found.spearman_low, found.spearman_high) == pytest.approx((1.0, 1.0))


def test_kendalls_interval_holds_the_middle_95_percent_of_redrawn_correlations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 500)
    x, y = sample(8, 40, ties=False)
    redrawn = sorted(kendall_tau_b(x[drawn], y[drawn]) for drawn in rng(99).integers(40, size=(500, 40)))
    assert kendall_interval(x, y, alone(x)) == pytest.approx((redrawn[12], redrawn[487]), abs=0.05)


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda drawn: float(values[drawn].mean())


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    values = rng(3).normal(2, 5, size=400)
    low, high = interval(mean_of(values), alone(values))
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


def test_the_interval_of_a_mean_covers_the_truth_in_95_of_100_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 300 experiments with skewed values; the share's standard error is .013, and percentiles of 80 are narrow."""
    monkeypatch.setattr(statistics, "RESAMPLES", 200)
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


def scipy_spearman(x: np.ndarray, y: np.ndarray) -> float:
    return float(stats.spearmanr(x, y).statistic) if np.ptp(x) and np.ptp(y) else math.nan


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_draw_has_the_correlation_of_its_observations_counted_one_by_one(data: st.DataObject) -> None:
    n = data.draw(st.integers(3, 14))
    few, floats = st.integers(-2, 2).map(float), st.floats(-1e9, 1e9)
    values = data.draw(st.sampled_from([few, floats]))
    columns = np.array(data.draw(st.lists(st.lists(values, min_size=n, max_size=n), min_size=2, max_size=4))).T
    groups = np.array(data.draw(st.lists(st.sampled_from([-7, 0, 3, 4, 900]), min_size=n, max_size=n)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "RESAMPLES", 8)
        found = spearman_draws(columns[:, 1:], columns[:, 0], groups)
        for row, drawn in zip(found, expanded(groups, 8), strict=True):
            expected = [scipy_spearman(column[drawn], columns[drawn, 0]) for column in columns.T[1:]]
            assert row == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_the_interval_is_that_of_correlations_computed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 100)
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


@pytest.mark.usefixtures("few_resamples")
def test_seeds_that_disagree_widen_it() -> None:
    scores, labels = seeded(2000, 2, 0.0)
    scores[:, 1] = labels
    held = spearman_interval(scores.mean(axis=1), labels, alone(labels))
    low, high = seeds_interval(scores, labels, alone(labels))
    assert low < 0.75 < held[0] < held[1] < 0.97 < high


@pytest.mark.filterwarnings("error")
def test_a_single_seed_says_nothing_of_seeds() -> None:
    scores, labels = seeded(20, 1, 1.0)
    assert all(map(math.isnan, seeds_interval(scores, labels, alone(labels))))
    assert all(map(math.isnan, seeds_interval(np.ones((20, 3)), labels, alone(labels))))


# reliability


def noisy(cells: int, seeds: int, noise: float) -> tuple[np.ndarray, pd.DataFrame]:
    truth = rng(0).normal(size=cells)
    return truth, pd.DataFrame({seed: truth + noise * rng(seed + 1).normal(size=cells) for seed in range(seeds)})


def test_reliability_is_the_mean_over_pairs_of_seeds_stepped_up_by_spearman_and_brown() -> None:
    _, labels = noisy(40, 3, 0.5)
    columns = [labels[seed].to_numpy() for seed in range(3)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    r = np.mean([pearson(average_ranks(columns[a]), average_ranks(columns[b])) for a, b in pairs])
    found = reliability(labels)
    assert found is not None
    assert (found.cells, found.seeds) == (40, 3)
    assert found.spearman == pytest.approx(r, rel=1e-10)
    assert found.kendall == pytest.approx(np.mean([kendall_tau_b(columns[a], columns[b]) for a, b in pairs]), rel=1e-10)
    assert found.reliability == pytest.approx(3 * r / (1 + 2 * r), rel=1e-10)
    assert found.ceiling == pytest.approx(math.sqrt(3 * r / (1 + 2 * r)), rel=1e-10)


@pytest.mark.parametrize(("seeds", "noise"), [(2, 0.3), (3, 1.0), (5, 2.0)])
def test_the_ceiling_is_the_correlation_of_the_truth_with_the_mean(seeds: int, noise: float) -> None:
    truth, labels = noisy(4000, seeds, noise)
    found = reliability(labels)
    assert found is not None
    reached = pearson(truth.argsort().argsort(), labels.mean(axis=1).to_numpy().argsort().argsort())
    assert found.ceiling == pytest.approx(reached, abs=0.025)
    single = 6 / math.pi * math.asin(1 / (1 + noise**2) / 2)
    assert found.spearman == pytest.approx(single, abs=0.03)


def test_seeds_that_agree_are_perfectly_reliable_and_noise_is_not() -> None:
    _, equal = noisy(30, 3, 0.0)
    perfect = reliability(equal)
    assert perfect is not None
    assert (perfect.kendall, perfect.spearman, perfect.reliability, perfect.ceiling) == pytest.approx((1, 1, 1, 1))
    noise = reliability(pd.DataFrame({seed: rng(seed).normal(size=2000) for seed in range(2)}))
    assert noise is not None
    assert abs(noise.reliability) < 0.1
    opposed = reliability(pd.DataFrame({0: [1.0, 2, 3, 4], 1: [2.0, 4, 1, 3], 2: [3.0, 1, 4, 2]}))
    assert opposed is not None
    assert opposed.spearman < 0
    assert opposed.ceiling == 0


def test_only_cells_with_every_seed_count() -> None:
    _, labels = noisy(40, 3, 0.5)
    holes = labels.copy()
    holes.loc[3, 1] = np.nan
    holes.loc[[7, 8], 2] = np.nan
    assert reliability(holes) == reliability(labels.drop(index=[3, 7, 8]))


@pytest.mark.parametrize(
    "labels",
    [
        pd.DataFrame({0: [1.0, 2.0, 3.0, 4.0]}),
        pd.DataFrame({0: [1.0, 2.0], 1: [1.0, 2.0]}),
        pd.DataFrame({0: [1.0, 2.0, math.nan, 4.0], 1: [1.0, 2.0, 3.0, math.nan]}),
        pd.DataFrame(),
    ],
)
def test_fewer_than_two_seeds_or_three_cells_have_no_reliability(labels: pd.DataFrame) -> None:
    assert reliability(labels) is None


def test_seeds_that_contradict_each_other_entirely_have_no_ceiling() -> None:
    """Three cells whose two seeds order them in opposite ways, as one `--limit 3` in six will."""
    found = reliability(pd.DataFrame({0: [1.0, 2.0, 3.0], 1: [3.0, 2.0, 1.0]}))
    assert found is not None
    assert found.spearman == pytest.approx(-1)
    assert found.ceiling == 0


@pytest.mark.parametrize("constant", [0, 1, 2])
def test_seeds_of_constant_accuracy_have_a_reliability_that_is_not_a_number(constant: int) -> None:
    _, labels = noisy(20, 3, 0.5)
    labels[constant] = 10.0
    found = reliability(labels)
    assert found is not None
    for value in (found.spearman, found.kendall, found.reliability, found.ceiling, found.ceiling_of_mean(5)):
        assert math.isnan(value)


# reliability of the mean of k seeds


KS = (1, 2, 3, 5, 10)


def correlation_of_ranks(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a.argsort().argsort(), b.argsort().argsort())[0, 1])


def test_spearman_brown_by_hand() -> None:
    assert [spearman_brown(0.6, k) for k in (1, 2, 3)] == pytest.approx([0.6, 1.2 / 1.6, 1.8 / 2.2])
    assert [spearman_brown(1.0, k) for k in (1, 5)] == [1.0, 1.0]
    assert spearman_brown(0.0, 7) == 0
    assert spearman_brown(-0.2, 3) == pytest.approx(-1)
    assert spearman_brown(-0.5, 3) == spearman_brown(-0.9, 3) == -math.inf
    assert math.isnan(spearman_brown(math.nan, 2))


def test_it_is_exact_for_pearsons_correlation() -> None:
    """Of k seeds with noise variance v and a truth of variance 1 the reliability is 1 / (1 + v / k)."""
    for v in (0.1, 1.0, 7.0):
        for k in KS:
            assert spearman_brown(1 / (1 + v), k) == pytest.approx(1 / (1 + v / k), rel=1e-12)


def test_it_undoes_itself() -> None:
    """A mean of 6 seeds is one of 3 means of 2."""
    for r in (0.05, 0.4, 0.9):
        assert spearman_brown(spearman_brown(r, 2), 3) == pytest.approx(spearman_brown(r, 6), rel=1e-12)


def test_for_normal_labels_the_ceiling_is_less_than_a_hundredth_off() -> None:
    """Normal pairs of Pearson correlation p have Spearman (6 / pi) asin(p / 2); worst for small p and large k."""
    off = {}
    for p in np.linspace(0.02, 0.98, 49):
        for k in (*KS, 30):
            truth = 6 / math.pi * math.asin(math.sqrt(spearman_brown(p, k)) / 2)
            found = Reliability(99, 2, math.nan, 6 / math.pi * math.asin(p / 2)).ceiling_of_mean(k)
            off[k, p] = found - truth
    assert 0.008 < max(map(abs, off.values())) < 0.01
    assert min(off.values()) >= 0  # never too low


@pytest.mark.parametrize("noise", [0.4, 1.0, 2.0])
def test_three_seeds_tell_what_the_mean_of_any_number_reaches(noise: float) -> None:
    """4,000 cells: the standard error of a correlation is below .016."""
    truth, labels = noisy(4000, 23, noise)
    found = reliability(labels[[20, 21, 22]])
    assert found is not None
    for k in KS:
        reached = correlation_of_ranks(truth, labels[list(range(k))].mean(axis=1).to_numpy())
        assert found.ceiling_of_mean(k) == pytest.approx(reached, abs=0.03)
        assert found.of_mean(k) == pytest.approx(reached**2, abs=0.05)
    assert (found.reliability, found.ceiling) == (found.of_mean(3), found.ceiling_of_mean(3))


@pytest.mark.parametrize("k", [1, 2, 3, 5, 10])
def test_split_halves_agree_as_the_reliability_of_their_means_says(k: int) -> None:
    """Means of k seeds against means of k others, over random halves of 20."""
    _, labels = noisy(1500, 20, 1.5)
    columns = labels.to_numpy()
    found = reliability(labels)
    assert found is not None
    halves = []
    for seed in range(30):
        drawn = rng(seed).permutation(20)
        halves.append(correlation_of_ranks(columns[:, drawn[:k]].mean(1), columns[:, drawn[k : 2 * k]].mean(1)))
    assert found.of_mean(k) == pytest.approx(np.mean(halves), abs=0.02)


CELLS = 8000
EXPONENTIAL = -rng(0).exponential(size=CELLS)
GROUPS = np.where(rng(1).random(CELLS) < 0.2, -20.0, 0.0) + rng(0).normal(size=CELLS)


@pytest.mark.parametrize(
    ("truth", "noise", "single", "off"),
    [
        (EXPONENTIAL, np.full(CELLS, 0.5), 0.67, (0.010, 0.03)),
        (EXPONENTIAL, 0.5 * (0.2 - EXPONENTIAL), 0.60, (-0.03, -0.010)),
        (EXPONENTIAL, np.full(CELLS, 2.0), 0.17, (0.05, 0.1)),
        (EXPONENTIAL, 0.2 - EXPONENTIAL, 0.23, (-0.06, -0.03)),
        (GROUPS, np.full(CELLS, 2.0), 0.58, (0.06, 0.1)),
    ],
    ids=["skewed", "skewed, noisier where low", "skewed, faint", "skewed, noisier where low, faint", "two groups"],
)
def test_how_far_off_the_ceiling_is_for_labels_that_are_not_normal(
    truth: np.ndarray, noise: np.ndarray, single: float, off: tuple[float, float]
) -> None:
    """The largest error over k, estimate less what means of k seeds reach, and its sign; `single` is r."""
    labels = truth[:, None] + noise[:, None] * rng(5).normal(size=(CELLS, 10))
    found = reliability(pd.DataFrame(labels))
    assert found is not None
    assert found.spearman == pytest.approx(single, abs=0.02)
    errors = [found.ceiling_of_mean(k) - correlation_of_ranks(truth, labels[:, :k].mean(1)) for k in KS]
    assert off[0] <= max(errors, key=abs) <= off[1]


# the correlation without noise


def two_labels(p: float, noise: float, shared: float, n: int = 4000, k: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels of two truths with Pearson correlation p; a seed's noise is shared by both up to correlation `shared`."""
    truth = rng(0).normal(size=(n, 1))
    other = p * truth + math.sqrt(1 - p * p) * rng(1).normal(size=(n, 1))
    luck, a, b = (rng(seed).normal(size=(n, k)) for seed in (2, 3, 4))
    common, own = math.sqrt(shared), math.sqrt(1 - shared)
    return truth + noise * (common * luck + own * a), other + noise * (common * luck + own * b)


@pytest.mark.parametrize("shared", [0.0, 0.8])
@pytest.mark.parametrize("p", [0.3, 0.8, 1.0])
def test_the_true_correlation_is_found_behind_noise_that_the_labels_share(p: float, shared: float) -> None:
    a, b = two_labels(p, 1.0, shared)
    expected = 6 / math.pi * math.asin(p / 2)
    assert true_correlation(a, b) == pytest.approx(expected, abs=0.04)
    assert true_correlation(b, a) == pytest.approx(true_correlation(a, b), rel=1e-12)


def test_without_correction_noise_lowers_a_correlation_and_shared_noise_raises_it() -> None:
    for p, shared, side in ((0.8, 0.0, -1), (1.0, 0.0, -1), (0.3, 0.8, 1)):
        a, b = two_labels(p, 1.0, shared)
        assert side * (correlation_of_ranks(a.mean(1), b.mean(1)) - true_correlation(a, b)) > 0.08


def test_the_true_correlation_by_hand() -> None:
    a, b = two_labels(0.5, 0.4, 0.5, n=30, k=2)
    r = {
        (i, j): pearson(average_ranks(x), average_ranks(y))
        for i, x in enumerate((*a.T, *b.T))
        for j, y in enumerate((*a.T, *b.T))
    }
    expected = (r[0, 3] + r[1, 2]) / 2 / math.sqrt(r[0, 1] * r[2, 3])
    assert true_correlation(a, b) == pytest.approx(expected, rel=1e-10)


def test_the_true_correlation_is_unknown_where_a_label_does_not_agree_with_itself() -> None:
    a, b = two_labels(0.5, 1.0, 0.0, n=30, k=2)
    opposed = np.stack([np.arange(30.0), -np.arange(30.0)], axis=1)
    constant = np.ones((30, 2))
    agreed = np.stack([np.arange(2.0)] * 2, axis=1)  # two cells are too few to correlate
    for x, y in (
        (a, opposed),
        (opposed, b),
        (opposed, opposed),
        (a, constant),
        (agreed, agreed),
        (a[:, :1], b[:, :1]),
        (a[:2], b[:2]),
        (a[:0], b[:0]),
    ):
        assert math.isnan(true_correlation(x, y))


# corrected for the labels' noise


def test_the_corrected_correlation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RESAMPLES", 50)
    _, frame = noisy(45, 3, 0.7)
    labels, groups = frame.to_numpy(), np.arange(45) // 2
    scores = labels[:, 0] + rng(31).normal(size=45)

    def of_drawn(drawn: np.ndarray) -> float:
        mean_r = np.mean([scipy_spearman(labels[drawn, a], labels[drawn, b]) for a, b in ((0, 1), (0, 2), (1, 2))])
        stepped = 3 * mean_r / (1 + 2 * mean_r)
        return scipy_spearman(scores[drawn], labels[drawn].mean(axis=1)) / math.sqrt(stepped)

    found = corrected_correlation(scores, labels, groups)
    assert found.n == 45
    assert found.observed == pytest.approx(scipy_spearman(scores, labels.mean(axis=1)), rel=1e-12)
    assert found.spearman == pytest.approx(of_drawn(np.arange(45)), rel=1e-12)
    assert (found.low, found.high) == pytest.approx(interval(of_drawn, groups), abs=1e-12)
    known = reliability(frame)
    assert known is not None
    assert found.spearman == pytest.approx(found.observed / known.ceiling, rel=1e-12)


@pytest.mark.usefixtures("few_resamples")
@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_the_correlation_with_the_truth_is_found_behind_noisy_labels(noise: float) -> None:
    truth, frame = noisy(4000, 3, noise)
    scores = 0.6 * truth + 0.8 * rng(77).normal(size=4000)
    found = corrected_correlation(scores, frame.to_numpy(), alone(scores))
    assert found.low < 6 / math.pi * math.asin(0.6 / 2) < found.high
    assert found.high - found.low < 0.08
    assert found.observed < found.spearman - 0.02


@pytest.mark.usefixtures("few_resamples")
def test_labels_without_noise_need_no_correction() -> None:
    truth, frame = noisy(50, 3, 0.0)
    scores = truth + rng(5).normal(size=50)
    found = corrected_correlation(scores, frame.to_numpy(), alone(scores))
    assert found.spearman == pytest.approx(found.observed, rel=1e-12)
    assert (found.low, found.high) == pytest.approx(spearman_interval(scores, truth, alone(scores)), abs=1e-12)


@pytest.mark.usefixtures("few_resamples")
def test_chance_can_carry_a_correction_past_one() -> None:
    _, frame = noisy(200, 2, 1.5)
    labels = frame.to_numpy()
    assert corrected_correlation(labels.mean(axis=1), labels, alone(labels)).spearman > 1


@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("few_resamples")
def test_without_reliability_nothing_is_corrected() -> None:
    x = np.arange(20.0)
    opposed, constant = np.column_stack([x, -x]), np.column_stack([x, np.ones(20)])
    agreed = np.column_stack([x, x + 1])
    doubtful = np.column_stack([x, rng(0).permutation(20)])
    doubtful[:, 1] *= -np.sign(scipy_spearman(*doubtful.T))
    for scores, labels in (
        (x, opposed),
        (x, doubtful),
        (x, constant),
        (np.ones(20), agreed),
        (x, agreed[:, :1]),
        (x[:2], agreed[:2]),
    ):
        found = corrected_correlation(scores, labels, alone(scores))
        assert all(map(math.isnan, (found.spearman, found.low, found.high)))
    assert corrected_correlation(x, agreed, alone(x)).spearman == pytest.approx(1)


# the split of variance


def brute_variances(ranks: np.ndarray) -> tuple[float, float, float]:
    """Variance components of cells, seeds and the rest, cell by cell and seed by seed."""
    n, k = ranks.shape
    grand = sum(ranks[i, j] for i in range(n) for j in range(k)) / (n * k)
    of_cell = [sum(ranks[i]) / k for i in range(n)]
    of_seed = [sum(ranks[:, j]) / n for j in range(k)]
    cells = k * sum((mean - grand) ** 2 for mean in of_cell) / (n - 1)
    seeds = n * sum((mean - grand) ** 2 for mean in of_seed) / (k - 1)
    left = sum((ranks[i, j] - of_cell[i] - of_seed[j] + grand) ** 2 for i in range(n) for j in range(k))
    rest = left / ((n - 1) * (k - 1))
    return max((cells - rest) / k, 0), max((seeds - rest) / n, 0), rest


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_variance_shares_are_those_of_sums_of_squares_by_hand(shift: float, ties: bool) -> None:
    scores = noisy(30, 4, 0.8)[1].to_numpy() + shift * np.arange(4)
    scores = np.round(scores) if ties else scores
    found = variance_shares(scores, ("cell", "seed"))
    variances = np.array(brute_variances(average_ranks(scores.ravel()).reshape(30, 4)))
    assert list(found) == ["cell", "seed", "cell x seed"]
    assert list(found.values()) == pytest.approx(list(variances / variances.sum()), abs=1e-12)
    assert sum(found.values()) == pytest.approx(1)


def test_shares_recover_the_variances_that_made_the_scores() -> None:
    """On normal scores a rank is almost a linear map; fifteen seeds tell their own variance poorly."""
    cells, seeds = rng(0).normal(size=(2000, 1)), 0.6 * rng(1).normal(size=(1, 15))
    planted = np.array([1.0, seeds.var(ddof=1), 0.8**2])
    found = variance_shares(cells + seeds + 0.8 * rng(2).normal(size=(2000, 15)), ("cell", "seed"))
    assert list(found.values()) == pytest.approx(list(planted / planted.sum()), abs=0.03)


def test_weights_and_batches_are_told_apart() -> None:
    n, a, b = 800, 8, 8
    effects = {
        "cell": rng(0).normal(size=(n, 1, 1)),
        "weights": 0.5 * stats.norm.ppf((np.arange(a) + 0.5) / a)[None, :, None],
        "batch": np.zeros((1, 1, b)),
        "cell x weights": 0.8 * rng(1).normal(size=(n, a, 1)),
        "cell x batch": 0.3 * rng(2).normal(size=(n, 1, b)),
        "weights x batch": np.zeros((1, a, b)),
        "cell x weights x batch": 0.4 * rng(3).normal(size=(n, a, b)),
    }
    scores = np.sum([np.broadcast_to(effect, (n, a, b)) for effect in effects.values()], axis=0)
    found = variance_shares(scores, ("cell", "weights", "batch"))
    variances = np.array([1, effects["weights"].var(ddof=1), 0, 0.64, 0.09, 0, 0.16])
    assert list(found) == list(effects)
    assert list(found.values()) == pytest.approx(list(variances / variances.sum()), abs=0.03)


def test_neither_a_monotone_map_nor_the_order_of_cells_and_seeds_moves_a_share() -> None:
    scores = noisy(40, 3, 0.8)[1].to_numpy() + 0.3 * np.arange(3)
    expected = variance_shares(scores, ("cell", "seed"))
    shuffled = scores[rng(0).permutation(40)][:, [2, 0, 1]]
    for other in (np.exp(scores), 1e61 * scores, shuffled):
        assert variance_shares(other, ("cell", "seed")) == pytest.approx(expected, abs=1e-12)


def test_seeds_that_agree_are_all_cells_and_cells_that_agree_all_seeds() -> None:
    x = np.arange(10.0)[:, None]
    found = variance_shares(np.repeat(x, 3, axis=1), ("cell", "seed"))
    assert list(found.values()) == pytest.approx([1, 0, 0])
    found = variance_shares(np.repeat(x.T[:, :3], 10, axis=0), ("cell", "seed"))
    assert list(found.values()) == pytest.approx([0, 1, 0])


@pytest.mark.filterwarnings("error")
def test_cells_without_every_score_do_not_count_and_too_few_have_no_shares() -> None:
    scores = noisy(30, 3, 0.8)[1].to_numpy()
    holes = scores.copy()
    holes[3, 1], holes[7, 2] = math.nan, math.inf
    expected = variance_shares(np.delete(scores, [3, 7], axis=0), ("cell", "seed"))
    assert variance_shares(holes, ("cell", "seed")) == expected
    for few in (scores[:2], scores[:, :1], scores[:0], np.ones((9, 3)), np.full((9, 3), math.nan)):
        assert all(map(math.isnan, variance_shares(few, ("cell", "seed")).values()))
