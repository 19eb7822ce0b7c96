"""Statistics of ranking, from SciPy where it has them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
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


def interval(statistic: Callable[[np.ndarray], float], groups: np.ndarray) -> tuple[float, float]:
    """The 2.5 % and 97.5 % quantiles of `statistic` over `RESAMPLES` draws of classes with replacement.

    `groups` [n] are the classes of the observations; `statistic` is given the drawn observations' indices. Draws where
    it is NaN are left out; NaN where that is all of them.
    """
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.unique(groups[order], return_index=True)[1][1:])
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = (np.concatenate([parts[k] for k in rng.integers(len(parts), size=len(parts))]) for _ in range(RESAMPLES))
    values = [value for value in map(statistic, drawn) if not math.isnan(value)]
    if not values:
        return math.nan, math.nan
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def spearman_interval(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """`interval` of Spearman's correlation, without the draws in which a side is constant."""

    def spearman(drawn: np.ndarray) -> float:
        ranks = stats.rankdata(scores[drawn]), stats.rankdata(labels[drawn])
        return np.corrcoef(*ranks)[0, 1] if np.ptp(ranks[0]) and np.ptp(ranks[1]) else math.nan

    return interval(spearman, groups)


def kendall_interval(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """`interval` of Kendall's tau-b, without the draws in which a side is constant."""

    def kendall(drawn: np.ndarray) -> float:
        a, b = scores[drawn], labels[drawn]
        return float(stats.kendalltau(a, b, variant="b").statistic) if np.ptp(a) and np.ptp(b) else math.nan

    return interval(kendall, groups)


def spearman_brown(r: float, k: int) -> float:
    """k r / (1 + (k - 1) r): the reliability of the mean of k seeds, r the correlation between two single seeds.

    Exact for Pearson's correlation and independent noise of one variance; with Spearman's an approximation. Its root,
    the ceiling, is less than .01 off for normal truth and noise, and in simulations (tests/test_statistics.py) up to
    .03 for skewed truth where r is above .6, up to .1 where r is small or cells fall into groups far apart.
    -infinity at and below r = -1 / (k - 1), the least that k seeds can agree, where the formula has its pole.
    """
    divisor = 1 + (k - 1) * r
    return -math.inf if divisor < 1e-9 else k * r / divisor  # a correlation is rounded: its pole is not met exactly


@dataclass(frozen=True)
class Reliability:
    """How well labels agree with themselves: means over pairs of seeds, on the cells that have all seeds.

    `reliability` is that of the mean over the seeds (`spearman_brown` with r = `spearman`).
    `ceiling` is its square root: the Spearman correlation to be expected of a proxy that knew the true ranking.
    All are NaN where the accuracies of a seed are constant.
    """

    cells: int
    seeds: int
    kendall: float
    spearman: float

    @property
    def reliability(self) -> float:
        return self.of_mean(self.seeds)

    @property
    def ceiling(self) -> float:
        return self.ceiling_of_mean(self.seeds)

    def of_mean(self, k: int) -> float:
        """Reliability of the mean of k seeds, as many as have been trained or not."""
        return spearman_brown(self.spearman, k)

    def ceiling_of_mean(self, k: int) -> float:
        """Root of `of_mean`, and 0 where that is negative."""
        return math.sqrt(np.maximum(self.of_mean(k), 0.0))  # keeps a NaN, unlike max


def reliability(by_seed: pd.DataFrame) -> Reliability | None:
    """From labels by cell (rows) and seed (columns); None with fewer than two seeds or three cells."""
    complete = by_seed.dropna()
    if complete.shape[1] < 2 or len(complete) < 3:
        return None
    pairs = list(itertools.combinations(complete.columns, 2))
    kendall = float(np.mean([stats.kendalltau(complete[a], complete[b]).statistic for a, b in pairs]))
    of_seeds = _rank_correlations(complete.to_numpy())
    spearman = float(np.mean(of_seeds[np.triu_indices(len(of_seeds), 1)]))
    return Reliability(len(complete), complete.shape[1], kendall, spearman)


def true_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman between the rankings that two labels [n, k] of the same cells and seeds would have without noise.

    r_ab / sqrt(r_a r_b) (Spearman 1904): r_a and r_b are the mean Spearman between different seeds of one label, r_ab
    that between different seeds of the two. The same seed of both is left out: it shares initial weights and images,
    and its luck would pass for agreement. Approximate, as `spearman_brown` is; chance can carry it past 1. NaN where
    there are fewer than two seeds, or a label does not agree with itself.
    """
    k = a.shape[1]
    if k < 2 or len(a) < 3:
        return math.nan
    found = _rank_correlations(np.hstack([a, b]))
    other = ~np.eye(k, dtype=bool)
    r_a, r_b, r_ab = (part[other].mean() for part in (found[:k, :k], found[k:, k:], found[:k, k:]))
    return float(r_ab / math.sqrt(r_a * r_b)) if min(r_a, r_b) > 0 else math.nan


def _rank_correlations(columns: np.ndarray) -> np.ndarray:
    """Spearman [k, k] between columns [n, k]; NaN for those that are constant."""
    with np.errstate(invalid="ignore"):
        return np.corrcoef(stats.rankdata(columns, axis=0), rowvar=False)
