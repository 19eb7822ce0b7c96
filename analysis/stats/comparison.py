"""Is one proxy better than another? Paired bootstrap tests of differences in Spearman, corrected for their number."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import stats

from analysis.stats.bootstrap import quantiles
from analysis.stats.correlation import spearman_draws

Pair = tuple[str, str]


@dataclass(frozen=True)
class Difference:
    """Spearman of `a` minus that of `b` on the same n cells; NaN where a side is constant.

    `low` and `high` are the 2.5 % and 97.5 % quantiles over bootstrap draws of classes, the same draws for both.
    `p_value` is two-sided: 2 (1 + c) / (1 + draws), c the draws at or beyond 0 on the side where fewer are, so that
    test and interval agree. Where c is 0 that is only a bound, .002 of 1,000 draws, too coarse to survive correction
    for hundreds of pairs; there it is the normal tail of the difference over its standard deviation between draws, if
    that is smaller. NaN where the draws do not differ (a single class), and 1 where the proxies rank alike.
    `p_holm` is corrected for all pairs tested together.
    """

    a: str
    b: str
    n: int
    difference: float
    low: float
    high: float
    p_value: float
    p_holm: float


def all_pairs(names: Sequence[str]) -> list[Pair]:
    """Each two names once, in the order given."""
    return list(itertools.combinations(names, 2))


def against(baseline: str, names: Sequence[str]) -> list[Pair]:
    """Every other name beside one, such as `params`: fewer tests than all pairs, hence more power."""
    return [(name, baseline) for name in names if name != baseline]


def compare(
    scores: pd.DataFrame, labels: pd.Series, groups: np.ndarray, pairs: Sequence[Pair] | None = None
) -> list[Difference]:
    """Test `pairs` of columns of scores (rows: cells, as of labels), all of them unless told, in the order given.

    On the cells where every column of `scores` and the label are finite, since the cells move a correlation more than
    most proxies differ: hand over only columns that are compared, and fill them before (`ranking.prepare`) where a
    failure shall count as a low score. `groups` [rows] are classes of cells, drawn as one (`statistics.interval`).
    """
    complete = np.isfinite(scores.to_numpy(dtype=float)).all(axis=1) & np.isfinite(labels.to_numpy(dtype=float))
    columns, label = scores.to_numpy(dtype=float)[complete], labels.to_numpy(dtype=float)[complete]
    at = {str(name): column for column, name in enumerate(scores.columns)}
    chosen = all_pairs(list(at)) if pairs is None else pairs
    n = len(label)
    estimates = np.array([spearman(column, label) for column in columns.T])
    draws = spearman_draws(columns, label, groups[complete])
    tested = [_tested(estimates[[at[a], at[b]]], draws[:, at[a]] - draws[:, at[b]]) for a, b in chosen]
    corrected = holm(np.array([p_value for *_, p_value in tested]))
    return [
        Difference(a, b, n, *numbers, p_holm=float(p))
        for (a, b), numbers, p in zip(chosen, tested, corrected, strict=True)
    ]


def over(baseline: str, scores: pd.DataFrame, labels: pd.Series, groups: np.ndarray) -> dict[str, Difference]:
    """Every other column minus `baseline`, by name, each on the cells that both score; Holm's p is over all of them.

    A `compare` a column, so that no column's gaps cost another its cells; those of the same cells share their draws.
    """
    finite = np.isfinite(scores.astype(float))
    alike: dict[bytes, list[str]] = {}
    for name in scores.columns.drop(baseline):
        alike.setdefault((finite[name] & finite[baseline]).to_numpy().tobytes(), []).append(str(name))
    tested = [
        one
        for names in alike.values()
        for one in compare(scores[[*names, baseline]], labels, groups, against(baseline, names))
    ]
    corrected = holm(np.array([one.p_value for one in tested]))
    return {one.a: replace(one, p_holm=float(p)) for one, p in zip(tested, corrected, strict=True)}


def holm(p_values: np.ndarray) -> np.ndarray:
    """The i-th smallest of m p-values becomes the largest of min(1, (m - j + 1) p_j) over j <= i (Holm 1979).

    A NaN is no test: it stays, and does not count.
    """
    found = np.full(len(p_values), math.nan)
    tested = np.flatnonzero(~np.isnan(p_values))
    order = tested[np.argsort(p_values[tested], kind="stable")]
    found[order] = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)), 1)
    return found


def spearman(scores: np.ndarray, labels: np.ndarray) -> float:
    """Of finite scores [n] and labels [n]; NaN for fewer than three and where a side is constant."""
    if len(scores) < 3 or np.ptp(scores) == 0 or np.ptp(labels) == 0:
        return math.nan
    return float(stats.spearmanr(scores, labels).statistic)


def _tested(estimates: np.ndarray, differences: np.ndarray) -> tuple[float, float, float, float]:
    """Difference, interval and p-value."""
    difference = float(estimates[0] - estimates[1])
    known = differences[~np.isnan(differences)]
    if math.isnan(difference) or not len(known):
        return (math.nan,) * 4
    return difference, *quantiles(known), _p_value(difference, known)


def _p_value(difference: float, draws: np.ndarray) -> float:
    if np.ptp(draws) == 0:
        return math.nan if difference else 1.0
    beyond = min((draws <= 0).sum(), (draws >= 0).sum())
    counted = min(1.0, 2 * (1 + beyond) / (1 + len(draws)))
    return counted if beyond else min(counted, 2 * float(stats.norm.sf(abs(difference) / draws.std(ddof=1))))
