"""Judging: failed cells are left out and ranked last, side by side; cells never tried are in neither."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from scipy import stats

from analysis.read.columns import combined
from analysis.studies.correlate import judge
from common.errors import BadInput
from proxies.population import Vote
from spaces.nb201.space import NB201

NAN = math.nan
LABELS = pd.Series({3: 70.0, 8: 75.0, 21: 60.0, 40: 90.0, 55: 80.0, 60: 65.0})


def test_where_nothing_failed_there_is_one_judgement() -> None:
    scores = pd.Series({3: 3.0, 8: 4.0, 21: 1.0, 40: 2.0, 99: NAN})
    found = judge("p", [0], scores, LABELS, NB201)
    assert (found.failed, found.worst, found.correlation.n) == (0, None, 4)
    assert found.coverage == pytest.approx(4 / 6)
    assert found.correlation.spearman == pytest.approx(stats.spearmanr([3, 4, 1, 2], [70, 75, 60, 90]).statistic)


@pytest.mark.slow
def test_failed_cells_are_left_out_and_ranked_last_and_untried_ones_in_neither() -> None:
    scores = pd.Series({3: 3.0, 8: 4.0, 21: 1.0, 40: NAN, 55: NAN})  # 60 was not tried
    found = judge("p", [0], scores, LABELS, NB201)
    assert (found.failed, found.correlation.n) == (2, 3)
    assert found.correlation.spearman == pytest.approx(1)
    assert found.worst is not None
    assert found.worst.n == 5
    labels, ranks = [70, 75, 60, 90, 80], [3, 4, 1, 0, 0]
    assert found.worst.spearman == pytest.approx(stats.spearmanr(ranks, labels).statistic)
    assert found.worst.kendall == pytest.approx(stats.kendalltau(ranks, labels).statistic)
    assert found.worst.spearman_low <= found.worst.spearman <= found.worst.spearman_high
    assert math.isnan(found.worst.pearson)
    assert list(found.pairs.index) == [3, 8, 21]


def test_too_few_scored_cells_are_bad_input() -> None:
    with pytest.raises(BadInput, match="p: only 2 labelled cells"):
        judge("p", [0], pd.Series({3: 1.0, 8: 2.0, 21: NAN}), LABELS, NB201)


def test_a_population_fails_where_a_part_fails_and_skips_what_a_part_was_not_tried_on() -> None:
    a = pd.Series({1: 1.0, 2: 2.0, 3: NAN, 4: 4.0, 5: 5.0})
    b = pd.Series({1: 10.0, 2: 30.0, 3: 5.0, 4: 20.0, 7: 1.0})
    found = combined(Vote(of="a+b"), {"a": a, "b": b}, [1, 2, 3, 4, 5])
    assert list(found.index) == [1, 2, 3, 4]
    assert math.isnan(found[3])
    expected = Vote(of="a+b").combine(pd.DataFrame({"a": a, "b": b}).loc[[1, 2, 4]])
    pd.testing.assert_series_equal(found.dropna(), expected, check_names=False)


def test_a_population_ranks_among_the_cells_asked_for() -> None:
    a = pd.Series({1: 1.0, 2: 2.0, 3: 3.0})
    assert list(combined(Vote(of="a+b"), {"a": a, "b": -a}, [3, 1]).index) == [1, 3]
