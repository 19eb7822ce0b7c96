"""Correlations against counting by hand, intervals against repeated experiments, reliability against planted noise."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest

from analysis import statistics
from analysis.statistics import Correlation, correlate, reliability, spearman_interval

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


def test_the_interval_covers_the_truth_in_most_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Normal pairs of Pearson correlation r have Spearman (6 / pi) asin(r / 2)."""
    monkeypatch.setattr(statistics, "RESAMPLES", 120)
    r, n, experiments = 0.6, 80, 40
    truth = 6 / math.pi * math.asin(r / 2)
    covered = 0
    for seed in range(experiments):
        x = rng(seed).normal(size=n)
        y = r * x + math.sqrt(1 - r * r) * rng(seed + 5000).normal(size=n)
        low, high = spearman_interval(x, y, alone(x))
        covered += low <= truth <= high
    assert 0.85 * experiments <= covered <= experiments


def test_one_class_alone_has_an_interval_without_width() -> None:
    x, y = sample(4, 12, ties=False)
    found = correlate(x, y, np.zeros(12, dtype=int))
    assert found.spearman_low == found.spearman_high == pytest.approx(found.spearman)


def test_draws_in_which_a_side_is_constant_are_left_out() -> None:
    found = correlate(np.array([0.0, 1.0]), np.array([0.0, 1.0]), np.arange(2))
    assert isinstance(found, Correlation)
    assert (found.spearman_low, found.spearman_high) == pytest.approx((1.0, 1.0))


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
