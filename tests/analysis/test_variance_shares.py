"""The split of a ranking's variance against sums of squares by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from samples import average_ranks, noisy, rng
from scipy import stats

from analysis.stats.variance import variance_shares


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
