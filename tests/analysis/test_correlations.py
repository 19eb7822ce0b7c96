"""Correlations against counting by hand."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pandas as pd
import pytest
from samples import alone, average_ranks, kendall_tau_b, pearson, sample

from analysis.stats import bootstrap
from analysis.stats.correlation import correlate


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_correlations_are_those_counted_by_hand(seed: int, ties: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 10)
    x, y = sample(seed, 60, ties)
    found = correlate(x, y, alone(x))
    assert found.n == 60
    assert found.kendall == pytest.approx(kendall_tau_b(x, y), rel=1e-10)
    assert found.spearman == pytest.approx(pearson(average_ranks(x), average_ranks(y)), rel=1e-10)
    assert found.pearson == pytest.approx(pearson(x, y), rel=1e-10)
    frame = pd.DataFrame({"x": x, "y": y})
    assert found.spearman == pytest.approx(frame.corr("spearman").loc["x", "y"], rel=1e-10)


def test_a_monotone_change_of_scores_changes_pearson_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 50)
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
    monkeypatch.setattr(bootstrap, "RESAMPLES", 10)
    x, y = sample(6, 50, ties=False)
    assert correlate(1e61 * x, y, alone(x)).pearson == pytest.approx(pearson(x, y), rel=1e-9)
