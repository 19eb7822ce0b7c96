"""What learners predict, against closed forms, and the improvement that they expect, against an integral."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats

from common.errors import BadUsage
from search.choices import whole
from search.learners import (
    LEARNERS,
    NOISE,
    Prediction,
    choice_features,
    expected_improvement,
    gp,
    learner,
    normal_scores,
    standardised,
)

RNG = np.random.default_rng(4)


@pytest.mark.slow
def test_the_gaussian_process_is_its_closed_form() -> None:
    known, others, targets = RNG.normal(size=(7, 3)), RNG.normal(size=(5, 3)), RNG.normal(size=7)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(2) / 2 / 3)

    solved = np.linalg.inv(kernel(known, known) + NOISE * np.eye(7))
    across = kernel(others, known)
    found = gp(known, targets, others)
    np.testing.assert_allclose(found.mean, across @ solved @ targets, rtol=1e-8)
    np.testing.assert_allclose(found.sd**2, 1 - np.einsum("ij,jk,ik->i", across, solved, across), rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_ranks_what_adds_up_and_repeats_itself(name: str) -> None:
    space = whole((3,) * 4)
    features = standardised(choice_features(space.sizes, space.allowed))
    worth = np.array(space.allowed) @ np.array([1.0, 2.0, 0.5, 3.0])
    known = RNG.permutation(81)[:40]
    found = learner(name)(features[known], normal_scores(worth[known]), features)
    assert stats.spearmanr(found.mean, worth).statistic > 0.8
    assert (found.sd >= 0).all()
    again = learner(name)(features[known], normal_scores(worth[known]), features)
    np.testing.assert_array_equal(found.mean, again.mean)


def test_an_unknown_learner_is_named() -> None:
    with pytest.raises(BadUsage, match="did you mean 'ridge'"):
        learner("rigde")


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (-2.0, 0.7), (3.0, 0.2)])
def test_expected_improvement_is_the_integral_of_what_is_above_the_best(mean: float, sd: float) -> None:
    best = 0.4

    def gained(y: float) -> float:
        return max(y - best, 0) * float(stats.norm.pdf(y, mean, sd))

    integral = integrate.quad(gained, best, mean + 12 * sd + 1, epsabs=1e-12)[0]
    found = expected_improvement(Prediction(np.array([mean]), np.array([sd])), best)
    assert found[0] == pytest.approx(integral, rel=1e-6)
    sure = expected_improvement(Prediction(np.array([1.0, 0.0]), np.zeros(2)), best)
    np.testing.assert_allclose(sure, [0.6, 0], atol=1e-9)


def test_targets_are_normal_quantiles_of_ranks() -> None:
    np.testing.assert_allclose(normal_scores(np.array([90.0, 10.0, 80.0])), stats.norm.ppf([0.75, 0.25, 0.5]))
    assert normal_scores(np.array([5.0, 5.0])).tolist() == [0, 0]


def test_choices_become_one_hot_columns_and_counts_where_all_positions_have_the_same() -> None:
    assert choice_features((3, 3), [(2, 2), (0, 1)]).tolist() == [
        [0, 0, 1, 0, 0, 1, 0, 0, 2],
        [1, 0, 0, 0, 1, 0, 1, 1, 0],
    ]
    assert choice_features((2, 3), [(1, 0)]).tolist() == [[0, 1, 1, 0, 0]]


def test_standardised_columns_leave_out_what_is_constant() -> None:
    found = standardised(np.array([[1.0, 5, 2], [3, 5, 4]]))
    assert found.tolist() == [[-1, -1], [1, 1]]
