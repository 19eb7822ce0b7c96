"""Statistics of ranking, from SciPy where it has them."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

RESAMPLES = 1000
BOOTSTRAP_SEED = 201


@dataclass(frozen=True)
class Correlation:
    """Kendall tau-b, Spearman and Pearson of n pairs, and a 95 % percentile bootstrap interval of Spearman.

    NaN where a side is constant.
    """

    n: int
    kendall: float
    spearman: float
    pearson: float
    spearman_low: float
    spearman_high: float


def correlate(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> Correlation:
    """Correlations of finite, paired scores [n] and labels [n].

    `groups` [n] are classes of cells that share a score: the bootstrap draws whole classes, since a class is one
    observation however many cells it holds.
    """
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(labels) == 0:
        return Correlation(len(scores), *[math.nan] * 5)
    low, high = spearman_interval(scores, labels, groups)
    return Correlation(
        n=len(scores),
        kendall=float(stats.kendalltau(scores, labels, variant="b").statistic),
        spearman=float(stats.spearmanr(scores, labels).statistic),
        pearson=float(stats.pearsonr(scores, labels).statistic),
        spearman_low=low,
        spearman_high=high,
    )


def spearman_interval(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of Spearman's correlation over `RESAMPLES` draws of classes with replacement."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.unique(groups[order], return_index=True)[1][1:])
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    values = []
    for _ in range(RESAMPLES):
        drawn = np.concatenate([parts[k] for k in rng.integers(len(parts), size=len(parts))])
        ranks = stats.rankdata(scores[drawn]), stats.rankdata(labels[drawn])
        if np.ptp(ranks[0]) and np.ptp(ranks[1]):
            values.append(np.corrcoef(*ranks)[0, 1])
    if not values:
        return math.nan, math.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Reliability:
    """How well labels agree with themselves: means over pairs of seeds, on the cells that have all seeds.

    `reliability` is that of the mean over the seeds (Spearman-Brown): k r / (1 + (k - 1) r) with r = `spearman`.
    `ceiling` is its square root: the Spearman correlation to be expected of a proxy that knew the true ranking.
    """

    cells: int
    seeds: int
    kendall: float
    spearman: float
    reliability: float
    ceiling: float


def reliability(by_seed: pd.DataFrame) -> Reliability | None:
    """From labels by cell (rows) and seed (columns); None with fewer than two seeds or three cells."""
    complete = by_seed.dropna()
    if complete.shape[1] < 2 or len(complete) < 3:
        return None
    pairs = list(itertools.combinations(complete.columns, 2))
    spearman = float(np.mean([stats.spearmanr(complete[a], complete[b]).statistic for a, b in pairs]))
    kendall = float(np.mean([stats.kendalltau(complete[a], complete[b]).statistic for a, b in pairs]))
    k = complete.shape[1]
    # at r = -1 / (k - 1), the least that k seeds can agree, the formula has its pole
    of_mean = k * spearman / (1 + (k - 1) * spearman) if spearman > -1 / (k - 1) else -math.inf
    return Reliability(len(complete), k, kendall, spearman, of_mean, math.sqrt(max(of_mean, 0.0)))
