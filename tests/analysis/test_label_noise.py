"""Reliability, ceilings and corrected correlations against planted noise."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from samples import alone, average_ranks, kendall_tau_b, noisy, pearson, rng, scipy_spearman

from analysis.stats import bootstrap
from analysis.stats.bootstrap import interval
from analysis.stats.correlation import spearman_interval
from analysis.stats.reliability import Reliability, corrected_correlation, reliability, spearman_brown, true_correlation


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_corrected_correlation_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
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


@pytest.mark.slow
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
